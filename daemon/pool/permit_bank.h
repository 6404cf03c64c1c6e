// The connections that the whole process may have: `process.max_upstream_connections`.
//
// Each permit of a HostPool is one of the bank's too. While hosts wait for one, nobody else takes
// any: what comes back goes to the host that has waited longest and has less than its part.
//
// Owner: ProcessBounds. Thread: any; taking and giving back touch only atomics while nobody waits.
// Never call it with a HostPool's mutex held, but for try_take().
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>

namespace penstock {

class HostPool;

// What a host says to a permit.
enum class PermitOffer : std::uint8_t {
  kTaken,
  kLater,    // it has its part: others first
  kRefused,  // nobody waits there any more
};

class PermitBank {
 public:
  PermitBank() = default;
  PermitBank(const PermitBank&) = delete;
  PermitBank& operator=(const PermitBank&) = delete;

  // Above a lowered limit nothing is taken back: exceeded() tells whoever could close something.
  void set_limit(std::uint32_t limit);
  std::uint32_t limit() const { return limit_.load(std::memory_order_relaxed); }
  std::uint32_t taken() const { return taken_.load(std::memory_order_relaxed); }
  bool exceeded() const { return taken() > limit(); }
  // Hosts wait for a permit: what could be closed should be.
  bool wanted() const { return waiting_.load(std::memory_order_relaxed) > 0; }
  // Others than the caller, who may be one of them.
  bool wanted_by_others(bool caller_waits) const {
    return waiting_.load(std::memory_order_relaxed) > (caller_waits ? 1U : 0U);
  }
  bool has_free() const { return !wanted() && taken() < limit(); }

  // The part of each host that wants some: those that wait, and the caller, who may be one of them.
  std::uint32_t fair_share(bool caller_waits) const {
    const std::uint32_t hosts = waiting_.load(std::memory_order_relaxed) + (caller_waits ? 0 : 1);
    return limit() / std::max(1U, hosts) + (limit() % std::max(1U, hosts) != 0 ? 1 : 0);
  }

  [[nodiscard]] bool try_take();
  void give_back(std::uint32_t count);
  // The host is offered the next permit that is not owed to others: HostPool::accept_permit(), now
  // or on the thread that gives one back.
  void wait_for_one(std::shared_ptr<HostPool> host);

 private:
  bool claim();
  std::shared_ptr<HostPool> next_served();
  void put_back(std::shared_ptr<HostPool> host);
  void serve();

  std::atomic<std::uint32_t> limit_{UINT32_MAX};
  std::atomic<std::uint32_t> taken_{0};
  std::atomic<std::uint32_t> waiting_{0};  // hosts in queue_
  std::mutex mutex_;
  std::deque<std::shared_ptr<HostPool>> queue_;  // oldest first
};

}  // namespace penstock
