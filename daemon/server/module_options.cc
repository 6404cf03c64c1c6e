#include "server/module_options.h"

namespace penstock {

PoolPolicies pool_policies(const RoutingTable& table) {
  PoolPolicies policies;
  for (const Upstream& upstream : table.upstreams()) {
    policies[upstream.settings->name] = {host_limits(upstream.settings->policy.pool),
                                         upstream.identity};
  }
  return policies;
}

DnsOptions dns_options(const DnsSettings& dns) {
  return {.servers = {.servers = dns.servers,
                      .attempt_timeout = dns.attempt_timeout,
                      .attempts = dns.attempts},
          .cache = {.min_ttl = dns.min_ttl,
                    .max_ttl = dns.max_ttl,
                    .negative_ttl = dns.negative_ttl,
                    .serve_stale = dns.serve_stale,
                    .forget_after = dns.forget_after}};
}

std::uint64_t buffer_limit(const ProcessSettings& settings, std::optional<std::uint64_t> memory) {
  constexpr std::uint64_t kWithoutCgroup = std::uint64_t{1} << 30;
  if (settings.max_buffers != 0) return settings.max_buffers;
  return memory ? *memory / 2 : kWithoutCgroup;
}

}  // namespace penstock
