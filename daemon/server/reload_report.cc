#include "server/reload_report.h"

#include <string_view>
#include <utility>

#include "server/json_writer.h"

namespace penstock {

namespace {

using Connections = ReloadReport::Connections;

void add_count(std::string& text, std::uint32_t count, std::string_view what) {
  if (count == 0) return;
  text += (text.empty() ? "" : ", ") + std::to_string(count) + ' ' + std::string(what);
}

// "2 trimmed, 3 kept"; of what is dialled otherwise now, the open ones are busy.
std::string count_text(const UpstreamChange& change, const Connections& connections) {
  const bool ends = change.fate == UpstreamFate::kRetired || change.fate == UpstreamFate::kRemoved;
  std::string text;
  add_count(text, connections.retired, "retired");
  add_count(text, connections.trimmed, "trimmed");
  add_count(text, connections.open, ends ? "open until they come free" : "kept");
  return text;
}

std::string line_of(const UpstreamChange& change, const Connections& connections) {
  const std::string counts = count_text(change, connections);
  return to_line(change) + (counts.empty() ? "" : "; connections: " + counts);
}

void write_keys(JsonWriter& json, const std::vector<std::string_view>& keys) {
  json.key("keys");
  json.open('[');
  for (const std::string_view key : keys) json.string(key);
  json.close(']');
}

void write_text(JsonWriter& json, std::string_view name, std::string_view text) {
  json.key(name);
  json.string(text);
}

void write_change(JsonWriter& json, const ListenerChange& change) {
  json.open('{');
  write_text(json, "listener", change.address);
  write_text(json, "fate", word(change.fate));
  write_text(json, "text", to_line(change));
  json.close('}');
}

void write_change(JsonWriter& json, const UpstreamChange& change, const Connections& connections) {
  json.open('{');
  write_text(json, "upstream", change.name);
  write_text(json, "fate", word(change.fate));
  write_keys(json, change.keys);
  json.key("retired");
  json.number(connections.retired);
  json.key("trimmed");
  json.number(connections.trimmed);
  json.key("open");
  json.number(connections.open);
  write_text(json, "text", line_of(change, connections));
  json.close('}');
}

void write_keys_change(JsonWriter& json, const std::vector<std::string_view>& keys, bool restart) {
  if (keys.empty()) return;
  json.open('{');
  write_text(json, "fate", restart ? "restart" : "changed");
  write_keys(json, keys);
  write_text(json, "text", to_line(keys, restart));
  json.close('}');
}

Connections find(const ReloadReport& report, const UpstreamChange& change) {
  const auto at = report.connections.find(change.name);
  return at == report.connections.end() ? Connections{} : at->second;
}

}  // namespace

void ReloadReport::refuse(std::string what, std::vector<std::string> lines) {
  error = std::move(what);
  faults = std::move(lines);
}

std::vector<std::string> ReloadReport::lines() const {
  std::vector<std::string> lines;
  for (const ListenerChange& change : changes.listeners) lines.push_back(to_line(change));
  for (const UpstreamChange& change : changes.upstreams)
    lines.push_back(line_of(change, find(*this, change)));
  for (const bool restart : {false, true}) {
    std::string line = to_line(restart ? changes.restart_keys : changes.changed_keys, restart);
    if (!line.empty()) lines.push_back(std::move(line));
  }
  return lines;
}

std::string ReloadReport::to_json() const {
  JsonWriter json;
  json.open('{');
  json.key("revision");
  json.number(revision);
  if (!ok()) write_text(json, "error", error);
  json.key(ok() ? "changes" : "faults");
  json.open('[');
  for (const std::string& fault : faults) json.string(fault);
  for (const ListenerChange& change : changes.listeners) write_change(json, change);
  for (const UpstreamChange& change : changes.upstreams)
    write_change(json, change, find(*this, change));
  write_keys_change(json, changes.changed_keys, false);
  write_keys_change(json, changes.restart_keys, true);
  json.close(']');
  json.close('}');
  return json.take() + '\n';
}

}  // namespace penstock
