#include "config/route.h"

#include <algorithm>

namespace penstock {

const RouteSettings* find_route(const UpstreamSettings& upstream, std::string_view method,
                                std::string_view path_and_query) {
  const auto fits = [&](const RouteSettings& route) {
    const bool takes_method =
        route.methods.empty() || std::ranges::find(route.methods, method) != route.methods.end();
    return takes_method && path_and_query.starts_with(route.path_prefix);
  };
  const auto at = std::ranges::find_if(upstream.routes, fits);
  return at == upstream.routes.end() ? nullptr : &*at;
}

}  // namespace penstock
