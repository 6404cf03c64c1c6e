// How many client connections the process serves at once, and which worker serves the next one.
//
// A worker keeps what it accepts unless another has two clients fewer or less: local clients are
// often few and live long, and the kernel's hash spreads them badly.
//
// Owner: the Daemon. Thread: any.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>

namespace penstock {

class ClientQuota {
 public:
  explicit ClientQuota(std::size_t worker_count = 1) : by_worker_(worker_count) {}

  void set_limit(std::uint32_t limit) { limit_.store(limit, std::memory_order_relaxed); }
  // For a client that this worker has accepted: who is to serve it, and call leave() when it has
  // gone. None when the limit is reached. A lowered limit lets those that are over it finish.
  std::optional<std::size_t> enter(std::size_t accepting) {
    if (taken_.fetch_add(1, std::memory_order_relaxed) >= limit_.load(std::memory_order_relaxed)) {
      taken_.fetch_sub(1, std::memory_order_relaxed);
      return std::nullopt;
    }
    entered_.fetch_add(1, std::memory_order_relaxed);
    const std::size_t place = choose(accepting);
    by_worker_[place].fetch_add(1, std::memory_order_relaxed);
    return place;
  }
  // From now on every worker keeps what it accepts.
  void stop_sharing() { sharing_.store(false, std::memory_order_relaxed); }
  void leave(std::size_t worker) {
    by_worker_[worker].fetch_sub(1, std::memory_order_relaxed);
    taken_.fetch_sub(1, std::memory_order_relaxed);
  }
  // How many have ever entered.
  std::uint64_t entered() const { return entered_.load(std::memory_order_relaxed); }
  std::uint32_t taken() const { return taken_.load(std::memory_order_relaxed); }

 private:
  std::size_t choose(std::size_t accepting) const {
    if (!sharing_.load(std::memory_order_relaxed)) return accepting;
    std::size_t place = accepting;
    std::uint32_t fewest = clients_of(accepting);
    if (fewest > 0) --fewest;  // one apart is even enough
    for (std::size_t other = 0; other < by_worker_.size(); ++other) {
      if (clients_of(other) >= fewest) continue;
      fewest = clients_of(other);
      place = other;
    }
    return place;
  }
  std::uint32_t clients_of(std::size_t worker) const {
    return by_worker_[worker].load(std::memory_order_relaxed);
  }

  std::atomic<std::uint32_t> taken_{0};
  std::atomic<std::uint32_t> limit_{0};
  std::atomic<std::uint64_t> entered_{0};
  std::atomic<bool> sharing_{true};
  std::deque<std::atomic<std::uint32_t>> by_worker_;
};

}  // namespace penstock
