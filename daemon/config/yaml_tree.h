// What the YAML file says, free of the library that read it: raw texts and where they stand.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "config/fault.h"

namespace penstock {

struct YamlNode {
  enum class Kind : std::uint8_t { kNull, kScalar, kList, kMap };

  Kind kind = Kind::kNull;
  Position at{};
  std::string text{};             // kScalar, quotes and escapes undone
  std::vector<YamlNode> keys{};   // kMap, one for each of items, repeats included
  std::vector<YamlNode> items{};  // kList and kMap
};

}  // namespace penstock
