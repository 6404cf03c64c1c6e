#include "server/rows_json.h"

#include <algorithm>
#include <chrono>
#include <string_view>
#include <tuple>

#include "server/json_writer.h"

namespace penstock {

namespace {

void write_text(JsonWriter& json, std::string_view key, std::string_view value) {
  json.key(key);
  json.string(value);
}

template <typename Int>
void write_number(JsonWriter& json, std::string_view key, Int value) {
  json.key(key);
  json.number(value);
}

void write_ms(JsonWriter& json, std::string_view key, Duration duration) {
  write_number(json, key, std::chrono::duration_cast<std::chrono::milliseconds>(duration).count());
}

void write_row(JsonWriter& json, const ConnectionRow& row) {
  write_number(json, "id", row.id);
  write_text(json, "upstream", row.upstream);
  write_text(json, "origin", origin_text(row.host, row.port));
  json.key("address");
  row.address.empty() ? json.literal("null") : json.string(row.address);
  write_number(json, "worker", row.worker);
  write_text(json, "state", row.state);
  write_ms(json, "age_ms", row.age);
  write_ms(json, "in_state_ms", row.in_state);
  write_number(json, "requests", row.requests);
  json.key("resumed");
  json.literal(row.resumed ? "true" : "false");
}

void write_row(JsonWriter& json, const WaitingRow& row) {
  write_text(json, "upstream", row.upstream);
  write_text(json, "origin", origin_text(row.host, row.port));
  write_number(json, "worker", row.worker);
  write_ms(json, "waiting_ms", row.waiting);
  write_text(json, "phase", to_string(row.phase));
}

template <typename Rows>
std::string rows_json(std::string_view name, const Rows& rows, WallTime now) {
  JsonWriter json;
  json.open('{');
  write_text(json, "time", rfc3339(now));
  json.key(name);
  json.open('[');
  for (std::size_t i = 0; i < std::min(rows.size(), kMaxRows); ++i) {
    json.open('{');
    write_row(json, rows[i]);
    json.close('}');
  }
  json.close(']');
  if (rows.size() > kMaxRows) {
    json.key("truncated");
    json.literal("true");
  }
  json.close('}');
  return json.take() + "\n";
}

}  // namespace

std::string connections_json(ConnectionRows rows, WallTime now) {
  std::ranges::sort(rows, {}, [](const ConnectionRow& row) {
    return std::tie(row.upstream, row.host, row.port, row.id);
  });
  return rows_json("connections", rows, now);
}

// Who has waited longest comes first.
std::string waiting_json(WaitingRows rows, WallTime now) {
  std::ranges::sort(rows, std::ranges::greater(), &WaitingRow::waiting);
  return rows_json("waiting", rows, now);
}

}  // namespace penstock
