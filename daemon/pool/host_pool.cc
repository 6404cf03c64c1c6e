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
                   std::size_t worker_count, ProcessBounds& bounds, bool paused)
    : key_(std::move(key)),
      bounds_(bounds),
      limits_(limits),
      identity_(identity),
      paused_(paused),
      slots_(worker_count) {
  for (Slot& slot : slots_) slot.paused = paused;
}

HostPool::~HostPool() {
  assert(unused());
  bounds_.idle.forget(*this);
}

// Acquire

AcquireOutcome HostPool::acquire(WorkerPool& worker, const FlavorRef& flavor,
                                 const DialLimits& dial_limits, AcquireHandler& handler,
                                 const AcquireClaim& claim) {
  Next next;
  UpstreamConnection* idle = nullptr;
  std::unique_ptr<Waiter> waiter;
  std::optional<Error> refused;
  bool taken = false;
  {
    const std::lock_guard lock(mutex_);
    if (retired_) return Retired{};
    Slot& slot = slot_of(worker);
    const unsigned count = claim.waiting_since ? 0 : 1;  // it was counted where it came first
    if (!slot.paused) idle = take_idle(slot, *flavor, claim.prefers_recent, next);
    if (idle != nullptr) {
      move_to(*idle, ConnectionState::kBusy);
      totals_.acquired_idle += count;
      slot.metrics->acquires[AcquireResult::kIdle].add(count);
    } else if (!slot.paused &&
               (idle = take_over(slot, *flavor, claim.prefers_recent, next)) != nullptr) {
      taken = true;
      totals_.acquired_takeover += count;
      slot.metrics->acquires[AcquireResult::kTakeover].add(count);
    } else if (claim.waiting_since || may_wait(slot, *flavor, next)) {
      waiter = std::make_unique<Waiter>(*this, worker, flavor, dial_limits, handler,
                                        claim.waiting_since.value_or(worker.now()));
      const bool dials = enqueue(slot, *waiter, next);
      if (!claim.waiting_since) {
        ++(dials ? totals_.acquired_dialed : totals_.acquired_queued);
        slot.metrics->acquires[dials ? AcquireResult::kDialed : AcquireResult::kQueued].add();
      } else if (waiter->dial_ == nullptr) {
        take_dial_of_younger(slot, *waiter, next);
      }
    } else {
      refused = queue_full(slot);
    }
    if (idle != nullptr) idle->begin_use(worker.now());
  }
  carry_out(next);
  if (idle != nullptr) {
    // Each try that fails ends a connection.
    if (taken && !bring_home(*idle)) return acquire(worker, flavor, dial_limits, handler, claim);
    if (!taken) idle->stream_->wake();
    return Lease(*idle);
  }
  if (refused) return *std::move(refused);
  waiter->starting_ = false;
  const Phase phase = waiter->phase();
  return Waiting{std::move(waiter), phase};
}

bool HostPool::may_wait(Slot& slot, const Flavor& flavor, const Next& next) {
  return queued_count_ < limits_.max_waiting || find_spare(slot, flavor) != nullptr ||
         (may_dial(slot, next) && bounds_.may_give());
}

// Gives the request a place in the queue and, where that may be, a dial; whether one begins for it.
bool HostPool::enqueue(Slot& slot, Waiter& waiter, Next& next) {
  insert_by_age(slot.queued, waiter);
  ++slot.queued_count;
  ++queued_count_;
  UpstreamConnection* spare = find_spare(slot, *waiter.flavor_);
  if (spare != nullptr) pair(waiter, *spare);
  use_permits(waiter.worker_, next);  // the spare one may have been another's help
  return spare == nullptr && waiter.dial_ != nullptr;
}

