#include "server/memory_trim.h"

#include <malloc.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <utility>

namespace penstock {

MemoryTrim::MemoryTrim(TimerWheel& timers, const Clock& clock, Heap heap)
    : clock_(clock), heap_(heap), due_(timers, Delegate<void()>::to<&MemoryTrim::on_due>(*this)) {}

void MemoryTrim::on_due() {
  start();
  const bool held_before = std::exchange(held_much_, holds_much());
  if (!held_before || !held_much_) return;
  heap_.trim();
  held_much_ = false;
}

bool MemoryTrim::holds_much() const {
  const HeapUse use = heap_.use();
  return use.resident > use.in_use + std::max(kMuch, use.in_use / 4);
}

// What cannot be read leaves zeros, which are not much.
HeapUse ProcessHeap::use() {
  std::uint64_t size = 0;
  std::uint64_t resident = 0;
  std::uint64_t shared = 0;  // with files
  std::ifstream("/proc/self/statm") >> size >> resident >> shared;
  const struct mallinfo2 heap = ::mallinfo2();
  const auto page_bytes = static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
  return {.resident = (resident - shared) * page_bytes, .in_use = heap.uordblks + heap.hblkhd};
}

void ProcessHeap::trim() { ::malloc_trim(0); }

}  // namespace penstock
