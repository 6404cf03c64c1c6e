// What HostPool does about the bounds of the whole process: it queues for a permit when there is
// none, closes its oldest idle connection for another host, and looks for room for one that came
// back.

#include <cassert>

#include "pool/host_pool.h"
#include "pool/worker_pool.h"

namespace penstock {

// Somebody's idle connection goes for it (more than one, where the limit was lowered); where none
// is, the next one that comes free anywhere.
void HostPool::starve(WorkerPool& at) {
  bounds_.connections.wait_for_one(shared_from_this());
  while (bounds_.connections.wanted() && bounds_.idle.evict_coldest(at)) continue;
}

// Another host waits for a permit of the process, and this one has more than its part of them.
bool HostPool::gives_way() const {
  return bounds_.connections.wanted() && permits_ > bounds_.connections.fair_share(starving_);
}

// A host waits for a permit of the process: another, or this one for a request that what is free
// did not fit. Once those that it queued for were served otherwise, its own place counts for
// nothing, which it has until the next permit is offered.
bool HostPool::wanted_by_another() const {
  return bounds_.connections.wanted_by_others(starving_ && queued_count_ == 0);
}

// By a waiter of another flavor, worker or host.
bool HostPool::permit_is_needed() {
  if (permits_ >= limits_.max_connections && neediest_slot() != nullptr) return true;
  return wanted_by_another();
}

PermitOffer HostPool::accept_permit() {
  Next next;
  {
    const std::lock_guard lock(mutex_);
    const PermitBank& bank = bounds_.connections;
    Slot* neediest = has_room(next) && may_connect() ? neediest_slot() : nullptr;
    if (neediest == nullptr || is_helped(*neediest->queued.front().flavor_)) {
      starving_ = false;
      return PermitOffer::kRefused;
    }
    if (bank.wanted() && permits_ >= bank.fair_share(false)) return PermitOffer::kLater;
    starving_ = false;
    grant(*neediest, next);
  }
  carry_out(next);
  return PermitOffer::kTaken;
}

// The coldest idle connection of all goes for this one, which counts as it did until then. What has
// happened here meanwhile is looked at anew.
void HostPool::settle(UpstreamConnection& connection) {
  static_cast<void>(bounds_.idle.evict_coldest(connection.worker()));
  Next next;
  {
    const std::lock_guard lock(mutex_);
    place(connection, next, /*may_evict=*/false);
  }
  carry_out(next);
}

void HostPool::note_idle(const UpstreamConnection& connection, Next& next) {
  if (!std::exchange(ranked_, true)) next.idle_since = connection.idle_since_;
}

Eviction HostPool::evict_idle(WorkerPool& by, MonotonicTime not_after) {
  Eviction done;
  Next next;
  {
    const std::lock_guard lock(mutex_);
    UpstreamConnection* oldest = oldest_idle();
    if (oldest != nullptr && oldest->idle_since_ <= not_after) {
      done.evicted = true;
      end_idle(*oldest, by, CloseReason::kEvicted, next);
      oldest = oldest_idle();
    }
    if (oldest != nullptr) done.oldest_left = oldest->idle_since_;
    ranked_ = oldest != nullptr;
  }
  carry_out(next);
  return done;
}

// But for those that are being looked at, which are ranked again when that has ended.
UpstreamConnection* HostPool::oldest_idle() {
  UpstreamConnection* oldest = nullptr;
  for (Slot& slot : slots_) {
    UpstreamConnection* candidate = oldest_idle(slot);
    if (candidate == nullptr) continue;
    if (oldest == nullptr || candidate->idle_since_ < oldest->idle_since_) oldest = candidate;
  }
  return oldest;
}

UpstreamConnection* HostPool::oldest_idle(Slot& slot) {
  for (auto it = slot.idle.end(); it != slot.idle.begin();) {
    --it;
    if (!it->looking_) return &*it;
  }
  return nullptr;
}

IdleLimit HostPool::learned() const {
  const std::lock_guard lock(mutex_);
  return learned_idle_;
}

void HostPool::remember(const IdleLimit& learned) {
  const std::lock_guard lock(mutex_);
  learned_idle_ = learned;
}

}  // namespace penstock
