// The values that are in force, and where each comes from: built in, or a line of the file.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "config/loader.h"

namespace penstock {

// The part of the file that says a value.
enum class ValueSource : std::uint8_t {
  kBuiltIn,
  kProcess,
  kListener,
  kDefaults,
  kUpstream,
  kRoute
};
std::string_view to_string(ValueSource source);  // "built-in", "process", "listener", ...

struct EffectiveValue {
  std::string_view key;  // "pool.max_idle"
  std::string value;     // as it would be written
  ValueSource source = ValueSource::kBuiltIn;
  int line = 0;  // 0: built in
};
using EffectiveValues = std::vector<EffectiveValue>;

// Each in the order of the table of keys, from a result that is ok(). No value is a secret: those
// stand in files, and here are the paths.
EffectiveValues process_values(const LoadResult& loaded);
EffectiveValues listener_values(const LoadResult& loaded, std::size_t listener);
EffectiveValues upstream_values(const LoadResult& loaded, std::size_t upstream);
// What the route itself says; all else is its upstream's.
EffectiveValues route_values(const LoadResult& loaded, std::size_t upstream, std::size_t route);

}  // namespace penstock
