#include "server/admin_route.h"

#include <algorithm>

#include "server/admin_target.h"

namespace penstock {

namespace {

// The first segment of `path`, which loses it and the slash before it.
std::string_view take_segment(std::string_view& path) {
  path.remove_prefix(1);
  const std::string_view segment = path.substr(0, path.find('/'));
  path.remove_prefix(segment.size());
  return segment;
}

// A slash that belongs to a name comes percent-encoded.
bool matches(std::string_view pattern, std::string_view path, std::vector<std::string>& names) {
  while (pattern.starts_with('/') && path.starts_with('/')) {
    const std::string_view expected = take_segment(pattern);
    const std::string_view segment = take_segment(path);
    if (expected != "*") {
      if (segment != expected) return false;
      continue;
    }
    auto name = percent_decoded(segment);
    if (!name || name->empty()) return false;
    names.push_back(*std::move(name));
  }
  return pattern.empty() && path.empty();
}

bool is_served(const AdminRoute& route, AdminScope scope) {
  return scope == AdminScope::kFull || route.scope == AdminScope::kPublic;
}

}  // namespace

std::string AdminRequest::query(std::string_view key) const { return query_value(target, key); }

AdminMatch match_route(const AdminRoutes& routes, AdminScope scope, Method method,
                       std::string_view target) {
  const std::string_view path = target.substr(0, target.find('?'));
  AdminMatch match;
  for (const AdminRoute& route : routes) {
    std::vector<std::string> names;
    if (!is_served(route, scope) || !matches(route.path, path, names)) continue;
    if (route.method == method || (route.method == Method::kGet && method == Method::kHead))
      return {.route = &route, .names = std::move(names), .allowed = std::nullopt};
    match.allowed = route.method;
  }
  return match;
}

std::string describe_routes(const AdminRoutes& routes, AdminScope scope) {
  std::string text;
  for (const AdminRoute& route : routes) {
    if (!is_served(route, scope)) continue;
    text += text.empty() ? "" : ", ";
    text += route.method == Method::kGet ? "GET " : "POST ";
    for (const char c : route.path) text += c == '*' ? "NAME" : std::string(1, c);
  }
  return text;
}

}  // namespace penstock
