// The one source of everything that is left to chance in a simulation: the same seed, the same run.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <random>
#include <vector>

#include "base/time.h"

namespace penstock::sim {

class Chance {
 public:
  explicit Chance(std::uint64_t seed) : random_(seed) {}

  // 0 to count - 1.
  std::size_t below(std::size_t count) { return static_cast<std::size_t>(random_() % count); }
  // Both included.
  std::size_t between(std::size_t low, std::size_t high) { return low + below(high - low + 1); }
  bool one_in(std::size_t count) { return below(count) == 0; }

  template <typename T>
  T of(std::initializer_list<T> values) {
    return *(values.begin() + below(values.size()));
  }
  template <typename T>
  T& of(std::vector<T>& values) {
    return values[below(values.size())];
  }
  // From `low` on; each doubling of it is as likely.
  Duration time_between(std::chrono::milliseconds low, std::chrono::milliseconds high);

 private:
  std::mt19937_64 random_;
};

inline Duration Chance::time_between(std::chrono::milliseconds low,
                                     std::chrono::milliseconds high) {
  std::size_t doublings = 0;
  while (low.count() << doublings < high.count()) ++doublings;
  const auto reach = static_cast<std::size_t>(low.count()) << below(doublings + 1);
  return std::chrono::milliseconds(between(static_cast<std::size_t>(low.count()), reach));
}

}  // namespace penstock::sim
