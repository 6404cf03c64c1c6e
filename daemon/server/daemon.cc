#include "server/daemon.h"

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <random>

#include "config/diff.h"
#include "server/build_info.h"
#include "server/cpu_count.h"
#include "server/dns_json.h"
#include "server/pools_json.h"

namespace penstock {

namespace {

constexpr std::uint32_t kMaxAutoClients = 10000;
constexpr std::size_t kMaxDnsRows = 1000;
// Descriptors for everything that is neither a client's nor an upstream's.
constexpr std::uint64_t kOtherDescriptors = 64;

constexpr std::size_t kMostAutoWorkers = 4;

std::size_t count_workers(const Config& config) {
  return config.workers ? *config.workers : std::min(usable_cpus(), kMostAutoWorkers);
}

// Each request takes up to two descriptors; the soft limit is for programs that use select().
std::uint64_t raise_descriptor_limit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return 1024;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
  getrlimit(RLIMIT_NOFILE, &limit);
  return limit.rlim_cur;
}

std::uint32_t client_limit(const ClientSettings& settings) {
  if (settings.max_connections) return *settings.max_connections;
  const std::uint64_t descriptors = raise_descriptor_limit();
  const std::uint64_t half = (descriptors - std::min(descriptors, kOtherDescriptors)) / 2;
  return static_cast<std::uint32_t>(std::clamp<std::uint64_t>(half, 1, kMaxAutoClients));
}

PoolPolicies pool_policies(const RoutingTable& table) {
  PoolPolicies policies;
  for (const Upstream& upstream : table.upstreams()) {
    policies[upstream.settings->name] = {host_limits(upstream.settings->policy.pool),
                                         upstream.identity};
  }
  return policies;
}

DnsOptions dns_options(const DnsSettings& dns) {
  return {.servers = {.servers = dns.servers,
                      .attempt_timeout = dns.attempt_timeout,
                      .attempts = dns.attempts},
          .cache = {.min_ttl = dns.min_ttl,
                    .max_ttl = dns.max_ttl,
                    .negative_ttl = dns.negative_ttl,
                    .serve_stale = dns.serve_stale,
                    .forget_after = dns.forget_after}};
}

std::vector<std::pair<std::string, std::uint64_t>> dns_counts(const DnsService& dns) {
  std::vector<std::pair<std::string, std::uint64_t>> counts;
  for (int i = 0; i < kDnsResultCount; ++i) {
    const auto result = static_cast<DnsResult>(i);
    counts.emplace_back(to_string(result), dns.count(result));
  }
  return counts;
}

// RFC 9110 section 7.6.3: what Via calls us; random, so that two proxies in a row are no loop.
std::string random_pseudonym() {
  std::random_device device;
  char text[24];
  std::snprintf(text, sizeof text, "penstock-%08x", device());
  return text;
}

}  // namespace

Daemon::Daemon(std::string config_path, LoadResult loaded)
    : config_path_(std::move(config_path)),
      loaded_(std::move(loaded)),
      worker_count_(count_workers(*loaded_.config)),
      log_(loaded_.config->log.level, loaded_.config->log.format),
      clients_(worker_count_),
      registry_(worker_count_),
      service_manager_(loop_, log_,
                       {Delegate<std::string()>::to<&Daemon::status_line>(*this),
                        Delegate<void(Delegate<void()>)>::to<&Daemon::check_workers>(*this)}),
      grace_(loop_.timers(), Delegate<void()>::to<&Daemon::on_grace_over>(*this)) {}

// Start

int Daemon::run(const OnListening& on_listening) {
  std::signal(SIGPIPE, SIG_IGN);  // OpenSSL writes to sockets without MSG_NOSIGNAL
  if (const int code = set_up(); code != kExitOk) return code;
  SignalWatcher reload_signal(loop_, SIGHUP, Delegate<void()>::to<&Daemon::reload>(*this));
  SignalWatcher reopen_signal(loop_, SIGUSR1, Delegate<void()>::to<&Daemon::reopen_logs>(*this));
  SignalWatcher term_signal(loop_, SIGTERM, Delegate<void()>::to<&Daemon::on_stop_signal>(*this));
  SignalWatcher interrupt_signal(loop_, SIGINT,
                                 Delegate<void()>::to<&Daemon::on_stop_signal>(*this));
  dns_->start();
  for (const auto& worker : workers_) worker->start();
  state_ = State::kServing;
  for (const ListeningSocket& socket : sockets_.all()) {
    log_.info("listening", {{"address", socket.local.to_string()}});
    if (on_listening) on_listening(socket.local);
  }
  log_.info("penstock is ready",
            {{"version", version()}, {"config", loaded_.file}, {"pid", ::getpid()}});
  service_manager_.ready();
  loop_.run();
  admin_.reset();
  public_admin_.reset();
  for (const auto& worker : workers_) worker->stop();
  workers_.clear();
  dns_->stop();
  log_.info("stopped", {{"exit_code", exit_code_}});
  return exit_code_;
}

