// What the admin addresses serve: a table of routes, each a path and who answers it.
//
// Owner of the table: the Daemon. Thread: the control loop's.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/time.h"
#include "http/head.h"

namespace penstock {

namespace media_type {
inline constexpr std::string_view kText = "text/plain; charset=utf-8";
inline constexpr std::string_view kJson = "application/json";
inline constexpr std::string_view kHtml = "text/html; charset=utf-8";
inline constexpr std::string_view kCss = "text/css; charset=utf-8";
inline constexpr std::string_view kJavaScript = "text/javascript; charset=utf-8";
inline constexpr std::string_view kSvg = "image/svg+xml";
inline constexpr std::string_view kPrometheus = "text/plain; version=0.0.4; charset=utf-8";
}  // namespace media_type

// Who sees a route: only the full address, or the public one too.
enum class AdminScope : std::uint8_t { kFull, kPublic };

struct AdminRequest {
  std::string_view target;         // with the query
  std::vector<std::string> names;  // what stands for each "*" of the path, decoded

  // The value of `key` in the query, decoded; empty when it is not there.
  std::string query(std::string_view key) const;
};

struct AdminReply {
  int status = 200;
  std::string_view type = media_type::kText;
  std::string body;
  std::string_view fields = {};  // more of the head, each line with its CRLF
};

// Called once, at once or later; later it does nothing when whoever asked has gone.
using AdminAnswer = std::function<void(AdminReply)>;

struct AdminRoute {
  Method method = Method::kGet;  // kGet: HEAD too; kPost: something is done, so it needs consent
  std::string_view path = {};    // a segment "*" is any name
  AdminScope scope = AdminScope::kFull;
  std::function<void(const AdminRequest&, const AdminAnswer&)> serve = {};
  // For an answer that others have to give: when it is late, 503 with `late`.
  Duration within{};
  std::string_view late = {};
};
using AdminRoutes = std::vector<AdminRoute>;

struct AdminMatch {
  const AdminRoute* route = nullptr;  // nullptr: no path like this, or not with this method
  std::vector<std::string> names;
  std::optional<Method> allowed;  // what this path is served with, where it is not with `method`
};
// `scope`: of the address that was asked. `target`: its path, and a query that is not looked at.
AdminMatch match_route(const AdminRoutes& routes, AdminScope scope, Method method,
                       std::string_view target);

// "GET /livez, POST /pools/NAME/pause": all that this address serves.
std::string describe_routes(const AdminRoutes& routes, AdminScope scope);

}  // namespace penstock
