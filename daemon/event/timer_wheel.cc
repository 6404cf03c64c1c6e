#include "event/timer_wheel.h"

#include <algorithm>
#include <bit>
#include <limits>

namespace penstock {

namespace {

constexpr int kBitsPerLevel = 6;
constexpr std::int64_t kNoTick = std::numeric_limits<std::int64_t>::max();
// The furthest tick from the current one that has a slot.
constexpr std::int64_t kReach = (std::int64_t{1} << (TimerWheel::kLevels * kBitsPerLevel)) - 1;
static_assert(TimerWheel::kSlots == 1 << kBitsPerLevel);

constexpr int shift_of(int level) { return level * kBitsPerLevel; }
constexpr std::int64_t span_of(int level) { return std::int64_t{1} << shift_of(level); }
constexpr bool begins_slot(int level, std::int64_t tick) {
  return (tick & (span_of(level) - 1)) == 0;
}
constexpr std::size_t slot_index(std::int64_t position) {
  return static_cast<std::size_t>(position) % TimerWheel::kSlots;
}

constexpr int level_for(std::int64_t distance) {
  const int bits = std::bit_width(static_cast<std::uint64_t>(distance));
  return bits == 0 ? 0 : (bits - 1) / kBitsPerLevel;
}

}  // namespace

void Deadline::arm(MonotonicTime expiry) {
  expiry_ = expiry;
  if (expiry == kForever || (is_linked() && expiry >= filed_for_)) return;
  unlink();
  if (expiry <= wheel_.now_) {
    wheel_.file_overdue(*this);
  } else {
    wheel_.file(*this);
  }
}

TimerWheel::TimerWheel(MonotonicTime start) : start_(start), now_(start) {}

// Rounds up, so that nothing fires early.
void TimerWheel::file(Deadline& deadline) {
  const std::int64_t wanted = (deadline.expiry_ - start_ - Duration(1)) / kTick + 1;
  const std::int64_t tick = std::min(std::max(wanted, current_tick_), current_tick_ + kReach);
  const int level = level_for(tick - current_tick_);
  const std::size_t slot = slot_index(tick >> shift_of(level));
  const auto index = static_cast<std::size_t>(level);
  slots_[index][slot].push_back(deadline);
  occupied_[index] |= std::uint64_t{1} << slot;
  deadline.filed_for_ = std::min(deadline.expiry_, time_of(tick));
  next_wakeup_.reset();
}

void TimerWheel::file_overdue(Deadline& deadline) {
  overdue_.push_back(deadline);
  deadline.filed_for_ = deadline.expiry_;
  next_wakeup_.reset();
}

void TimerWheel::advance(MonotonicTime now) {
  now_ = std::max(now, now_);
  next_wakeup_.reset();
  Slot overdue;
  overdue.splice_back(overdue_);
  fire(overdue, now_);
  const std::int64_t last = (now_ - start_) / kTick;
  for (std::int64_t tick = next_tick(); tick <= last; tick = next_tick()) advance_to_tick(tick);
  current_tick_ = std::max(current_tick_, last + 1);
}

// Slots of the upper levels that begin at this tick are spread over those below first.
void TimerWheel::advance_to_tick(std::int64_t tick) {
  current_tick_ = tick;
  for (int level = kLevels - 1; level > 0; --level) {
    if (begins_slot(level, tick)) refile(level, tick);
  }
  Slot due;
  take_slot(0, tick, due);
  current_tick_ = tick + 1;
  fire(due, time_of(tick));
}

void TimerWheel::refile(int level, std::int64_t tick) {
  Slot nodes;
  take_slot(level, tick >> shift_of(level), nodes);
  while (Deadline* deadline = nodes.pop_front()) {
    if (deadline->armed()) file(*deadline);
  }
}

void TimerWheel::fire(Slot& due, MonotonicTime until) {
  while (Deadline* deadline = due.pop_front()) {
    if (!deadline->armed()) continue;
    if (deadline->expiry_ > until) {
      file(*deadline);
      continue;
    }
    deadline->expiry_ = kForever;
    deadline->on_expired_();
  }
}

void TimerWheel::take_slot(int level, std::int64_t position, Slot& into) {
  const auto index = static_cast<std::size_t>(level);
  const std::size_t slot = slot_index(position);
  occupied_[index] &= ~(std::uint64_t{1} << slot);
  into.splice_back(slots_[index][slot]);
}

// The first tick, from the current one on, at which a slot that may hold something comes up.
std::int64_t TimerWheel::next_tick() const {
  std::int64_t next = kNoTick;
  for (int level = 0; level < kLevels; ++level) {
    const std::uint64_t occupied = occupied_[static_cast<std::size_t>(level)];
    if (occupied == 0) continue;
    // The slot in which the current tick lies has been taken already, unless it begins there.
    const std::int64_t first = (current_tick_ + span_of(level) - 1) >> shift_of(level);
    const int ahead = std::countr_zero(std::rotr(occupied, static_cast<int>(slot_index(first))));
    next = std::min(next, (first + ahead) << shift_of(level));
  }
  return next;
}

MonotonicTime TimerWheel::find_wakeup() const {
  if (!overdue_.empty()) return now_;
  const std::int64_t tick = next_tick();
  return tick == kNoTick ? kForever : time_of(tick);
}

MonotonicTime TimerWheel::next_wakeup() const {
  if (!next_wakeup_) next_wakeup_ = find_wakeup();
  return *next_wakeup_;
}

}  // namespace penstock
