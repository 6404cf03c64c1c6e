// HostPool's waiters and dials: who is served by which connection, and what a failed dial means.

#include <cassert>

#include "pool/host_pool.h"
#include "pool/worker_pool.h"
#include "telemetry/metrics.h"

namespace penstock {

// Paired waiters are older than queued ones of their flavor, so the first that fits is the oldest.
Waiter* HostPool::first_waiter(Slot& slot, const UpstreamConnection& connection) {
  Waiter* const paired = first_of(slot.paired, connection);
  if (paired != nullptr || slot.paused) return paired;
  return first_of(slot.queued, connection);
}

Waiter* HostPool::first_of(WaiterList& waiters, const UpstreamConnection& connection) {
  const bool used = connection.requests_ > 0;
  for (Waiter& waiter : waiters) {
    if (waiter.wants_new_ && used) continue;
    if (waiter.flavor_->same_as(*connection.flavor_)) return &waiter;
  }
  return nullptr;
}

// Takes the waiter out of its list; a dial that it was paired with is left without one.
void HostPool::finish_waiting(Waiter& waiter) {
  Slot& slot = slot_of(waiter.worker_);
  if (waiter.state_ == WaiterState::kQueued) {
    --slot.queued_count;
    --queued_count_;
  }
  waiter.unlink();
  waiter.state_ = WaiterState::kServed;
  UpstreamConnection* dial = std::exchange(waiter.dial_, nullptr);
  if (dial == nullptr) return;
  dial->waiter_ = nullptr;
  dial->unlink();
  slot.spare.push_back(*dial);
}

void HostPool::pair(Waiter& waiter, UpstreamConnection& dial) {
  if (waiter.state_ == WaiterState::kQueued) {
    Slot& slot = slot_of(waiter.worker_);
    waiter.unlink();
    insert_by_age(slot.paired, waiter);
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
  if (slot.paused) return nullptr;
  for (UpstreamConnection& dial : slot.spare) {
    if (dial.flavor_->same_as(flavor)) return &dial;
  }
  return nullptr;
}

// A dial whose waiter is gone serves the oldest one that has none; else it will join the idle ones.
void HostPool::find_waiter_for(UpstreamConnection& spare, Next& next) {
  Slot& slot = slot_of(spare.worker());
  if (slot.paused) return;
  for (Waiter& waiter : slot.queued) {
    if (!waiter.flavor_->same_as(*spare.flavor_)) continue;
    pair(waiter, spare);
    next.repaired.push_back(&waiter);
    return;
  }
}

// Where the oldest waits of those to whom no permission to dial is on its way.
HostPool::Slot* HostPool::neediest_slot() {
  if (queued_count_ == 0) return nullptr;
  Slot* neediest = nullptr;
  for (Slot& slot : slots_) {
    if (slot.paused || slot.queued_count <= slot.grants_on_their_way + slot.handovers_on_their_way)
      continue;
    if (neediest == nullptr || slot.queued.front().since_ < neediest->queued.front().since_)
      neediest = &slot;
  }
  return neediest;
}

// For one more. What ends together with its beginning is closed before it; what others end is in
// its way until they have closed it, and they look then for whoever was turned away.
bool HostPool::has_room(const Next& next) {
  const std::uint32_t closing = closing_count_ - next.closing;
  if (permits_ + closing < limits_.max_connections) return true;
  close_awaited_ = close_awaited_ || closing > 0;
  return false;
}

// Whether a waiter of this slot may have a dial now. What is idle is of another flavor and gives
// its permit up; above a lowered limit its end would free none.
bool HostPool::may_dial(Slot& slot, const Next& next) {
  if (slot.paused || !may_connect()) return false;
  return has_room(next) || (permits_ == limits_.max_connections && find_surplus(slot) != nullptr);
}

// Starts dials for queued waiters while permits are free and not too many dials are under way: the
// own worker's here, others' by post.
void HostPool::use_permits(WorkerPool& own, Next& next) {
  Slot& slot = slots_[own.index()];  // it may have nothing here (end_idle())
  while (may_dial(slot, next)) {
    Slot* neediest = neediest_slot();
    if (neediest == nullptr || is_helped(*neediest->queued.front().flavor_)) return;
    if (!get_permit(own, next)) {
      if (!std::exchange(starving_, true)) next.starving_at = &own;
      return;
    }
    if (neediest->worker == &own) {
      add_dial(own, neediest->queued.front(), next);
    } else {
      grant(*neediest, next);
    }
  }
}

// A permit of the process, where may_dial() says that the host has one; what is surplus gives way.
bool HostPool::get_permit(WorkerPool& own, Next& next) {
  if (permits_ == limits_.max_connections) evict_surplus(own, next);
  if (take_permit(next)) return true;
  if (find_surplus(slots_[own.index()]) == nullptr) return false;
  evict_surplus(own, next);
  return take_permit(next);
}

// What has come free serves again at once, but for above a lowered limit: there it goes back, and
// the host waits until as many have.
bool HostPool::take_permit(Next& next) {
  if (bounds_.connections.exceeded()) return false;
  if (next.own_permits > 0) {
    --next.own_permits;
  } else if (next.permits > 0 && !bounds_.connections.wanted()) {
    --next.permits;
  } else {
    return bounds_.connections.try_take();
  }
  return true;
}

// With a permit of the process.
void HostPool::grant(Slot& slot, Next& next) {
  take_place(next);
  ++permits_;
  ++granted_count_;
  ++slot.grants_on_their_way;
  next.grants.push_back(slot.worker);
}

// What begins after the end of another one has its place.
void HostPool::take_place(Next& next) {
  if (next.closing == 0) return;
  --next.closing;
  --closing_count_;
}

// Whether as many connections or dials as there are waiters without one will be there for them
// soon: dials that nobody waits for, on any worker, and what is on its way from one to another.
bool HostPool::is_helped(const Flavor& flavor) {
  std::size_t help = granted_count_ + handover_count_;
  for (Slot& slot : slots_) {
    for (UpstreamConnection& dial : slot.spare) help += dial.flavor_->same_as(flavor) ? 1 : 0;
  }
  return help >= queued_count_;
}

// With a permit of the process.
void HostPool::add_dial(WorkerPool& worker, Waiter& waiter, Next& next) {
  UpstreamConnection& dial = new_dial(worker, waiter.flavor_, waiter.limits_, next);
  std::erase(next.repaired, &waiter);  // it is told with the dial, and may leave then
  pair(waiter, dial);
  next.dials.push_back(&dial);
}

UpstreamConnection& HostPool::new_dial(WorkerPool& worker, const FlavorRef& flavor,
                                       const DialLimits& limits, Next& next) {
  take_place(next);
  auto* dial = new UpstreamConnection(*this, worker, flavor, limits);
  ++permits_;
  ++dialing_count_;
  slot_of(worker).spare.push_back(*dial);
  return *dial;
}

HostPool::Grant::Grant(std::shared_ptr<HostPool> host, WorkerPool& worker)
    : host_(std::move(host)), worker_(&worker), slot_(worker.index()) {}

// The worker may be gone by then: its executor ended with what was posted to it.
HostPool::Grant::~Grant() {
  if (host_ == nullptr) return;
  Next next;
  {
    const std::lock_guard lock(host_->mutex_);
    host_->take_back_grant(slot_, next);
  }
  host_->carry_out(next);
}

void HostPool::Grant::arrive() { std::exchange(host_, nullptr)->on_grant(*worker_); }

void HostPool::take_back_grant(std::size_t slot, Next& next) {
  --slots_[slot].grants_on_their_way;
  --granted_count_;
  --permits_;
  ++next.own_permits;
  unused_since_ = kNever;
}

void HostPool::on_grant(WorkerPool& worker) {
  const std::shared_ptr<HostPool> alive = shared_from_this();
  Next next;
  {
    const std::lock_guard lock(mutex_);
    take_back_grant(worker.index(), next);
    // For its own waiter, or another's when that one has left.
    if (slots_[worker.index()].worker != nullptr) use_permits(worker, next);
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

Phase Waiter::phase() const { return dial_ != nullptr ? dial_->dial_phase() : Phase::kQueue; }

void HostPool::on_dialed(UpstreamConnection& connection) {
  Next next;
  {
    const std::lock_guard lock(mutex_);
    WorkerPool& own = connection.worker();  // until it is handed over
    Slot& slot = slot_of(own);
    ++totals_.opened;
    slot.metrics->connections_opened.add();
    if (connection.flavor_->tls) {
      (connection.tls_resumed_ ? slot.metrics->tls_resumed_handshakes
                               : slot.metrics->tls_full_handshakes)
          .add();
    }
    if (Waiter* paired = std::exchange(connection.waiter_, nullptr)) {
      paired->dial_ = nullptr;
      // An older waiter takes this connection; then its dial becomes this waiter's.
      Waiter* first = first_waiter(slot, connection);
      if (first != paired) {
        pair(*paired, *std::exchange(first->dial_, nullptr));
        next.repaired.push_back(paired);
      }
    }
    place(connection, next);
    use_permits(own, next);  // there is one dial less
    top_up(slot, next);
  }
  carry_out(next);
}

void HostPool::on_dial_failed(UpstreamConnection& connection, const Error& error) {
  Next next;
  WaiterList failing;
  std::vector<WorkerPool*> others;
  {
    const std::lock_guard lock(mutex_);
    Slot& own = slot_of(connection.worker());
    totals_.last_error = token(error.code);
    Waiter* waiter = std::exchange(connection.waiter_, nullptr);
    if (waiter != nullptr) waiter->dial_ = nullptr;
    end(connection, CloseReason::kError, next);
    // Who was given the dial of a request that left came after it began, and has one of its own
    // now: so a request fails by the same dials on whichever worker it waits.
    const bool came_later = waiter != nullptr && waiter->since_ > connection.created_;
    if (came_later && may_dial(own, next) && get_permit(connection.worker(), next)) {
      add_dial(connection.worker(), *waiter, next);
    } else if (waiter != nullptr) {
      finish_waiting(*waiter);
      failing.push_back(*waiter);
    }
    // Nothing else of this host works: whoever queued before the dial began learns the same.
    if (busy_count_ == 0 && idle_count_ == 0 && draining_count_ == 0 && tunnel_count_ == 0) {
      take_waiters_before(own, connection.created_, *connection.flavor_, failing);
      for (Slot& slot : slots_) {
        if (&slot != &own && !(slot.queued.empty() && slot.paired.empty()))
          others.push_back(slot.worker);
      }
    }
    use_permits(connection.worker(), next);
    back_off(own);
    top_up(own, next);
  }
  for (WorkerPool* other : others) {
    post(other->executor(), [host = shared_from_this(), other, before = connection.created_,
                             flavor = connection.flavor_,
                             error] { host->fail_waiters(*other, before, *flavor, error); });
  }
  carry_out(next);
  fail(failing, error);
}

void HostPool::fail_waiters(WorkerPool& worker, MonotonicTime before, const Flavor& flavor,
                            const Error& error) {
  WaiterList failing;
  {
    const std::lock_guard lock(mutex_);
    take_waiters_before(slots_[worker.index()], before, flavor, failing);
  }
  fail(failing, error);
}

// Paired ones have a dial of their own, whose end they await; paused ones await no dial. What
// befell one flavor (a handshake, a refusal by egress) says nothing of another.
void HostPool::take_waiters_before(Slot& slot, MonotonicTime before, const Flavor& flavor,
                                   WaiterList& failing) {
  if (slot.paused) return;
  for (auto it = slot.queued.begin(); it != slot.queued.end();) {
    Waiter& waiter = *it;
    ++it;
    if (waiter.since_ >= before) return;
    if (!waiter.flavor_->same_as(flavor)) continue;
    finish_waiting(waiter);
    failing.push_back(waiter);
  }
}

void HostPool::fail(WaiterList& failing, const Error& error) {
  while (Waiter* waiter = failing.pop_front()) waiter->handler_.on_acquire_failed(error);
}

}  // namespace penstock
