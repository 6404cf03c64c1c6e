// Gives memory that nobody uses back to the system.
//
// What a burst has freed lies between what it left behind (connections that are idle now), and
// malloc only gives back what is free at the end of its heap. So it is asked every so often how
// much it holds beside what is in use; where that is much, twice in a row, it looks for whole pages
// and gives those back. That takes about 0.25 ms per MiB, in which workers that allocate may wait:
// so never for little, and not in a burst, when what is free is about to be used.
//
// Owner: the Daemon. Thread: the control loop's. Ends without a word.
#pragma once

#include <cstdint>

#include "base/delegate.h"
#include "event/clock.h"
#include "event/timer_wheel.h"

namespace penstock {

// Of the whole process, in bytes.
struct HeapUse {
  std::uint64_t resident = 0;  // without what files back
  std::uint64_t in_use = 0;    // allocated and not freed
};

class MemoryTrim {
 public:
  static constexpr Duration kEvery = std::chrono::seconds(10);
  // Held in vain: this much, and a quarter of what is in use.
  static constexpr std::uint64_t kMuch = 16 * 1024 * 1024;

  struct Heap {
    Delegate<HeapUse()> use;
    Delegate<void()> trim;
  };

  MemoryTrim(TimerWheel& timers, const Clock& clock, Heap heap);
  MemoryTrim(const MemoryTrim&) = delete;
  MemoryTrim& operator=(const MemoryTrim&) = delete;

  void start() { due_.arm(clock_.now() + kEvery); }

 private:
  void on_due();
  bool holds_much() const;

  const Clock& clock_;  // borrowed: outlives us
  const Heap heap_;
  bool held_much_ = false;
  Deadline due_;
};

// malloc's own heap, of all threads.
class ProcessHeap {
 public:
  HeapUse use();
  void trim();
};

}  // namespace penstock
