// How many connections the process may have: what the configuration says, and where it leaves that
// open what the limit of open files allows.
#pragma once

#include <cstdint>

#include "config/settings.h"
#include "pool/process_bounds.h"

namespace penstock {

struct ConnectionLimits {
  std::uint32_t clients = 0;
  ProcessLimits upstreams;
  // For all of these and what else is open; more than there may be when both numbers were given.
  std::uint64_t descriptors = 0;
};
// `descriptors`: how many the process may have.
ConnectionLimits connection_limits(const Config& config, std::uint64_t descriptors);

// Raises the soft limit of open files to the hard one, and returns it: each request takes up to
// two, and the soft limit is for programs that use select().
std::uint64_t raise_descriptor_limit();

}  // namespace penstock
