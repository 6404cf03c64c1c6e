// All the HostPools of the process, and what the present configuration says of them.
//
// Owner: the Daemon; it outlives the workers. Thread: any, behind one mutex that workers take only
// for a host they have not met yet. Ends when no worker holds a HostPool any more (asserted).
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "pool/host_pool.h"
#include "pool/idle_limit.h"
#include "pool/process_bounds.h"

namespace penstock {

// What a configuration says of the pools of one upstream.
struct PoolPolicy {
  HostLimits limits;
  std::uint64_t identity = 0;
};
using PoolPolicies = std::map<std::string, PoolPolicy, std::less<>>;  // by the upstream's name

using UpstreamNames = std::set<std::string, std::less<>>;

struct HostKeyView {
  std::string_view upstream;
  std::string_view host;
  std::uint16_t port = 0;
};

struct HostKeyHash {
  using is_transparent = void;
  std::size_t operator()(const HostKeyView& key) const {
    const std::hash<std::string_view> hash;
    return (hash(key.host) * 31 + hash(key.upstream)) * 31 + key.port;
  }
  std::size_t operator()(const HostKey& key) const {
    return (*this)(HostKeyView{key.upstream, key.host, key.port});
  }
};

struct HostKeyEqual {
  using is_transparent = void;
  template <typename A, typename B>
  bool operator()(const A& a, const B& b) const {
    return a.port == b.port && a.host == b.host && a.upstream == b.upstream;
  }
};

class PoolRegistry {
 public:
  // What was learned of hosts outlives their pools, for so many.
  static constexpr std::size_t kMostRemembered = 4096;

  explicit PoolRegistry(std::size_t worker_count) : worker_count_(worker_count) {}
  PoolRegistry(const PoolRegistry&) = delete;
  PoolRegistry& operator=(const PoolRegistry&) = delete;

  std::size_t worker_count() const { return worker_count_; }

  // Takes effect on every pool at once; each worker must then trim() its own. A pool whose upstream
  // is gone keeps nothing idle.
  void apply(PoolPolicies policies);
  ProcessBounds& bounds() { return bounds_; }
  const ProcessBounds& bounds() const { return bounds_; }

  std::shared_ptr<HostPool> find_or_create(const HostKeyView& key);
  // Forgets a pool that has retired; later look-ups make another.
  void remove(const HostPool& pool);
  // A worker has done with it; forgotten unless others have not.
  void release(std::shared_ptr<HostPool> pool);

  // Unique in the process, from 1 on.
  std::uint64_t next_connection_id() {
    return last_connection_id_.fetch_add(1, std::memory_order_relaxed) + 1;
  }

  std::vector<HostSnapshot> snapshot(MonotonicTime now) const;

  // Of the console; for an upstream of the present configuration, and for hosts that are met later
  // too. A pause ends with its upstream. Each worker must then follow_pause() or close_idle(). How
  // many hosts are known.
  std::size_t set_paused(std::string_view upstream, bool paused);
  bool is_paused(std::string_view upstream) const;
  UpstreamNames paused() const;
  // Every connection that there is now closes as it comes free. `connections`: how many they are;
  // `below`: what each worker's close_idle() is to be given.
  struct Retirement {
    std::size_t hosts = 0;
    std::uint32_t connections = 0;
    std::uint64_t below = 0;
  };
  Retirement retire(std::string_view upstream);
  std::size_t count_hosts(std::string_view upstream) const;

  // At most `most` rows, of one upstream or, where that is empty, of all.
  ConnectionRows connections(MonotonicTime now, std::string_view upstream, std::size_t most) const;
  WaitingRows waiting(MonotonicTime now, std::string_view upstream, std::size_t most) const;

 private:
  using Memory = std::pair<HostKey, IdleLimit>;

  template <typename Call>
  std::size_t for_each_of(std::string_view upstream, Call call) const;
  PoolPolicy policy_of(std::string_view upstream) const;
  void remember(const HostPool& pool);
  void recall(HostPool& pool);

  const std::size_t worker_count_;
  std::atomic<std::uint64_t> last_connection_id_{0};
  ProcessBounds bounds_;      // outlives the pools
  mutable std::mutex mutex_;  // of the rest
  PoolPolicies policies_;
  UpstreamNames paused_;  // names of `policies_`
  std::unordered_map<HostKey, std::shared_ptr<HostPool>, HostKeyHash, HostKeyEqual> pools_;
  std::list<Memory> memories_;  // of hosts that have gone, the latest first
  std::unordered_map<HostKey, std::list<Memory>::iterator, HostKeyHash, HostKeyEqual> remembered_;
};

}  // namespace penstock
