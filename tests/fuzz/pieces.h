// The first four characters of a fuzz input choose how the rest is fed: limits, a choice of the
// target's own, and where it is cut. All are read so that a seed may have letters there: "Rg7\n".
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "http/parser.h"

namespace penstock::fuzz {

struct Plan {
  ParseLimits limits;
  unsigned choice = 0;  // six bits for the target's own use
  std::vector<std::size_t> cuts;
  std::string_view bytes;
};

inline Plan make_plan(const std::uint8_t* data, std::size_t size) {
  constexpr std::size_t kControlBytes = 4;
  Plan plan;
  if (size < kControlBytes) return plan;
  // Letters: roomy limits, so that most inputs reach the rules behind them. Digits: small ones.
  if ((data[0] & 0x40) == 0) {
    const std::size_t scale = data[0] & 0x3f;
    plan.limits = {.max_head_bytes = 16 + 4 * scale,
                   .max_fields = 2 + scale / 8,
                   .max_trailer_bytes = scale,
                   .max_chunk_extension_bytes = scale / 4};
  }
  plan.choice = data[1] & 0x3f;
  plan.bytes = {reinterpret_cast<const char*>(data) + kControlBytes, size - kControlBytes};
  const std::size_t step = 1 + data[2] % 64;
  for (std::size_t at = step; at < plan.bytes.size(); at += step) plan.cuts.push_back(at);
  return plan;
}

}  // namespace penstock::fuzz
