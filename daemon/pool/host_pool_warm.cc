// HostPool's min_idle: connections that are opened before somebody asks, and kept.
//
// Each worker keeps its share. They are dials without a waiter: whoever comes first takes one. The
// hot path only notices that there are too few and arms a check; a request that is over before the
// check costs no dial. What is about to expire no longer counts, so that its replacement is there
// before it goes, where a permit is free.

#include <algorithm>
#include <cassert>

#include "pool/host_pool.h"
#include "pool/worker_pool.h"

namespace penstock {

namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr Duration kCheckAfter = milliseconds(100);
// When permits or dials were lacking.
constexpr Duration kLookAgainAfter = seconds(1);
// A connection that nobody used and that was closed so soon counts as a failure: by the upstream,
// or for lack of room.
constexpr Duration kShortLife = seconds(10);
// What was swept had the time that is meant for it, unless that is next to nothing.
constexpr Duration kShortIdling = seconds(1);
constexpr Duration kReplaceAhead = seconds(1);

// An unused connection that ends younger than this, for this reason, would end the same again.
Duration short_life(CloseReason reason) {
  switch (reason) {
    case CloseReason::kIdleTimeout:
    case CloseReason::kMaxLifetime:
      return kShortIdling;
    case CloseReason::kPeerClosedIdle:
    case CloseReason::kUnexpectedData:
    case CloseReason::kEvicted:
    case CloseReason::kTrimmed:
      return kShortLife;
    default:
      return Duration(0);
  }
}

}  // namespace

HostPool::Warm::Warm(HostPool& pool, WorkerPool& owner, FlavorRef what, const DialLimits& limits)
    : host(pool),
      worker(owner),
      flavor(std::move(what)),
      dial_limits(limits),
      check(owner.timers(), Delegate<void()>::to<&Warm::on_due>(*this)) {}

bool HostPool::keep_warm(WorkerPool& worker, const FlavorRef& flavor,
                         const DialLimits& dial_limits) {
  Next next;
  {
    const std::lock_guard lock(mutex_);
    if (retired_) return false;
    Slot& slot = slot_of(worker);
    if (slot.warm == nullptr) ++warm_count_;
    slot.warm = std::make_unique<Warm>(*this, worker, flavor, dial_limits);
    top_up(slot, next);
    arm_sweep(slot);
  }
  carry_out(next);
  return true;
}

void HostPool::let_cool(Slot& slot) {
  if (slot.warm == nullptr) return;
  slot.warm.reset();
  --warm_count_;
}

void HostPool::on_warm_due(WorkerPool& worker) {
  Next next;
  {
    const std::lock_guard lock(mutex_);
    top_up(slot_of(worker), next);
  }
  carry_out(next);
}

// This worker's part of min_idle; the parts of all workers add up to it.
std::uint32_t HostPool::share_of(const Slot& slot) const {
  const auto index = static_cast<std::uint32_t>(&slot - slots_.data());
  const auto count = static_cast<std::uint32_t>(slots_.size());
  return limits_.min_idle / count + (index < limits_.min_idle % count ? 1 : 0);
}

// Idle and coming ones that will still be there in a moment.
std::uint32_t HostPool::count_warm(Slot& slot) const {
  const MonotonicTime now = slot.worker->now();
  const Flavor& flavor = *slot.warm->flavor;
  std::uint32_t count = 0;
  for (const UpstreamConnection& idle : slot.idle) {
    if (idle.flavor_->same_as(flavor) && !idle.departed_ && replace_at(idle) > now) ++count;
  }
  for (const UpstreamConnection& dial : slot.spare) {
    if (dial.flavor_->same_as(flavor)) ++count;
  }
  return count;
}

MonotonicTime HostPool::replace_at(const UpstreamConnection& idle) const {
  const MonotonicTime end = end_of_idling(idle);
  if (end == kForever) return end;
  return end - std::min(kReplaceAhead, (end - idle.idle_since_) / 10);
}

void HostPool::top_up(Slot& slot, Next& next) {
  if (slot.warm == nullptr || slot.paused) return;
  Warm& warm = *slot.warm;
  const MonotonicTime now = slot.worker->now();
  const std::uint32_t have = count_warm(slot);
  const std::uint32_t share = share_of(slot);
  if (have >= share) return;
  if (now < warm.back_off.not_before()) {
    warm.check.arm(warm.back_off.not_before());
    return;
  }
  for (std::uint32_t lacking = share - have; lacking > 0; --lacking) {
    // Who waits comes first; what is idle elsewhere is not closed for this.
    if (queued_count_ > 0 || !has_room(next) || !may_connect() ||
        !bounds_.idle.has_room_beside(dialing_count_) || !take_permit(next)) {
      warm.check.arm(now + kLookAgainAfter);
      return;
    }
    next.dials.push_back(&new_dial(*slot.worker, warm.flavor, warm.dial_limits, next));
  }
}

void HostPool::notice_shortage(Slot& slot) {
  Warm& warm = *slot.warm;
  if (slot.idle_count >= share_of(slot) || warm.check.armed()) return;
  warm.check.arm(std::max(slot.worker->now() + kCheckAfter, warm.back_off.not_before()));
}

void HostPool::back_off(Slot& slot) {
  if (slot.warm == nullptr) return;
  slot.warm->back_off.on_failure(slot.worker->now(), slot.worker->draw());
}

// Those that end together count once.
void HostPool::back_off_from_end(Slot& slot, const UpstreamConnection& connection,
                                 CloseReason reason) {
  if (slot.warm == nullptr || connection.requests_ > 0) return;
  if (!connection.flavor_->same_as(*slot.warm->flavor)) return;
  const MonotonicTime now = connection.worker().now();
  if (now - connection.created_ >= short_life(reason)) return;
  if (now >= slot.warm->back_off.not_before())
    slot.warm->back_off.on_failure(now, connection.worker().draw());
}

}  // namespace penstock
