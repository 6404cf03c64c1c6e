// What was built from what: for --version, /version and penstock_build_info.
#pragma once

#include <string>
#include <utility>
#include <vector>

namespace penstock {

std::string version();  // "0.1.0"
// {"version", "0.1.0"}, {"openssl", "3.0.15"}, ...: the libraries that run, not those of the build.
std::vector<std::pair<std::string, std::string>> build_info();
// The same as the text of /version.
std::string version_json();

}  // namespace penstock
