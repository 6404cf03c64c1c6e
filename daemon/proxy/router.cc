#include "proxy/router.h"

#include <algorithm>
#include <charconv>

namespace penstock {

namespace {

constexpr std::uint16_t kHttpPort = 80;
constexpr std::uint16_t kHttpsPort = 443;

Unexpected<Error> refuse(std::uint16_t status, std::string detail) {
  return {Error{.code = status == 403 ? ErrorCode::kHttpRequestDenied : ErrorCode::kHttpRequestError,
                .source = ErrorSource::kDownstream,
                .status = status,
                .detail = std::move(detail)}};
}

// RFC 9110 section 7.6.3: a request that carries our own pseudonym has been here before.
bool came_through_us(const RequestHead& head, std::string_view pseudonym) {
  for (const Field& field : head.fields) {
    if (field.id == FieldId::kVia && field.value.find(pseudonym) != std::string_view::npos) return true;
  }
  return false;
}

Result<void> read_authority(const RequestHead& head, Route& route) {
  if (route.target.form == TargetForm::kAbsolute) {
    std::swap(route.authority, route.target.authority);
    return {};
  }
  const Field* host = head.fields.find(FieldId::kHost);
  if (host == nullptr) return refuse(400, "the request names no host: send an absolute URL or a Host field");
  if (const auto reason = parse_authority(host->value, route.authority)) {
    return refuse(400, "malformed Host field: " + std::string(*reason));
  }
  return {};
}

bool is_own_address(const Authority& authority, const SocketAddress& local) {
  return authority.host == local.ip() && authority.port.value_or(kHttpPort) == local.port();
}

// A web page can make a browser send origin-form requests here, under a name that its owner points
// at 127.0.0.1 or across sites; it cannot send absolute-form ones.
Result<void> check_web_page_rules(const RoutingTable& table, const ListenerView& listener, const RequestHead& head,
                                  const Route& route) {
  const auto is_ours = [&](const Authority& authority) {
    if (authority.host == "localhost" || is_own_address(authority, listener.local)) return true;
    const RoutingTable::Match match = table.match(authority.host, authority.port.value_or(kHttpPort));
    return match.upstream != nullptr && !match.catch_all;
  };
  if (!is_ours(route.authority)) {
    return refuse(421, "the Host field names neither this listener nor a host of an upstream");
  }
  if (listener.settings.allow_browsers) return {};
  if (const Field* site = head.fields.find(FieldId::kSecFetchSite)) {
    if (equals_ignoring_case(site->value, "cross-site") || equals_ignoring_case(site->value, "same-site")) {
      return refuse(403, "a web page of another site sent this request (Sec-Fetch-Site); allow_browsers permits it");
    }
  }
  if (const Field* origin = head.fields.find(FieldId::kOrigin)) {
    const std::size_t scheme_end = origin->value.find("://");
    Authority authority;
    const bool ours = scheme_end != std::string_view::npos &&
                      !parse_authority(origin->value.substr(scheme_end + 3), authority) && is_ours(authority);
    if (!ours) return refuse(403, "a web page of another origin sent this request (Origin); allow_browsers permits it");
  }
  return {};
}

std::string how_to_use_the_proxy(const SocketAddress& local) {
  return "this is an HTTP proxy: set http_proxy=http://" + local.to_string() +
         " and ask for http://HOST/PATH, or give the listener an `upstream` and use it as base URL";
}

Result<void> choose_upstream(const RoutingTable& table, const ListenerView& listener, Route& route) {
  const Authority& asked = route.authority;
  if (!listener.settings.upstream.empty()) {
    route.upstream = table.find(listener.settings.upstream);
    if (route.upstream == nullptr) return refuse(403, "the listener's upstream is not configured any more");
    return {};
  }
  const std::uint16_t port = asked.port.value_or(route.target.https ? kHttpsPort : kHttpPort);
  const RoutingTable::Match match = table.match(asked.host, port);
  if (route.form == TargetForm::kOrigin && (match.upstream == nullptr || match.catch_all)) {
    return refuse(400, how_to_use_the_proxy(listener.local));
  }
  if (match.upstream == nullptr) {
    return refuse(403, "no upstream has the host " + asked.to_string(kHttpPort) + "; add it to `hosts` of one");
  }
  route.upstream = match.upstream;
  const auto& allowed = listener.settings.upstreams;
  if (!allowed.empty() && std::find(allowed.begin(), allowed.end(), route.upstream->settings->name) == allowed.end()) {
    return refuse(403, "upstream " + route.upstream->settings->name + " may not be reached by this listener");
  }
  return {};
}

// The authority that is dialled, sent and verified.
void choose_destination(const RoutingTable& table, const ListenerView& listener, Route& route) {
  Authority& asked = route.authority;
  const Upstream& upstream = *route.upstream;
  // The port of an origin-form request's Host is the listener's, not the upstream's.
  if (route.form == TargetForm::kOrigin && asked.port == listener.local.port()) asked.port.reset();
  const bool base_url = !listener.settings.upstream.empty();
  const bool named = table.names_host(upstream, asked.host, asked.port.value_or(kHttpPort));
  const bool use_only_host = base_url && upstream.only_host && !named;
  route.choice = upstream.destination.choose(route.target.https, use_only_host ? *upstream.only_host : asked);
}

void write_host_field(Route& route) {
  const Destination::Choice& choice = route.choice;
  route.host_field.clear();
  if (choice.kind == HostKind::kIpv6) route.host_field += '[';
  route.host_field += choice.host;
  if (choice.kind == HostKind::kIpv6) route.host_field += ']';
  if (choice.port == (choice.tls ? kHttpsPort : kHttpPort)) return;
  char digits[8];
  const auto end = std::to_chars(digits, digits + sizeof digits, choice.port).ptr;
  route.host_field += ':';
  route.host_field.append(digits, end);
}

// RFC 9112 section 3.2.4: OPTIONS for an absolute URL without a path asks about the server.
void choose_path(const RequestHead& head, Route& route) {
  const bool server_wide = head.method == Method::kOptions && route.form == TargetForm::kAbsolute &&
                           route.target.path_and_query.empty();
  route.path = server_wide ? "*" : route.target.path_and_query;
  route.add_slash = !server_wide && route.target.needs_slash;
}

}  // namespace

Result<void> route_request(const RoutingTable& table, const ListenerView& listener, const RequestHead& head,
                           std::string_view own_pseudonym, Route& route) {
  if (head.method == Method::kConnect) {
    return refuse(501, "CONNECT is not supported in this version: ask for http://HOST/PATH, penstock speaks TLS itself");
  }
  if (came_through_us(head, own_pseudonym)) {
    return Unexpected{Error{.code = ErrorCode::kProxyLoopDetected,
                            .source = ErrorSource::kDownstream,
                            .detail = "the request has been through this proxy before (Via)"}};
  }
  if (const auto reason = parse_target(head, route.target)) {
    return refuse(400, "malformed request target: " + std::string(*reason));
  }
  route.form = route.target.form;
  if (route.form == TargetForm::kAsterisk) return refuse(501, "OPTIONS * is not supported in this version");
  if (auto read = read_authority(head, route); !read) return read;
  if (route.form == TargetForm::kOrigin) {
    const bool own_road = !listener.settings.upstream.empty();
    auto checked = check_web_page_rules(table, listener, head, route);
    // Somebody who opens the proxy's port with a browser is told what it is.
    if (!checked && !own_road && is_own_address(route.authority, listener.local)) {
      return refuse(400, how_to_use_the_proxy(listener.local));
    }
    if (!checked) return checked;
  }
  if (auto chosen = choose_upstream(table, listener, route); !chosen) return chosen;
  choose_destination(table, listener, route);
  write_host_field(route);
  choose_path(head, route);
  return {};
}

}  // namespace penstock
