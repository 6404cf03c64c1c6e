// What all players of one simulated run share: chance, the time, whose turn it is, and how a
// finding is told.
//
// Three workers take turns on one thread. Where a real one calls the system, another may have its
// turn (interleave()), as threads would; nowhere else.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>

#include "chance.h"
#include "support/manual_clock.h"

namespace penstock::sim {

inline constexpr std::size_t kWorkers = 3;
inline constexpr std::size_t kNobody = kWorkers;

// Where a run is; read by the parent process when the run crashes.
struct Progress {
  std::uint64_t seed = 0;
  std::uint64_t step = 0;
  std::uint64_t reloads = 0;  // of this seed
  std::uint64_t seeds_done = 0;
  std::uint64_t steps_done = 0;
  std::uint64_t with_reload = 0;
  std::uint64_t with_cap = 0;
  std::uint64_t requests = 0;
  std::uint64_t answers = 0;
  std::uint64_t takeovers = 0;
  bool told = false;  // the finding was printed
};

class Stage {
 public:
  Stage(std::uint64_t seed, Progress& the_progress, bool tracing)
      : chance(seed), progress(the_progress), tracing_(tracing) {}
  Stage(const Stage&) = delete;
  Stage& operator=(const Stage&) = delete;

  MonotonicTime now() const { return clock.now(); }

  // Says what was found, with seed and step, and ends the process.
  [[noreturn]] void finding(const std::string& what) const;
  void expect(bool holds, const char* what) const {
    if (!holds) finding(what);
  }
  bool tracing() const { return tracing_; }
  void trace(const std::string& line) const;

  // Inside a system call of the current worker: another may have its turn.
  // `rarity`: one time in so many.
  void interleave(std::size_t rarity = 20) {
    if (between && chance.one_in(rarity)) between();
  }

  Chance chance;
  ManualClock clock;
  std::size_t current = kNobody;  // the worker whose turn it is
  std::function<void()> between;
  Progress& progress;

 private:
  const bool tracing_;
};

}  // namespace penstock::sim
