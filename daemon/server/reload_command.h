// `penstock reload`: asks a running daemon to read its file again, and says what that changed.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"

namespace penstock {

// kExitOk with the changes, kExitConfig with the faults, kExitFailure when nobody answers.
int run_reload(const std::string& address);

// What is printed of the answer's body.
struct ReloadAnswer {
  std::uint64_t revision = 0;      // of the configuration that is in force
  std::vector<std::string> lines;  // changes or faults
};
Result<ReloadAnswer, std::string> parse_reload(const std::string& json);

}  // namespace penstock
