#include "config/destination.h"

#include <algorithm>

namespace penstock {
namespace {

constexpr std::uint16_t kHttpPort = 80;
constexpr std::uint16_t kHttpsPort = 443;
constexpr std::string_view kUnixPrefix = "unix:";

std::optional<Authority> authority_of(std::string_view text) {
  Authority authority;
  if (text.empty() || parse_authority(text, authority)) return std::nullopt;
  return authority;
}

// A host that is served in plaintext more often than not: `scheme: auto` believes the URL.
bool is_local(const Authority& host) {
  return host.kind != HostKind::kName || host.single_label() || host.host.ends_with(".localhost");
}

}  // namespace

Destination::Destination(const UpstreamSettings& upstream)
    : scheme_(upstream.policy.scheme),
      server_name_(upstream.policy.tls.server_name),
      origin_(authority_of(upstream.origin)) {
  const std::string_view connect_to = upstream.policy.connect_to;
  if (connect_to.starts_with(kUnixPrefix)) {
    unix_path_ = connect_to.substr(kUnixPrefix.size());
  } else {
    connect_to_ = authority_of(connect_to);
  }
}

Destination::Choice Destination::choose(bool https_url, const Authority& requested) const {
  const Authority& host = origin_ ? *origin_ : requested;
  const auto port = host.port ? host.port : requested.port;
  Choice choice{host.host, host.kind, port.value_or(https_url ? kHttpsPort : kHttpPort), https_url};
  if (https_url || !wants_tls(host, port)) return choice;
  choice.tls = true;
  if (choice.port == kHttpPort) choice.port = kHttpsPort;
  return choice;
}

bool Destination::wants_tls(const Authority& host, std::optional<std::uint16_t> port) const {
  switch (scheme_) {
    case SchemeMode::kHttps:
      return true;
    case SchemeMode::kAuto:
      return !is_local(host) && (!port || *port == kHttpPort || *port == kHttpsPort);
    case SchemeMode::kSame:
    case SchemeMode::kHttp:
      return false;
  }
  return true;
}

Destination::Dial Destination::dial(const Choice& choice) const {
  if (!unix_path_.empty()) return {{}, HostKind::kName, 0, unix_path_};
  if (!connect_to_) return {choice.host, choice.kind, choice.port, {}};
  return {connect_to_->host, connect_to_->kind, connect_to_->port.value_or(choice.port), {}};
}

std::string_view Destination::server_name(const Choice& choice) const {
  return server_name_.empty() ? choice.host : server_name_;
}

std::optional<std::string> refuse_tunnel(const EgressSettings& egress, std::uint16_t port) {
  const std::string number = std::to_string(port);
  const bool allowed =
      egress.connect_ports.empty() || port == kHttpPort ||
      std::ranges::find(egress.connect_ports, number) != egress.connect_ports.end();
  if (allowed) return std::nullopt;
  return "CONNECT to port " + number + " is not allowed; egress.connect_ports lists those that are";
}

}  // namespace penstock
