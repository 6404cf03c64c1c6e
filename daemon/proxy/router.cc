#include "proxy/router.h"

#include <algorithm>
#include <charconv>

#include "config/destination.h"
#include "config/route.h"

namespace penstock {

namespace {

constexpr std::uint16_t kHttpPort = 80;
constexpr std::uint16_t kHttpsPort = 443;

Unexpected<Error> refuse(std::uint16_t status, std::string detail) {
  return {
      Error{.code = status == 403 ? ErrorCode::kHttpRequestDenied : ErrorCode::kHttpRequestError,
            .source = ErrorSource::kDownstream,
            .status = status,
            .detail = std::move(detail)}};
}

// RFC 9110 section 7.6.3: a request that carries our own pseudonym has been here before.
bool came_through_us(const RequestHead& head, std::string_view pseudonym) {
  if (!head.fields.contains(FieldId::kVia)) return false;
  for (const Field& field : head.fields) {
    if (field.id == FieldId::kVia && field.value.find(pseudonym) != std::string_view::npos)
      return true;
  }
  return false;
}

// RFC 9110 section 7.6.2: OPTIONS and TRACE count their hops, and where the count is 0 they end;
// other methods ignore the field.
Result<void> count_forwards(const RequestHead& head, Route& route) {
  if (head.method != Method::kOptions && head.method != Method::kTrace) return {};
  const Field* field = head.fields.find(FieldId::kMaxForwards);
  if (field == nullptr) return {};
  std::uint64_t left = 0;
  const char* const end = field->value.data() + field->value.size();
  const auto [at, fault] = std::from_chars(field->value.data(), end, left);
  if (fault != std::errc() || at != end) return refuse(400, "malformed Max-Forwards field");
  route.for_us = left == 0;
  if (left > 0) route.max_forwards = left - 1;
  return {};
}

Result<void> read_authority(const RequestHead& head, Route& route) {
  if (route.target.form == TargetForm::kAbsolute) {
    std::swap(route.authority, route.target.authority);
    return {};
  }
  const Field* host = head.fields.find(FieldId::kHost);
  if (host == nullptr)
    return refuse(400, "the request names no host: send an absolute URL or a Host field");
  if (const auto reason = parse_authority(host->value, route.authority)) {
    return refuse(400, "malformed Host field: " + std::string(*reason));
  }
  return {};
}

bool is_own_address(const Authority& authority, const SocketAddress& local) {
  return authority.host == local.ip() && authority.port.value_or(kHttpPort) == local.port();
}

// The port that the client means. In an origin-form request's Host that of the listener means none.
std::uint16_t meant_port(const Authority& authority, const ListenerView& listener,
                         const Route& route) {
  if (route.form == TargetForm::kOrigin && authority.port == listener.local.port())
    return kHttpPort;
  return authority.port.value_or(route.target.https ? kHttpsPort : kHttpPort);
}

bool is_unspecified(const SocketAddress& local) {
  return local.ip() == "0.0.0.0" || local.ip() == "::";
}

// A listener on every address goes by any literal, through port mappings too. No page can be
// rebound to a literal: that takes a name.
bool may_be_own_literal(const Authority& authority, const SocketAddress& local) {
  return authority.kind != HostKind::kName && is_unspecified(local);
}

// A web page can make a browser send origin-form requests here, under a name that its owner points
// at 127.0.0.1 or across sites; it cannot send absolute-form ones.
Result<void> check_web_page_rules(const RoutingTable& table, const ListenerView& listener,
                                  const RequestHead& head, const Route& route) {
  const auto is_ours = [&](const Authority& authority) {
    if (authority.host == "localhost" || is_own_address(authority, listener.local)) return true;
    const RoutingTable::Match match =
        table.match(authority.host, meant_port(authority, listener, route));
    return match.upstream != nullptr && !match.catch_all;
  };
  if (!is_ours(route.authority) && !may_be_own_literal(route.authority, listener.local)) {
    return refuse(421, "the Host field names neither this listener nor a host of an upstream");
  }
  if (listener.settings.allow_browsers) return {};
  if (const Field* site = head.fields.find(FieldId::kSecFetchSite)) {
    if (equals_ignoring_case(site->value, "cross-site") ||
        equals_ignoring_case(site->value, "same-site")) {
      return refuse(403,
                    "a web page of another site sent this request (Sec-Fetch-Site); allow_browsers "
                    "permits it");
    }
  }
  if (const Field* origin = head.fields.find(FieldId::kOrigin)) {
    const std::size_t scheme_end = origin->value.find("://");
    Authority authority;
    const bool read = scheme_end != std::string_view::npos &&
                      !parse_authority(origin->value.substr(scheme_end + 3), authority);
    const bool same =
        authority.host == route.authority.host && authority.port == route.authority.port;
    const bool ours = read && (same || is_ours(authority));
    if (!ours)
      return refuse(
          403,
          "a web page of another origin sent this request (Origin); allow_browsers permits it");
  }
  return {};
}

// Asked by a literal, a listener on every address goes by that.
std::string how_to_use_the_proxy(const SocketAddress& local, const Authority& asked) {
  const std::string address =
      may_be_own_literal(asked, local) ? asked.to_string(kHttpPort) : local.to_string();
  const std::string set =
      local.family() == AF_UNIX ? "" : "set http_proxy=http://" + address + " and ";
  return "this is an HTTP proxy, not a web site: " + set +
         "ask for http://HOST/PATH, or give the listener an `upstream` and use it as base URL";
}

Result<void> choose_upstream(const RoutingTable& table, const ListenerView& listener,
                             Route& route) {
  const Authority& asked = route.authority;
  if (!listener.settings.upstream.empty()) {
    route.upstream = table.find(listener.settings.upstream);
    if (route.upstream == nullptr)
      return refuse(403, "the listener's upstream is not configured any more");
    return {};
  }
  const RoutingTable::Match match = table.match(asked.host, meant_port(asked, listener, route));
  const bool origin_form = route.form == TargetForm::kOrigin && listener.unwrapped == nullptr;
  if (origin_form && (match.upstream == nullptr || match.catch_all)) {
    return refuse(400, how_to_use_the_proxy(listener.local, asked));
  }
  if (match.upstream == nullptr) {
    return refuse(403, "no upstream has the host " + asked.to_string(kHttpPort) +
                           "; add it to `hosts` of one");
  }
  route.upstream = match.upstream;
  route.catch_all = match.catch_all;
  const auto& allowed = listener.settings.upstreams;
  if (!allowed.empty() &&
      std::find(allowed.begin(), allowed.end(), route.upstream->settings->name) == allowed.end()) {
    return refuse(
        403, "upstream " + route.upstream->settings->name + " may not be reached by this listener");
  }
  return {};
}

// The authority that is dialled, sent and verified.
void choose_destination(const RoutingTable& table, const ListenerView& listener, Route& route) {
  Authority& asked = route.authority;
  const Upstream& upstream = *route.upstream;
  const bool base_url = !listener.settings.upstream.empty();
  // Whatever the host, a base URL leads here; elsewhere the host chose the upstream.
  const bool only_led_here =
      base_url && !table.names_host(upstream, asked.host, meant_port(asked, listener, route));
  const bool use_only_host = only_led_here && upstream.only_host;
  // The listener's port, or the port of a name that only led here, is not the upstream's.
  if (route.form == TargetForm::kOrigin && asked.port == listener.local.port()) asked.port.reset();
  if (only_led_here) asked.port.reset();
  route.choice =
      upstream.destination.choose(route.target.https, use_only_host ? *upstream.only_host : asked);
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

// A request inside a plaintext tunnel is for the tunnel's authority, and says so.
Result<void> check_unwrapped(const ListenerView& listener, const RequestHead& head, Route& route) {
  const Authority& expected = *listener.unwrapped;
  const auto is_expected = [&](const Authority& authority) {
    return authority.host == expected.host && authority.port.value_or(kHttpPort) == kHttpPort;
  };
  Authority host;
  const Field* field = head.fields.find(FieldId::kHost);
  const bool host_fits =
      field == nullptr || (!parse_authority(field->value, host) && is_expected(host));
  if (!is_expected(route.authority) || !host_fits) {
    return refuse(400, "a request inside the tunnel names another host than the tunnel does");
  }
  return {};
}

void choose_policy(const RequestHead& head, Route& route) {
  const UpstreamSettings& upstream = *route.upstream->settings;
  const RouteSettings* found = find_route(upstream, head.method_name, route.path);
  route.policy = found == nullptr ? &upstream.policy : &found->policy;
}

// RFC 9110 section 9.3.6. The target is dialled as it stands: a tunnel has no origin of ours.
Result<void> route_connect(const RoutingTable& table, const ListenerView& listener,
                           const RequestHead& head, Route& route) {
  std::swap(route.authority, route.target.authority);
  const Authority& asked = route.authority;
  asked.append_to(route.host_field, 0);
  if (listener.unwrapped != nullptr) return refuse(400, "CONNECT inside a plaintext tunnel");
  if (auto chosen = choose_upstream(table, listener, route); !chosen) return chosen;
  if (!listener.settings.upstream.empty() &&
      !table.names_host(*route.upstream, asked.host, *asked.port)) {
    return refuse(403,
                  "this listener leads to one upstream only, and the target is none of its hosts");
  }
  route.connect = true;
  route.unwrap = *asked.port == kHttpPort;
  if (const auto why = refuse_tunnel(table.config().egress, *asked.port)) return refuse(403, *why);
  route.choice = {asked.host, asked.kind, *asked.port, false};
  route.path = {};
  choose_policy(head, route);
  return {};
}

// Its target is a path at an origin, and no hop but the last has a say in it.
bool is_plain(const RequestHead& head, const ListenerView& listener) {
  return listener.unwrapped == nullptr && head.method != Method::kConnect &&
         head.method != Method::kOptions && head.method != Method::kTrace;
}

bool is_for_last_origin(const RoutingTable& table, const ListenerView& listener,
                        const RequestHead& head, const Route& route) {
  const Route::Origin& last = route.last;
  return last.table == &table && last.listener == &listener.settings && is_plain(head, listener) &&
         head.target.size() > last.url.size() && head.target[last.url.size()] == '/' &&
         head.target.starts_with(last.url);
}

void remember_origin(const RoutingTable& table, const ListenerView& listener,
                     const RequestHead& head, Route& route) {
  if (route.form != TargetForm::kAbsolute || route.add_slash || !is_plain(head, listener)) return;
  const auto url_bytes = static_cast<std::size_t>(route.path.data() - head.target.data());
  route.last.table = &table;
  route.last.listener = &listener.settings;
  route.last.url = head.target.substr(0, url_bytes);
}

}  // namespace

Result<void> route_request(const RoutingTable& table, const ListenerView& listener,
                           const RequestHead& head, std::string_view own_pseudonym, Route& route) {
  const bool loop = came_through_us(head, own_pseudonym);
  if (!loop && is_for_last_origin(table, listener, head, route)) {
    const std::string_view path = head.target.substr(route.last.url.size());
    route.path = path.substr(0, path.find('#'));
    choose_policy(head, route);
    return {};
  }
  route.last.table = nullptr;
  route.authority.host.clear();
  route.host_field.clear();
  route.form = TargetForm::kAuthority;
  route.web_page = false;
  route.connect = route.unwrap = route.catch_all = route.for_us = route.add_slash = false;
  route.max_forwards.reset();
  if (loop) {
    return Unexpected{Error{.code = ErrorCode::kProxyLoopDetected,
                            .source = ErrorSource::kDownstream,
                            .detail = "the request has been through this proxy before (Via)"}};
  }
  if (const auto reason = parse_target(head, route.target)) {
    return refuse(400, "malformed request target: " + std::string(*reason));
  }
  route.form = route.target.form;
  if (head.method == Method::kConnect) return route_connect(table, listener, head, route);
  if (auto counted = count_forwards(head, route); !counted) return counted;
  if (route.form == TargetForm::kAsterisk) route.for_us = true;
  if (route.for_us) return {};
  if (auto read = read_authority(head, route); !read) return read;
  if (listener.unwrapped != nullptr) {
    if (auto checked = check_unwrapped(listener, head, route); !checked) return checked;
  }
  // No page reaches a unix socket, nor the inside of a tunnel.
  if (route.form == TargetForm::kOrigin && listener.unwrapped == nullptr &&
      listener.local.family() != AF_UNIX) {
    auto checked = check_web_page_rules(table, listener, head, route);
    route.web_page = !checked;
    if (!checked) return checked;
  }
  if (auto chosen = choose_upstream(table, listener, route); !chosen) return chosen;
  choose_destination(table, listener, route);
  write_host_field(route);
  route.path = route.target.path_and_query;
  route.add_slash = route.target.needs_slash;
  choose_policy(head, route);
  remember_origin(table, listener, head, route);
  return {};
}

}  // namespace penstock
