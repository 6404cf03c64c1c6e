// What the commands read of the admin server's answers: apart from them, since it sees the JSON
// library.
#include <nlohmann/json.hpp>

#include "server/pools_view.h"
#include "server/reload_command.h"

namespace penstock {

namespace {

using Json = nlohmann::json;

std::uint64_t sum(const Json& counts) {
  std::uint64_t total = 0;
  for (const Json& count : counts) total += count.get<std::uint64_t>();
  return total;
}

PoolsView::Host parse_host(const Json& host) {
  const Json& connections = host.at("connections");
  const Json& limit = host.at("limits").at("max_connections");
  const Json& error = host.at("last_error");
  PoolsView::Host parsed;
  parsed.origin = host.at("origin");
  parsed.dialing = connections.at("dialing");
  parsed.idle = connections.at("idle");
  parsed.busy = connections.at("busy");
  parsed.draining = connections.at("draining");
  parsed.upgraded = connections.at("upgraded");
  if (limit.is_number()) parsed.limit = limit.get<std::uint64_t>();
  parsed.waiting = host.at("waiting");
  parsed.oldest_wait_ms = host.at("oldest_wait_ms");
  parsed.opened = host.at("opened");
  parsed.acquires = sum(host.at("acquires"));
  if (error.is_string()) parsed.last_error = error;
  return parsed;
}

void append_upstream(const Json& upstream, std::vector<PoolsView::Host>& hosts) {
  const std::string name = upstream.at("name");
  const bool paused = upstream.value("paused", false);
  const Json& members = upstream.at("hosts");
  if (members.empty()) {
    PoolsView::Host& none = hosts.emplace_back();
    none.upstream = name;
    none.paused = paused;
  }
  for (const Json& member : members) {
    PoolsView::Host& host = hosts.emplace_back(parse_host(member));
    host.upstream = name;
    host.paused = paused;
  }
}

}  // namespace

Result<PoolsView, std::string> parse_pools(const std::string& json) {
  try {
    const Json body = Json::parse(json);
    PoolsView pools;
    pools.revision = body.at("revision");
    pools.truncated = body.value("truncated", false);
    for (const Json& upstream : body.at("upstreams")) append_upstream(upstream, pools.hosts);
    return pools;
  } catch (const Json::exception&) {  // the library's way; it goes no further
    return Unexpected{std::string("the answer is not that of penstock's /pools")};
  }
}

Result<ReloadAnswer, std::string> parse_reload(const std::string& json) {
  try {
    const Json body = Json::parse(json);
    ReloadAnswer answer{.revision = body.at("revision"), .lines = {}};
    for (const Json& change : body.value("changes", Json::array()))
      answer.lines.push_back(change.at("text"));
    for (const Json& fault : body.value("faults", Json::array())) answer.lines.push_back(fault);
    return answer;
  } catch (const Json::exception&) {
    return Unexpected{std::string("the answer is not that of penstock's /reload")};
  }
}

}  // namespace penstock
