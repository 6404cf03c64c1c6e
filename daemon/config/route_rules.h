// What is wrong with the routes of an upstream beyond their single keys.
#pragma once

#include <vector>

#include "config/fault.h"
#include "config/settings.h"

namespace penstock {

// Routes that take every request, that an earlier one hides, or that do nothing. A route with a key
// that was refused already is left out.
std::vector<Fault> find_route_faults(const Config& config, const SourceMap& sources);

}  // namespace penstock
