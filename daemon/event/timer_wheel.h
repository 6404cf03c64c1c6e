// Deadlines by the thousand: a hierarchical timer wheel and the deadlines filed in it.
//
// Four levels of 64 slots on a tick of 4 ms. Arming and cancelling is O(1) and allocates nothing.
// Cancelling, and moving an armed deadline later, only stores the new expiry; the node is dropped
// or filed again when its old slot comes up. Moving it earlier files it again at once. A deadline
// never fires before its expiry and, while the loop turns, at most one tick after it. Expiries
// further away than the wheel reaches (18 h) wait in its last slot and are filed again.
//
// The wheel knows no loop: event/loop.cc drives it with one timer, tests call advance().
// Owner: the Loop. Thread: the loop's. Every Deadline ends before the wheel does (asserted for
// those that are filed).
#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include "base/delegate.h"
#include "base/intrusive_list.h"
#include "base/time.h"

namespace penstock {

class TimerWheel;
struct DeadlineTag;

// One moment at which its owner wants to be called. A member of its owner; its destructor cancels.
class Deadline : public ListNode<DeadlineTag> {
 public:
  Deadline(TimerWheel& wheel, Delegate<void()> on_expired)
      : wheel_(wheel), on_expired_(on_expired) {}
  ~Deadline() { unlink(); }

  // Calls on_expired once at or after `expiry`, from TimerWheel::advance(); replaces an earlier
  // arming. kForever cancels. An expiry in the past fires at the next advance().
  void arm(MonotonicTime expiry);
  void cancel() { expiry_ = kForever; }
  bool armed() const { return expiry_ != kForever; }
  MonotonicTime expiry() const { return expiry_; }

 private:
  friend class TimerWheel;
  TimerWheel& wheel_;
  const Delegate<void()> on_expired_;
  MonotonicTime expiry_ = kForever;
  // While linked: the node's slot comes up at or before this moment.
  MonotonicTime filed_for_ = kForever;
};

class TimerWheel {
 public:
  static constexpr Duration kTick = std::chrono::milliseconds(4);
  static constexpr int kLevels = 4;
  static constexpr int kSlots = 64;

  explicit TimerWheel(MonotonicTime start);
  TimerWheel(const TimerWheel&) = delete;
  TimerWheel& operator=(const TimerWheel&) = delete;

  // Fires what is due at `now`, in order of ticks. Handlers may arm, cancel and destroy any
  // deadline, their own too; one that has fired does so again in a later advance() at the earliest.
  void advance(MonotonicTime now);

  // When advance() should be called next: never later than the first expiry's tick, perhaps earlier
  // (a slot to file again). kForever when nothing is filed. Free when nothing was filed since.
  MonotonicTime next_wakeup() const;

 private:
  friend class Deadline;
  using Slot = IntrusiveList<Deadline, DeadlineTag>;

  void file(Deadline& deadline);
  void file_overdue(Deadline& deadline);
  void advance_to_tick(std::int64_t tick);
  void refile(int level, std::int64_t tick);
  void fire(Slot& due, MonotonicTime until);
  void take_slot(int level, std::int64_t position, Slot& into);
  std::int64_t next_tick() const;
  MonotonicTime find_wakeup() const;
  MonotonicTime time_of(std::int64_t tick) const { return start_ + tick * kTick; }

  std::array<std::array<Slot, kSlots>, kLevels> slots_;
  std::array<std::uint64_t, kLevels> occupied_{};  // a bit per slot; may be set for an emptied one
  Slot overdue_;                                   // armed for what was the past already
  const MonotonicTime start_;
  MonotonicTime now_;                                   // of the last advance()
  std::int64_t current_tick_ = 0;                       // since start_; all before it have fired
  mutable std::optional<MonotonicTime> next_wakeup_{};  // while nothing was filed or taken since
};

}  // namespace penstock
