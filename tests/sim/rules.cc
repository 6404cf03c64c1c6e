#include "rules.h"

#include <algorithm>

#include "config/identity.h"

namespace penstock::sim {

namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

seconds seconds_between(Chance& chance, std::size_t low, std::size_t high) {
  return seconds(static_cast<int>(chance.between(low, high)));
}

}  // namespace

Rules::Rules(Stage& stage)
    : stage_(stage),
      half_close_(stage.chance.one_in(3)),
      two_flavors_(stage.chance.one_in(3)),
      bounded_(stage.chance.one_in(2)),
      max_clients_(static_cast<std::uint32_t>(stage.chance.between(6, 20))) {
  change();
}

void Rules::change() {
  auto config = std::make_shared<Config>();
  config->listeners.emplace_back();
  draw_client(config->client);
  if (bounded_) draw_process(config->process);
  config->upstreams.push_back(draw_upstream("a", {"a.test"}));
  config->upstreams.push_back(draw_upstream("b", {"b.test", "c.test"}));
  if (!stage_.chance.one_in(3)) config->upstreams.push_back(draw_upstream("d", {"d.test"}));
  config->upstreams.push_back(draw_upstream("rest", {"*"}));
  generations_.push_back(std::move(config));
}

void Rules::change_to_end() {
  auto config = std::make_shared<Config>(*generations_.back());
  for (UpstreamSettings& upstream : config->upstreams) {
    upstream.policy.pool.min_idle = 0;
    upstream.policy.pool.idle_timeout = seconds(1);
  }
  generations_.push_back(std::move(config));
}

UpstreamSettings Rules::draw_upstream(std::string name, std::vector<std::string> hosts) {
  Chance& chance = stage_.chance;
  UpstreamSettings upstream;
  upstream.name = std::move(name);
  upstream.hosts = std::move(hosts);
  UpstreamPolicy& policy = upstream.policy;
  policy.scheme = two_flavors_ && upstream.name == "b" ? SchemeMode::kSame : SchemeMode::kHttp;
  policy.tls.verify = false;  // no trust store is loaded
  if (chance.one_in(3)) policy.source_address = "192.0.2.200";
  policy.retry.attempts = static_cast<std::uint32_t>(chance.below(3));
  if (chance.one_in(4)) policy.retry.buffer = chance.below(100);
  policy.drain.size = chance.of<std::uint64_t>({0, 100, 256 * 1024});
  if (chance.one_in(2)) policy.drain.time = seconds_between(chance, 1, 5);
  draw_pool(policy.pool);
  draw_timeouts(policy.timeouts);
  return upstream;
}

void Rules::draw_pool(PoolSettings& pool) {
  Chance& chance = stage_.chance;
  const auto draw = [&](std::size_t low, std::size_t high) {
    return static_cast<std::uint32_t>(chance.between(low, high));
  };
  pool.max_connections = draw(1, 4);
  pool.max_connecting = draw(1, pool.max_connections);
  pool.max_idle = chance.one_in(3) ? draw(0, pool.max_connections) : pool.max_connections;
  pool.max_waiting = chance.one_in(4) ? draw(0, 3) : 30;
  if (chance.one_in(4)) pool.min_idle = draw(0, pool.max_idle);
  pool.idle_timeout = chance.one_in(6) ? Limit() : seconds_between(chance, 1, 40);
  pool.reuse = !chance.one_in(10);
  if (!pool.reuse) pool.min_idle = 0;
  pool.order = chance.of({PoolOrder::kLifo, PoolOrder::kFifo});
  pool.max_lifetime = chance.one_in(2) ? Limit(seconds_between(chance, 2, 60)) : Limit();
  if (chance.one_in(4)) pool.max_requests = draw(1, 6);
}

void Rules::draw_timeouts(TimeoutSettings& timeouts) {
  Chance& chance = stage_.chance;
  timeouts.queue = chance.one_in(6) ? Limit() : seconds_between(chance, 1, 30);
  timeouts.resolve = seconds_between(chance, 1, 5);
  timeouts.connect = seconds_between(chance, 1, 5);
  timeouts.write_stall = seconds_between(chance, 2, 20);
  timeouts.response_header = seconds_between(chance, 2, 60);
  timeouts.body_stall = seconds_between(chance, 2, 60);
  if (chance.one_in(4)) timeouts.exchange = seconds_between(chance, 2, 60);
  if (chance.one_in(3)) timeouts.total = seconds_between(chance, 2, 60);
  timeouts.expect_continue = chance.of<Limit>({seconds(0), seconds(1), Limit()});
  timeouts.tunnel_idle = seconds_between(chance, 10, 120);
}

void Rules::draw_client(ClientSettings& client) {
  Chance& chance = stage_.chance;
  client.half_close = half_close_;
  client.header_timeout = seconds_between(chance, 2, 30);
  client.body_stall = seconds_between(chance, 2, 60);
  client.write_stall = seconds_between(chance, 2, 60);
  client.idle_timeout = seconds_between(chance, 5, 300);
}

void Rules::draw_process(ProcessSettings& process) {
  process.max_upstream_connections = static_cast<std::uint32_t>(stage_.chance.between(1, 10));
  process.max_idle_connections = static_cast<std::uint32_t>(stage_.chance.below(7));
}

ProcessLimits Rules::process_limits() const {
  const ProcessSettings& process = config()->process;
  return {.max_connections = process.max_upstream_connections.value_or(kUnlimitedCount),
          .max_idle = process.max_idle_connections};
}

PoolPolicies Rules::policies() const {
  PoolPolicies policies;
  for (const UpstreamSettings& upstream : config()->upstreams)
    policies[upstream.name] = {host_limits(upstream.policy.pool), identity_hash(upstream)};
  return policies;
}

const UpstreamSettings* Rules::upstream_of(const Config& config, std::string_view host) {
  for (const UpstreamSettings& upstream : config.upstreams) {
    if (std::find(upstream.hosts.begin(), upstream.hosts.end(), host) != upstream.hosts.end())
      return &upstream;
  }
  return &config.upstreams.back();
}

// One that may not be sent twice may wait for its second connection, unseen, and then a reload in
// between was not for it.
bool Rules::has_source_address(const Request& request,
                               const std::optional<SocketAddress>& address) const {
  unsigned generation = request.repeatable ? request.generation : request.first_generation;
  for (; generation <= request.generation; ++generation) {
    const UpstreamSettings& upstream = *upstream_of(*generations_[generation], request.host);
    if (address == SocketAddress::from_ip(upstream.policy.source_address, 0)) return true;
  }
  return false;
}

void Rules::check_kept(const DialTarget& target, MonotonicTime dialled, unsigned served) const {
  if (target.host == "d.test") return;  // of "d", or of "rest": that cannot be seen from here
  const UpstreamPolicy& policy = upstream_of(*config(), target.host)->policy;
  const PoolSettings& pool = policy.pool;
  const std::string which = "a connection to " + target.host + " is kept that ";
  if (!pool.reuse) stage_.finding(which + "is not to be used again");
  if (served >= pool.max_requests) stage_.finding(which + "has served max_requests");
  if (pool.max_lifetime && stage_.now() - dialled >= *pool.max_lifetime)
    stage_.finding(which + "has reached max_lifetime");
  if (target.source_address != SocketAddress::from_ip(policy.source_address, 0))
    stage_.finding(which + "is of settings that a reload has changed");
}

}  // namespace penstock::sim
