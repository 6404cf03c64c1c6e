#include "config/explain.h"

#include <algorithm>

#include "config/destination.h"
#include "config/host_matcher.h"
#include "config/key_table.h"
#include "config/message_parts.h"
#include "config/route.h"
#include "config/values.h"
#include "http/field_list.h"

namespace penstock {
namespace {

constexpr std::size_t kValueColumn = 42;
constexpr std::string_view kConnect = "CONNECT";

struct Url {
  bool https = false;
  Authority authority;
  std::string_view path_and_query;
  std::string error;
};

Url parse_url(std::string_view text) {
  Url url;
  if (const std::size_t end = text.find("://"); end != std::string_view::npos) {
    const std::string_view scheme = text.substr(0, end);
    url.https = equals_ignoring_case(scheme, "https");
    if (!url.https && !equals_ignoring_case(scheme, "http")) {
      url.error = in_quotes(text) + " is neither an http nor an https URL";
      return url;
    }
    text.remove_prefix(end + 3);
  }
  const std::string_view authority = text.substr(0, text.find_first_of("/?#"));
  url.path_and_query = text.substr(authority.size());
  url.path_and_query = url.path_and_query.substr(0, url.path_and_query.find('#'));
  if (const auto wrong = parse_authority(authority, url.authority)) {
    url.error = in_quotes(authority) + " is no host[:port]: " + std::string(*wrong);
  }
  return url;
}

std::string host_and_port(std::string_view host, HostKind kind, std::uint16_t port) {
  return Authority{std::string(host), kind, port}.to_string(0);
}

// The policy of the upstream, with what the route sets in its place.
EffectiveValues explain_policy(const LoadResult& loaded, std::size_t index,
                               const std::optional<ExplainedRoute>& route) {
  EffectiveValues values = upstream_values(loaded, index);
  std::erase_if(values, [](const EffectiveValue& value) {
    return find_key(KeyScope::kPolicy, value.key) == nullptr;
  });
  if (!route) return values;
  for (EffectiveValue& own : route_values(loaded, index, route->index)) {
    const auto at = std::ranges::find(values, own.key, &EffectiveValue::key);
    if (at != values.end()) *at = std::move(own);
  }
  return values;
}

std::optional<ExplainedRoute> explain_route(const UpstreamSettings& upstream,
                                            std::string_view method, const Url& url) {
  // RFC 9110 section 9.3.6: CONNECT names an authority and no path.
  const std::string_view path = method == kConnect ? std::string_view() : url.path_and_query;
  const RouteSettings* route = find_route(upstream, method, path);
  if (route == nullptr) return std::nullopt;
  return ExplainedRoute{static_cast<std::size_t>(route - upstream.routes.data()),
                        to_string(*route)};
}

// RFC 9110 section 9.3.6: dialled as it stands, and what the tunnel's ends speak is theirs.
void explain_tunnel(const Config& config, const Authority& asked, std::uint16_t port,
                    Explanation& out) {
  out.authority = out.dial = host_and_port(asked.host, asked.kind, port);
  out.refused = refuse_tunnel(config.egress, port).value_or("");
}

void explain_destination(const UpstreamSettings& upstream, const Url& url, Explanation& out) {
  const Destination destination(upstream);
  const auto choice = destination.choose(url.https, url.authority);
  out.authority = host_and_port(choice.host, choice.kind, choice.port);
  out.tls = choice.tls;
  if (choice.tls) out.server_name = destination.server_name(choice);
  const auto dial = destination.dial(choice);
  out.dial = dial.unix_path.empty() ? host_and_port(dial.host, dial.kind, dial.port)
                                    : "unix:" + std::string(dial.unix_path);
}

std::string tls_text(const Explanation& explanation) {
  if (explanation.method == kConnect) return "as the client speaks it through the tunnel";
  if (!explanation.tls) return "no, plaintext";
  const auto verify = std::ranges::find(explanation.policy, "tls.verify", &EffectiveValue::key);
  const bool verified = verify != explanation.policy.end() && verify->value == "true";
  return (verified ? "yes, verified as " : "yes, NOT verified, named ") + explanation.server_name;
}

std::string source_text(const EffectiveValue& value, const std::string& file) {
  if (value.source == ValueSource::kBuiltIn) return "built-in";
  const std::string place = file + ':' + std::to_string(value.line);
  const bool is_own = value.source == ValueSource::kUpstream;
  return is_own ? place : std::string(to_string(value.source)) + ' ' + place;
}

std::string route_text(const Explanation& explanation) {
  if (!explanation.has_routes) return {};
  if (!explanation.route) {
    return "route: none takes " + explanation.method + "; the upstream's own values hold\n";
  }
  return "route: routes[" + std::to_string(explanation.route->index) + "] (" +
         explanation.route->text + ")\n";
}

}  // namespace

Explanation explain(const LoadResult& loaded, std::string_view text, std::string_view method) {
  Explanation out;
  out.url = text;
  out.method = method;
  out.file = loaded.file;
  const Url url = parse_url(text);
  out.error = url.error;
  if (const auto checked = check_method(method); !checked) out.error = checked.error();
  if (!out.error.empty()) return out;
  const std::uint16_t port = url.authority.port.value_or(url.https ? 443 : 80);
  const auto match = HostMatcher(loaded.config->upstreams).match(url.authority.host, port);
  if (!match) return out;
  const UpstreamSettings& upstream = loaded.config->upstreams[match->upstream];
  out.upstream = upstream.name;
  out.pattern_index = match->pattern;
  out.pattern = upstream.hosts[match->pattern];
  out.has_routes = !upstream.routes.empty();
  out.route = explain_route(upstream, method, url);
  if (method == kConnect) {
    explain_tunnel(*loaded.config, url.authority, port, out);
  } else {
    explain_destination(upstream, url, out);
  }
  out.policy = explain_policy(loaded, match->upstream, out.route);
  return out;
}

std::string Explanation::to_text() const {
  if (!error.empty()) return error + '\n';
  std::string text = "url: " + url + '\n';
  if (upstream.empty()) return text + "upstream: none has this host; the request is answered 403\n";
  text += "upstream: " + upstream + " (hosts[" + std::to_string(pattern_index) + "] \"" + pattern +
          "\")\n";
  if (!refused.empty()) return text + "answer: 403, " + refused + '\n';
  text += route_text(*this);
  text += "authority: " + authority + '\n';
  text += "tls: " + tls_text(*this) + '\n';
  text += "dials: " + dial + "\n\n";
  for (const EffectiveValue& value : policy) {
    std::string line = std::string(value.key) + ": " + value.value;
    line.resize(std::max(line.size() + 1, kValueColumn), ' ');
    text += line + "# " + source_text(value, file) + '\n';
  }
  return text;
}

}  // namespace penstock
