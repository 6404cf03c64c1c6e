// How often this thread has asked for memory: what must not allocate is measured, not believed.
#pragma once

#include <cstddef>

namespace penstock {

std::size_t allocation_count();

}  // namespace penstock
