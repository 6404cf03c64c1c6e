#include "pool/worker_pool.h"

#include <cassert>
#include <chrono>

namespace penstock {

namespace {

// Hosts without connections or waiters for so long are forgotten: a forward proxy meets endless
// names.
constexpr Duration kUnusedFor = std::chrono::seconds(60);
constexpr Duration kInterval = std::chrono::seconds(10);
// Above so many hosts those without connections or waiters are forgotten at once, and looked for
// whenever so many more have come.
constexpr std::size_t kMostHosts = 4096;
constexpr std::size_t kLookAfterMore = 1024;

// No server closes a connection for a shorter nap.
constexpr Duration kSleep = std::chrono::seconds(5);

std::shared_ptr<const DialTarget> make_target(const AcquireRequest& request) {
  const Destination::Dial dial = request.destination.dial(request.choice);
  auto target = std::make_shared<DialTarget>();
  target->host = dial.host;
  target->port = dial.port;
  target->unix_path = dial.unix_path;
  if (request.choice.tls) {
    target->tls = request.tls;
    target->server_name = request.destination.server_name(request.choice);
    target->authority_port = request.choice.port;
  }
  target->tcp_keepalive = request.policy.pool.tcp_keepalive;
  target->write_stall = request.policy.timeouts.write_stall;
  target->source_address = SocketAddress::from_ip(request.policy.source_address, 0);
  target->scope = request.scope;
  return target;
}

}  // namespace

DialLimits dial_limits(const TimeoutSettings& timeouts) {
  return {timeouts.resolve, timeouts.connect, timeouts.tls_handshake, timeouts.queue};
}

WorkerPool::WorkerPool(std::size_t index, PoolRegistry& registry, const Outside& outside)
    : index_(index),
      registry_(registry),
      outside_(outside),
      look_after_hosts_(outside.timers, Delegate<void()>::to<&WorkerPool::look_after_hosts>(*this)),
      time_asleep_(outside.clock.time_asleep()),
      random_(outside.seed) {
  assert(index < registry.worker_count());
}

WorkerPool::~WorkerPool() { assert(hosts_.empty()); }

AcquireOutcome WorkerPool::acquire(const AcquireRequest& request, AcquireHandler& handler) {
  const DialLimits limits = dial_limits(request.timeouts);
  const HostKeyView key{request.upstream, request.choice.host, request.choice.port};
  for (;;) {
    Host& host = host_for(key);
    AcquireOutcome outcome = host.pool->acquire(*this, flavor_for(host, request), limits, handler,
                                                {request.prefers_recent, request.waiting_since});
    if (!std::holds_alternative<Retired>(outcome)) return outcome;
    drop_retired(key);
  }
}

// Whoever retired it may not have told the registry yet; do not find it there again.
void WorkerPool::drop_retired(const HostKeyView& key) {
  const auto it = hosts_.find(key);
  it->second.pool->detach(*this);
  registry_.remove(*it->second.pool);
  last_host_ = nullptr;
  hosts_.erase(it);
}

MonotonicTime WorkerPool::woke_at() {
  const Duration asleep = outside_.clock.time_asleep();
  if (asleep - std::exchange(time_asleep_, asleep) > kSleep) woke_at_ = now();
  return woke_at_;
}

WorkerPool::Host& WorkerPool::host_for(const HostKeyView& key) {
  if (last_host_ != nullptr && HostKeyEqual()(last_host_->first, key)) return last_host_->second;
  if (const auto it = hosts_.find(key); it != hosts_.end()) {
    last_host_ = &*it;
    return it->second;
  }
  std::shared_ptr<HostPool> pool = registry_.find_or_create(key);
  if (!look_after_hosts_.armed()) look_after_hosts_.arm(now() + kInterval);
  look_soon_when_many();
  const HostKey owned = pool->key();
  return hosts_.emplace(owned, Host{std::move(pool), {}}).first->second;
}

void WorkerPool::look_soon_when_many() {
  if (hosts_.size() < kMostHosts || hosts_.size() < hosts_at_last_look_ + kLookAfterMore) return;
  hosts_at_last_look_ = hosts_.size();
  look_after_hosts_.arm(now());
}

const FlavorRef& WorkerPool::flavor_for(Host& host, const AcquireRequest& request) {
  Flavor flavor{request.identity, request.choice.tls, request.scope, nullptr};
  for (const FlavorRef& known : host.flavors) {
    if (known->same_as(flavor)) return known;
  }
  flavor.target = make_target(request);
  return host.flavors.emplace_back(std::make_shared<const Flavor>(std::move(flavor)));
}

TrimmedByUpstream WorkerPool::on_reconfigured() {
  TrimmedByUpstream all;
  for (auto& [key, host] : hosts_) {
    host.flavors.clear();  // made again with the new settings at the next acquire
    const Trimmed trimmed = host.pool->trim(*this);
    if (trimmed.surplus == 0 && trimmed.retired == 0) continue;
    Trimmed& sum = all[key.upstream];
    sum.surplus += trimmed.surplus;
    sum.retired += trimmed.retired;
  }
  ProcessBounds& bounds = registry_.bounds();
  while ((bounds.exceeded() || bounds.connections.wanted()) && evict_idle()) continue;
  follow_pause({});  // a pause ends with its upstream
  return all;
}

// Copies: who is served may meet other hosts. All of them for an empty name.
std::vector<std::shared_ptr<HostPool>> WorkerPool::pools_of(std::string_view upstream) const {
  std::vector<std::shared_ptr<HostPool>> pools;
  for (const auto& [key, host] : hosts_) {
    if (upstream.empty() || key.upstream == upstream) pools.push_back(host.pool);
  }
  return pools;
}

void WorkerPool::follow_pause(std::string_view upstream) {
  for (const auto& pool : pools_of(upstream)) pool->follow_pause(*this);
}

std::uint32_t WorkerPool::close_idle(std::string_view upstream, std::uint64_t id,
                                     std::uint32_t most) {
  std::uint32_t closed = 0;
  for (const auto& pool : pools_of(upstream)) {
    if (closed == most) break;
    closed += pool->close_idle(*this, id, most - closed);
  }
  return closed;
}

void WorkerPool::keep_warm(const AcquireRequest& request) {
  const DialLimits limits = dial_limits(request.policy.timeouts);
  const HostKeyView key{request.upstream, request.choice.host, request.choice.port};
  for (;;) {
    Host& host = host_for(key);
    if (host.pool->keep_warm(*this, flavor_for(host, request), limits)) return;
    drop_retired(key);
  }
}

void WorkerPool::shut_down() {
  for (auto& [key, host] : hosts_) {
    host.pool->detach(*this);
    registry_.release(std::move(host.pool));
  }
  last_host_ = nullptr;
  hosts_.clear();
  look_after_hosts_.cancel();
}

bool WorkerPool::evict_idle() { return registry_.bounds().idle.evict_coldest(*this); }

void WorkerPool::on_address_left(std::string_view host, const SocketAddress& address) {
  for (auto& [key, known] : hosts_) known.pool->on_address_left(*this, host, address);
}

void WorkerPool::on_address_returned(std::string_view host, const SocketAddress& address) {
  for (auto& [key, known] : hosts_) known.pool->on_address_returned(*this, host, address);
}

void WorkerPool::look_after_hosts() {
  for (auto it = hosts_.begin(); it != hosts_.end();) {
    if (forget_if_unused(it->second)) {
      last_host_ = nullptr;
      it = hosts_.erase(it);
    } else {
      keep_names_fresh(it->second);
      ++it;
    }
  }
  hosts_at_last_look_ = hosts_.size();
  if (!hosts_.empty()) look_after_hosts_.arm(now() + kInterval);
}

bool WorkerPool::forget_if_unused(Host& host) {
  const Duration unused_for = hosts_.size() > kMostHosts ? Duration::zero() : kUnusedFor;
  if (!host.pool->retire_if_unused(now(), unused_for)) return false;
  host.pool->detach(*this);
  registry_.remove(*host.pool);
  return true;
}

void WorkerPool::keep_names_fresh(const Host& host) {
  if (!host.pool->in_use()) return;
  for (const FlavorRef& flavor : host.flavors) {
    const DialTarget& target = *flavor->target;
    if (target.unix_path.empty() && !SocketAddress::from_ip(target.host, target.port))
      outside_.dialer.keep_fresh(target.host);
  }
}

}  // namespace penstock
