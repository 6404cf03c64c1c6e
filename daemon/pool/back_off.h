// How long to leave an upstream alone after failures: 100 ms, twice as long each time up to 10 s,
// half of it by chance, so that many who failed together do not come back together.
//
// A value: owned by what a HostPool keeps warm, under its mutex.
#pragma once

#include <algorithm>
#include <chrono>

#include "base/time.h"

namespace penstock {

class BackOff {
 public:
  static constexpr Duration kFirst = std::chrono::milliseconds(100);
  static constexpr Duration kLongest = std::chrono::seconds(10);

  // `chance`: 0 to 1.
  void on_failure(MonotonicTime now, double chance) {
    // What failed long after the last time begins anew; a success in between proves little.
    if (now - not_before_ > 2 * kLongest) next_ = kFirst;
    not_before_ = now + std::chrono::duration_cast<Duration>(next_ * (0.5 + chance / 2));
    next_ = std::min(next_ * 2, kLongest);
  }
  MonotonicTime not_before() const { return not_before_; }

 private:
  Duration next_ = kFirst;
  MonotonicTime not_before_ = kNever;
};

}  // namespace penstock
