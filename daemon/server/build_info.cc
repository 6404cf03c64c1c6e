#include "server/build_info.h"

#include "http/versions.h"
#include "net/versions.h"
#include "server/json_writer.h"

namespace penstock {

std::string version() { return PENSTOCK_VERSION; }

std::vector<std::pair<std::string, std::string>> build_info() {
  std::vector<std::pair<std::string, std::string>> info = {{"version", version()}};
  info.emplace_back("llhttp", llhttp_version());
  for (auto& library : net_library_versions()) info.push_back(std::move(library));
  return info;
}

std::string version_json() {
  JsonWriter json;
  json.open('{');
  json.key("version");
  json.string(version());
  json.key("libraries");
  json.open('{');
  for (const auto& [name, value] : build_info()) {
    if (name == "version") continue;
    json.key(name);
    json.string(value);
  }
  json.close('}');
  json.close('}');
  return json.take() + "\n";
}

}  // namespace penstock
