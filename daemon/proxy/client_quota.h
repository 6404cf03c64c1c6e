// How many client connections the process serves at once, over all workers.
//
// Owner: the Daemon. Thread: any.
#pragma once

#include <atomic>
#include <cstdint>

namespace penstock {

class ClientQuota {
 public:
  void set_limit(std::uint32_t limit) { limit_.store(limit, std::memory_order_relaxed); }
  // False when the limit is reached. A lowered limit lets those that are over it finish.
  bool take() {
    if (taken_.fetch_add(1, std::memory_order_relaxed) < limit_.load(std::memory_order_relaxed))
      return true;
    give_back();
    return false;
  }
  void give_back() { taken_.fetch_sub(1, std::memory_order_relaxed); }
  std::uint32_t taken() const { return taken_.load(std::memory_order_relaxed); }

 private:
  std::atomic<std::uint32_t> taken_{0};
  std::atomic<std::uint32_t> limit_{0};
};

}  // namespace penstock
