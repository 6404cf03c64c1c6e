#include "pool/registry.h"

namespace penstock {

void PoolRegistry::apply(PoolPolicies policies) {
  const std::lock_guard lock(mutex_);
  policies_ = std::move(policies);
  std::erase_if(paused_, [this](const std::string& name) { return !policies_.contains(name); });
  for (const auto& [key, pool] : pools_) {
    const PoolPolicy policy = policy_of(key.upstream);
    pool->set_limits(policy.limits, policy.identity);
    pool->set_paused(paused_.contains(key.upstream));
  }
}

std::shared_ptr<HostPool> PoolRegistry::find_or_create(const HostKeyView& key) {
  const std::lock_guard lock(mutex_);
  if (const auto it = pools_.find(key); it != pools_.end()) return it->second;
  const PoolPolicy policy = policy_of(key.upstream);
  HostKey owned{std::string(key.upstream), std::string(key.host), key.port};
  auto pool = std::make_shared<HostPool>(owned, policy.limits, policy.identity, worker_count_,
                                         bounds_, paused_.contains(key.upstream));
  recall(*pool);
  pools_.emplace(std::move(owned), pool);
  return pool;
}

void PoolRegistry::remove(const HostPool& pool) {
  const std::lock_guard lock(mutex_);
  const auto it = pools_.find(pool.key());
  if (it == pools_.end() || it->second.get() != &pool) return;
  remember(pool);
  pools_.erase(it);
}

void PoolRegistry::remember(const HostPool& pool) {
  const IdleLimit learned = pool.learned();
  if (!learned.has_samples()) return;
  memories_.emplace_front(pool.key(), learned);
  remembered_[pool.key()] = memories_.begin();
  if (memories_.size() <= kMostRemembered) return;
  remembered_.erase(memories_.back().first);
  memories_.pop_back();
}

void PoolRegistry::recall(HostPool& pool) {
  const auto it = remembered_.find(pool.key());
  if (it == remembered_.end()) return;
  pool.remember(it->second->second);
  memories_.erase(it->second);
  remembered_.erase(it);
}

// Others take their share of it under this mutex, so that a count of one stays one.
void PoolRegistry::release(std::shared_ptr<HostPool> pool) {
  const std::lock_guard lock(mutex_);
  const auto it = pools_.find(pool->key());
  if (it == pools_.end() || it->second != pool) return;
  pool.reset();
  if (it->second.use_count() == 1) pools_.erase(it);
}

std::vector<HostSnapshot> PoolRegistry::snapshot(MonotonicTime now) const {
  const std::lock_guard lock(mutex_);
  std::vector<HostSnapshot> snapshots;
  snapshots.reserve(pools_.size());
  for (const auto& [key, pool] : pools_) snapshots.push_back(pool->snapshot(now));
  return snapshots;
}

template <typename Call>
std::size_t PoolRegistry::for_each_of(std::string_view upstream, Call call) const {
  std::size_t count = 0;
  for (const auto& [key, pool] : pools_) {
    if (key.upstream != upstream) continue;
    call(*pool);
    ++count;
  }
  return count;
}

std::size_t PoolRegistry::set_paused(std::string_view upstream, bool paused) {
  const std::lock_guard lock(mutex_);
  if (!paused) {
    if (const auto it = paused_.find(upstream); it != paused_.end()) paused_.erase(it);
  } else if (policies_.contains(upstream)) {
    paused_.emplace(upstream);
  }
  return for_each_of(upstream, [&](HostPool& pool) { pool.set_paused(paused); });
}

bool PoolRegistry::is_paused(std::string_view upstream) const {
  const std::lock_guard lock(mutex_);
  return paused_.contains(upstream);
}

UpstreamNames PoolRegistry::paused() const {
  const std::lock_guard lock(mutex_);
  return paused_;
}

PoolRegistry::Retirement PoolRegistry::retire(std::string_view upstream) {
  const std::lock_guard lock(mutex_);
  Retirement result{.below = next_connection_id()};
  result.hosts = for_each_of(
      upstream, [&](HostPool& pool) { result.connections += pool.retire_below(result.below); });
  return result;
}

std::size_t PoolRegistry::count_hosts(std::string_view upstream) const {
  const std::lock_guard lock(mutex_);
  return for_each_of(upstream, [](HostPool&) {});
}

ConnectionRows PoolRegistry::connections(MonotonicTime now, std::string_view upstream,
                                         std::size_t most) const {
  ConnectionRows rows;
  const std::lock_guard lock(mutex_);
  for (const auto& [key, pool] : pools_) {
    if (rows.size() >= most) break;
    if (upstream.empty() || key.upstream == upstream) pool->append_connections(now, most, rows);
  }
  return rows;
}

WaitingRows PoolRegistry::waiting(MonotonicTime now, std::string_view upstream,
                                  std::size_t most) const {
  WaitingRows rows;
  const std::lock_guard lock(mutex_);
  for (const auto& [key, pool] : pools_) {
    if (rows.size() >= most) break;
    if (upstream.empty() || key.upstream == upstream) pool->append_waiting(now, most, rows);
  }
  return rows;
}

// An exchange may still run under a file that named this upstream: its connections are allowed, one
// request each.
PoolPolicy PoolRegistry::policy_of(std::string_view upstream) const {
  const auto it = policies_.find(upstream);
  if (it != policies_.end()) return it->second;
  return {.limits = {.max_connections = 1,
                     .max_idle = 0,
                     .max_waiting = 1000,
                     .idle_timeout = {},
                     .reuse = false}};
}

}  // namespace penstock
