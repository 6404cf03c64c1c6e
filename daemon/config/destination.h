// Where a request that an upstream took goes: its authority, with TLS or without, and what is
// dialled for it. The proxy and `penstock explain` both ask here, so that they cannot differ.
//
// A value, made once per upstream of a configuration, which outlives it; shared by all workers.
// Choosing allocates nothing.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "config/settings.h"
#include "http/authority.h"

namespace penstock {

class Destination {
 public:
  // What Host, SNI and verification are about. `host` lives as long as the request's authority and
  // this Destination do.
  struct Choice {
    std::string_view host;
    HostKind kind = HostKind::kName;
    std::uint16_t port = 0;
    bool tls = false;
  };
  // Either a socket's path or a host and port.
  struct Dial {
    std::string_view host;
    HostKind kind = HostKind::kName;
    std::uint16_t port = 0;
    std::string_view unix_path;
  };

  explicit Destination(const UpstreamSettings& upstream);

  // `origin` where there is one, else `requested`; port and TLS by `scheme`. `https_url`: the URL
  // itself says https.
  Choice choose(bool https_url, const Authority& requested) const;
  // `connect_to` where there is one, else the choice itself.
  Dial dial(const Choice& choice) const;
  // The name sent as SNI and verified.
  std::string_view server_name(const Choice& choice) const;
  const std::optional<Authority>& origin() const { return origin_; }

 private:
  bool wants_tls(const Authority& host, std::optional<std::uint16_t> port) const;

  const SchemeMode scheme_;
  const std::string_view server_name_;  // "": the choice's host
  std::optional<Authority> origin_;
  std::optional<Authority> connect_to_;
  std::string_view unix_path_;
};

// Why no tunnel to this port is made; nothing where one is: to those of egress.connect_ports, and
// to 80, whose requests are read and go the way of all others.
std::optional<std::string> refuse_tunnel(const EgressSettings& egress, std::uint16_t port);

}  // namespace penstock
