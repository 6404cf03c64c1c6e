// One configuration, ready to route: the upstreams with their TLS contexts and the host patterns.
//
// Immutable and shared: a reload makes a new one, each exchange keeps the one it began with.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "config/destination.h"
#include "config/host_matcher.h"
#include "config/settings.h"
#include "http/authority.h"
#include "net/tls_context.h"

namespace penstock {

struct Upstream {
  const UpstreamSettings* settings = nullptr;  // in the table's Config
  std::uint64_t identity = 0;
  std::shared_ptr<const TlsClientContext> tls;
  Destination destination;
  // The only pattern without a wildcard, when there is no `origin`: where the requests of a
  // base-URL listener lead that name no host of the upstream.
  std::optional<Authority> only_host;
};

class RoutingTable {
 public:
  // Contexts of `previous` are taken over where the identity is the same, so that kept TLS sessions
  // survive a reload. The error names the upstream and what is wrong with its TLS settings.
  static Result<std::shared_ptr<const RoutingTable>, std::string> create(
      ConfigSnapshot config, TrustStores& trust, const RoutingTable* previous);

  const Config& config() const { return *config_; }
  const std::vector<Upstream>& upstreams() const { return upstreams_; }
  const Upstream* find(std::string_view name) const;
  // Of one of upstreams(), where it stands there.
  std::size_t index_of(const Upstream& upstream) const {
    return static_cast<std::size_t>(&upstream - upstreams_.data());
  }

  struct Match {
    const Upstream* upstream;
    bool catch_all;  // by the pattern "*"
  };
  // `host` in lower case, as parse_authority() makes it. Null when no pattern matches.
  Match match(std::string_view host, std::uint16_t port) const;
  // Whether a pattern of this upstream itself names the host (not "*").
  bool names_host(const Upstream& upstream, std::string_view host, std::uint16_t port) const;

 private:
  explicit RoutingTable(ConfigSnapshot config)
      : config_(std::move(config)), matcher_(config_->upstreams) {}

  const ConfigSnapshot config_;
  const HostMatcher matcher_;
  std::vector<Upstream> upstreams_;
  std::map<std::string_view, const Upstream*, std::less<>> by_name_;
};

}  // namespace penstock
