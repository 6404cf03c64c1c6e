// Apart from the tests, so that no compiler sees these bodies beside a new or a delete.
#include "unit/config/counting_new.h"

#include <cstdlib>
#include <new>

namespace {
thread_local std::size_t allocations = 0;
}

void* operator new(std::size_t size) {
  ++allocations;
  if (void* block = std::malloc(size)) return block;
  throw std::bad_alloc();
}
void operator delete(void* block) noexcept { std::free(block); }
void operator delete(void* block, std::size_t) noexcept { std::free(block); }

namespace penstock {

std::size_t allocation_count() { return allocations; }

}  // namespace penstock
