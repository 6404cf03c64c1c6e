// The process: one configuration in force, its workers, its listening sockets, reload, drain, stop.
//
// It lives on the control loop, the main thread's, beside the admin server and the signals;
// requests are served by the workers alone.
//
// Owner: run_daemon(). Thread: the main one. Ends after its workers were stopped.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/log.h"
#include "config/loader.h"
#include "event/loop.h"
#include "event/watcher.h"
#include "net/dns_thread.h"
#include "net/tls_context.h"
#include "pool/registry.h"
#include "proxy/client_quota.h"
#include "proxy/routing_table.h"
#include "server/admin_server.h"
#include "server/exit_code.h"
#include "server/listening_sockets.h"
#include "server/service_manager.h"
#include "server/worker.h"
#include "telemetry/access_log.h"
#include "telemetry/metrics.h"
#include "telemetry/process_stats.h"

namespace penstock {

class Daemon final : private AdminBackend {
 public:
  // `config_path`: read again on SIGHUP; empty for the built-in default.
  Daemon(std::string config_path, LoadResult loaded);
  Daemon(const Daemon&) = delete;
  Daemon& operator=(const Daemon&) = delete;

  // Called once the daemon serves, for each listener with the address it is bound to.
  using OnListening = std::function<void(const SocketAddress& local)>;

  // Serves until a signal ends it; the exit code.
  int run(const OnListening& on_listening = {});

 private:
  enum class State : std::uint8_t { kStarting, kServing, kDraining, kStopped };

  // Start, in this order. Each says why it failed in the log and gives the exit code.
  int set_up();
  int prepare_config();
  int open_listeners();
  int open_admin();
  int open_admin_server(std::unique_ptr<AdminServer>& server, AdminScope scope);
  int create_resolver();
  void create_workers();

  // Reload.
  void reload();
  bool try_reload(std::string& why);
  void apply(LoadResult next, std::shared_ptr<const RoutingTable> table);
  void hand_out_listeners(const Config& config);
  std::shared_ptr<const EgressPolicy> make_egress(const Config& config) const;
  WorkerConfig worker_config() const;
  void reopen_logs();

  // Stop.
  void on_stop_signal();
  void begin_drain();
  void drain_workers();
  void on_worker_drained();
  void on_grace_over();
  void stop();

  // What the admin server asks for.
  bool ready(std::string& why) override;
  bool warmed_up(std::string& why) const;
  std::string pools_json(std::string_view upstream) override;
  std::string dns_json() override;
  std::string metrics_text() override;
  void check_workers(Delegate<void()> on_all_alive) override;

  // What the service manager asks for.
  std::string status_line();

  const std::string config_path_;
  LoadResult loaded_;
  std::uint64_t revision_ = 1;
  bool last_reload_successful_ = true;
  std::string last_reload_error_;  // of the last reload, if that failed
  WallTime last_reload_{};

  const std::size_t worker_count_;
  Log log_;
  Loop loop_;
  TrustStores trust_;
  MetricsRegistry metrics_;
  AccessLog access_log_;
  ClientQuota clients_;
  PoolingHints hints_;
  PoolRegistry registry_;
  std::shared_ptr<const RoutingTable> table_;
  std::shared_ptr<const EgressPolicy> egress_;
  ListeningSockets sockets_{worker_count_};
  std::unique_ptr<DnsThread> dns_;  // outlives the workers
  Workers workers_;
  std::unique_ptr<AdminServer> admin_;
  std::unique_ptr<AdminServer> public_admin_;
  ServiceManager service_manager_;
  Deadline grace_;
  State state_ = State::kStarting;
  std::size_t undrained_workers_ = 0;
  int exit_code_ = kExitOk;
  bool warmed_up_ = false;  // what pool.warmup requires was open once
};

}  // namespace penstock
