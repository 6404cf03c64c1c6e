#include "pool/permit_bank.h"

#include "pool/host_pool.h"

namespace penstock {

void PermitBank::set_limit(std::uint32_t limit) {
  limit_.store(limit);
  serve();
}

bool PermitBank::try_take() { return !wanted() && claim(); }

bool PermitBank::claim() {
  std::uint32_t taken = taken_.load();
  while (taken < limit_.load()) {
    if (taken_.compare_exchange_weak(taken, taken + 1)) return true;
  }
  return false;
}

// Whoever gives back looks for waiters after it, whoever waits looks for permits after that: one of
// them sees the other.
void PermitBank::give_back(std::uint32_t count) {
  taken_.fetch_sub(count);
  if (waiting_.load() > 0) serve();
}

void PermitBank::wait_for_one(std::shared_ptr<HostPool> host) {
  put_back(std::move(host));
  serve();
}

void PermitBank::put_back(std::shared_ptr<HostPool> host) {
  const std::lock_guard lock(mutex_);
  queue_.push_back(std::move(host));
  waiting_.fetch_add(1);
}

// The host that a permit was claimed for; null: nobody waits, or nothing is free.
std::shared_ptr<HostPool> PermitBank::next_served() {
  const std::lock_guard lock(mutex_);
  if (queue_.empty() || !claim()) return nullptr;
  std::shared_ptr<HostPool> host = std::move(queue_.front());
  queue_.pop_front();
  waiting_.fetch_sub(1);
  return host;
}

// While a permit is free one of those that wait has less than its part. Who has that much is asked
// again only when another has left the queue: then there are fewer to share with.
void PermitBank::serve() {
  for (std::uint32_t later = 0; later < waiting_.load();) {
    std::shared_ptr<HostPool> host = next_served();
    if (host == nullptr) return;
    const PermitOffer answer = host->accept_permit();
    if (answer != PermitOffer::kTaken) taken_.fetch_sub(1);
    if (answer == PermitOffer::kLater) {
      put_back(std::move(host));
      ++later;
    } else {
      later = 0;
    }
  }
}

}  // namespace penstock
