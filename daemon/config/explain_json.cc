#include <nlohmann/json.hpp>

#include "config/explain.h"

namespace penstock {
namespace {

using Json = nlohmann::ordered_json;

Json value_json(const EffectiveValue& value, const std::string& file) {
  Json json = {{"value", value.value}, {"source", to_string(value.source)}};
  if (value.source == ValueSource::kBuiltIn) return json;
  json["file"] = file;
  json["line"] = value.line;
  return json;
}

Json explanation_json(const Explanation& from) {
  Json json = {{"url", from.url}, {"method", from.method}};
  if (!from.error.empty()) {
    json["error"] = from.error;
    return json;
  }
  json["upstream"] = from.upstream.empty() ? Json(nullptr) : Json(from.upstream);
  if (from.upstream.empty()) return json;
  json["pattern"] = {{"index", from.pattern_index}, {"text", from.pattern}};
  if (!from.refused.empty()) json["refused"] = from.refused;
  json["route"] = nullptr;
  if (from.route) json["route"] = {{"index", from.route->index}, {"text", from.route->text}};
  json["authority"] = from.authority;
  json["tls"] = from.tls;
  if (from.tls) json["server_name"] = from.server_name;
  json["dials"] = from.dial;
  for (const EffectiveValue& value : from.policy) {
    json["policy"][std::string(value.key)] = value_json(value, from.file);
  }
  return json;
}

}  // namespace

std::string Explanation::to_json() const {
  // A URL or a file name on the command line need not be UTF-8.
  return explanation_json(*this).dump(2, ' ', false, Json::error_handler_t::replace) + '\n';
}

}  // namespace penstock
