// The versions of the libraries under net/, as they run.
#pragma once

#include <string>
#include <utility>
#include <vector>

namespace penstock {

std::vector<std::pair<std::string, std::string>> net_library_versions();

}  // namespace penstock
