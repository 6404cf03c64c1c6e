// How often this thread has called operator new, which the test executable replaces.
#pragma once

#include <cstdint>

namespace penstock {

std::uint64_t allocation_count();

}  // namespace penstock
