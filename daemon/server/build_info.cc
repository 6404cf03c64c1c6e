#include "server/build_info.h"

#include "http/versions.h"
#include "net/versions.h"

namespace penstock {

std::string version() { return PENSTOCK_VERSION; }

std::vector<std::pair<std::string, std::string>> build_info() {
  std::vector<std::pair<std::string, std::string>> info = {{"version", version()}};
  info.emplace_back("llhttp", llhttp_version());
  for (auto& library : net_library_versions()) info.push_back(std::move(library));
  return info;
}

}  // namespace penstock
