#include "server/pools_json.h"

#include <chrono>
#include <cstdio>
#include <ctime>
#include <map>

#include "telemetry/escape.h"

namespace penstock {

namespace {

constexpr std::size_t kMaxHosts = 1000;

// Just what this page needs of JSON: members in order, the comma where one belongs.
class JsonWriter {
 public:
  void open(char bracket) {
    separate();
    text_ += bracket;
  }
  void close(char bracket) { text_ += bracket; }
  void key(std::string_view name) {
    separate();
    quote(name);
    text_ += ':';
  }
  void string(std::string_view value) {
    separate();
    quote(value);
  }
  void literal(std::string_view value) {
    separate();
    text_ += value;
  }
  template <typename Int>
  void number(Int value) {
    literal(std::to_string(value));
  }
  std::string take() { return std::move(text_); }

 private:
  void separate() {
    if (text_.empty()) return;
    const char last = text_.back();
    if (last != '{' && last != '[' && last != ':') text_ += ',';
  }
  void quote(std::string_view value) {
    const std::size_t begin = text_.size();
    text_.resize(begin + value.size() * kMaxEscapedBytes + 2);
    text_[begin] = '"';
    char* end = write_json_escaped(text_.data() + begin + 1, value);
    *end++ = '"';
    text_.resize(static_cast<std::size_t>(end - text_.data()));
  }

  std::string text_;
};

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
  const bool is_v6 = host.key.host.find(':') != std::string::npos;
  json.open('{');
  json.key("origin");
  json.string((is_v6 ? "[" + host.key.host + "]" : host.key.host) + ":" +
              std::to_string(host.key.port));
  json.key("limits");
  json.open('{');
  write_limit(json, "max_connections", host.limits.max_connections);
  write_limit(json, "max_idle", host.limits.max_idle);
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
  json.close('}');
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

std::string pools_json(const std::vector<HostSnapshot>& hosts, std::string_view upstream,
                       std::uint64_t revision, WallTime now) {
  std::map<std::string_view, std::vector<const HostSnapshot*>> by_upstream;
  std::size_t matching = 0;
  for (const HostSnapshot& host : hosts) {
    if (!upstream.empty() && host.key.upstream != upstream) continue;
    if (++matching <= kMaxHosts) by_upstream[host.key.upstream].push_back(&host);
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
