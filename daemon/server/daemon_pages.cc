// What the admin server and the service manager ask of the daemon.
#include <algorithm>
#include <limits>
#include <map>

#include "server/build_info.h"
#include "server/daemon.h"
#include "server/dns_json.h"
#include "server/json_writer.h"
#include "server/pools_json.h"
#include "server/rows_json.h"

namespace penstock {

namespace {

constexpr Duration kWorkersAnswerWithin = std::chrono::seconds(2);
constexpr Duration kWorkersActWithin = std::chrono::seconds(5);

std::vector<std::pair<std::string, std::uint64_t>> dns_counts(const DnsService& dns) {
  std::vector<std::pair<std::string, std::uint64_t>> counts;
  for (int i = 0; i < kDnsResultCount; ++i) {
    const auto result = static_cast<DnsResult>(i);
    counts.emplace_back(to_string(result), dns.count(result));
  }
  return counts;
}

constexpr std::string_view kNoTurn = "a worker's loop does not turn";
constexpr std::string_view kOthersActed = "a worker's loop does not turn: the others have done it";

AdminReply json(std::string body) { return {.type = media_type::kJson, .body = std::move(body)}; }

// What is answered at once, from what the control loop knows.
AdminRoute page(std::string_view path, std::function<AdminReply(const AdminRequest&)> make) {
  return {.path = path,
          .serve = [make = std::move(make)](const AdminRequest& request,
                                            const AdminAnswer& answer) { answer(make(request)); }};
}

AdminRoutes join(std::initializer_list<AdminRoutes> parts) {
  AdminRoutes all;
  for (const AdminRoutes& part : parts) all.insert(all.end(), part.begin(), part.end());
  return all;
}

double limit_of(std::uint32_t count) {
  return count == kUnlimitedCount ? std::numeric_limits<double>::infinity() : count;
}

}  // namespace

AdminRoutes Daemon::admin_routes() {
  return join({dashboard_routes(), probe_routes(), page_routes(), action_routes()});
}

AdminRoutes Daemon::probe_routes() {
  AdminRoute alive{.path = "/livez", .within = kWorkersAnswerWithin, .late = kNoTurn};
  alive.serve = [this](const AdminRequest&, const AdminAnswer& answer) {
    check_workers([answer] { answer({.body = "alive\n"}); });
  };
  AdminRoutes routes{std::move(alive)};
  routes.push_back(page("/readyz", [this](const AdminRequest&) -> AdminReply {
    std::string why;
    if (ready(why)) return {.body = "ready\n"};
    return {.status = 503, .body = why + '\n'};
  }));
  routes.push_back(page("/metrics", [this](const AdminRequest&) -> AdminReply {
    return {.type = media_type::kPrometheus, .body = metrics_text()};
  }));
  for (AdminRoute& route : routes) route.scope = AdminScope::kPublic;
  return routes;
}

// One row more than is shown says that there are more.
AdminRoutes Daemon::page_routes() {
  return {
      page("/pools",
           [this](const AdminRequest& request) {
             return json(pools_json(registry_.snapshot(loop_.now()), registry_.paused(),
                                    request.query("upstream"), revision_, loop_.wall_now()));
           }),
      page("/connections",
           [this](const AdminRequest& request) {
             return json(connections_json(
                 registry_.connections(loop_.now(), request.query("upstream"), kMaxRows + 1),
                 loop_.wall_now()));
           }),
      page("/waiting",
           [this](const AdminRequest& request) {
             return json(waiting_json(
                 registry_.waiting(loop_.now(), request.query("upstream"), kMaxRows + 1),
                 loop_.wall_now()));
           }),
      page("/dns",
           [this](const AdminRequest&) {
             return json(
                 dns_json(dns_->service().snapshot(loop_.now(), kMaxRows + 1), loop_.wall_now()));
           }),
      page("/config",
           [this](const AdminRequest& request) {
             return json(config_text(request.query("upstream")));
           }),
      page("/version", [](const AdminRequest&) { return json(version_json()); }),
  };
}

AdminRoutes Daemon::dashboard_routes() {
  return {
      page("/", [this](const AdminRequest&) { return dashboard_.page(facts()); }),
      page("/dashboard.css", [](const AdminRequest&) { return Dashboard::style(); }),
      page("/dashboard.js", [](const AdminRequest&) { return Dashboard::script(); }),
      page("/dashboard.svg", [](const AdminRequest&) { return Dashboard::icon(); }),
      page("/failures",
           [this](const AdminRequest& request) {
             return dashboard_.failures(request.query("upstream"));
           }),
  };
}

AdminRoutes Daemon::action_routes() {
  return {
      pool_route("/pools/*/close-idle", PoolAction::kCloseIdle),
      pool_route("/pools/*/pause", PoolAction::kPause),
      pool_route("/pools/*/resume", PoolAction::kResume),
      pool_route("/pools/*/reconnect", PoolAction::kReconnect),
      {.method = Method::kPost,
       .path = "/reload",
       .serve = [this](const AdminRequest&, const AdminAnswer& answer) { serve_reload(answer); },
       .within = kWorkersActWithin,
       .late = kOthersActed},
      {.method = Method::kPost,
       .path = "/drain",
       .serve = [this](const AdminRequest&, const AdminAnswer& answer) { serve_drain(answer); }},
      {.method = Method::kPost,
       .path = "/log-level",
       .serve = [this](const AdminRequest& request,
                       const AdminAnswer& answer) { serve_log_level(request, answer); }},
  };
}

AdminRoute Daemon::pool_route(std::string_view path, PoolAction action) {
  return {
      .method = Method::kPost,
      .path = path,
      .serve = [this, action](const AdminRequest& request,
                              const AdminAnswer& answer) { serve_action(action, request, answer); },
      .within = kWorkersActWithin,
      .late = kOthersActed};
}

void Daemon::serve_action(PoolAction action, const AdminRequest& request,
                          const AdminAnswer& answer) {
  const std::string& upstream = request.names.front();
  std::string names;
  for (const Upstream& known : table_->upstreams()) {
    const std::string& name = known.settings->name;
    if (name == upstream) {
      console_.act(action, upstream,
                   [answer](std::string report) { answer(json(std::move(report))); });
      return;
    }
    names += (names.empty() ? "" : ", ") + name;
  }
  answer({.status = 404, .body = "no such upstream; there is " + names + "\n"});
}

void Daemon::serve_reload(const AdminAnswer& answer) {
  if (state_ != State::kServing) {
    answer({.status = 409, .body = "the daemon is draining: it keeps its configuration\n"});
    return;
  }
  reload([answer](const ReloadReport& report) {
    AdminReply reply = json(report.to_json());
    if (!report.ok()) reply.status = 422;
    answer(std::move(reply));
  });
}

// Where nobody is connected, the daemon may have ended before the next turn of the loop.
void Daemon::serve_drain(const AdminAnswer& answer) {
  answer(json("{\"state\":\"draining\"}\n"));
  if (state_ == State::kServing) begin_drain();
}

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

PoolGauges Daemon::pool_gauges() const {
  std::map<std::string, PoolGauge> by_upstream;
  for (const Upstream& upstream : table_->upstreams()) {
    PoolGauge& gauge = by_upstream[upstream.settings->name];
    gauge.upstream = upstream.settings->name;
    gauge.certificate_not_after = upstream.tls->certificate_not_after();
  }
  for (const HostSnapshot& host : registry_.snapshot(loop_.now())) {
    PoolGauge& gauge = by_upstream[host.key.upstream];
    gauge.upstream = host.key.upstream;
    ++gauge.hosts;
    gauge.dialing += host.dialing;
    gauge.idle += host.idle;
    gauge.busy += host.busy;
    gauge.draining += host.draining;
    gauge.upgraded += host.upgraded;
    gauge.waiting += host.waiting;
    gauge.limit += limit_of(host.limits.max_connections);
    gauge.oldest_wait = std::max(gauge.oldest_wait, host.oldest_wait);
  }
  for (const Upstream& upstream : table_->upstreams()) {
    PoolGauge& gauge = by_upstream[upstream.settings->name];
    if (gauge.limit == 0) gauge.limit = limit_of(upstream.settings->policy.pool.max_connections);
  }
  const UpstreamNames paused = registry_.paused();
  PoolGauges pools;
  for (auto& [name, gauge] : by_upstream) {
    gauge.paused = paused.contains(name);
    pools.push_back(std::move(gauge));
  }
  return pools;
}

DaemonFacts Daemon::facts() const {
  const bool config = match_route(routes_, AdminScope::kFull, Method::kGet, "/config").route;
  return {.version = version(),
          .state = state_ == State::kServing ? "serving" : "draining",
          .revision = revision_,
          .last_reload = last_reload_,
          .reload_error = last_reload_error_,
          .pools = pool_gauges(),
          .has_config_page = config};
}

std::string Daemon::metrics_text() {
  std::vector<Duration> loop_lags;
  for (const auto& worker : workers_) loop_lags.push_back(worker->take_longest_turn());
  const ProcessInfo process{
      .build = build_info(),
      .last_reload_successful = last_reload_successful_,
      .last_reload = last_reload_,
      .dropped_lines = {{"access", access_log_.dropped_lines()}, {"daemon", log_.dropped_lines()}},
      .dns_lookups = dns_counts(dns_->service()),
      .buffer_bytes = buffers_.used(),
      .buffer_limit = buffers_.limit(),
      .loop_lags = std::move(loop_lags),
      .stats = read_process_stats()};
  return metrics_.render(pool_gauges(), process);
}

void Daemon::check_workers(std::function<void()> on_all_alive) {
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
