#include "pool/host_pool.h"

#include <algorithm>
#include <cassert>

#include "pool/worker_pool.h"
#include "telemetry/metrics.h"

namespace penstock {

HostLimits host_limits(const PoolSettings& settings) {
  return {.max_connections = settings.max_connections,
          .max_connecting = std::min(settings.max_connecting, settings.max_connections),
          .max_idle = std::min(settings.max_idle, settings.max_connections),
          .max_waiting = settings.max_waiting,
          .idle_timeout = settings.idle_timeout,
          .reuse = settings.reuse,
          .order = settings.order,
          .max_lifetime = settings.max_lifetime,
          .max_requests = settings.max_requests,
          .min_idle = settings.min_idle};
}

HostPool::Sweep::Sweep(HostPool& pool, WorkerPool& owner)
    : host(pool),
      worker(owner),
      deadline(owner.timers(), Delegate<void()>::to<&Sweep::on_due>(*this)) {}

HostPool::HostPool(HostKey key, const HostLimits& limits, std::uint64_t identity,
                   std::size_t worker_count)
    : key_(std::move(key)), limits_(limits), identity_(identity), slots_(worker_count) {}

HostPool::~HostPool() { assert(unused()); }

// Acquire

AcquireOutcome HostPool::acquire(WorkerPool& worker, const FlavorRef& flavor,
                                 const DialLimits& dial_limits, AcquireHandler& handler,
                                 bool prefers_recent) {
  Next next;
  UpstreamConnection* idle = nullptr;
  std::unique_ptr<Waiter> waiter;
  std::optional<Error> refused;
  bool taken = false;
  {
    const std::lock_guard lock(mutex_);
    if (retired_) return Retired{};
    Slot& slot = slot_of(worker);
    idle = take_idle(slot, *flavor, prefers_recent, next);
    if (idle != nullptr) {
      move_to(*idle, ConnectionState::kBusy);
      ++totals_.acquired_idle;
      slot.metrics->acquires[AcquireResult::kIdle].add();
    } else if (idle = take_over(slot, *flavor, prefers_recent, next); idle != nullptr) {
      taken = true;
      ++totals_.acquired_takeover;
      slot.metrics->acquires[AcquireResult::kTakeover].add();
    } else if (may_wait(slot, *flavor)) {
      waiter = std::make_unique<Waiter>(*this, worker, flavor, dial_limits, handler, worker.now());
      enqueue(slot, *waiter, next);
    } else {
      refused = queue_full();
    }
  }
  carry_out(next);
  if (idle != nullptr) {
    // Each try that fails ends a connection.
    if (taken && !bring_home(*idle))
      return acquire(worker, flavor, dial_limits, handler, prefers_recent);
    if (!taken) idle->stream_->wake();
    ++idle->requests_;
    return Lease(*idle);
  }
  if (refused) return *std::move(refused);
  waiter->starting_ = false;
  const Phase phase = waiter->dial_ != nullptr ? waiter->dial_->dial_phase_ : Phase::kQueue;
  return Waiting{std::move(waiter), phase};
}

bool HostPool::may_wait(Slot& slot, const Flavor& flavor) {
  return queued_count_ < limits_.max_waiting || may_dial(slot) ||
         find_spare(slot, flavor) != nullptr;
}

// Gives the request a place in the queue and, where that may be, a dial.
void HostPool::enqueue(Slot& slot, Waiter& waiter, Next& next) {
  slot.queued.push_back(waiter);
  ++slot.queued_count;
  ++queued_count_;
  UpstreamConnection* spare = find_spare(slot, *waiter.flavor_);
  if (spare != nullptr) pair(waiter, *spare);
  use_permits(waiter.worker_, next);  // the spare one may have been another's help
  const bool dials = spare == nullptr && waiter.dial_ != nullptr;
  ++(dials ? totals_.acquired_dialed : totals_.acquired_queued);
  slot.metrics->acquires[dials ? AcquireResult::kDialed : AcquireResult::kQueued].add();
}

Error HostPool::queue_full() const {
  const bool all_taken = permits_ >= limits_.max_connections;
  return {.code = ErrorCode::kConnectionLimitReached,
          .phase = Phase::kQueue,
          .limit_key = "pool.max_waiting",
          .detail = all_taken ? "all connections are busy and the queue is full"
                              : "pool.max_connecting dials are under way and the queue is full"};
}

// Release

void HostPool::release(UpstreamConnection& connection, const ReuseHints& hints) {
  Next next;
  {
    const std::lock_guard lock(mutex_);
    assert(connection.state_ == ConnectionState::kBusy ||
           connection.state_ == ConnectionState::kDraining);  // a tunnel is only closed
    connection.heed(hints);
    place(connection, next);
  }
  carry_out(next);
}

void HostPool::close(UpstreamConnection& connection, CloseReason reason) {
  const bool died =
      reason == CloseReason::kError && connection.requests_ > 1 && connection.is_dead();
  Next next;
  {
    const std::lock_guard lock(mutex_);
    if (connection.state_ == ConnectionState::kIdle) learn_from_close(connection, reason);
    if (died) end_older_idle(connection, next);
    end(connection, reason, next);
    use_permits(connection.worker(), next);
  }
  carry_out(next);
}

void HostPool::begin_drain(UpstreamConnection& connection) {
  const std::lock_guard lock(mutex_);
  move_to(connection, ConnectionState::kDraining);
}

void HostPool::begin_next(UpstreamConnection& connection) {
  const std::lock_guard lock(mutex_);
  assert(connection.state_ == ConnectionState::kBusy);
  ++connection.requests_;
}

void HostPool::become_tunnel(UpstreamConnection& connection) {
  const std::lock_guard lock(mutex_);
  move_to(connection, ConnectionState::kTunnel);
}

Waiting HostPool::redial(UpstreamConnection& failed, CloseReason reason, const DialLimits& limits,
                         AcquireHandler& handler) {
  WorkerPool& worker = failed.worker();
  Next next;
  std::unique_ptr<Waiter> waiter;
  {
    const std::lock_guard lock(mutex_);
    Slot& slot = slot_of(worker);
    // Ahead of the queue, and no younger than what it stands before: the lists are in order of age.
    const MonotonicTime since =
        slot.paired.empty() ? worker.now() : std::min(worker.now(), slot.paired.front().since_);
    waiter = std::make_unique<Waiter>(*this, worker, failed.flavor_, limits, handler, since);
    waiter->wants_new_ = true;
    waiter->state_ = WaiterState::kPaired;
    slot.paired.push_front(*waiter);
    end_older_idle(failed, next);
    end(failed, reason, next);
    add_dial(worker, *waiter, next);
    use_permits(worker, next);
  }
  carry_out(next);
  waiter->starting_ = false;
  const Phase phase = waiter->dial_->dial_phase_;
  return Waiting{std::move(waiter), phase};
}

void HostPool::deliver(UpstreamConnection& connection, Waiter& waiter, Next& next) {
  UpstreamConnection* spare = waiter.dial_;
  finish_waiting(waiter);
  move_to(connection, ConnectionState::kBusy);
  ++connection.requests_;
  next.deliver_to = &waiter;
  next.deliver = &connection;
  if (spare != nullptr) find_waiter_for(*spare, next);
}

void HostPool::end(UpstreamConnection& connection, CloseReason reason, Next& next) {
  move_to(connection, ConnectionState::kClosed);
  next.ended.push_back(&connection);
  if (connection.stream_ == nullptr) return;  // a dial: it was never opened
  ++totals_.closed[static_cast<std::size_t>(reason)];
  slot_of(connection.worker()).metrics->connections_closed[reason].add();
}

void HostPool::set_limits(const HostLimits& limits, std::uint64_t identity) {
  const std::lock_guard lock(mutex_);
  limits_ = limits;
  identity_ = identity;
}

void HostPool::detach(WorkerPool& worker) {
  Next next;
  {
    const std::lock_guard lock(mutex_);
    Slot& slot = slot_of(worker);
    assert(slot.queued.empty() && slot.paired.empty());
    for (ConnectionList* list : {&slot.idle, &slot.spare, &slot.dialing}) {
      while (!list->empty()) end(list->front(), CloseReason::kShutdown, next);
    }
    let_cool(slot);
    use_permits(worker, next);
    slot.sweep.reset();
    slot.worker = nullptr;
  }
  carry_out(next);
}

bool HostPool::retire_if_unused(MonotonicTime now, Duration unused_for) {
  const std::lock_guard lock(mutex_);
  if (!unused()) {
    unused_since_ = kNever;
  } else if (unused_since_ == kNever) {
    unused_since_ = now;
  } else if (now - unused_since_ >= unused_for) {
    retired_ = true;
  }
  return retired_;
}

// Books

HostPool::Slot& HostPool::slot_of(WorkerPool& worker) {
  Slot& slot = slots_[worker.index()];
  if (slot.worker == nullptr) {
    slot.worker = &worker;
    slot.metrics = &worker.metrics().upstream(key_.upstream);
    slot.sweep = std::make_unique<Sweep>(*this, worker);
  }
  return slot;
}

// The only function that changes a connection's state: its list, the counts and the permit.
void HostPool::move_to(UpstreamConnection& connection, ConnectionState state) {
  connection.unlink();
  switch (connection.state_) {
    case ConnectionState::kDialing:
      --dialing_count_;
      break;
    case ConnectionState::kIdle:
      leave_idle(connection);
      break;
    case ConnectionState::kBusy:
      --busy_count_;
      break;
    case ConnectionState::kDraining:
      --draining_count_;
      break;
    case ConnectionState::kTunnel:
      --tunnel_count_;
      break;
    case ConnectionState::kClosed:
      assert(false);
      break;
  }
  connection.state_ = state;
  switch (state) {
    case ConnectionState::kDialing:
      assert(false);
      break;
    case ConnectionState::kIdle:
      join_idle(connection);
      break;
    case ConnectionState::kBusy:
      ++busy_count_;
      busy_.push_back(connection);
      break;
    case ConnectionState::kDraining:
      ++draining_count_;
      draining_.push_back(connection);
      break;
    case ConnectionState::kTunnel:
      ++tunnel_count_;
      tunnels_.push_back(connection);
      break;
    case ConnectionState::kClosed:
      --permits_;
      unused_since_ = kNever;
      break;
  }
}

void HostPool::carry_out(Next& next) {
  for (UpstreamConnection* connection : next.ended) dispose(*connection);
  for (UpstreamConnection* dial : next.dials) {
    dial->start_dial();
    if (dial->waiter_ != nullptr) tell_phase(*dial->waiter_);
  }
  for (WorkerPool* worker : next.grants) {
    post(worker->executor(),
         [grant = Grant(shared_from_this(), *worker)]() mutable { grant.arrive(); });
  }
  for (UpstreamConnection* connection : next.handovers) {
    post(connection->worker().executor(),
         [handover = Handover(shared_from_this(), *connection)]() mutable { handover.arrive(); });
  }
  for (WorkerPool* worker : next.shortages) {
    post(worker->executor(), [host = shared_from_this(), worker] { host->on_warm_due(*worker); });
  }
  for (Waiter* waiter : next.repaired) tell_phase(*waiter);
  // Last: the handler may do anything, also end what the others were about.
  if (next.deliver_to != nullptr) next.deliver_to->handler_.on_acquired(Lease(*next.deliver));
}

void HostPool::tell_phase(Waiter& waiter) {
  if (!waiter.starting_) waiter.handler_.on_dial_phase(waiter.dial_->dial_phase_);
}

// The permit is back already. The stream closes here, the memory goes a turn later, since a frame
// of the connection's own may be below us.
void HostPool::dispose(UpstreamConnection& connection) {
  if (connection.abandoned_) connection.stream_->abandon(*connection.gate_);
  connection.stream_.reset();
  connection.gate_.reset();  // it holds on to us
  connection.dial_.reset();
  connection.worker().executor().defer_delete(std::unique_ptr<DeferredDeletable>(&connection));
}

HostSnapshot HostPool::snapshot(MonotonicTime now) const {
  const std::lock_guard lock(mutex_);
  HostSnapshot snapshot = totals_;
  snapshot.key = key_;
  snapshot.limits = limits_;
  snapshot.dialing = dialing_count_;
  snapshot.idle = idle_count_;
  snapshot.busy = busy_count_;
  snapshot.draining = draining_count_;
  snapshot.upgraded = tunnel_count_;
  snapshot.waiting = queued_count_;
  snapshot.warm = warm_count_ > 0;
  snapshot.learned_idle = learned_idle_.observed(now);
  for (const Slot& slot : slots_) {
    if (!slot.queued.empty())
      snapshot.oldest_wait = std::max(snapshot.oldest_wait, now - slot.queued.front().since_);
  }
  return snapshot;
}

}  // namespace penstock
