#include "proxy/routing_table.h"

#include "config/identity.h"

namespace penstock {

namespace {

std::optional<Authority> only_exact_host(const UpstreamSettings& settings) {
  std::optional<Authority> only;
  for (const std::string& host : settings.hosts) {
    if (host.starts_with('*')) continue;
    Authority authority;
    if (only || parse_authority(host, authority)) return std::nullopt;
    only = std::move(authority);
  }
  return only;
}

}  // namespace

Result<std::shared_ptr<const RoutingTable>, std::string> RoutingTable::create(
    ConfigSnapshot config, TrustStores& trust, const RoutingTable* previous) {
  std::shared_ptr<RoutingTable> table(new RoutingTable(std::move(config)));
  const std::string system_cas = trust.look_at_system();
  table->upstreams_.reserve(table->config_->upstreams.size());
  for (const UpstreamSettings& settings : table->config_->upstreams) {
    Upstream upstream{.settings = &settings,
                      .identity = identity_hash(settings, system_cas),
                      .tls = nullptr,
                      .destination = Destination(settings),
                      .only_host = only_exact_host(settings)};
    const Upstream* before = previous == nullptr ? nullptr : previous->find(settings.name);
    if (before != nullptr && before->identity == upstream.identity) {
      upstream.tls = before->tls;
    } else {
      const UpstreamPolicy& policy = settings.policy;
      auto context = TlsClientContext::create(policy.tls, policy.ca_pem, policy.extra_ca_pem,
                                              policy.cert_pem, policy.key_pem, trust);
      if (!context) return Unexpected{"upstream " + settings.name + ": " + context.error().detail};
      upstream.tls = *std::move(context);
    }
    table->upstreams_.push_back(std::move(upstream));
  }
  for (const Upstream& upstream : table->upstreams_)
    table->by_name_.emplace(upstream.settings->name, &upstream);
  return std::shared_ptr<const RoutingTable>(std::move(table));
}

const Upstream* RoutingTable::find(std::string_view name) const {
  const auto it = by_name_.find(name);
  return it == by_name_.end() ? nullptr : it->second;
}

RoutingTable::Match RoutingTable::match(std::string_view host, std::uint16_t port) const {
  const auto found = matcher_.match(host, port);
  if (!found) return {nullptr, false};
  const Upstream& upstream = upstreams_[found->upstream];
  return {&upstream, upstream.settings->hosts[found->pattern] == "*"};
}

bool RoutingTable::names_host(const Upstream& upstream, std::string_view host,
                              std::uint16_t port) const {
  const Match found = match(host, port);
  return found.upstream == &upstream && !found.catch_all;
}

}  // namespace penstock
