// How many further tries the requests of one upstream may cause: a share of them, and so many a
// second in any case. Two token buckets: requests earn the share where they are, on a worker; time
// earns the rest, for all workers together.
#pragma once

#include <algorithm>
#include <chrono>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>

#include "base/time.h"
#include "config/settings.h"

namespace penstock {

// What time allows one upstream.
//
// Owner: the budgets of it, one per worker. Thread: any.
class RetryAllowance {
 public:
  bool take(double per_second, MonotonicTime now) {
    const std::lock_guard lock(mutex_);
    if (granted_ == kNever) {
      left_ = per_second;
    } else {
      const std::chrono::duration<double> since = std::max(now - granted_, Duration::zero());
      left_ = std::min(left_ + per_second * since.count(), per_second);
    }
    granted_ = now;
    if (left_ < 1) return false;
    left_ -= 1;
    return true;
  }

 private:
  std::mutex mutex_;
  double left_ = 0;
  MonotonicTime granted_ = kNever;
};

// Finds the one of an upstream, by its name.
//
// Owner: the Daemon. Thread: any.
class RetryAllowances {
 public:
  std::shared_ptr<RetryAllowance> of(std::string_view upstream) {
    const std::lock_guard lock(mutex_);
    std::shared_ptr<RetryAllowance>& allowance = by_name_[std::string(upstream)];
    if (allowance == nullptr) allowance = std::make_shared<RetryAllowance>();
    return allowance;
  }

 private:
  std::mutex mutex_;
  std::map<std::string, std::shared_ptr<RetryAllowance>> by_name_;
};

// Owner: the Proxy, one per upstream. Thread: the worker's.
class RetryBudget {
 public:
  explicit RetryBudget(std::shared_ptr<RetryAllowance> allowance)
      : allowance_(std::move(allowance)) {}

  void on_request(const RetrySettings& settings) {
    earned_ = std::min(earned_ + settings.budget_ratio, kMostEarned);
  }

  bool take(const RetrySettings& settings, MonotonicTime now) {
    if (allowance_->take(settings.budget_min_per_second, now)) return true;
    if (earned_ < 1) return false;
    earned_ -= 1;
    return true;
  }

 private:
  static constexpr double kMostEarned = 100;  // a burst after a long quiet time

  std::shared_ptr<RetryAllowance> allowance_;
  double earned_ = 0;
};

}  // namespace penstock
