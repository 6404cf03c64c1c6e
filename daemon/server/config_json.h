// The text of /config: the configuration in force, where each value comes from, and what the last
// reload came to.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/time.h"
#include "config/loader.h"

namespace penstock {

// More upstreams are left out, and "truncated" says so.
inline constexpr std::size_t kMaxConfigUpstreams = 1000;

using ValuesInForce = std::map<std::string, std::string, std::less<>>;

struct ConfigInForce {
  const LoadResult& loaded;
  std::uint64_t revision;
  WallTime loaded_at;
  std::string error{};                // of the last reload, if that failed
  std::vector<std::string> faults{};  // of its file, one a line
  // Of keys of the process, where they may differ from what `loaded` says: what auto came to, what
  // waits for a restart, what an operator has set for a while.
  ValuesInForce in_force{};
  // Of each listener, in their order: the address that it has got, such as another port than 0.
  std::vector<std::string> bound{};
};

// `upstream`: only this one; all for an empty name.
std::string config_json(const ConfigInForce& config, std::string_view upstream, WallTime now);

}  // namespace penstock
