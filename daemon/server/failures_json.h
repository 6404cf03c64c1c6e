// What /failures shows: each failure as the access log's line says it, the newest first.
#pragma once

#include <string>
#include <string_view>

#include "base/time.h"
#include "telemetry/failure_ring.h"

namespace penstock {

// `upstream`: only those of this one; empty: all.
std::string failures_json(const Failures& failures, std::string_view upstream, WallTime now);

}  // namespace penstock
