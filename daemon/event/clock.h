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
};

}  // namespace penstock
