// How a running daemon takes another configuration over.
#include <sys/stat.h>

#include "config/diff.h"
#include "server/daemon.h"
#include "server/module_options.h"

namespace penstock {

namespace {

// The system's CAs are in no file of the configuration, so that its diff knows nothing of them.
void add_changed_trust(const RoutingTable& before, const RoutingTable& after, ConfigDiff& changes) {
  for (UpstreamChange& change : changes.upstreams) {
    const Upstream* was = before.find(change.name);
    const Upstream* is = after.find(change.name);
    if (was == nullptr || is == nullptr || was->identity == is->identity) continue;
    if (change.fate == UpstreamFate::kRetired) continue;
    change.fate = UpstreamFate::kRetired;
    change.keys.push_back("the system's CA certificates");
  }
}

}  // namespace

// Nobody waits for the answer: where another reload is to follow already, that will do.
void Daemon::on_reload_wanted() {
  if (!next_reload_.empty()) return;
  reload([](const ReloadReport&) {});
}

void Daemon::reload(ReloadDone done) {
  if (state_ != State::kServing) {
    log_.warning("no reload: the daemon is draining and keeps its configuration");
    refuse_reload(done);
    return;
  }
  next_reload_.push_back(std::move(done));
  if (!reload_) begin_reload();
}

void Daemon::refuse_reload(const ReloadDone& done) {
  ReloadReport report;
  report.revision = revision_;
  report.refuse("draining", {"the daemon is draining: it keeps its configuration"});
  done(report);
}

void Daemon::begin_reload() {
  reload_.emplace().done = std::exchange(next_reload_, {});
  service_manager_.reloading();
  if (!try_reload(reload_->report)) finish_reload();
}

// A pipe gives its text once, and might keep us waiting for more.
bool Daemon::can_load_again() const {
  struct stat status {};
  return config_path_.empty() || ::stat(config_path_.c_str(), &status) != 0 ||
         S_ISREG(status.st_mode);
}

LoadResult Daemon::load_again() const {
  return config_path_.empty() ? load_default() : load_file(config_path_);
}

// Everything that can fail comes first; from apply() on nothing does.
bool Daemon::try_reload(ReloadReport& report) {
  if (takeover_server_ && takeover_server_->pending()) {
    report.refuse("a takeover is under way",
                  {"another process is taking over; reload once it serves"});
    return false;
  }
  if (!can_load_again()) {
    report.refuse("the configuration is no file",
                  {config_path_ + ": a pipe can be read only once; write the configuration to a "
                                  "file that can be read again"});
    return false;
  }
  LoadResult next = load_again();
  watch_.watch(next.files, (next.ok() ? next : loaded_).config->reload.watch);
  if (!next.ok()) {
    const std::size_t count = next.faults.size();
    report.refuse(std::to_string(count) + (count == 1 ? " fault in " : " faults in ") + next.file,
                  next.fault_lines());
    return false;
  }
  auto table = RoutingTable::create(next.config, trust_, table_.get());
  if (!table) {
    report.refuse(table.error(), {table.error()});
    return false;
  }
  auto opened = sockets_.open_missing(*next.config);
  if (!opened) {
    report.refuse(opened.error().why, {opened.error().why});
    return false;
  }
  if (auto configured = access_log_.configure(next.config->access_log); !configured) {
    report.refuse(configured.error(), {configured.error()});
    return false;
  }
  const std::vector<std::string> lost = sockets_.adopt(*std::move(opened));
  for (const std::string& address : lost) {
    log_.warning("the file of a socket was gone or another's: listening there anew",
                 {{"address", address}});
  }
  report.changes = changes_to(*next.config);
  add_changed_trust(*table_, **table, report.changes);
  apply(std::move(next), *std::move(table), lost);
  return true;
}

// What only a restart applies is said as long as it is not.
ConfigDiff Daemon::changes_to(const Config& next) const {
  ConfigDiff changes = diff(*loaded_.config, next);
  changes.restart_keys = diff(*started_with_, next).restart_keys;
  return changes;
}

// `lost`: addresses that are listened on anew.
void Daemon::apply(LoadResult next, std::shared_ptr<const RoutingTable> table,
                   const std::vector<std::string>& lost) {
  const Config& config = *next.config;
  for (const std::string& risk : next.risk_lines()) log_.warning(risk);
  log_level_.configure(config.log.level);
  log_.set_format(config.log.format);
  set_process_limits(config);
  table_ = std::move(table);
  registry_.apply(pool_policies(*table_));

  std::vector<std::string> vanished = sockets_.remove_unnamed(config);
  vanished.insert(vanished.end(), lost.begin(), lost.end());
  sockets_.change_access(*loaded_.config, config, log_);
  egress_ = make_egress(config);
  dns_->service().reconfigure(dns_options(config.dns));

  for (const auto& worker : workers_) {
    worker->reconfigure(worker_config(), vanished, [this](const TrimmedByUpstream& trimmed) {
      on_worker_reconfigured(trimmed);
    });
  }
  hand_out_listeners(config);
  loaded_ = std::move(next);
  ++revision_;
  reload_->workers = workers_.size();
}

void Daemon::on_worker_reconfigured(const TrimmedByUpstream& trimmed) {
  for (const auto& [upstream, closed] : trimmed) {
    ReloadReport::Connections& connections = reload_->report.connections[upstream];
    connections.trimmed += closed.surplus;
    connections.retired += closed.retired;
  }
  if (--reload_->workers > 0) return;
  for (const HostSnapshot& host : registry_.snapshot(loop_.now())) {
    reload_->report.connections[host.key.upstream].open +=
        host.dialing + host.idle + host.busy + host.draining + host.upgraded;
  }
  finish_reload();
}

void Daemon::finish_reload() {
  ReloadUnderWay over = *std::exchange(reload_, std::nullopt);
  over.report.revision = revision_;
  take_note(over.report);
  if (state_ == State::kServing) service_manager_.ready();
  for (const ReloadDone& done : over.done) done(over.report);
  if (next_reload_.empty()) return;
  if (state_ == State::kServing) {
    begin_reload();
  } else {
    for (const ReloadDone& done : std::exchange(next_reload_, {})) refuse_reload(done);
  }
}

void Daemon::take_note(const ReloadReport& report) {
  for (const std::string& line : report.faults) log_.error(line);
  if (report.ok()) {
    for (const std::string& line : report.lines()) log_.info("reload", {{"change", line}});
    log_.info("configuration reloaded", {{"revision", revision_}, {"config", loaded_.file}});
    last_reload_ = loop_.wall_now();
  } else {
    log_.error("reload failed, the configuration in force stays", {{"error", report.error}});
  }
  last_reload_successful_ = report.ok();
  last_reload_error_ = report.error;
  last_reload_faults_ = report.faults;
}

void Daemon::reopen_logs() {
  if (auto reopened = access_log_.reopen(); !reopened) {
    log_.error("the access log cannot be opened again", {{"error", reopened.error()}});
  }
}

}  // namespace penstock