Error HostPool::queue_full(const Slot& slot) const {
  if (slot.paused) {
    return {.code = ErrorCode::kDestinationUnavailable,
            .source = ErrorSource::kInternal,
            .phase = Phase::kQueue,
            .limit_key = "pool.max_waiting",
            .detail = "the upstream is paused and the queue is full"};
  }
  const char* detail = "process.max_upstream_connections are busy and the queue is full";
  if (permits_ + closing_count_ >= limits_.max_connections) {
    detail = "all connections are busy and the queue is full";
  } else if (!may_connect()) {
    detail = "pool.max_connecting dials are under way and the queue is full";
  }
  return {.code = ErrorCode::kConnectionLimitReached,
          .phase = Phase::kQueue,
          .limit_key = "pool.max_waiting",
          .detail = detail};
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
  const bool died = reason == CloseReason::kError && connection.reused() && connection.is_dead();
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
  connection.state_since_ = connection.worker().now();
}

void HostPool::begin_next(UpstreamConnection& connection) {
  const std::lock_guard lock(mutex_);
  assert(connection.state_ == ConnectionState::kBusy);
  connection.begin_use(connection.worker().now());
}

void HostPool::become_tunnel(UpstreamConnection& connection) {
  const std::lock_guard lock(mutex_);
  move_to(connection, ConnectionState::kTunnel);
  connection.state_since_ = connection.worker().now();
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
    --next.permits;
    add_dial(worker, *waiter, next);
    use_permits(worker, next);
  }
  carry_out(next);
  waiter->starting_ = false;
  const Phase phase = waiter->phase();
  return Waiting{std::move(waiter), phase};
}

void HostPool::deliver(UpstreamConnection& connection, Waiter& waiter, Next& next) {
  UpstreamConnection* spare = waiter.dial_;
  finish_waiting(waiter);
  move_to(connection, ConnectionState::kBusy);
  connection.begin_use(waiter.worker_.now());
  next.deliver_to = &waiter;
  next.deliver = &connection;
  if (spare != nullptr) find_waiter_for(*spare, next);
}

void HostPool::end(UpstreamConnection& connection, CloseReason reason, Next& next) {
  move_to(connection, ConnectionState::kClosed);
  ++next.permits;
  next.ended.push_back(&connection);
  ++closing_count_;
  ++next.closing;
  if (connection.stream_ == nullptr) return;  // a dial: it was never opened
  if (!connection.abandoned_)                 // else it was another's
    back_off_from_end(slots_[connection.worker().index()], connection, reason);
  ++totals_.closed[static_cast<std::size_t>(reason)];
  // By name, since the worker that closes may never have met this host (end_idle()).
  connection.worker().metrics().upstream(key_.upstream).connections_closed[reason].add();
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
  }
  carry_out(next);
  const std::lock_guard lock(mutex_);
  Slot& slot = slot_of(worker);
  slot.sweep.reset();
  slot.worker = nullptr;
}

bool HostPool::retire_if_unused(MonotonicTime now, Duration unused_for) {
  const std::lock_guard lock(mutex_);
  if (!unused()) {
    unused_since_ = kNever;
  } else {
    if (unused_since_ == kNever) unused_since_ = now;
    retired_ = retired_ || now - unused_since_ >= unused_for;
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
  while (!next.ended.empty()) close_ended(next);
  if (const std::uint32_t permits = next.permits + next.own_permits; permits > 0)
    bounds_.connections.give_back(permits);
  if (next.idle_since) bounds_.idle.rank(*this, *next.idle_since);
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
  if (next.starving_at != nullptr) starve(*next.starving_at);
  if (next.homeless != nullptr) settle(*next.homeless);
  for (Waiter* waiter : next.repaired) tell_phase(*waiter);
  // Last: the handler may do anything, also end what the others were about.
  if (next.deliver_to != nullptr) next.deliver_to->handler_.on_acquired(Lease(*next.deliver));
}

void HostPool::tell_phase(Waiter& waiter) {
  if (!waiter.starting_) waiter.handler_.on_dial_phase(waiter.phase());
}

// Only then may another worker dial in their places: the limit counts sockets.
void HostPool::close_ended(Next& next) {
  const std::vector<UpstreamConnection*> ended = std::exchange(next.ended, {});
  WorkerPool& worker = ended.front()->worker();
  for (UpstreamConnection* connection : ended) dispose(*connection);
  const std::lock_guard lock(mutex_);
  closing_count_ -= std::exchange(next.closing, 0);
  if (std::exchange(close_awaited_, false)) use_permits(worker, next);
}

// The stream closes here, the memory goes a turn later, since a frame
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
