// A table of files that are refused, each with every line that says so, word for word.
#pragma once

#include <gtest/gtest.h>

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "config/loader.h"

namespace penstock {

struct FaultCase {
  std::string_view text;
  std::vector<std::string> lines;  // without the file's name
};

inline void expect_faults(std::span<const FaultCase> cases) {
  for (const FaultCase& each : cases) {
    SCOPED_TRACE(each.text);
    const LoadResult result = load_text("p.yaml", each.text);
    EXPECT_FALSE(result.ok());
    std::vector<std::string> lines;
    for (const std::string& line : each.lines) lines.push_back("p.yaml:" + line);
    EXPECT_EQ(result.fault_lines(), lines);
  }
}

}  // namespace penstock
