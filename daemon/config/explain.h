// What the proxy would do with a URL, and which line of the file is the reason.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "config/effective.h"
#include "config/loader.h"

namespace penstock {

// The route of the upstream that takes the request.
struct ExplainedRoute {
  std::size_t index = 0;
  std::string text;  // "POST /reports"
};

struct Explanation {
  std::string url;
  std::string method;
  std::string file;
  std::string error;     // not empty: URL or method are malformed, and nothing else is filled
  std::string upstream;  // empty: no upstream has this host, the request is answered 403
  std::size_t pattern_index = 0;
  std::string pattern;
  std::string refused;  // not empty: why the request is answered 403 all the same
  bool has_routes = false;
  std::optional<ExplainedRoute> route;  // empty: the upstream's own values hold
  std::string authority;                // host:port
  bool tls = false;
  std::string server_name;  // SNI and verified; empty without TLS
  std::string dial;         // host:port or unix:/path
  EffectiveValues policy;

  std::string to_text() const;
  std::string to_json() const;
};

// `loaded` is ok(). A URL without a scheme is read as http.
Explanation explain(const LoadResult& loaded, std::string_view url,
                    std::string_view method = "GET");

}  // namespace penstock
