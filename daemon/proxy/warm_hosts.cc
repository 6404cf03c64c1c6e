#include "proxy/warm_hosts.h"

#include "pool/worker_pool.h"
#include "proxy/routing_table.h"

namespace penstock {

namespace {

// As a request for http://HOST/ would go there.
void keep_warm(const Upstream& upstream, const Authority& host, WorkerPool& pool) {
  const Destination::Choice choice = upstream.destination.choose(false, host);
  pool.keep_warm({.upstream = upstream.settings->name,
                  .destination = upstream.destination,
                  .choice = choice,
                  .identity = upstream.identity,
                  .policy = upstream.settings->policy,
                  .timeouts = upstream.settings->policy.timeouts,
                  .tls = upstream.tls});
}

}  // namespace

void keep_hosts_warm(const RoutingTable& table, WorkerPool& pool) {
  for (const Upstream& upstream : table.upstreams()) {
    if (upstream.settings->policy.pool.min_idle == 0) continue;
    if (const auto& origin = upstream.destination.origin()) {
      keep_warm(upstream, *origin, pool);
      continue;
    }
    Authority host;
    for (const std::string& pattern : upstream.settings->hosts) {
      if (!parse_authority(pattern, host)) keep_warm(upstream, host, pool);
    }
  }
}

}  // namespace penstock
