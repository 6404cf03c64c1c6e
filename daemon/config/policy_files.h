// The files that a policy names: read once, at load, so that their bytes are part of the snapshot.
#pragma once

#include <string>
#include <vector>

#include "config/fault.h"
#include "config/settings.h"

namespace penstock {

void read_policy_files(Config& config, const SourceMap& sources, const std::string& folder,
                       std::vector<Fault>& faults);

}  // namespace penstock
