// What the admin address says of the settings, and the one that it changes: /config, /log-level.
#include "config/key_table.h"
#include "config/values.h"
#include "server/connection_limits.h"
#include "server/daemon.h"
#include "server/json_writer.h"

namespace penstock {

namespace {

const KeyRow& log_level_row() { return *find_key(KeyScope::kTop, "log.level"); }

std::string name_of(LogLevel level) {
  Config config;
  config.log.level = level;
  return log_level_row().get(log_level_row(), source_of(config));
}

Parsed<LogLevel> parse_log_level(std::string_view text) {
  const KeyRow& row = log_level_row();
  Config config;
  if (row.set(row, target_of(config), text))
    return Unexpected{"level: " + in_quotes(text) + " is no level (" + allowed_text(row) + ")"};
  return config.log.level;
}

Parsed<Limit> parse_period(std::string_view text) {
  if (text.empty()) return Limit();
  auto period = parse_duration(text);
  if (!period)
    return Unexpected{"for: " + period.error() + " (" + format_duration(kShortestDuration) +
                      " to " + format_duration(kLongestDuration) + ")"};
  return Limit(*period);
}

AdminReply bad_request(const std::string& why) { return {.status = 400, .body = why + '\n'}; }

std::string log_level_json(LogLevel level, LogLevel was, const Limit& period) {
  JsonWriter json;
  json.open('{');
  json.key("level");
  json.string(name_of(level));
  json.key("was");
  json.string(name_of(was));
  json.key("for");
  period ? json.string(format_duration(*period)) : json.literal("null");
  json.close('}');
  return json.take() + '\n';
}

}  // namespace

std::string Daemon::config_text(std::string_view upstream) const {
  const ConfigInForce config{.loaded = loaded_,
                             .revision = revision_,
                             .loaded_at = last_reload_,
                             .error = last_reload_error_,
                             .faults = last_reload_faults_,
                             .in_force = values_in_force(),
                             .bound = bound_addresses()};
  return config_json(config, upstream, loop_.wall_now());
}

// A name of systemd's may stand for several; a drain closes them.
std::vector<std::string> Daemon::bound_addresses() const {
  std::vector<std::string> all;
  for (const ListenerSettings& listener : loaded_.config->listeners) {
    std::string& bound = all.emplace_back();
    for (const ListeningSocket& socket : sockets_.all()) {
      if (socket.address != listener.address) continue;
      bound += (bound.empty() ? "" : ", ") + socket.local.to_string();
    }
    if (bound.empty()) bound = "closed";
  }
  return all;
}

ValuesInForce Daemon::values_in_force() const {
  ValuesInForce values;
  for (const KeyRow& row : key_rows()) {
    if (row.reload == ReloadClass::kRestart)
      values[std::string(row.path)] = row.get(row, source_of(*started_with_));
  }
  const ConnectionLimits limits = connection_limits(*loaded_.config, descriptors_);
  values["workers"] = std::to_string(worker_count_);
  values["client.max_connections"] = std::to_string(limits.clients);
  values["process.max_upstream_connections"] = std::to_string(limits.upstreams.max_connections);
  values["log.level"] = name_of(log_level_.level());
  if (admin_ != nullptr) values["admin.address"] = admin_->local_address().to_string();
  if (public_admin_ != nullptr)
    values["admin.public_address"] = public_admin_->local_address().to_string();
  return values;
}

void Daemon::serve_log_level(const AdminRequest& request, const AdminAnswer& answer) {
  const auto level = parse_log_level(request.query("level"));
  if (!level) return answer(bad_request(level.error()));
  const auto period = parse_period(request.query("for"));
  if (!period) return answer(bad_request(period.error()));
  const LogLevel was = log_level_.level();
  log_.warning("the log level is set by hand", {{"level", name_of(*level)}, {"was", name_of(was)}});
  log_level_.set(*level, *period);
  answer({.type = media_type::kJson, .body = log_level_json(*level, was, *period)});
}

}  // namespace penstock
