// How many further tries the requests of one upstream may cause: a share of them, and so many a
// second in any case. A token bucket; the share is earned by requests, the rest by time.
//
// Owner: the Proxy, one per upstream. Thread: the worker's.
#pragma once

#include <algorithm>
#include <chrono>

#include "base/time.h"
#include "config/settings.h"

namespace penstock {

class RetryBudget {
 public:
  void on_request(const RetrySettings& settings) {
    tokens_ = std::min(tokens_ + settings.budget_ratio, kMostEarned);
  }

  bool take(const RetrySettings& settings, MonotonicTime now) {
    const double per_second = settings.budget_min_per_second;
    if (granted_ == kNever) {
      given_ = per_second;
    } else {
      given_ = std::min(given_ + per_second * std::chrono::duration<double>(now - granted_).count(),
                        per_second);
    }
    granted_ = now;
    for (double* purse : {&given_, &tokens_}) {
      if (*purse < 1) continue;
      *purse -= 1;
      return true;
    }
    return false;
  }

 private:
  static constexpr double kMostEarned = 100;  // a burst after a long quiet time

  double tokens_ = 0;  // earned by requests
  double given_ = 0;   // by time
  MonotonicTime granted_ = kNever;
};

}  // namespace penstock
