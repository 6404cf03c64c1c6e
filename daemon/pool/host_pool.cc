#include "pool/host_pool.h"

#include <algorithm>
#include <cassert>

#include "pool/worker_pool.h"
#include "telemetry/metrics.h"

namespace penstock {

HostLimits host_limits(const PoolSettings& settings) {
  return {.max_connections = settings.max_connections,
          .max_idle = std::min(settings.max_idle, settings.max_connections),
          .max_waiting = settings.max_waiting,
          .idle_timeout = settings.idle_timeout,
          .reuse = settings.reuse};
}

HostPool::Sweep::Sweep(HostPool& pool, WorkerPool& owner)
    : host(pool), worker(owner), deadline(owner.timers(), Delegate<void()>::to<&Sweep::on_due>(*this)) {}

HostPool::HostPool(HostKey key, const HostLimits& limits, std::uint64_t identity, std::size_t worker_count)
    : key_(std::move(key)), limits_(limits), identity_(identity), slots_(worker_count) {}

HostPool::~HostPool() { assert(unused()); }

// Acquire

AcquireOutcome HostPool::acquire(WorkerPool& worker, const FlavorRef& flavor, const DialLimits& dial_limits,
                                AcquireHandler& handler) {
  Next next;
  std::unique_ptr<Waiter> waiter;
  {
    const std::lock_guard lock(mutex_);
    if (retired_) return Retired{};
    Slot& slot = slot_of(worker);
    if (UpstreamConnection* connection = take_idle(slot, *flavor)) {
      move_to(*connection, ConnectionState::kBusy);
      ++connection->requests_;
      ++totals_.acquired_idle;
      slot.metrics->acquires[AcquireResult::kIdle].add();
      return Lease(*connection);
    }
    // What is idle here is of another flavor: its permit serves this request better.
    UpstreamConnection* spare = find_spare(slot, *flavor);
    if (spare == nullptr && permits_ >= limits_.max_connections && !slot.idle.empty()) {
      end(slot.idle.back(), CloseReason::kEvicted, next);
    }
    const bool may_dial = permits_ < limits_.max_connections;
    if (spare == nullptr && !may_dial && queued_count_ >= limits_.max_waiting) {
      return Error{.code = ErrorCode::kConnectionLimitReached,
                   .phase = Phase::kQueue,
                   .limit_key = "pool.max_waiting",
                   .detail = "all connections are busy and the queue is full"};
    }
    waiter = std::make_unique<Waiter>(*this, worker, flavor, dial_limits, handler, worker.now());
    slot.queued.push_back(*waiter);
    ++slot.queued_count;
    ++queued_count_;
    const bool dials = spare == nullptr && may_dial;
    ++(dials ? totals_.acquired_dialed : totals_.acquired_queued);
    slot.metrics->acquires[dials ? AcquireResult::kDialed : AcquireResult::kQueued].add();
    if (spare != nullptr) {
      pair(*waiter, *spare);
    } else {
      use_permits(worker, next);
    }
  }
  carry_out(next, waiter.get());
  const Phase phase = waiter->dial_ != nullptr ? waiter->dial_->dial_phase_ : Phase::kQueue;
  return Waiting{std::move(waiter), phase};
}

UpstreamConnection* HostPool::take_idle(Slot& slot, const Flavor& flavor) {
  for (UpstreamConnection& connection : slot.idle) {
    if (connection.flavor_->same_as(flavor)) return &connection;
  }
  return nullptr;
}

// Release

void Lease::release() {
  UpstreamConnection* connection = std::exchange(connection_, nullptr);
  connection->host().release(*connection);
}

void Lease::close(CloseReason reason) {
  UpstreamConnection* connection = std::exchange(connection_, nullptr);
  connection->host().close(*connection, reason);
}

void HostPool::release(UpstreamConnection& connection) {
  Next next;
  {
    const std::lock_guard lock(mutex_);
    place(connection, next);
  }
  carry_out(next);
}

void HostPool::close(UpstreamConnection& connection, CloseReason reason) {
  Next next;
  {
    const std::lock_guard lock(mutex_);
    end(connection, reason, next);
    use_permits(connection.worker_, next);
  }
  carry_out(next);
}

// Why a connection may not serve another exchange; nothing when it may.
std::optional<CloseReason> HostPool::unfit(const UpstreamConnection& connection) const {
  if (connection.flavor_->identity != identity_) return CloseReason::kRetiredReload;
  if (permits_ > limits_.max_connections) return CloseReason::kTrimmed;
  if (!limits_.reuse && connection.requests_ > 0) return CloseReason::kMaxRequests;
  return std::nullopt;
}

// A connection that came back or was just dialled: to a waiter, to the idle ones, or to its end.
void HostPool::place(UpstreamConnection& connection, Next& next) {
  std::optional<CloseReason> reason = unfit(connection);
  const bool fresh = connection.requests_ == 0;  // its dial was begun for somebody: that one is served
  Slot& slot = slot_of(connection.worker_);
  if (!reason || fresh) {
    if (Waiter* waiter = first_waiter(slot, *connection.flavor_)) {
      deliver(connection, *waiter, next);
      return;
    }
  }
  if (!reason && !limits_.reuse) reason = CloseReason::kMaxRequests;
  // A waiter of another flavor needs the permit.
  if (!reason && queued_count_ > 0 && permits_ >= limits_.max_connections) reason = CloseReason::kEvicted;
  if (!reason && idle_count_ >= limits_.max_idle) {
    if (slot.idle.empty()) {
      reason = CloseReason::kTrimmed;
    } else {
      end(slot.idle.back(), CloseReason::kTrimmed, next);  // the freshest are kept
    }
  }
  if (reason) {
    end(connection, *reason, next);
  } else {
    move_to(connection, ConnectionState::kIdle);
  }
  use_permits(connection.worker_, next);
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
  slot_of(connection.worker_).metrics->connections_closed[reason].add();
}

// Waiters and dials

// Paired waiters are all older than queued ones, so the first that fits is the oldest.
Waiter* HostPool::first_waiter(Slot& slot, const Flavor& flavor) {
  for (WaiterList* list : {&slot.paired, &slot.queued}) {
    for (Waiter& waiter : *list) {
      if (waiter.flavor_->same_as(flavor)) return &waiter;
    }
  }
  return nullptr;
}

// Takes the waiter out of its list; a dial that it was paired with is left without one.
void HostPool::finish_waiting(Waiter& waiter) {
  if (waiter.state_ == WaiterState::kQueued) {
    --slot_of(waiter.worker_).queued_count;
    --queued_count_;
  }
  waiter.unlink();
  waiter.state_ = WaiterState::kServed;
  UpstreamConnection* dial = std::exchange(waiter.dial_, nullptr);
  if (dial == nullptr) return;
  dial->waiter_ = nullptr;
  dial->unlink();
  slot_of(waiter.worker_).spare.push_back(*dial);
}

void HostPool::pair(Waiter& waiter, UpstreamConnection& dial) {
  if (waiter.state_ == WaiterState::kQueued) {
    Slot& slot = slot_of(waiter.worker_);
    waiter.unlink();
    slot.paired.push_back(waiter);
    waiter.state_ = WaiterState::kPaired;
    --slot.queued_count;
    --queued_count_;
  }
  waiter.dial_ = &dial;
  dial.waiter_ = &waiter;
  dial.unlink();
  slot_of(waiter.worker_).dialing.push_back(dial);
}

UpstreamConnection* HostPool::find_spare(Slot& slot, const Flavor& flavor) {
  for (UpstreamConnection& dial : slot.spare) {
    if (dial.flavor_->same_as(flavor)) return &dial;
  }
  return nullptr;
}

// A dial whose waiter is gone serves the oldest one that has none; else it will join the idle ones.
void HostPool::find_waiter_for(UpstreamConnection& spare, Next& next) {
  for (Waiter& waiter : slot_of(spare.worker_).queued) {
    if (!waiter.flavor_->same_as(*spare.flavor_)) continue;
    pair(waiter, spare);
    next.repaired.push_back(&waiter);
    return;
  }
}

void HostPool::find_waiters_for_spares(Slot& slot, Next& next) {
  for (auto it = slot.spare.begin(); it != slot.spare.end();) {
    UpstreamConnection& spare = *it;
    ++it;
    find_waiter_for(spare, next);
  }
}

// Starts dials for queued waiters while permits are free: the own worker's here, others' by post.
void HostPool::use_permits(WorkerPool& own, Next& next) {
  while (permits_ < limits_.max_connections && queued_count_ > 0) {
    Slot* neediest = nullptr;
    for (Slot& slot : slots_) {
      if (slot.queued_count <= slot.grants_on_their_way) continue;
      if (neediest == nullptr || slot.queued.front().since_ < neediest->queued.front().since_) neediest = &slot;
    }
    if (neediest == nullptr) return;
    if (neediest->worker != &own) {
      ++permits_;
      ++neediest->grants_on_their_way;
      next.grants.push_back(neediest->worker);
      continue;
    }
    Waiter& waiter = neediest->queued.front();
    auto* dial = new UpstreamConnection(*this, own, waiter.flavor_, waiter.limits_);
    ++permits_;
    ++dialing_count_;
    pair(waiter, *dial);
    next.dials.push_back(dial);
  }
}

void HostPool::on_grant(WorkerPool& worker) {
  Next next;
  {
    const std::lock_guard lock(mutex_);
    --slot_of(worker).grants_on_their_way;
    --permits_;
    use_permits(worker, next);  // for its own waiter, or another's when that one has left
  }
  carry_out(next);
}

void HostPool::cancel(Waiter& waiter) {
  if (waiter.state_ == WaiterState::kServed) {
    waiter.unlink();  // it may stand in a list of waiters that are being failed
    return;
  }
  Next next;
  {
    const std::lock_guard lock(mutex_);
    UpstreamConnection* spare = waiter.dial_;
    finish_waiting(waiter);
    if (spare != nullptr) find_waiter_for(*spare, next);
  }
  carry_out(next);
}

Waiter::~Waiter() { host_.cancel(*this); }

void HostPool::on_dialed(UpstreamConnection& connection) {
  Next next;
  {
    const std::lock_guard lock(mutex_);
    Slot& slot = slot_of(connection.worker_);
    ++totals_.opened;
    slot.metrics->connections_opened.add();
    if (connection.flavor_->tls) {
      (connection.tls_resumed_ ? slot.metrics->tls_resumed_handshakes : slot.metrics->tls_full_handshakes).add();
    }
    if (Waiter* paired = std::exchange(connection.waiter_, nullptr)) {
      paired->dial_ = nullptr;
      // An older waiter takes this connection; then its dial becomes this waiter's.
      Waiter* first = first_waiter(slot, *connection.flavor_);
      if (first != paired) {
        pair(*paired, *std::exchange(first->dial_, nullptr));
        next.repaired.push_back(paired);
      }
    }
    place(connection, next);
  }
  carry_out(next);
}

void HostPool::on_dial_failed(UpstreamConnection& connection, const Error& error) {
  Next next;
  WaiterList failing;
  std::vector<WorkerPool*> others;
  {
    const std::lock_guard lock(mutex_);
    Slot& own = slot_of(connection.worker_);
    totals_.last_error = token(error.code);
    Waiter* waiter = connection.waiter_;
    if (waiter != nullptr) {
      finish_waiting(*waiter);
      failing.push_back(*waiter);
    }
    end(connection, CloseReason::kError, next);
    // Nothing else of this host works: whoever waited before the dial began learns the same.
    if (busy_count_ == 0 && idle_count_ == 0) {
      take_waiters_before(own, connection.created_, failing);
      for (Slot& slot : slots_) {
        if (&slot != &own && !(slot.queued.empty() && slot.paired.empty())) others.push_back(slot.worker);
      }
      find_waiters_for_spares(own, next);
    }
    use_permits(connection.worker_, next);
  }
  for (WorkerPool* other : others) {
    post(other->executor(), [this, other, before = connection.created_, error] {
      fail_waiters(*other, before, error);
    });
  }
  carry_out(next);
  fail(failing, error);
}

void HostPool::fail_waiters(WorkerPool& worker, MonotonicTime before, const Error& error) {
  Next next;
  WaiterList failing;
  {
    const std::lock_guard lock(mutex_);
    Slot& slot = slot_of(worker);
    take_waiters_before(slot, before, failing);
    find_waiters_for_spares(slot, next);
  }
  carry_out(next);
  fail(failing, error);
}

void HostPool::take_waiters_before(Slot& slot, MonotonicTime before, WaiterList& failing) {
  for (WaiterList* list : {&slot.paired, &slot.queued}) {
    while (!list->empty() && list->front().since_ <= before) {
      Waiter& waiter = list->front();
      finish_waiting(waiter);
      failing.push_back(waiter);
    }
  }
}

void HostPool::fail(WaiterList& failing, const Error& error) {
  while (Waiter* waiter = failing.pop_front()) waiter->handler_.on_acquire_failed(error);
}

// Idle connections

void HostPool::on_sweep(WorkerPool& worker) {
  Next next;
  {
    const std::lock_guard lock(mutex_);
    Slot& slot = slot_of(worker);
    const MonotonicTime now = worker.now();
    while (!slot.idle.empty() && limits_.idle_timeout) {
      UpstreamConnection& oldest = slot.idle.back();
      const MonotonicTime expiry = oldest.idle_since_ + *limits_.idle_timeout;
      if (expiry > now) {
        slot.sweep->deadline.arm(expiry);
        break;
      }
      end(oldest, CloseReason::kIdleTimeout, next);
    }
  }
  carry_out(next);
}

void HostPool::set_limits(const HostLimits& limits, std::uint64_t identity) {
  const std::lock_guard lock(mutex_);
  limits_ = limits;
  identity_ = identity;
}

void HostPool::trim(WorkerPool& worker) {
  Next next;
  {
    const std::lock_guard lock(mutex_);
    Slot& slot = slot_of(worker);
    ConnectionList kept;
    kept.splice_back(slot.idle);
    while (!kept.empty()) {
      UpstreamConnection& connection = kept.back();  // the oldest first
      std::optional<CloseReason> reason = unfit(connection);
      if (!reason && (idle_count_ > limits_.max_idle || !limits_.reuse)) reason = CloseReason::kTrimmed;
      if (reason) {
        end(connection, *reason, next);
      } else {
        connection.unlink();
        slot.idle.push_front(connection);
      }
    }
    if (!slot.idle.empty() && limits_.idle_timeout) {
      slot.sweep->deadline.arm(slot.idle.back().idle_since_ + *limits_.idle_timeout);
    }
    use_permits(worker, next);
  }
  carry_out(next);
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
    case ConnectionState::kDialing: --dialing_count_; break;
    case ConnectionState::kIdle: --idle_count_; break;
    case ConnectionState::kBusy: --busy_count_; break;
    case ConnectionState::kClosed: assert(false); break;
  }
  connection.state_ = state;
  switch (state) {
    case ConnectionState::kDialing: assert(false); break;
    case ConnectionState::kIdle: {
      ++idle_count_;
      Slot& slot = slot_of(connection.worker_);
      slot.idle.push_front(connection);
      connection.idle_since_ = connection.worker_.now();
      connection.stream_->set_handler(&connection);
      if (limits_.idle_timeout && !slot.sweep->deadline.armed()) {
        slot.sweep->deadline.arm(connection.idle_since_ + *limits_.idle_timeout);
      }
      break;
    }
    case ConnectionState::kBusy:
      ++busy_count_;
      busy_.push_back(connection);
      break;
    case ConnectionState::kClosed:
      --permits_;
      unused_since_ = kNever;
      break;
  }
}

