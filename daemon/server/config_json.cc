#include "server/config_json.h"

#include "config/effective.h"
#include "server/json_writer.h"

namespace penstock {

namespace {

void write_text(JsonWriter& json, std::string_view key, std::string_view value) {
  json.key(key);
  json.string(value);
}

void write_value(JsonWriter& json, const EffectiveValue& value, const ValuesInForce& in_force) {
  json.key(value.key);
  json.open('{');
  write_text(json, "value", value.value);
  write_text(json, "source", to_string(value.source));
  if (value.line > 0) {
    json.key("line");
    json.number(value.line);
  }
  const auto other = in_force.find(value.key);
  if (other != in_force.end() && other->second != value.value)
    write_text(json, "in_force", other->second);
  json.close('}');
}

void write_values(JsonWriter& json, const EffectiveValues& values,
                  const ValuesInForce& in_force = {}) {
  json.open('{');
  for (const EffectiveValue& value : values) write_value(json, value, in_force);
  json.close('}');
}

void write_last_error(JsonWriter& json, const ConfigInForce& config) {
  json.key("last_error");
  if (config.error.empty()) {
    json.literal("null");
    return;
  }
  json.open('{');
  write_text(json, "error", config.error);
  json.key("faults");
  json.open('[');
  for (const std::string& fault : config.faults) json.string(fault);
  json.close(']');
  json.close('}');
}

void write_listeners(JsonWriter& json, const ConfigInForce& config) {
  json.key("listeners");
  json.open('[');
  for (std::size_t i = 0; i < config.bound.size(); ++i)
    write_values(json, listener_values(config.loaded, i), {{"address", config.bound[i]}});
  json.close(']');
}

void write_upstream(JsonWriter& json, const LoadResult& loaded, std::size_t index) {
  const UpstreamSettings& upstream = loaded.config->upstreams[index];
  json.open('{');
  write_text(json, "name", upstream.name);
  json.key("values");
  write_values(json, upstream_values(loaded, index));
  json.key("routes");
  json.open('[');
  for (std::size_t i = 0; i < upstream.routes.size(); ++i)
    write_values(json, route_values(loaded, index, i));
  json.close(']');
  json.close('}');
}

void write_upstreams(JsonWriter& json, const LoadResult& loaded, std::string_view name) {
  json.key("upstreams");
  json.open('[');
  std::size_t matching = 0;
  for (std::size_t i = 0; i < loaded.config->upstreams.size(); ++i) {
    if (!name.empty() && loaded.config->upstreams[i].name != name) continue;
    if (++matching <= kMaxConfigUpstreams) write_upstream(json, loaded, i);
  }
  json.close(']');
  if (matching <= kMaxConfigUpstreams) return;
  json.key("truncated");
  json.literal("true");
}

}  // namespace

std::string config_json(const ConfigInForce& config, std::string_view upstream, WallTime now) {
  JsonWriter json;
  json.open('{');
  json.key("revision");
  json.number(config.revision);
  write_text(json, "time", rfc3339(now));
  write_text(json, "file", config.loaded.file);
  write_text(json, "loaded_at", rfc3339(config.loaded_at));
  write_last_error(json, config);
  json.key("process");
  write_values(json, process_values(config.loaded), config.in_force);
  write_listeners(json, config);
  write_upstreams(json, config.loaded, upstream);
  json.close('}');
  return json.take() + "\n";
}

}  // namespace penstock
