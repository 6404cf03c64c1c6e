// The time limits of one exchange, each running or not, and which ends first.
//
// All of them share the exchange's one Deadline: it is armed for earliest(). A stall clock runs
// only while we want to move bytes with that peer and cannot.
#pragma once

#include <array>
#include <bit>
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
    stop(kind);
    clock(kind).since = now;
    if (limit) run(kind, now + *limit);
  }
  void stop(LimitKind kind) {
    running_ &= ~bit(kind);
    resting_ &= ~bit(kind);
  }
  // A clock that rests keeps the time it has left. Neither does anything twice, nor to one that is
  // stopped.
  void rest(LimitKind kind, MonotonicTime now) {
    if (!running(kind)) return;
    clock(kind).left = clock(kind).expiry - now;
    running_ &= ~bit(kind);
    resting_ |= bit(kind);
  }
  void resume(LimitKind kind, MonotonicTime now) {
    if ((resting_ & bit(kind)) == 0) return;
    resting_ &= ~bit(kind);
    run(kind, now + clock(kind).left);
  }
  void stop_all() { running_ = resting_ = 0; }
  bool running(LimitKind kind) const { return (running_ & bit(kind)) != 0; }

  MonotonicTime earliest() const {
    const std::optional<LimitKind> first = first_to_end();
    return first ? clock(*first).expiry : kForever;
  }
  // The limit that ended first, if one has ended.
  std::optional<LimitKind> expired(MonotonicTime now) const {
    const std::optional<LimitKind> first = first_to_end();
    return first && clock(*first).expiry <= now ? first : std::nullopt;
  }
  // Of a clock that was started since the last stop_all(), with a limit or without.
  MonotonicTime started(LimitKind kind) const { return clock(kind).since; }

 private:
  struct Clock {
    MonotonicTime since = kNever;
    MonotonicTime expiry = kForever;  // while it runs
    Duration left{};                  // while it rests
  };
  using Kinds = std::uint32_t;  // a bit per kind

  static Kinds bit(LimitKind kind) { return Kinds{1} << static_cast<int>(kind); }
  Clock& clock(LimitKind kind) { return clocks_[static_cast<std::size_t>(kind)]; }
  const Clock& clock(LimitKind kind) const { return clocks_[static_cast<std::size_t>(kind)]; }
  void run(LimitKind kind, MonotonicTime expiry) {
    clock(kind).expiry = expiry;
    running_ |= bit(kind);
  }
  std::optional<LimitKind> first_to_end() const {
    std::optional<LimitKind> first;
    for (Kinds left = running_; left != 0; left &= left - 1) {
      const auto kind = static_cast<LimitKind>(std::countr_zero(left));
      if (!first || clock(kind).expiry < clock(*first).expiry) first = kind;
    }
    return first;
  }

  std::array<Clock, kLimitKindCount> clocks_;
  Kinds running_ = 0;
  Kinds resting_ = 0;
};

// What the end of a limit means: the error, whose phase is `phase` where the kind has none of its
// own (total).
Error limit_error(LimitKind kind, Phase phase);

}  // namespace penstock
