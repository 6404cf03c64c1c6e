#include "server/pools_json.h"

#include <chrono>
#include <map>

#include "server/json_writer.h"

namespace penstock {

namespace {

constexpr std::size_t kMaxHosts = 1000;

void write_limit(JsonWriter& json, std::string_view key, std::uint32_t count) {
  json.key(key);
  if (count == kUnlimitedCount) {
    json.string("unlimited");
  } else {
    json.number(count);
  }
}

template <typename Int>
void write_count(JsonWriter& json, std::string_view key, Int count) {
  json.key(key);
  json.number(count);
}

void write_host(JsonWriter& json, const HostSnapshot& host) {
  json.open('{');
  json.key("origin");
  json.string(origin_text(host.key.host, host.key.port));
  json.key("limits");
  json.open('{');
  write_limit(json, "max_connections", host.limits.max_connections);
  write_limit(json, "max_idle", host.limits.max_idle);
  write_limit(json, "min_idle", host.limits.min_idle);
  write_limit(json, "max_connecting", host.limits.max_connecting);
  write_limit(json, "max_waiting", host.limits.max_waiting);
  json.close('}');
  json.key("connections");
  json.open('{');
  write_count(json, "dialing", host.dialing);
  write_count(json, "idle", host.idle);
  write_count(json, "busy", host.busy);
  write_count(json, "draining", host.draining);
  write_count(json, "upgraded", host.upgraded);
  json.close('}');
  write_count(json, "waiting", host.waiting);
  write_count(json, "oldest_wait_ms",
              std::chrono::duration_cast<std::chrono::milliseconds>(host.oldest_wait).count());
  write_count(json, "opened", host.opened);
  json.key("acquires");
  json.open('{');
  write_count(json, "idle", host.acquired_idle);
  write_count(json, "takeover", host.acquired_takeover);
  write_count(json, "dialed", host.acquired_dialed);
  write_count(json, "queued", host.acquired_queued);
  json.close('}');
  json.key("closed");
  json.open('{');
  for (std::size_t i = 0; i < host.closed.size(); ++i) {
    if (host.closed[i] > 0)
      write_count(json, to_string(static_cast<CloseReason>(i)), host.closed[i]);
  }
  json.close('}');
  json.key("last_error");
  host.last_error.empty() ? json.literal("null") : json.string(host.last_error);
  json.key("learned_idle_ms");
  if (host.learned_idle) {
    json.number(std::chrono::duration_cast<std::chrono::milliseconds>(*host.learned_idle).count());
  } else {
    json.literal("null");
  }
  json.close('}');
}

}  // namespace

std::string pools_json(const std::vector<HostSnapshot>& hosts, const UpstreamNames& paused,
                       std::string_view upstream, std::uint64_t revision, WallTime now) {
  std::map<std::string_view, std::vector<const HostSnapshot*>> by_upstream;
  std::size_t matching = 0;
  for (const HostSnapshot& host : hosts) {
    if (!upstream.empty() && host.key.upstream != upstream) continue;
    if (++matching <= kMaxHosts) by_upstream[host.key.upstream].push_back(&host);
  }
  for (const std::string& name : paused) {
    if (upstream.empty() || name == upstream) by_upstream[name];  // hosts or none
  }
  JsonWriter json;
  json.open('{');
  write_count(json, "revision", revision);
  json.key("time");
  json.string(rfc3339(now));
  json.key("upstreams");
  json.open('[');
  for (const auto& [name, members] : by_upstream) {
    json.open('{');
    json.key("name");
    json.string(name);
    if (paused.contains(name)) {
      json.key("paused");
      json.literal("true");
    }
    json.key("hosts");
    json.open('[');
    for (const HostSnapshot* host : members) write_host(json, *host);
    json.close(']');
    json.close('}');
  }
  json.close(']');
  if (matching > kMaxHosts) {
    json.key("truncated");
    json.literal("true");
  }
  json.close('}');
  return json.take() + "\n";
}

}  // namespace penstock
