#include "server/pools_json.h"

#include <chrono>
#include <ctime>
#include <map>
#include <nlohmann/json.hpp>

namespace penstock {

namespace {

using Json = nlohmann::ordered_json;

constexpr std::size_t kMaxHosts = 1000;

Json limit_json(std::uint32_t count) { return count == kUnlimitedCount ? Json("unlimited") : Json(count); }

Json host_json(const HostSnapshot& host) {
  Json closed = Json::object();
  for (std::size_t i = 0; i < host.closed.size(); ++i) {
    if (host.closed[i] > 0) closed[std::string(to_string(static_cast<CloseReason>(i)))] = host.closed[i];
  }
  const bool is_v6 = host.key.host.find(':') != std::string::npos;
  return {{"origin", (is_v6 ? "[" + host.key.host + "]" : host.key.host) + ":" + std::to_string(host.key.port)},
          {"limits",
           {{"max_connections", limit_json(host.limits.max_connections)},
            {"max_idle", limit_json(host.limits.max_idle)},
            {"max_waiting", limit_json(host.limits.max_waiting)}}},
          {"connections", {{"dialing", host.dialing}, {"idle", host.idle}, {"busy", host.busy}}},
          {"waiting", host.waiting},
          {"oldest_wait_ms", std::chrono::duration_cast<std::chrono::milliseconds>(host.oldest_wait).count()},
          {"opened", host.opened},
          {"acquires", {{"idle", host.acquired_idle}, {"dialed", host.acquired_dialed}, {"queued", host.acquired_queued}}},
          {"closed", closed},
          {"last_error", host.last_error.empty() ? Json(nullptr) : Json(host.last_error)}};
}

std::string rfc3339(WallTime now) {
  const auto second = std::chrono::floor<std::chrono::seconds>(now);
  const std::time_t time = second.time_since_epoch().count();
  std::tm utc{};
  gmtime_r(&time, &utc);
  char text[64];
  const std::size_t length = std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &utc);
  char micros[16];
  std::snprintf(micros, sizeof micros, ".%06ldZ", static_cast<long>((now - second).count()));
  return std::string(text, length) + micros;
}

}  // namespace

std::string pools_json(const std::vector<HostSnapshot>& hosts, std::string_view upstream, std::uint64_t revision,
                       WallTime now) {
  std::map<std::string_view, Json> by_upstream;
  std::size_t shown = 0;
  bool truncated = false;
  for (const HostSnapshot& host : hosts) {
    if (!upstream.empty() && host.key.upstream != upstream) continue;
    if (++shown > kMaxHosts) {
      truncated = true;
      break;
    }
    by_upstream[host.key.upstream].push_back(host_json(host));
  }
  Json out = {{"revision", revision}, {"time", rfc3339(now)}, {"upstreams", Json::array()}};
  for (auto& [name, list] : by_upstream) out["upstreams"].push_back({{"name", name}, {"hosts", std::move(list)}});
  if (truncated) out["truncated"] = true;
  return out.dump() + "\n";
}

}  // namespace penstock
