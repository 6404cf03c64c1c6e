// Which route of an upstream a request takes.
#pragma once

#include <string>
#include <string_view>

#include "config/settings.h"

namespace penstock {

// The first that fits; null when none does, and the upstream's own policy holds. The path is as the
// app wrote it; where it wrote none (http://host, http://host?query), it is taken as "/". Allocates
// nothing.
const RouteSettings* find_route(const UpstreamSettings& upstream, std::string_view method,
                                std::string_view path_and_query);

// Every request that `other` takes, `route` takes too.
bool covers(const RouteSettings& route, const RouteSettings& other);
// There is a request that both take.
bool overlap(const RouteSettings& route, const RouteSettings& other);

// "POST /reports", "POST, PUT", "/reports"; "all requests" where it takes any.
std::string to_string(const RouteSettings& route);

}  // namespace penstock
