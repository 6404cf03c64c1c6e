#include "server/takeover_words.h"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <utility>

#include "server/json_writer.h"

namespace penstock {

namespace {

using nlohmann::json;

constexpr std::array<std::pair<HandedKind, std::string_view>, 4> kKinds = {{
    {HandedKind::kListener, "listener"},
    {HandedKind::kAdmin, "admin"},
    {HandedKind::kPublicAdmin, "public_admin"},
    {HandedKind::kTakeover, "takeover"},
}};

std::string_view name_of(HandedKind kind) {
  return std::ranges::find(kKinds, kind, [](const auto& entry) { return entry.first; })->second;
}

std::optional<HandedKind> find_kind(std::string_view name) {
  const auto at = std::ranges::find(kKinds, name, [](const auto& entry) { return entry.second; });
  return at == kKinds.end() ? std::nullopt : std::optional(at->first);
}

std::string string_at(const json& object, const char* key) {
  const auto at = object.find(key);
  return at != object.end() && at->is_string() ? at->get<std::string>() : std::string();
}

bool flag_at(const json& object, const char* key) {
  const auto at = object.find(key);
  return at != object.end() && at->is_boolean() && at->get<bool>();
}

std::vector<std::size_t> numbers_at(const json& object, const char* key) {
  std::vector<std::size_t> numbers;
  const auto at = object.find(key);
  if (at == object.end() || !at->is_array()) return numbers;
  for (const json& each : *at) {
    if (each.is_number_unsigned()) numbers.push_back(each.get<std::size_t>());
  }
  return numbers;
}

}  // namespace

std::string say_hello() { return "{\"takeover\":" + std::to_string(kTakeoverVersion) + '}'; }

std::string say_sockets(const HandedSockets& sockets) {
  JsonWriter writer;
  writer.open('{');
  writer.key("kind");
  writer.string(name_of(sockets.kind));
  writer.key("address");
  writer.string(sockets.address);
  writer.close('}');
  return writer.take();
}

std::string say_end(const HandedManager& manager) {
  JsonWriter writer;
  writer.open('{');
  writer.key("end");
  writer.literal("true");
  writer.key("notify_socket");
  writer.string(manager.notify_socket);
  writer.key("watchdog_usec");
  writer.number(manager.watchdog_usec);
  writer.close('}');
  return writer.take();
}

std::string say_ready(const std::vector<std::size_t>& kept) {
  JsonWriter writer;
  writer.open('{');
  writer.key("ready");
  writer.literal("true");
  writer.key("kept");
  writer.open('[');
  for (const std::size_t number : kept) writer.number(number);
  writer.close(']');
  writer.close('}');
  return writer.take();
}

std::string say_drains() { return "{\"drains\":true}"; }

std::string say_error(std::string_view why) {
  JsonWriter writer;
  writer.open('{');
  writer.key("error");
  writer.string(why);
  writer.close('}');
  return writer.take();
}

std::optional<TakeoverWords> parse_takeover(std::string_view text) {
  const json said = json::parse(text, nullptr, false);
  if (!said.is_object()) return std::nullopt;
  TakeoverWords words;
  if (const auto at = said.find("takeover"); at != said.end() && at->is_number_integer()) {
    words.version = at->get<std::int64_t>();
  }
  words.kind = find_kind(string_at(said, "kind"));
  words.address = string_at(said, "address");
  words.end = flag_at(said, "end");
  words.manager.notify_socket = string_at(said, "notify_socket");
  if (const auto at = said.find("watchdog_usec"); at != said.end() && at->is_number_unsigned()) {
    words.manager.watchdog_usec = at->get<std::uint64_t>();
  }
  words.ready = flag_at(said, "ready");
  words.kept = numbers_at(said, "kept");
  words.drains = flag_at(said, "drains");
  words.error = string_at(said, "error");
  return words;
}

}  // namespace penstock
