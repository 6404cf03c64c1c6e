// Who was told lately that a tunnel cannot be pooled: once an hour for each upstream.
//
// Owner: the Daemon. Thread: any.
#pragma once

#include <chrono>
#include <map>
#include <mutex>
#include <string>
#include <string_view>

#include "base/time.h"

namespace penstock {

class PoolingHints {
 public:
  // True when it is time to say it again.
  bool is_due(std::string_view upstream, MonotonicTime now) {
    constexpr Duration kQuietTime = std::chrono::hours(1);
    const std::lock_guard lock(mutex_);
    const auto said = said_.find(upstream);
    if (said == said_.end()) {
      said_.emplace(upstream, now);
      return true;
    }
    if (now - said->second < kQuietTime) return false;
    said->second = now;
    return true;
  }

 private:
  std::mutex mutex_;
  std::map<std::string, MonotonicTime, std::less<>> said_;
};

}  // namespace penstock
