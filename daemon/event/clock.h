// What time it is. Within one event the answer stands still, so that stamps taken in the same
// callback are equal and free; tests turn the clock by hand.
#pragma once

#include "base/time.h"

namespace penstock {

class Clock {
 public:
  virtual ~Clock() = default;
  virtual MonotonicTime now() const = 0;
  virtual WallTime wall_now() const = 0;
  // How long the machine has been suspended since it booted, which now() does not count. Asked
  // anew each time; no system call.
  virtual Duration time_asleep() const = 0;
};

}  // namespace penstock
