// When each phase of an exchange began and ended: the one set of stamps that the time limits, the
// access log, the metrics and the details of an error read.
//
// A value of 20 stamps inside its Exchange. A phase that did not happen has no start; one that was
// entered again (a second attempt) adds to what it had.
#pragma once

#include <array>
#include <bit>
#include <optional>

#include "base/error.h"
#include "base/time.h"

namespace penstock {

class Timeline {
 public:
  void enter(Phase phase, MonotonicTime now) {
    spans_[index(phase)].since = now;
    happened_ |= bit(phase);
  }
  void leave(Phase phase, MonotonicTime now) {
    Span& span = spans_[index(phase)];
    if (span.since == kNever) return;
    span.spent += now - span.since;
    span.since = kNever;
  }
  void leave_all(MonotonicTime now) {
    for (int i = 0; i < kPhaseCount; ++i) leave(static_cast<Phase>(i), now);
  }
  // For phases that were stamped elsewhere (a dial that another request began).
  void add(Phase phase, Duration spent) {
    spans_[index(phase)].spent += spent;
    happened_ |= bit(phase);
  }

  bool happened(Phase phase) const { return (happened_ & bit(phase)) != 0; }
  // Those that happened, in their order: three of eight where a connection is reused.
  template <typename Visit>
  void for_each_phase(Visit&& visit) const {
    for (unsigned left = happened_; left != 0; left &= left - 1) {
      visit(static_cast<Phase>(std::countr_zero(left)));
    }
  }
  bool within(Phase phase) const { return spans_[index(phase)].since != kNever; }
  // When the phase was entered last; kNever when it is not under way.
  MonotonicTime since(Phase phase) const { return spans_[index(phase)].since; }
  // Time spent in the phase so far; counts up to `now` while it is under way.
  Duration spent(Phase phase, MonotonicTime now) const {
    const Span& span = spans_[index(phase)];
    return span.since == kNever ? span.spent : span.spent + (now - span.since);
  }

  // `total`: request head read to last response byte delivered.
  MonotonicTime head_read = kNever;
  MonotonicTime finished = kNever;
  // `exchange`: first request byte written to last response byte read, of the last attempt.
  MonotonicTime first_byte_sent = kNever;
  MonotonicTime last_byte_received = kNever;

 private:
  struct Span {
    MonotonicTime since = kNever;
    Duration spent{};
  };
  static std::size_t index(Phase phase) { return static_cast<std::size_t>(phase); }
  static unsigned bit(Phase phase) { return 1U << index(phase); }
  std::array<Span, kPhaseCount> spans_{};
  unsigned happened_ = 0;  // a bit for each phase
};

}  // namespace penstock
