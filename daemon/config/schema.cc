#include "config/schema.h"

#include <charconv>
#include <nlohmann/json.hpp>
#include <string_view>

#include "config/key_table.h"
#include "config/values.h"

namespace penstock {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::string_view kDurationPattern =
    "^(?=[0-9])([0-9]+(\\.[0-9]+)?h)?([0-9]+(\\.[0-9]+)?m)?([0-9]+(\\.[0-9]+)?s)?"
    "([0-9]+(\\.[0-9]+)?ms)?$";
constexpr std::string_view kSizePattern = "^[0-9]+(\\.[0-9]+)?(B|KiB|MiB|GiB)$";

// The values that a YAML tool may make of a word: `off` becomes false, `1.2` a number.
void add_word(Json& values, std::string_view word) {
  values.push_back(word);
  if (word == "off") {
    for (const char* same : {"no", "false"}) values.push_back(same);
    values.push_back(false);
  }
  double number = 0;
  const auto end = std::from_chars(word.data(), word.data() + word.size(), number);
  if (end.ec == std::errc() && end.ptr == word.data() + word.size()) values.push_back(number);
}

Json words_json(const KeyRow& row) {
  Json values = Json::array();
  for (const std::string_view word : row.words) add_word(values, word);
  return {{"enum", values}};
}

Json list_item(const KeyRow& row) {
  if (row.max == 0) return {{"type", "string"}, {"minLength", 1}};
  return {{"type", "integer"}, {"minimum", 0}, {"maximum", row.max}};
}

Json typed(const KeyRow& row) {
  switch (row.type) {
    case ValueType::kDuration:
      if (row.zero_allowed) {
        return {{"anyOf", {{{"const", 0}}, {{"type", "string"}, {"pattern", kDurationPattern}}}}};
      }
      return {{"type", "string"}, {"pattern", kDurationPattern}};
    case ValueType::kSize:
      if (row.min == 0) {
        return {{"anyOf", {{{"const", 0}}, {{"type", "string"}, {"pattern", kSizePattern}}}}};
      }
      return {{"type", "string"}, {"pattern", kSizePattern}};
    case ValueType::kCount:
      return {{"type", "integer"}, {"minimum", row.min}, {"maximum", row.max}};
    case ValueType::kSwitch:
      return {{"enum", {true, false, "true", "false", "on", "off", "yes", "no"}}};
    case ValueType::kShare:
      return {{"anyOf",
               {{{"type", "number"}, {"minimum", 0}, {"maximum", 1}},
                {{"type", "string"}, {"pattern", "^[0-9]+(\\.[0-9]+)?%$"}}}}};
    case ValueType::kWord:
      return words_json(row);
    case ValueType::kText:
      if (!row.pattern.empty()) return {{"type", "string"}, {"pattern", row.pattern}};
      return {{"type", "string"}, {"minLength", 1}};
    case ValueType::kList:
      return {{"type", "array"}, {"items", list_item(row)}, {"minItems", row.min}};
  }
  return {};
}

std::string description(const KeyRow& row) {
  std::string text(row.doc);
  text += " Allowed: " + allowed_text(row) + ". Default: " + std::string(row.default_text) + '.';
  return text + " Reload: " + std::string(to_string(row.reload)) + '.';
}

Json row_json(const KeyRow& row) {
  Json value = typed(row);
  if (!row.nothing.empty()) {
    Json words = Json::array();
    add_word(words, row.nothing);
    value = {{"anyOf", {value, {{"enum", words}}}}};
  }
  Json json = {{"description", description(row)}};
  json.update(value);
  return json;
}

// An object that takes no other keys; null is a section all of whose keys are commented out.
Json object(bool may_be_null) {
  Json json;
  json["type"] = may_be_null ? Json({"object", "null"}) : Json("object");
  json["additionalProperties"] = false;
  json["properties"] = Json::object();
  return json;
}

// A section that is an object, or one of the words that turn it off.
Json switchable(Json section) {
  Json words = Json::array();
  add_word(words, "off");
  section["type"] = {"object", "null", "string", "boolean"};
  section["if"] = {{"type", {"string", "boolean"}}};
  section["then"] = {{"enum", words}};
  return section;
}

// Adds the rows that may stand in a place, making an object of each section.
void add_rows(Json& holder, KeyScope place) {
  for (const KeyRow& row : key_rows()) {
    if (!stands_in(row.scope, place)) continue;
    Json* properties = &holder["properties"];
    std::string_view path = row.path;
    for (std::size_t dot = path.find('.'); dot != std::string_view::npos; dot = path.find('.')) {
      Json& section = (*properties)[std::string(path.substr(0, dot))];
      if (section.is_null()) section = object(true);
      if (row.section_switch && path.find('.', dot + 1) == std::string_view::npos) {
        section = switchable(std::move(section));
      }
      properties = &section["properties"];
      path.remove_prefix(dot + 1);
    }
    (*properties)[std::string(path)] = row_json(row);
    if (row.required) holder["required"].push_back(path);
  }
}

Json list_of(Json item, std::string_view description_text) {
  return {{"description", description_text},
          {"type", {"array", "null"}},
          {"minItems", 1},
          {"items", std::move(item)}};
}

}  // namespace

std::string json_schema() {
  Json listener = object(false);
  add_rows(listener, KeyScope::kListener);
  Json defaults = object(true);
  defaults["description"] = "What every upstream starts from and overrides key by key.";
  add_rows(defaults, KeyScope::kPolicy);
  Json route = object(false);
  add_rows(route, KeyScope::kRoute);
  Json upstream = object(false);
  add_rows(upstream, KeyScope::kUpstream);
  upstream["properties"]["routes"] = list_of(
      std::move(route),
      "Other values for some requests, on the same connections: the first route that fits is "
      "taken.");

  Json schema = {{"$schema", "https://json-schema.org/draft/2020-12/schema"},
                 {"title", "penstock configuration"}};
  schema.update(object(true));
  Json& properties = schema["properties"];
  properties["listeners"] = list_of(std::move(listener), "Where local apps reach the proxy.");
  add_rows(schema, KeyScope::kTop);
  properties["defaults"] = std::move(defaults);
  properties["upstreams"] =
      list_of(std::move(upstream), "Who is reached, and how. Default: one for every host.");
  return schema.dump(2) + '\n';
}

}  // namespace penstock
