// A worker without a thread: the real proxy and pool, on a wheel, a dialer and an executor of its
// own, which do something when the simulation gives it a turn.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "client.h"
#include "pool/worker_pool.h"
#include "proxy/proxy.h"
#include "rules.h"
#include "sim_dialer.h"
#include "socket.h"
#include "stage.h"
#include "support/manual_executor.h"

namespace penstock::sim {

// What a process has once; made for all runs, since a run leaves nothing in it.
struct Process {
  AccessLog access_log;  // off
  Log log{LogLevel::kOff};
  TrustStores trust;
};

class Worker;

// What the workers of one run share.
struct Shared {
  Stage& stage;
  const std::vector<std::unique_ptr<Worker>>& workers;
  PoolRegistry& registry;
  Ledger& ledger;
  ClientQuota& clients;
  PoolingHints& hints;
  RetryAllowances& retries;
  BufferBudget& buffers;
  std::vector<Socket*>& sockets;  // all that are not over
  Process& process;
};

class Worker {
 public:
  Worker(std::size_t index, const Shared& shared, SimDialer::OnConnected on_connected,
         std::shared_ptr<const RoutingTable> table);
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;
  ~Worker();

  // The code of this worker runs until the Turn ends.
  class Turn {
   public:
    explicit Turn(Worker& worker);
    Turn(const Turn&) = delete;
    Turn& operator=(const Turn&) = delete;
    ~Turn();

   private:
    Worker& worker_;
    const std::size_t before_;  // whose turn this one interrupts
  };

  // One event, where one is due: a task, the timers, a socket or a limit of a dial.
  bool turn();
  // Anything that is due, and what comes of it.
  void turn_until_quiet();
  bool busy() const { return on_stack_ > 0; }

  void post(std::function<void()> work);
  void apply(std::shared_ptr<const RoutingTable> table, unsigned generation);
  std::optional<std::size_t> place_client() { return proxy_->place(*endpoint_); }
  void serve(Client& client);
  // As the loop's end does: what is posted from now on stays where it is.
  void end();
  bool ended() const { return proxy_ == nullptr; }
  // After the last worker has ended.
  void drop_posted();

  std::size_t index() const { return index_; }
  const unsigned& generation() const { return generation_; }
  SimDialer& dialer() { return dialer_; }
  const SimDialer& dialer() const { return dialer_; }
  WorkerPool& pool() { return *pool_; }
  const Proxy& proxy() const { return *proxy_; }
  WorkerMetrics& metrics() { return metrics_; }
  const ManualExecutor& executor() const { return executor_; }
  const TimerWheel& timers() const { return timers_; }

 private:
  std::string what_is_due() const;
  bool run_posted();
  bool run_timers();
  bool serve_socket();

  const std::size_t index_;
  Shared shared_;
  Stage& stage_;
  ManualExecutor executor_;
  TimerWheel timers_;
  SimDialer dialer_;
  WorkerMetrics metrics_;
  unsigned generation_ = 0;
  std::unique_ptr<WorkerPool> pool_;
  std::unique_ptr<AccessLogWriter> access_log_;
  std::unique_ptr<Proxy> proxy_;
  EndpointRef endpoint_;
  int on_stack_ = 0;
};

}  // namespace penstock::sim
