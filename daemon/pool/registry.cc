#include "pool/registry.h"

namespace penstock {

void PoolRegistry::apply(PoolPolicies policies) {
  const std::lock_guard lock(mutex_);
  policies_ = std::move(policies);
  for (const auto& [key, pool] : pools_) {
    const PoolPolicy policy = policy_of(key.upstream);
    pool->set_limits(policy.limits, policy.identity);
  }
}

std::shared_ptr<HostPool> PoolRegistry::find_or_create(const HostKeyView& key) {
  const std::lock_guard lock(mutex_);
  if (const auto it = pools_.find(key); it != pools_.end()) return it->second;
  const PoolPolicy policy = policy_of(key.upstream);
  HostKey owned{std::string(key.upstream), std::string(key.host), key.port};
  auto pool = std::make_shared<HostPool>(owned, policy.limits, policy.identity, worker_count_);
  pools_.emplace(std::move(owned), pool);
  return pool;
}

void PoolRegistry::remove(const HostPool& pool) {
  const std::lock_guard lock(mutex_);
  const auto it = pools_.find(pool.key());
  if (it != pools_.end() && it->second.get() == &pool) pools_.erase(it);
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
