// The process: one configuration in force, its workers, its listening sockets, reload, drain, stop.
//
// It lives on the control loop, the main thread's, beside the admin server and the signals;
// requests are served by the workers alone. daemon.cc starts it, daemon_reload.cc gives it another
// configuration, daemon_takeover.cc lets another process go on in its place, daemon_stop.cc ends
// it, daemon_pages.cc and daemon_settings.cc answer what others ask of it.
//
// Owner: run_daemon(). Thread: the main one. Ends after its workers were stopped.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
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
#include "server/client_wait.h"
#include "server/config_json.h"
#include "server/config_watch.h"
#include "server/dashboard.h"
#include "server/exit_code.h"
#include "server/held_signals.h"
#include "server/listening_sockets.h"
#include "server/log_level_switch.h"
#include "server/memory_trim.h"
#include "server/pool_console.h"
#include "server/reload_report.h"
#include "server/service_manager.h"
#include "server/takeover.h"
#include "server/takeover_server.h"
#include "server/worker.h"
#include "telemetry/access_log.h"
#include "telemetry/metrics.h"
#include "telemetry/process_stats.h"

namespace penstock {

// How a daemon and its successor find each other.
struct TakeoverOptions {
  std::string path;    // of the socket for that; "": nobody may take over
  bool begin = false;  // take over from whoever runs
};

class Daemon {
 public:
  // `config_path`: read again on SIGHUP; empty for the built-in default.
  Daemon(std::string config_path, LoadResult loaded, TakeoverOptions takeover = {});
  Daemon(const Daemon&) = delete;
  Daemon& operator=(const Daemon&) = delete;

  // Called once the daemon serves, for each listener with the address it is bound to.
  using OnListening = std::function<void(const SocketAddress& local)>;

  // Serves until a signal ends it; the exit code. `held`: signals that wait for its watchers.
  int run(const OnListening& on_listening = {}, HeldSignals* held = nullptr);

 private:
  enum class State : std::uint8_t { kStarting, kServing, kDraining, kStopped };

  // Start, in this order. Each says why it failed in the log and gives the exit code.
  int set_up();
  int prepare_config();
  int take_over();
  int open_listeners();
  int open_admin();
  int open_admin_server(std::unique_ptr<AdminServer>& server, AdminScope scope);
  int create_resolver();
  void create_workers();
  void set_process_limits(const Config& config);

  // Reload. One at a time: who asks while the workers take a configuration over gets another.
  struct ReloadUnderWay {
    ReloadReport report;
    std::vector<ReloadDone> done;
    std::size_t workers = 0;  // that have not answered
  };
  void on_reload_wanted();
  void reload(ReloadDone done);
  void begin_reload();
  bool try_reload(ReloadReport& report);
  LoadResult load_again() const;
  bool can_load_again() const;
  ConfigDiff changes_to(const Config& next) const;
  void apply(LoadResult next, std::shared_ptr<const RoutingTable> table,
             const std::vector<std::string>& lost);
  void on_worker_reconfigured(const TrimmedByUpstream& trimmed);
  void finish_reload();
  void take_note(const ReloadReport& report);
  void refuse_reload(const ReloadDone& done);
  void hand_out_listeners(const Config& config);
  std::shared_ptr<const EgressPolicy> make_egress(const Config& config) const;
  WorkerConfig worker_config() const;
  void reopen_logs();

  // Takeover.
  void end_takeover();
  void open_takeover_server(UniqueFd fd);
  std::string objection_to_takeover() const;
  void collect_sockets(std::function<void(std::vector<HandedSockets>)> done);
  void add_admin_sockets(std::vector<HandedSockets>& sockets) const;
  void on_taken_over(pid_t successor, const std::vector<HandedSockets>& kept);
  void let_go(const std::vector<HandedSockets>& sockets);

  // Stop.
  void on_stop_signal();
  void begin_drain();
  void drain(const Limit& wait_for_clients);
  void stop_accepting();
  void drain_workers();
  void on_worker_drained();
  void on_grace_over();
  void stop();

  // What the admin addresses serve.
  AdminRoutes admin_routes();
  AdminRoutes probe_routes();
  AdminRoutes page_routes();
  AdminRoutes dashboard_routes();
  AdminRoutes action_routes();
  AdminRoute pool_route(std::string_view path, PoolAction action);
  void serve_action(PoolAction action, const AdminRequest& request, const AdminAnswer& answer);
  void serve_reload(const AdminAnswer& answer);
  void serve_drain(const AdminAnswer& answer);
  void serve_log_level(const AdminRequest& request, const AdminAnswer& answer);
  std::string config_text(std::string_view upstream) const;
  // Of keys of the process, what holds where that may be another value than the file's.
  ValuesInForce values_in_force() const;
  std::vector<std::string> bound_addresses() const;
  bool ready(std::string& why);
  bool warmed_up(std::string& why) const;
  std::string metrics_text();
  PoolGauges pool_gauges() const;
  DaemonFacts facts() const;
  // Calls back once every worker's loop has turned; never when one hangs.
  void check_workers(std::function<void()> on_all_alive);

  // What the service manager asks for.
  std::string status_line();

  const std::string config_path_;
  const TakeoverOptions takeover_options_;
  LoadResult loaded_;
  const ConfigSnapshot started_with_;  // its restart keys are in force
  std::uint64_t revision_ = 1;
  bool last_reload_successful_ = true;
  std::string last_reload_error_;                // of the last reload, if that failed
  std::vector<std::string> last_reload_faults_;  // likewise, line by line
  WallTime last_reload_{};

  const std::size_t worker_count_;
  std::uint64_t descriptors_ = 0;  // how many the process may have
  Log log_;
  Loop loop_;
  LogLevelSwitch log_level_{loop_, log_, loaded_.config->log.level};
  TrustStores trust_;
  MetricsRegistry metrics_;
  AccessLog access_log_{AccessLog::kDefaultMaxBlocks, &log_};
  ClientQuota clients_;
  PoolingHints hints_;
  RetryAllowances retries_;
  BufferBudget buffers_;
  ProcessHeap heap_;
  MemoryTrim memory_trim_{loop_.timers(),
                          loop_,
                          {.use = Delegate<HeapUse()>::to<&ProcessHeap::use>(heap_),
                           .trim = Delegate<void()>::to<&ProcessHeap::trim>(heap_)}};
  PoolRegistry registry_;
  std::shared_ptr<const RoutingTable> table_;
  std::shared_ptr<const EgressPolicy> egress_;
  ListeningSockets sockets_{worker_count_};
  std::unique_ptr<DnsThread> dns_;  // outlives the workers
  Workers workers_;
  PoolConsole console_{registry_, workers_, log_};
  Dashboard dashboard_{loop_, metrics_};
  const AdminRoutes routes_ = admin_routes();
  std::unique_ptr<AdminServer> admin_;
  std::unique_ptr<AdminServer> public_admin_;
  ServiceManager service_manager_;
  ConfigWatch watch_;
  std::optional<ReloadUnderWay> reload_;
  std::vector<ReloadDone> next_reload_;  // not empty: another follows
  std::optional<Takeover> takeover_;     // until we serve
  std::unique_ptr<TakeoverServer> takeover_server_;
  Deadline grace_;
  ClientWait client_wait_;
  State state_ = State::kStarting;
  bool stop_signalled_ = false;
  std::size_t undrained_workers_ = 0;
  int exit_code_ = kExitOk;
  bool warmed_up_ = false;  // what pool.warmup requires was open once
};

}  // namespace penstock
