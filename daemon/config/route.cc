#include "config/route.h"

#include <algorithm>

namespace penstock {
namespace {

bool takes_method(const RouteSettings& route, std::string_view method) {
  return route.methods.empty() || std::ranges::find(route.methods, method) != route.methods.end();
}

bool takes_path(std::string_view prefix, std::string_view path_and_query) {
  // RFC 9110 section 4.2.3: an empty path is "/".
  const bool no_path = path_and_query.empty() || path_and_query.front() == '?';
  if (no_path && prefix.starts_with('/')) prefix.remove_prefix(1);
  return path_and_query.starts_with(prefix);
}

}  // namespace

const RouteSettings* find_route(const UpstreamSettings& upstream, std::string_view method,
                                std::string_view path_and_query) {
  const auto at = std::ranges::find_if(upstream.routes, [&](const RouteSettings& route) {
    return takes_method(route, method) && takes_path(route.path_prefix, path_and_query);
  });
  return at == upstream.routes.end() ? nullptr : &*at;
}

bool covers(const RouteSettings& route, const RouteSettings& other) {
  if (!other.path_prefix.starts_with(route.path_prefix)) return false;
  if (other.methods.empty()) return route.methods.empty();
  return std::ranges::all_of(other.methods,
                             [&](const auto& method) { return takes_method(route, method); });
}

bool overlap(const RouteSettings& route, const RouteSettings& other) {
  const bool paths = route.path_prefix.starts_with(other.path_prefix) ||
                     other.path_prefix.starts_with(route.path_prefix);
  if (!paths || route.methods.empty()) return paths;
  return other.methods.empty() || std::ranges::any_of(other.methods, [&](const auto& method) {
           return takes_method(route, method);
         });
}

std::string to_string(const RouteSettings& route) {
  std::string text;
  for (const std::string& method : route.methods) text += (text.empty() ? "" : ", ") + method;
  if (!text.empty() && !route.path_prefix.empty()) text += ' ';
  text += route.path_prefix;
  return text.empty() ? "all requests" : text;
}

}  // namespace penstock
