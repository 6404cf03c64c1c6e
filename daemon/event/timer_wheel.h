// Deadlines by the thousand: a hierarchical timer wheel and the deadlines filed in it.
//
// Four levels of 64 slots on a tick of 4 ms. Arming and cancelling is O(1) and allocates nothing.
// Moving an armed deadline later only stores the new expiry; the node is filed again when its old
// slot comes up. Moving it earlier files it again at once. A deadline never fires before its
// expiry and, while the loop turns, at most one tick after it. Expiries further away than the
// wheel reaches wait in its last slot and are filed again.
//
// The wheel knows no loop: event/loop.cc drives it with one timer, tests call advance().
// Owner: the Loop. Thread: the loop's. Every Deadline ends before the wheel does (asserted).
#pragma once

#include <array>
#include <cstdint>

#include "base/delegate.h"
#include "base/intrusive_list.h"
#include "base/time.h"

namespace penstock {

class TimerWheel;
struct DeadlineTag;

// One moment at which its owner wants to be called. A member of its owner; its destructor cancels.
class Deadline : public ListNode<DeadlineTag> {
 public:
  Deadline(TimerWheel& wheel, Delegate<void()> on_expired) : wheel_(wheel), on_expired_(on_expired) {}
  ~Deadline() { cancel(); }

  // Calls on_expired once at or after `expiry`, from TimerWheel::advance(); replaces an earlier
  // arming. kForever cancels. An expiry in the past fires at the next advance().
  void arm(MonotonicTime expiry);
  void cancel();
  bool armed() const { return expiry_ != kForever; }
  MonotonicTime expiry() const { return expiry_; }

 private:
  friend class TimerWheel;
  TimerWheel& wheel_;
  const Delegate<void()> on_expired_;
  MonotonicTime expiry_ = kForever;
  std::int64_t filed_tick_ = 0;  // the tick whose slot holds the node while linked
};

class TimerWheel {
 public:
  static constexpr Duration kTick = std::chrono::milliseconds(4);
  static constexpr int kLevels = 4;
  static constexpr int kSlots = 64;

  explicit TimerWheel(MonotonicTime start);
  TimerWheel(const TimerWheel&) = delete;
  TimerWheel& operator=(const TimerWheel&) = delete;
  ~TimerWheel();

  // Fires what is due at `now`, in order of ticks. Handlers may arm, cancel and destroy any
  // deadline, their own too.
  void advance(MonotonicTime now);

  // When advance() should be called next: never later than the first expiry's tick, perhaps earlier
  // (a slot to file again). kForever when nothing is armed.
  MonotonicTime next_wakeup() const;

 private:
  friend class Deadline;
  using Slot = IntrusiveList<Deadline, DeadlineTag>;
  void file(Deadline& deadline);

  std::array<std::array<Slot, kSlots>, kLevels> slots_;
  std::array<std::uint64_t, kLevels> occupied_{};  // a bit per slot; may be set for an emptied slot
  MonotonicTime start_;
  std::int64_t current_tick_ = 0;  // ticks since start_, all before it fired
};

}  // namespace penstock
