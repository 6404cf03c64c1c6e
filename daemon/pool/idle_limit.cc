#include "pool/idle_limit.h"

#include <algorithm>
#include <chrono>

namespace penstock {

namespace {

using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;

constexpr Duration kOneMoment = seconds(1);
constexpr Duration kRemembered = minutes(10);
// No server keeps a connection for less on purpose: it closed for another reason, such as a worker
// that ends after so many requests. A limit of a second may be seen a little early.
constexpr Duration kShortestLimit = milliseconds(900);

Duration tolerance(Duration idle) { return std::max<Duration>(idle / 10, milliseconds(50)); }

bool alike(Duration a, Duration b) { return std::max(a, b) - std::min(a, b) <= tolerance(a); }

}  // namespace

void IdleLimit::on_closed(Duration idle, MonotonicTime now) {
  if (idle < kShortestLimit) return;
  const bool same_moment = last_ != kNever && now - last_ < kOneMoment;
  if (last_ != kNever && now - last_ > kRemembered) count_ = 0;
  last_ = now;
  if (same_moment && last_was_crowd_) return;
  if (same_moment && count_ > 0) {
    last_was_crowd_ = !alike(samples_[0], idle);
    if (!last_was_crowd_) {
      samples_[0] = std::min(samples_[0], idle);
    } else {
      std::shift_left(samples_.begin(), samples_.end(), 1);
      --count_;
    }
    return;
  }
  last_was_crowd_ = false;
  std::shift_right(samples_.begin(), samples_.end(), 1);
  samples_[0] = idle;
  count_ = std::min(count_ + 1, samples_.size());
}

void IdleLimit::on_alive(Duration idle) {
  if (count_ == 0 || !agree()) return;
  if (idle > shortest() + tolerance(shortest())) count_ = 0;
}

Limit IdleLimit::observed(MonotonicTime now) const {
  if (!agree() || now - last_ > kRemembered) return std::nullopt;
  return shortest();
}

Limit IdleLimit::usable(MonotonicTime now) const {
  const Limit limit = observed(now);
  if (!limit) return std::nullopt;
  return *limit - std::min<Duration>(*limit / 10, seconds(1));
}

Duration IdleLimit::shortest() const { return *std::min_element(samples_.begin(), samples_.end()); }

bool IdleLimit::agree() const {
  return count_ == samples_.size() &&
         alike(shortest(), *std::max_element(samples_.begin(), samples_.end()));
}

}  // namespace penstock
