// The time limits of one exchange, each running or not, and which ends first.
//
// All of them share the exchange's one Deadline: it is armed for earliest(). A stall clock runs
// only while we want to move bytes with that peer and cannot.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <optional>

#include "base/error.h"
#include "base/time.h"
#include "config/settings.h"

namespace penstock {

enum class LimitKind : std::uint8_t {
  kHeader,            // client.header_timeout
  kClientBodyStall,   // client.body_stall
  kClientWriteStall,  // client.write_stall
  kQueue,             // timeouts.queue
  kWriteStall,        // timeouts.write_stall
  kResponseHeader,    // timeouts.response_header
  kBodyStall,         // timeouts.body_stall
  kMinRate,           // timeouts.min_rate, one window of it; enough bytes begin another
  kExchange,          // timeouts.exchange
  kTotal,             // timeouts.total
  kAppDeadline,       // client.deadline_header
  kGrpcTimeout,       // the grpc-timeout field
  kExpectContinue,    // timeouts.expect_continue; its end is no error
};
inline constexpr int kLimitKindCount = 13;

class LimitClocks {
 public:
  void start(LimitKind kind, MonotonicTime now, const Limit& limit) {
    slot(kind) = {now, limit ? now + *limit : kForever};
  }
  void stop(LimitKind kind) { slot(kind) = {slot(kind).since}; }
  // A clock that rests keeps the time it has left. Neither does anything twice, nor to one that is
  // stopped.
  void rest(LimitKind kind, MonotonicTime now) {
    if (!running(kind)) return;
    slot(kind).left = slot(kind).expiry - now;
    slot(kind).expiry = kForever;
  }
  void resume(LimitKind kind, MonotonicTime now) {
    if (!slot(kind).left) return;
    slot(kind).expiry = now + *slot(kind).left;
    slot(kind).left.reset();
  }
  void stop_all() { clocks_.fill({}); }
  bool running(LimitKind kind) const {
    return clocks_[static_cast<std::size_t>(kind)].expiry != kForever;
  }

  MonotonicTime earliest() const {
    MonotonicTime first = kForever;
    for (const Clock& clock : clocks_) first = std::min(first, clock.expiry);
    return first;
  }
  // The limit that ended first, if one has ended.
  std::optional<LimitKind> expired(MonotonicTime now) const {
    const auto first =
        std::min_element(clocks_.begin(), clocks_.end(),
                         [](const Clock& a, const Clock& b) { return a.expiry < b.expiry; });
    if (first->expiry > now) return std::nullopt;
    return static_cast<LimitKind>(first - clocks_.begin());
  }
  MonotonicTime started(LimitKind kind) const {
    return clocks_[static_cast<std::size_t>(kind)].since;
  }

 private:
  struct Clock {
    MonotonicTime since = kNever;
    MonotonicTime expiry = kForever;
    std::optional<Duration> left{};  // while it rests
  };
  Clock& slot(LimitKind kind) { return clocks_[static_cast<std::size_t>(kind)]; }
  std::array<Clock, kLimitKindCount> clocks_;
};

// What the end of a limit means: the error, whose phase is `phase` where the kind has none of its
// own (total).
Error limit_error(LimitKind kind, Phase phase);

}  // namespace penstock
