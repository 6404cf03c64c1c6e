// One event loop with everything that lives on it: listeners, sessions, exchanges, its side of the
// pools, its side of the resolver, its dialer.
//
// Owner: the Daemon. Thread: start() runs the loop on a thread of its own. The public functions are
// called on the control thread and post to the loop what they ask for; listening sockets are handed
// over as descriptors. stop() ends it: sessions are cut, connections closed, the thread joined.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "base/log.h"
#include "event/loop.h"
#include "net/address_observer.h"
#include "net/dns_client.h"
#include "net/dns_service.h"
#include "net/egress.h"
#include "net/listener.h"
#include "net/net_dialer.h"
#include "net/unique_fd.h"
#include "pool/registry.h"
#include "pool/worker_pool.h"
#include "proxy/client_quota.h"
#include "proxy/endpoint.h"
#include "proxy/proxy.h"
#include "telemetry/access_log.h"
#include "telemetry/metrics.h"

namespace penstock {

class Worker;
using Workers = std::vector<std::unique_ptr<Worker>>;

// What a worker shares with the others; outlives them.
struct Shared {
  const Workers& workers;  // all of them; complete before the first starts
  PoolRegistry& registry;
  AccessLog& access_log;
  DnsService& dns;
  ClientQuota& clients;
  PoolingHints& hints;
  RetryAllowances& retries;
  BufferBudget& buffers;
  Log& log;
  std::string pseudonym;
};

// One configuration as a worker needs it; immutable, handed over whole.
struct WorkerConfig {
  std::shared_ptr<const RoutingTable> table;
  std::shared_ptr<const EgressPolicy> egress;
};

class Worker final : private AddressObserver {
 public:
  using Done = std::function<void()>;  // called on the control loop

  Worker(std::size_t index, Loop& control, const Shared& shared, WorkerMetrics& metrics,
         const WorkerConfig& config);
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;
  ~Worker();  // after stop(), or never started

  void start();
  void stop();

  // Accepts from the listening descriptor; without one it serves the clients of this address that
  // others accept. An address may have several sockets, each with an address of its own.
  void open_listener(UniqueFd fd, const SocketAddress& local, const ListenerSettings& settings);
  // Leaves what is queued to another process that has the socket too.
  void release_listener(const std::string& address);
  // Duplicates of every socket that is accepted from, for that process.
  struct OpenListener {
    std::string address;
    SocketAddress local;
    UniqueFd fd;
  };
  void duplicate_listeners(std::function<void(std::vector<OpenListener>)> done);

  // Any thread: a client that another worker has accepted at this address, and that counts as ours
  // in the quota.
  void take_client(UniqueFd fd, const SocketAddress& local, const Peer& peer);

  // Requests that come from now on are served by it, those that wait for a connection too, and by
  // listeners as it has them: all in one turn, so that none meets the rules of two. The listeners
  // that have `vanished` accept what is queued, then close. `done` once our pools hold nothing idle
  // that it excludes, with how much they had to close.
  using Reconfigured = std::function<void(const TrimmedByUpstream&)>;  // on the control loop
  void reconfigure(const WorkerConfig& config, const std::vector<std::string>& vanished,
                   Reconfigured done);

  // Listeners take nobody new, are accepted until empty and closed; then sessions end after their
  // next response. `done` when the last one has gone.
  void begin_drain(Done done);
  // Does it on the loop; `done` after it.
  using PoolWork = std::function<void(WorkerPool&)>;
  void with_pool(PoolWork work, Done done);
  // Answers that the loop turns.
  void ping(Done done);
  // The longest turn of the loop since the last call.
  Duration take_longest_turn() { return loop_.take_longest_turn(); }

 private:
  struct Door;  // an address with its listener, if this worker has one, and its endpoint

  void run();
  TrimmedByUpstream apply(const WorkerConfig& config);
  void serve(UniqueFd fd, const SocketAddress& local, const Peer& peer);
  void update_doors(const ListenerSettings& settings);
  void close_doors(const std::string& address);
  std::vector<OpenListener> duplicate_doors() const;
  void drain_sessions();
  void on_drained();
  bool on_descriptors_short();
  void shut_down();
  void on_control(Done done);
  void on_address_left(const std::string& host, const SocketAddress& address) override;
  void on_address_returned(const std::string& host, const SocketAddress& address) override;

  const std::size_t index_;

  // borrowed: outlive us
  Loop& control_;
  const Shared shared_;
  WorkerMetrics& metrics_;

  // owned, in the order of use
  Loop loop_;
  std::unique_ptr<DnsClient> resolver_;
  std::unique_ptr<NetDialer> dialer_;
  std::unique_ptr<WorkerPool> pool_;
  std::unique_ptr<AccessLogWriter> access_log_;
  std::unique_ptr<Proxy> proxy_;
  std::multimap<std::string, std::unique_ptr<Door>> doors_;  // by address
  Deadline handshakes_{loop_.timers(), Delegate<void()>::to<&Worker::drain_sessions>(*this)};
  Done drained_;
  std::thread thread_;
};

}  // namespace penstock
