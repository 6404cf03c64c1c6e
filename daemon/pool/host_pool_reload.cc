// What another configuration means to a HostPool: which connections it excludes, and where a
// request stands that it leads here after it has waited elsewhere.

#include "pool/host_pool.h"
#include "pool/worker_pool.h"

namespace penstock {

void HostPool::set_limits(const HostLimits& limits, std::uint64_t identity) {
  const std::lock_guard lock(mutex_);
  limits_ = limits;
  identity_ = identity;
}

Trimmed HostPool::trim(WorkerPool& worker) {
  Trimmed trimmed;
  Next next;
  {
    const std::lock_guard lock(mutex_);
    Slot& slot = slot_of(worker);
    let_cool(slot);
    end_retired_dials(slot, next);
    ConnectionList kept;
    kept.splice_back(slot.idle);
    while (!kept.empty()) {
      UpstreamConnection& connection = kept.back();  // the oldest first
      std::optional<CloseReason> reason = unfit(connection);
      if (!reason && (idle_count_ > limits_.max_idle || !limits_.reuse))
        reason = CloseReason::kTrimmed;
      if (reason) {
        ++(reason == CloseReason::kRetiredReload ? trimmed.retired : trimmed.surplus);
        end(connection, *reason, next);
      } else {
        connection.unlink();
        slot.idle.push_front(connection);
      }
    }
    arm_sweep(slot);
    use_permits(worker, next);
  }
  carry_out(next);
  return trimmed;
}

// Their permits are for those who want to go where the new settings lead.
void HostPool::end_retired_dials(Slot& slot, Next& next) {
  for (auto it = slot.spare.begin(); it != slot.spare.end();) {
    UpstreamConnection& dial = *it;
    ++it;
    if (dial.flavor_->identity != identity_) end(dial, CloseReason::kRetiredReload, next);
  }
}

// At the end, but for who has waited elsewhere. `was_paired`: it comes before those of its age.
void HostPool::insert_by_age(WaiterList& waiters, Waiter& waiter, bool was_paired) {
  const auto is_younger = [&](const Waiter& other) {
    return other.since_ > waiter.since_ || (was_paired && other.since_ == waiter.since_);
  };
  WaiterList younger;
  while (!waiters.empty() && is_younger(waiters.back())) younger.push_front(*waiters.pop_back());
  waiters.push_back(waiter);
  waiters.splice_back(younger);
}

// Who waits for a dial is older than whoever waits for none: the youngest one that came after this
// waiter gives up its own. What replaces a dead connection is its request's.
void HostPool::take_dial_of_younger(Slot& slot, Waiter& waiter, Next& next) {
  Waiter* youngest = nullptr;
  for (Waiter& paired : slot.paired) {
    const bool younger = paired.since_ > waiter.since_ && !paired.wants_new_;
    if (younger && paired.flavor_->same_as(*waiter.flavor_)) youngest = &paired;
  }
  if (youngest == nullptr) return;
  UpstreamConnection& dial = *std::exchange(youngest->dial_, nullptr);
  pair(waiter, dial);
  youngest->unlink();
  youngest->state_ = WaiterState::kQueued;
  insert_by_age(slot.queued, *youngest, /*was_paired=*/true);
  ++slot.queued_count;
  ++queued_count_;
  next.repaired.push_back(youngest);
}

}  // namespace penstock
