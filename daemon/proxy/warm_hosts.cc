#include "proxy/warm_hosts.h"

#include "config/listener_rules.h"
#include "pool/worker_pool.h"
#include "proxy/routing_table.h"

namespace penstock {

namespace {

// A connection serves one scope. The machine's, unless only clients of the network get there.
ClientScope scope_of(const std::vector<ListenerSettings>& listeners, const Upstream& upstream) {
  bool network = false;
  for (const ListenerSettings& listener : listeners) {
    if (!leads_to(listener, upstream.settings->name)) continue;
    if (!serves_network(listener)) return ClientScope::kMachine;
    network = true;
  }
  return network ? ClientScope::kNetwork : ClientScope::kMachine;
}

// As a request for http://HOST/ would go there.
void keep_warm(const Upstream& upstream, const Authority& host, ClientScope scope,
               WorkerPool& pool) {
  const Destination::Choice choice = upstream.destination.choose(false, host);
  pool.keep_warm({.upstream = upstream.settings->name,
                  .destination = upstream.destination,
                  .choice = choice,
                  .identity = upstream.identity,
                  .policy = upstream.settings->policy,
                  .timeouts = upstream.settings->policy.timeouts,
                  .tls = upstream.tls,
                  .scope = scope});
}

}  // namespace

void keep_hosts_warm(const RoutingTable& table, WorkerPool& pool) {
  for (const Upstream& upstream : table.upstreams()) {
    if (upstream.settings->policy.pool.min_idle == 0) continue;
    const ClientScope scope = scope_of(table.config().listeners, upstream);
    if (const auto& origin = upstream.destination.origin()) {
      keep_warm(upstream, *origin, scope, pool);
      continue;
    }
    Authority host;
    for (const std::string& pattern : upstream.settings->hosts) {
      if (!parse_authority(pattern, host)) keep_warm(upstream, host, scope, pool);
    }
  }
}

}  // namespace penstock
