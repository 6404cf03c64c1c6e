// /pools as people read it: one line per host, and what changed since the last look.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace penstock {

struct PoolsView {
  struct Host {
    std::string upstream;
    bool paused = false;
    std::string origin;  // empty: an upstream that is paused and has no host yet
    std::uint64_t dialing = 0, idle = 0, busy = 0, draining = 0, upgraded = 0;
    std::optional<std::uint64_t> limit;  // nullopt: none
    std::uint64_t waiting = 0, oldest_wait_ms = 0;
    std::uint64_t opened = 0;
    std::uint64_t acquires = 0;  // requests that came to the pool
    std::string last_error;
  };
  std::uint64_t revision = 0;
  bool truncated = false;
  std::vector<Host> hosts;
};

// Of the body of /pools; the error says that it is none.
Result<PoolsView, std::string> parse_pools(const std::string& json);

// Aligned, with a line of titles; ends with a line end.
std::string pools_table(const PoolsView& pools);

// What fills a terminal of this size: lines without their ends, at most `height` of at most `width`
// columns. The hosts with most busy and waiting come first; rates are those of the `seconds` since
// `before` (null: the first look).
std::vector<std::string> top_lines(const PoolsView& pools, const PoolsView* before, double seconds,
                                   std::size_t width, std::size_t height);

}  // namespace penstock
