#include "pool/idle_room.h"

#include "pool/host_pool.h"

namespace penstock {

bool IdleRoom::reserve() {
  if (taken_.fetch_add(1, std::memory_order_relaxed) < limit()) return true;
  leave();
  return false;
}

void IdleRoom::rank(HostPool& host, MonotonicTime since) {
  const std::lock_guard lock(mutex_);
  remove(host);
  host.rank_ = since;
  ranking_.emplace(since, &host);
}

void IdleRoom::forget(HostPool& host) {
  const std::lock_guard lock(mutex_);
  remove(host);
}

void IdleRoom::remove(HostPool& host) {
  if (host.rank_) ranking_.erase({*host.rank_, &host});
  host.rank_.reset();
}

std::optional<IdleRoom::Coldest> IdleRoom::take_coldest() {
  const std::lock_guard lock(mutex_);
  if (ranking_.empty()) return std::nullopt;
  const auto [since, host] = *ranking_.begin();
  remove(*host);
  return Coldest{host->weak_from_this().lock(), since};
}

bool IdleRoom::evict_coldest(WorkerPool& by) {
  while (const std::optional<Coldest> coldest = take_coldest()) {
    if (coldest->host == nullptr) continue;
    const Eviction done = coldest->host->evict_idle(by, coldest->since);
    if (done.oldest_left) rank(*coldest->host, *done.oldest_left);
    if (done.evicted) return true;
  }
  return false;
}

}  // namespace penstock
