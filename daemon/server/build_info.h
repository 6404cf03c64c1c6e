// What was built from what: for --version and penstock_build_info.
#pragma once

#include <string>
#include <utility>
#include <vector>

namespace penstock {

std::string version();  // "0.1.0"
// {"version", "0.1.0"}, {"openssl", "3.0.15"}, ...: the libraries that run, not those of the build.
std::vector<std::pair<std::string, std::string>> build_info();

}  // namespace penstock
