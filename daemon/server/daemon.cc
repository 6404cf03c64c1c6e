#include "server/daemon.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <random>

#include "server/build_info.h"
#include "server/connection_limits.h"
#include "server/cpu_count.h"
#include "server/memory_limit.h"
#include "server/module_options.h"

namespace penstock {

namespace {

constexpr std::size_t kMostAutoWorkers = 4;

std::size_t count_workers(const Config& config) {
  return config.workers ? *config.workers : std::min(usable_cpus(), kMostAutoWorkers);
}

// RFC 9110 section 7.6.3: what Via calls us; random, so that two proxies in a row are no loop.
std::string random_pseudonym() {
  std::random_device device;
  char text[24];
  std::snprintf(text, sizeof text, "penstock-%08x", device());
  return text;
}

Result<ListeningSocket, ListenFault> obtain_admin_socket(std::optional<Takeover>& takeover,
                                                         const std::string& address, bool full) {
  if (takeover) {
    auto given = takeover->take(full ? HandedKind::kAdmin : HandedKind::kPublicAdmin, address);
    if (!given.empty()) return inherited_socket(std::move(given.front()));
  }
  return open_admin_socket(address);
}

}  // namespace

Daemon::Daemon(std::string config_path, LoadResult loaded, TakeoverOptions takeover)
    : config_path_(std::move(config_path)),
      takeover_options_(std::move(takeover)),
      loaded_(std::move(loaded)),
      started_with_(loaded_.config),
      worker_count_(count_workers(*loaded_.config)),
      log_(loaded_.config->log.level, loaded_.config->log.format),
      clients_(worker_count_),
      registry_(worker_count_),
      service_manager_(loop_, log_,
                       {Delegate<std::string()>::to<&Daemon::status_line>(*this),
                        Delegate<void(std::function<void()>)>::to<&Daemon::check_workers>(*this)}),
      watch_(loop_.timers(), loop_, Delegate<void()>::to<&Daemon::on_reload_wanted>(*this)),
      grace_(loop_.timers(), Delegate<void()>::to<&Daemon::on_grace_over>(*this)),
      client_wait_(loop_.timers(), loop_, clients_,
                   Delegate<void()>::to<&Daemon::stop_accepting>(*this)) {}

// Start

int Daemon::run(const OnListening& on_listening, HeldSignals* held) {
  std::signal(SIGPIPE, SIG_IGN);  // OpenSSL writes to sockets without MSG_NOSIGNAL
  if (const int code = set_up(); code != kExitOk) return code;
  SignalWatcher reload_signal(loop_, SIGHUP,
                              Delegate<void()>::to<&Daemon::on_reload_wanted>(*this));
  SignalWatcher reopen_signal(loop_, SIGUSR1, Delegate<void()>::to<&Daemon::reopen_logs>(*this));
  SignalWatcher term_signal(loop_, SIGTERM, Delegate<void()>::to<&Daemon::on_stop_signal>(*this));
  SignalWatcher interrupt_signal(loop_, SIGINT,
                                 Delegate<void()>::to<&Daemon::on_stop_signal>(*this));
  dns_->start();
  watch_.watch(loaded_.files, loaded_.config->reload.watch);
  memory_trim_.start();
  for (const auto& worker : workers_) worker->start();
  state_ = State::kServing;
  end_takeover();
  for (const ListeningSocket& socket : sockets_.all()) {
    log_.info("listening", {{"address", socket.local.to_string()}});
    if (on_listening) on_listening(socket.local);
  }
  log_.info("penstock is ready",
            {{"version", version()}, {"config", loaded_.file}, {"pid", ::getpid()}});
  service_manager_.ready();
  if (held != nullptr) held->release();
  if (admin_ != nullptr) dashboard_.begin();
  loop_.run();
  takeover_server_.reset();
  admin_.reset();
  public_admin_.reset();
  for (const auto& worker : workers_) worker->stop();
  workers_.clear();
  dns_->stop();
  log_.info("stopped", {{"exit_code", exit_code_}});
  return exit_code_;
}

int Daemon::set_up() {
  descriptors_ = raise_descriptor_limit();
  for (const auto step : {&Daemon::prepare_config, &Daemon::take_over, &Daemon::open_listeners,
                          &Daemon::open_admin, &Daemon::create_resolver}) {
    if (const int code = (this->*step)(); code != kExitOk) return code;
  }
  create_workers();
  return kExitOk;
}

int Daemon::prepare_config() {
  for (const std::string& risk : loaded_.risk_lines()) log_.warning(risk);
  auto table = RoutingTable::create(loaded_.config, trust_, nullptr);
  if (!table) {
    log_.error("the configuration cannot be used", {{"error", table.error()}});
    return kExitConfig;
  }
  table_ = *std::move(table);
  if (auto opened = access_log_.configure(loaded_.config->access_log); !opened) {
    log_.error("the access log cannot be opened", {{"error", opened.error()}});
    return kExitConfig;
  }
  set_process_limits(*loaded_.config);
  registry_.apply(pool_policies(*table_));
  last_reload_ = loop_.wall_now();
  return kExitOk;
}

// Both numbers may be given, and be too high together.
void Daemon::set_process_limits(const Config& config) {
  const ConnectionLimits limits = connection_limits(config, descriptors_);
  clients_.set_limit(limits.clients);
  registry_.bounds().set_limits(limits.upstreams);
  buffers_.set_limit(buffer_limit(config.process, memory_limit()));
  if (limits.descriptors <= descriptors_) return;
  log_.warning(
      "client.max_connections and process.max_upstream_connections are more than the files that "
      "this process may open: raise its limit (LimitNOFILE=, ulimit -n) or lower them",
      {{"needed", limits.descriptors}, {"limit", descriptors_}});
}

int Daemon::open_listeners() {
  if (takeover_) sockets_.inherit(*loaded_.config, *takeover_);
  auto opened = sockets_.open_missing(*loaded_.config);
  if (!opened) {
    log_.error("cannot listen", {{"error", opened.error().why}});
    return opened.error().exit_code;
  }
  sockets_.adopt(*std::move(opened));
  for (const std::string& name : sockets_.unused_names(*loaded_.config)) {
    log_.warning("a socket that systemd passed is not used: no listener has this address",
                 {{"address", "systemd:" + name}});
  }
  return kExitOk;
}

int Daemon::open_admin() {
  if (const int code = open_admin_server(admin_, AdminScope::kFull); code != kExitOk) return code;
  return open_admin_server(public_admin_, AdminScope::kPublic);
}

int Daemon::open_admin_server(std::unique_ptr<AdminServer>& server, AdminScope scope) {
  const AdminSettings& settings = loaded_.config->admin;
  const bool full = scope == AdminScope::kFull;
  const std::string& address = full ? settings.address : settings.public_address;
  if (address.empty()) return kExitOk;
  auto socket = obtain_admin_socket(takeover_, address, full);
  if (socket) {
    server = std::make_unique<AdminServer>(loop_, *std::move(socket), routes_, scope);
    return kExitOk;
  }
  const bool busy = socket.error().exit_code == kExitAddressInUse;
  if (busy && full && settings.address_is_default) {
    log_.warning("the default admin address is in use: there is no admin server",
                 {{"address", address}});
    return kExitOk;
  }
  log_.error("cannot listen for the admin server", {{"error", socket.error().why}});
  return socket.error().exit_code;
}

int Daemon::create_resolver() {
  auto dns = DnsThread::create(dns_options(loaded_.config->dns), log_);
  if (!dns) {
    log_.error("the DNS settings cannot be used", {{"error", dns.error().detail}});
    return kExitConfig;
  }
  dns_ = *std::move(dns);
  return kExitOk;
}

void Daemon::create_workers() {
  egress_ = make_egress(*loaded_.config);
  const Shared shared{workers_, registry_, access_log_, dns_->service(),   clients_, hints_,
                      retries_, buffers_,  log_,        random_pseudonym()};
  for (std::size_t i = 0; i < worker_count_; ++i) {
    workers_.push_back(
        std::make_unique<Worker>(i, loop_, shared, metrics_.add_worker(), worker_config()));
  }
  hand_out_listeners(*loaded_.config);
}

void Daemon::hand_out_listeners(const Config& config) {
  for (ListeningSocket& socket : sockets_.all()) {
    if (socket.fds.empty()) continue;  // the workers have them already
    const ListenerSettings& settings = *find_listener(config, socket.address);
    // Where there is one socket, the first worker accepts. Of those that were taken over there may
    // be more than workers.
    socket.fds.resize(std::max(socket.fds.size(), workers_.size()));
    for (std::size_t i = 0; i < socket.fds.size(); ++i) {
      Worker& worker = *workers_[i % workers_.size()];
      worker.open_listener(std::move(socket.fds[i]), socket.local, settings);
    }
    socket.fds.clear();
  }
}

std::shared_ptr<const EgressPolicy> Daemon::make_egress(const Config& config) const {
  std::vector<SocketAddress> own;
  for (const ListeningSocket& socket : sockets_.all()) own.push_back(socket.local);
  if (admin_ != nullptr) own.push_back(admin_->local_address());
  if (public_admin_ != nullptr) own.push_back(public_admin_->local_address());
  return std::make_shared<const EgressPolicy>(config.egress.deny, config.egress.allow,
                                              std::move(own));
}

WorkerConfig Daemon::worker_config() const { return {table_, egress_}; }

}  // namespace penstock
