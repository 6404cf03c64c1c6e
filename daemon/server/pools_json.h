// The body of /pools.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/time.h"
#include "pool/host_pool.h"

namespace penstock {

// `upstream`: only this one; empty for all. At most 1,000 hosts, then "truncated" is true.
std::string pools_json(const std::vector<HostSnapshot>& hosts, std::string_view upstream,
                       std::uint64_t revision, WallTime now);

}  // namespace penstock
