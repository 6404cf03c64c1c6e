// The process: one configuration in force, its workers, its listening sockets, reload, drain, stop.
//
// It lives on the control loop, the main thread's, beside the admin server and the signals; requests
// are served by the workers alone.
//
// Owner: run_daemon(). Thread: the main one. Ends after its workers were stopped.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/log.h"
#include "config/loader.h"
#include "event/loop.h"
#include "event/watcher.h"
#include "net/tls_context.h"
#include "pool/registry.h"
#include "proxy/client_quota.h"
#include "proxy/routing_table.h"
#include "server/admin_server.h"
#include "server/worker.h"
#include "telemetry/access_log.h"
#include "telemetry/metrics.h"
#include "telemetry/process_stats.h"

namespace penstock {

// Exit codes of the program (sysexits.h where it has one).
enum ExitCode : int { kExitOk = 0, kExitFailure = 1, kExitUsage = 64, kExitAddressInUse = 69, kExitConfig = 78 };

class Daemon final : private AdminBackend {
 public:
  // `config_path`: read again on SIGHUP; empty for the built-in default.
  Daemon(std::string config_path, LoadResult loaded);
  Daemon(const Daemon&) = delete;
  Daemon& operator=(const Daemon&) = delete;
  ~Daemon();

  // Serves until a signal ends it; the exit code.
  int run();

 private:
  enum class State : std::uint8_t { kStarting, kServing, kDraining, kStopped };

  // Start, in this order. Each says why it failed in the log and gives the exit code.
  int set_up();
  int prepare_config();
  int open_listeners();
  int open_admin();
  int create_workers();

  // Reload.
  void reload();
  bool try_reload(std::string& why);
  void apply(LoadResult next, std::shared_ptr<const RoutingTable> table);
  // Binds what is not listened on yet into `opened`.
  bool open_new_listeners(const Config& next, std::map<std::string, int>& opened, std::string& why, int& code);
  void hand_out_listeners(const Config& config);
  std::shared_ptr<const EgressPolicy> make_egress(const Config& config) const;
  WorkerConfig worker_config() const;
  void reopen_logs();

  // Stop.
  void on_stop_signal();
  void begin_drain();
  void on_worker_drained();
  void on_grace_over();
  void stop();

  // What the admin server asks for.
  bool ready(std::string& why) override;
  std::string pools_json(std::string_view upstream) override;
  std::string metrics_text() override;
  void check_workers(Delegate<void()> on_all_alive) override;
  void on_worker_alive(std::uint64_t round);

  const std::string config_path_;
  LoadResult loaded_;
  std::uint64_t revision_ = 1;
  bool last_reload_successful_ = true;
  WallTime last_reload_{};

  Log log_;
  Loop loop_;
  TrustStores trust_;
  MetricsRegistry metrics_;
  AccessLog access_log_;
  ClientQuota clients_;
  PoolRegistry registry_;
  std::shared_ptr<const RoutingTable> table_;
  std::shared_ptr<const EgressPolicy> egress_;
  std::map<std::string, SocketAddress> listening_;  // by address as configured
  std::map<std::string, int> opened_;               // sockets not handed to a worker yet
  std::vector<std::unique_ptr<Worker>> workers_;
  std::unique_ptr<AdminServer> admin_;
  Deadline grace_;
  State state_ = State::kStarting;
  std::size_t undrained_workers_ = 0;
  std::size_t silent_workers_ = 0;
  std::uint64_t liveness_round_ = 0;
  Delegate<void()> on_all_alive_;
  int exit_code_ = kExitOk;
};

}  // namespace penstock
