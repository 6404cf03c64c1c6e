// How the settings fit together: what no single key can say.
#pragma once

#include <vector>

#include "config/fault.h"
#include "config/settings.h"

namespace penstock {

// Contradictions. A relation with a key that was refused already is left out.
std::vector<Fault> validate(const Config& config, const SourceMap& sources);

// What is allowed and yet probably a mistake, or dangerous: told at start and at every reload.
std::vector<Fault> find_risks(const Config& config, const SourceMap& sources);

}  // namespace penstock
