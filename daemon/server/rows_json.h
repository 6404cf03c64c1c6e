// The bodies of /connections and /waiting.
#pragma once

#include <cstddef>
#include <string>

#include "base/time.h"
#include "pool/pool_rows.h"

namespace penstock {

inline constexpr std::size_t kMaxRows = 1000;

// At most kMaxRows of them; where there are more, "truncated" is true.
std::string connections_json(ConnectionRows rows, WallTime now);
std::string waiting_json(WaitingRows rows, WallTime now);

}  // namespace penstock
