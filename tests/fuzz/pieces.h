// The first bytes of a fuzz input choose how the rest is fed: limits, and where it is cut.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "http/parser.h"

namespace penstock::fuzz {

struct Plan {
  ParseLimits limits;
  std::uint8_t choice = 0;  // for the target's own use
  std::vector<std::size_t> cuts;
  std::string_view bytes;
};

inline Plan make_plan(const std::uint8_t* data, std::size_t size) {
  constexpr std::size_t kControlBytes = 3;
  Plan plan;
  if (size < kControlBytes) return plan;
  // Above 127: roomy limits, so that most inputs reach the rules behind them.
  if (data[0] < 128) {
    plan.limits = {.max_head_bytes = 16 + 2 * std::size_t{data[0]},
                   .max_fields = 2 + std::size_t{data[0]} / 16,
                   .max_trailer_bytes = std::size_t{data[0]} / 2,
                   .max_chunk_extension_bytes = std::size_t{data[0]} / 8};
  }
  plan.choice = data[1];
  plan.bytes = {reinterpret_cast<const char*>(data) + kControlBytes, size - kControlBytes};
  const std::size_t step = 1 + data[2] % 64;
  for (std::size_t at = step; at < plan.bytes.size(); at += step) plan.cuts.push_back(at);
  return plan;
}

}  // namespace penstock::fuzz
