// How many idle connections the whole process keeps (`process.max_idle_connections`), and which
// one goes when there is no room: the least recently used of all hosts and workers.
//
// Hosts are ranked by a time that is not after their oldest idle connection came back. It is set
// when a host that was not ranked has its first one, and corrected only when an eviction finds it
// outdated, so that a request costs no more than the count.
//
// Owner: ProcessBounds. Thread: any. Never call it with a HostPool's mutex held, but for reserve()
// and leave().
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <utility>

#include "base/time.h"

namespace penstock {

class HostPool;
class WorkerPool;

class IdleRoom {
 public:
  IdleRoom() = default;
  IdleRoom(const IdleRoom&) = delete;
  IdleRoom& operator=(const IdleRoom&) = delete;

  void set_limit(std::uint32_t limit) { limit_.store(limit, std::memory_order_relaxed); }
  std::uint32_t limit() const { return limit_.load(std::memory_order_relaxed); }
  std::uint32_t taken() const { return taken_.load(std::memory_order_relaxed); }
  bool exceeded() const { return taken() > limit(); }
  // For one more, when so many others come.
  bool has_room_beside(std::uint32_t others) const {
    return std::uint64_t{taken()} + others < limit();
  }

  // A place for one more; leave() when the connection is idle no longer.
  [[nodiscard]] bool reserve();
  void leave() { taken_.fetch_sub(1, std::memory_order_relaxed); }

  // The host has idle connections, none of which came back before `since`.
  void rank(HostPool& host, MonotonicTime since);
  void forget(HostPool& host);

  // Closes the idle connection that was used least recently; false when there is none. `by` is the
  // caller's worker.
  bool evict_coldest(WorkerPool& by);

 private:
  struct Coldest {
    std::shared_ptr<HostPool> host;  // null: it is just ending
    MonotonicTime since;
  };
  std::optional<Coldest> take_coldest();
  void remove(HostPool& host);

  std::atomic<std::uint32_t> limit_{UINT32_MAX};
  alignas(64) std::atomic<std::uint32_t> taken_{0};  // changed by every request
  alignas(64) std::mutex mutex_;
  std::set<std::pair<MonotonicTime, HostPool*>> ranking_;  // borrowed: a host's end forgets it
};

}  // namespace penstock
