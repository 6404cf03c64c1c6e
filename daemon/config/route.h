// Which route of an upstream a request takes.
#pragma once

#include <string_view>

#include "config/settings.h"

namespace penstock {

// The first that fits; null when none does, and the upstream's own policy holds. Allocates nothing.
const RouteSettings* find_route(const UpstreamSettings& upstream, std::string_view method,
                                std::string_view path_and_query);

}  // namespace penstock