int Daemon::set_up() {
  raise_descriptor_limit();
  for (const auto step : {&Daemon::prepare_config, &Daemon::open_listeners, &Daemon::open_admin,
                          &Daemon::create_resolver}) {
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
  registry_.apply(pool_policies(*table_));
  clients_.set_limit(client_limit(loaded_.config->client));
  last_reload_ = loop_.wall_now();
  return kExitOk;
}

int Daemon::open_listeners() {
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
  auto fds = open_tcp(address, 1);
  if (fds) {
    server = std::make_unique<AdminServer>(loop_, fds->front().release(),
                                           static_cast<AdminBackend&>(*this), scope);
    return kExitOk;
  }
  const bool busy = fds.error().exit_code == kExitAddressInUse;
  if (busy && full && settings.address_is_default) {
    log_.warning("the default admin address is in use: there is no admin server",
                 {{"address", address}});
    return kExitOk;
  }
  log_.error("cannot listen for the admin server", {{"error", fds.error().why}});
  return fds.error().exit_code;
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
  const Shared shared{workers_, registry_, access_log_, dns_->service(),
                      clients_, hints_,    log_,        random_pseudonym()};
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
    socket.fds.resize(workers_.size());  // where there is one socket, the first worker accepts
    for (std::size_t i = 0; i < workers_.size(); ++i) {
      workers_[i]->open_listener(std::move(socket.fds[i]), socket.local, settings);
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

// Reload

void Daemon::reload() {
  if (state_ != State::kServing) return;
  service_manager_.reloading();
  std::string why;
  last_reload_successful_ = try_reload(why);
  last_reload_error_ = why;
  if (last_reload_successful_) {
    last_reload_ = loop_.wall_now();
    ++revision_;
    log_.info("configuration reloaded", {{"revision", revision_}, {"config", loaded_.file}});
  } else {
    log_.error("reload failed, the configuration in force stays", {{"error", why}});
  }
  service_manager_.ready();
}

// Everything that can fail comes first; from apply() on nothing does.
bool Daemon::try_reload(std::string& why) {
  LoadResult next = config_path_.empty() ? load_default() : load_file(config_path_);
  if (!next.ok()) {
    for (const std::string& line : next.fault_lines()) log_.error(line);
    why = std::to_string(next.faults.size()) + " faults in " + next.file;
    return false;
  }
  auto table = RoutingTable::create(next.config, trust_, table_.get());
  if (!table) {
    why = table.error();
    return false;
  }
  auto opened = sockets_.open_missing(*next.config);
  if (!opened) {
    why = opened.error().why;
    return false;
  }
  if (auto configured = access_log_.configure(next.config->access_log); !configured) {
    why = configured.error();
    return false;
  }
  sockets_.adopt(*std::move(opened));
  apply(std::move(next), *std::move(table));
  return true;
}

void Daemon::apply(LoadResult next, std::shared_ptr<const RoutingTable> table) {
  const Config& config = *next.config;
  for (const std::string& risk : next.risk_lines()) log_.warning(risk);
  for (const std::string& line : diff(*loaded_.config, config).lines())
    log_.info("reload", {{"change", line}});
  log_.set_level(config.log.level);
  log_.set_format(config.log.format);
  clients_.set_limit(client_limit(config.client));
  table_ = std::move(table);
  registry_.apply(pool_policies(*table_));

  const std::vector<std::string> vanished = sockets_.remove_unnamed(config);
  sockets_.change_access(*loaded_.config, config, log_);
  egress_ = make_egress(config);
  dns_->service().reconfigure(dns_options(config.dns));

  for (const auto& worker : workers_) {
    worker->reconfigure(worker_config(), [] {});
    for (const ListenerSettings& listener : config.listeners) worker->update_listener(listener);
    for (const std::string& address : vanished) worker->close_listener(address);
  }
  hand_out_listeners(config);
  loaded_ = std::move(next);
}

void Daemon::reopen_logs() {
  if (auto reopened = access_log_.reopen(); !reopened) {
    log_.error("the access log cannot be opened again", {{"error", reopened.error()}});
  }
}

// Stop

void Daemon::on_stop_signal() {
  switch (state_) {
    case State::kServing:
      begin_drain();
      return;
    case State::kDraining:
      log_.warning("a second signal: stopping at once");
      exit_code_ = kExitFailure;
      stop();
      return;
    case State::kStarting:
    case State::kStopped:
      return;
  }
}

void Daemon::begin_drain() {
  state_ = State::kDraining;
  const Duration grace = loaded_.config->shutdown.grace;
  log_.info("draining",
            {{"grace_ms", std::chrono::duration_cast<std::chrono::milliseconds>(grace).count()}});
  service_manager_.stopping(grace);
  grace_.arm(loop_.now() + grace);
  // A client that one worker gives to another must not arrive after that has drained.
  clients_.stop_sharing();
  check_workers(Delegate<void()>::to<&Daemon::drain_workers>(*this));
}

void Daemon::drain_workers() {
  if (state_ != State::kDraining) return;
  undrained_workers_ = workers_.size();
  sockets_.clear();  // the files go before the workers close
  for (const auto& worker : workers_) worker->begin_drain([this] { on_worker_drained(); });
}

void Daemon::on_worker_drained() {
  if (--undrained_workers_ == 0 && state_ == State::kDraining) stop();
}

void Daemon::on_grace_over() {
  log_.warning("the grace is over: cutting what is left");
  stop();
}

void Daemon::stop() {
  state_ = State::kStopped;
  sockets_.clear();  // the files go before the workers close, if no drain came so far
  grace_.cancel();
  loop_.stop();
}

// What the admin server asks for

bool Daemon::ready(std::string& why) {
  if (state_ == State::kServing) {
    warmed_up_ = warmed_up_ || warmed_up(why);
    return warmed_up_;
  }
  why = state_ == State::kStarting ? "starting" : "draining";
  return false;
}

// Once is enough: what happens to them later is no reason to send nobody here.
bool Daemon::warmed_up(std::string& why) const {
  for (const HostSnapshot& host : registry_.snapshot(loop_.now())) {
    const Upstream* upstream = table_->find(host.key.upstream);
    if (!host.warm || upstream == nullptr || !upstream->settings->policy.pool.warmup_required)
      continue;
    const std::uint32_t open = host.idle + host.busy + host.draining + host.upgraded;
    if (open >= host.limits.min_idle) continue;
    why = "warming up: upstream " + host.key.upstream + " has " + std::to_string(open) + " of " +
          std::to_string(host.limits.min_idle) + " connections to " + host.key.host;
    if (!host.last_error.empty()) why += ", the last dial failed: " + host.last_error;
    return false;
  }
  return true;
}

std::string Daemon::pools_json(std::string_view upstream) {
  return penstock::pools_json(registry_.snapshot(loop_.now()), upstream, revision_,
                              loop_.wall_now());
}

std::string Daemon::dns_json() {
  return penstock::dns_json(dns_->service().snapshot(loop_.now(), kMaxDnsRows), loop_.wall_now());
}

std::string Daemon::metrics_text() {
  std::map<std::string, PoolGauge> by_upstream;
  for (const UpstreamSettings& upstream : loaded_.config->upstreams) {
    PoolGauge& gauge = by_upstream[upstream.name];
    gauge.upstream = upstream.name;
    gauge.limit = upstream.policy.pool.max_connections;
  }
  for (const HostSnapshot& host : registry_.snapshot(loop_.now())) {
    PoolGauge& gauge = by_upstream[host.key.upstream];
    gauge.upstream = host.key.upstream;
    gauge.dialing += host.dialing;
    gauge.idle += host.idle;
    gauge.busy += host.busy;
    gauge.draining += host.draining;
    gauge.upgraded += host.upgraded;
    gauge.waiting += host.waiting;
    gauge.oldest_wait = std::max(gauge.oldest_wait, host.oldest_wait);
  }
  PoolGauges pools;
  for (auto& [name, gauge] : by_upstream) pools.push_back(std::move(gauge));
  std::vector<Duration> loop_lags;
  for (const auto& worker : workers_) loop_lags.push_back(worker->take_longest_turn());
  const ProcessInfo process{.build = build_info(),
                            .last_reload_successful = last_reload_successful_,
                            .last_reload = last_reload_,
                            .dropped_lines = {{"access", access_log_.dropped_lines()}},
                            .dns_lookups = dns_counts(dns_->service()),
                            .loop_lags = std::move(loop_lags),
                            .stats = read_process_stats()};
  return metrics_.render(pools, process);
}

void Daemon::check_workers(Delegate<void()> on_all_alive) {
  auto silent = std::make_shared<std::size_t>(workers_.size());  // counted on this thread alone
  for (const auto& worker : workers_) {
    worker->ping([silent, on_all_alive] {
      if (--*silent == 0) on_all_alive();
    });
  }
}

// What the service manager asks for

std::string Daemon::status_line() {
  std::size_t connections = 0;
  for (const HostSnapshot& host : registry_.snapshot(loop_.now())) {
    connections += host.dialing + host.idle + host.busy;
  }
  std::string line = state_ == State::kDraining ? "draining, " : "";
  line += "revision " + std::to_string(revision_) + ", clients " +
          std::to_string(clients_.taken()) + ", upstream connections " +
          std::to_string(connections);
  if (!last_reload_error_.empty()) line += "; the last reload failed: " + last_reload_error_;
  return line;
}

}  // namespace penstock
