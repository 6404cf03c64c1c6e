// Time as the daemon speaks of it.
//
// MonotonicTime never goes back and says nothing about the wall clock; WallTime is for logs only.
// Nothing outside event/ asks the system for either: everybody else is handed a Clock or a stamp.
#pragma once

#include <chrono>

namespace penstock {

using Duration = std::chrono::nanoseconds;

struct MonotonicClock {
  using duration = Duration;
  using rep = duration::rep;
  using period = duration::period;
  using time_point = std::chrono::time_point<MonotonicClock, duration>;
  static constexpr bool is_steady = true;
};

using MonotonicTime = MonotonicClock::time_point;
using WallTime = std::chrono::time_point<std::chrono::system_clock, std::chrono::microseconds>;

// The value of a stamp that was never made.
inline constexpr MonotonicTime kNever{};
// A deadline that does not come.
inline constexpr MonotonicTime kForever = MonotonicTime::max();

}  // namespace penstock