// `starting`: a waiter whose acquire() has not returned; it learns its phase from the result.
void HostPool::carry_out(Next& next, const Waiter* starting) {
  for (UpstreamConnection* connection : next.ended) dispose(*connection);
  for (UpstreamConnection* dial : next.dials) {
    dial->start_dial();
    if (dial->waiter_ != starting) dial->waiter_->handler_.on_dial_phase(dial->dial_phase_);
  }
  for (WorkerPool* worker : next.grants) {
    post(worker->executor(), [this, worker] { on_grant(*worker); });
  }
  for (Waiter* waiter : next.repaired) waiter->handler_.on_dial_phase(waiter->dial_->dial_phase_);
  // Last: the handler may do anything, also end what the others were about.
  if (next.deliver_to != nullptr) next.deliver_to->handler_.on_acquired(Lease(*next.deliver));
}

// The permit is back already. The stream closes here, the memory goes a turn later, since a frame
// of the connection's own may be below us.
void HostPool::dispose(UpstreamConnection& connection) {
  connection.stream_.reset();
  connection.dial_.reset();
  connection.worker_.executor().defer_delete(std::unique_ptr<DeferredDeletable>(&connection));
}

HostSnapshot HostPool::snapshot(MonotonicTime now) const {
  const std::lock_guard lock(mutex_);
  HostSnapshot snapshot = totals_;
  snapshot.key = key_;
  snapshot.limits = limits_;
  snapshot.dialing = dialing_count_;
  snapshot.idle = idle_count_;
  snapshot.busy = busy_count_;
  snapshot.waiting = queued_count_;
  for (const Slot& slot : slots_) {
    if (!slot.queued.empty()) snapshot.oldest_wait = std::max(snapshot.oldest_wait, now - slot.queued.front().since_);
  }
  return snapshot;
}

}  // namespace penstock
