// The JSON Schema (draft 2020-12) of the configuration file, for editors and for CI.
#pragma once

#include <string>

namespace penstock {

// It judges the file as a YAML tool reads it, so it takes `false` wherever `off` may stand.
std::string json_schema();

}  // namespace penstock
