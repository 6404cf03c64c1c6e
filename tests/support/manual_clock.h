// A clock that stands still until a test turns it, with the timer wheel that goes with it.
//
// advance() stops at every moment at which the wheel wants to be called, so that a handler sees the
// time at which a loop would have called it.
#pragma once

#include <algorithm>

#include "event/clock.h"
#include "event/timer_wheel.h"

namespace penstock {

class ManualClock final : public Clock {
 public:
  explicit ManualClock(MonotonicTime start = MonotonicTime(std::chrono::hours(1)))
      : start_(start), now_(start), timers_(start) {}

  MonotonicTime now() const override { return now_; }
  WallTime wall_now() const override {
    return WallTime(std::chrono::days(20000)) +
           std::chrono::floor<std::chrono::microseconds>(now_ - start_ + asleep_);
  }
  Duration time_asleep() const override { return asleep_; }
  TimerWheel& timers() { return timers_; }

  // The machine is suspended: only the time of day goes on.
  void sleep(Duration by) { asleep_ += by; }

  void advance(Duration by) { advance_to(now_ + by); }
  void advance_to(MonotonicTime target) {
    for (;;) {
      const MonotonicTime wakeup = std::max(timers_.next_wakeup(), now_);
      if (wakeup > target) break;
      now_ = wakeup;
      timers_.advance(now_);
    }
    now_ = target;
  }

 private:
  const MonotonicTime start_;
  MonotonicTime now_;
  Duration asleep_{};
  TimerWheel timers_;
};

}  // namespace penstock
