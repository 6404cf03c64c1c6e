// One worker's way to the pools: acquire() for its exchanges, and what the pools need of the
// worker.
//
// Owner: the Worker. Thread: its loop's. shut_down() before it ends: by then no exchange waits or
// holds a lease; idle connections and dials are closed.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "config/destination.h"
#include "config/settings.h"
#include "event/clock.h"
#include "event/executor.h"
#include "event/timer_wheel.h"
#include "net/dialer.h"
#include "pool/host_pool.h"
#include "pool/registry.h"
#include "telemetry/metrics.h"

namespace penstock {

// Where a request goes and under which policy; borrowed for the call.
struct AcquireRequest {
  std::string_view upstream;  // its name
  const Destination& destination;
  const Destination::Choice& choice;
  std::uint64_t identity = 0;
  const UpstreamPolicy& policy;
  const TimeoutSettings& timeouts;  // of the policy, or of a route
  const std::shared_ptr<const TlsClientContext>& tls;
  ClientScope scope = ClientScope::kMachine;
  bool prefers_recent = false;  // may not be sent twice: the connection least likely to be dead
  std::optional<MonotonicTime> waiting_since{};  // it was led here by a reload, and keeps its place
};

// By the upstream's name; those that lost nothing are not in it.
using TrimmedByUpstream = std::map<std::string, Trimmed, std::less<>>;

// The limits of a dial that a request under these timeouts begins.
DialLimits dial_limits(const TimeoutSettings& timeouts);

class WorkerPool {
 public:
  struct Outside {
    Executor& executor;
    const Clock& clock;
    TimerWheel& timers;
    Dialer& dialer;
    WorkerMetrics& metrics;
    std::uint32_t seed = 1;  // of what is left to chance
  };
  WorkerPool(std::size_t index, PoolRegistry& registry, const Outside& outside);
  WorkerPool(const WorkerPool&) = delete;
  WorkerPool& operator=(const WorkerPool&) = delete;
  ~WorkerPool();

  // A connection that is idle; or a place in the queue or a dial; or why neither (queue full).
  [[nodiscard]] AcquireOutcome acquire(const AcquireRequest& request, AcquireHandler& handler);

  // The registry has applied a new configuration: closes what it excludes, and says how much. What
  // is to be kept warm must be told anew.
  TrimmedByUpstream on_reconfigured();
  // Opens this worker's share of min_idle for where the request would go, and keeps it.
  void keep_warm(const AcquireRequest& request);
  void shut_down();

  // Of the console, after the registry's set_paused() or retire(). close_idle() closes `most` of
  // the upstream's idle connections with smaller numbers than `id` and says how many; fewer: all.
  void follow_pause(std::string_view upstream);
  std::uint32_t close_idle(std::string_view upstream, std::uint64_t id, std::uint32_t most);
  bool is_paused(std::string_view upstream) const { return registry_.is_paused(upstream); }
  // Closes the connection that was idle longest, whosever it is, for its descriptor. False: none
  // is.
  bool evict_idle();

  // What the resolver says of a name: an address is not its any more, or is again. Connections that
  // were dialled for the name and lead there are retired; see HostPool.
  void on_address_left(std::string_view host, const SocketAddress& address);
  void on_address_returned(std::string_view host, const SocketAddress& address);

  std::size_t index() const { return index_; }
  MonotonicTime now() const { return outside_.clock.now(); }
  // When the machine was last found to have been asleep for more than a few seconds: what had been
  // idle then was slept through.
  MonotonicTime woke_at();
  TimerWheel& timers() { return outside_.timers; }
  Executor& executor() { return outside_.executor; }
  Dialer& dialer() { return outside_.dialer; }
  WorkerMetrics& metrics() { return outside_.metrics; }
  std::uint64_t next_connection_id() { return registry_.next_connection_id(); }
  // 0 to 1, by chance.
  double draw() { return std::uniform_real_distribution()(random_); }

 private:
  struct Host {
    std::shared_ptr<HostPool> pool;
    std::vector<FlavorRef> flavors;  // one, but for a host that is reached in several ways
  };

  Host& host_for(const HostKeyView& key);
  void drop_retired(const HostKeyView& key);
  void look_soon_when_many();
  std::vector<std::shared_ptr<HostPool>> pools_of(std::string_view upstream) const;
  static const FlavorRef& flavor_for(Host& host, const AcquireRequest& request);
  void look_after_hosts();
  bool forget_if_unused(Host& host);
  void keep_names_fresh(const Host& host);

  const std::size_t index_;
  PoolRegistry& registry_;
  Outside outside_;
  using Hosts = std::unordered_map<HostKey, Host, HostKeyHash, HostKeyEqual>;
  Hosts hosts_;
  Hosts::value_type* last_host_ = nullptr;  // asked for last; null once it may be gone
  Deadline look_after_hosts_;
  std::size_t hosts_at_last_look_ = 0;
  Duration time_asleep_;
  MonotonicTime woke_at_ = kNever;
  std::minstd_rand random_;
};

}  // namespace penstock
