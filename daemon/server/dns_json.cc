#include "server/dns_json.h"

#include <algorithm>
#include <chrono>

#include "server/json_writer.h"
#include "server/rows_json.h"

namespace penstock {

namespace {

void write_name(JsonWriter& json, const DnsCache::Row& name) {
  json.open('{');
  json.key("name");
  json.string(name.host);
  json.key("state");
  json.string(to_string(name.state));
  json.key("addresses");
  json.open('[');
  for (const std::string& address : name.addresses) json.string(address);
  json.close(']');
  json.key("expires_in_ms");
  json.number(std::chrono::duration_cast<std::chrono::milliseconds>(name.expires_in).count());
  json.key("last_error");
  name.last_error.empty() ? json.literal("null") : json.string(name.last_error);
  json.close('}');
}

}  // namespace

std::string dns_json(const std::vector<DnsCache::Row>& names, WallTime now) {
  JsonWriter json;
  json.open('{');
  json.key("time");
  json.string(rfc3339(now));
  json.key("names");
  json.open('[');
  for (std::size_t i = 0; i < std::min(names.size(), kMaxRows); ++i) write_name(json, names[i]);
  json.close(']');
  if (names.size() > kMaxRows) {
    json.key("truncated");
    json.literal("true");
  }
  json.close('}');
  return json.take() + "\n";
}

}  // namespace penstock
