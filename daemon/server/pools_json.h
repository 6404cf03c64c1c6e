// The body of /pools.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/time.h"
#include "pool/registry.h"

namespace penstock {

// `paused`: upstreams, shown also where they have no host yet. `upstream`: only this one; empty for
// all. At most 1,000 hosts, then "truncated" is true.
std::string pools_json(const std::vector<HostSnapshot>& hosts, const UpstreamNames& paused,
                       std::string_view upstream, std::uint64_t revision, WallTime now);

}  // namespace penstock
