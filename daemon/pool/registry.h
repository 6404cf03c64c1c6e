// All the HostPools of the process, and what the present configuration says of them.
//
// Owner: the Daemon; it outlives the workers. Thread: any, behind one mutex that workers take only
// for a host they have not met yet. Ends when no worker holds a HostPool any more (asserted).
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "pool/host_pool.h"

namespace penstock {

// What a configuration says of the pools of one upstream.
struct PoolPolicy {
  HostLimits limits;
  std::uint64_t identity = 0;
};
using PoolPolicies = std::map<std::string, PoolPolicy, std::less<>>;  // by the upstream's name

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
  explicit PoolRegistry(std::size_t worker_count) : worker_count_(worker_count) {}
  PoolRegistry(const PoolRegistry&) = delete;
  PoolRegistry& operator=(const PoolRegistry&) = delete;

  std::size_t worker_count() const { return worker_count_; }

  // Takes effect on every pool at once; each worker must then trim() its own. A pool whose upstream
  // is gone keeps nothing idle.
  void apply(PoolPolicies policies);

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

 private:
  PoolPolicy policy_of(std::string_view upstream) const;

  const std::size_t worker_count_;
  std::atomic<std::uint64_t> last_connection_id_{0};
  mutable std::mutex mutex_;  // of the rest
  PoolPolicies policies_;
  std::unordered_map<HostKey, std::shared_ptr<HostPool>, HostKeyHash, HostKeyEqual> pools_;
};

}  // namespace penstock
