// The files that a policy names: read once, at load, so that their bytes are part of the snapshot.
// `read` gets each of them, those too that cannot be used.
#pragma once

#include <string>
#include <vector>

#include "config/fault.h"
#include "config/file.h"
#include "config/settings.h"

namespace penstock {

void read_policy_files(Config& config, const SourceMap& sources, const std::string& folder,
                       std::vector<Fault>& faults, std::vector<ReadFile>& read);

}  // namespace penstock
