#include "config/fault.h"

#include <algorithm>
#include <tuple>

#include "config/values.h"

namespace penstock {
namespace {

std::string item_path(std::string_view list, std::size_t index, std::string_view key) {
  std::string path(list);
  path += '[' + std::to_string(index) + ']';
  if (!key.empty()) path.append(".").append(key);
  return path;
}

}  // namespace

std::string to_string(const Fault& fault, std::string_view file) {
  std::string line(file);
  if (fault.at.line > 0) {
    line += ':' + std::to_string(fault.at.line) + ':' + std::to_string(fault.at.column);
  }
  line += ": ";
  // A key in double quotes may hold anything; a fault stays one line, whoever reads it.
  if (!fault.key.empty()) {
    append_without_controls(fault.key, line);
    line += ": ";
  }
  append_without_controls(fault.what, line);
  return line;
}

void sort_and_unite(std::vector<Fault>& faults) {
  const auto order = [](const Fault& fault) { return std::tie(fault.at, fault.key, fault.what); };
  std::ranges::sort(faults, {}, order);
  faults.erase(std::unique(faults.begin(), faults.end()), faults.end());
}

bool SourceMap::faulty(std::string_view path) const {
  const auto found = places_.find(path);
  return found != places_.end() && found->second.faulty;
}

bool SourceMap::faulty_within(std::string_view path) const {
  for (auto at = places_.lower_bound(path); at != places_.end(); ++at) {
    if (!at->first.starts_with(path)) return false;
    if (at->second.faulty) return true;
  }
  return false;
}

Position SourceMap::at(std::string_view path) const {
  while (!path.empty()) {
    const auto found = places_.find(path);
    if (found != places_.end()) return found->second.at;
    const std::size_t cut = path.find_last_of(".[");
    path = cut == std::string_view::npos ? std::string_view() : path.substr(0, cut);
  }
  return {};
}

std::string upstream_path(std::size_t upstream, std::string_view key) {
  return item_path("upstreams", upstream, key);
}

std::string route_path(std::size_t upstream, std::size_t route, std::string_view key) {
  return item_path(upstream_path(upstream, "routes"), route, key);
}

std::string listener_path(std::size_t listener, std::string_view key) {
  return item_path("listeners", listener, key);
}

std::string policy_path(const SourceMap& sources, std::size_t upstream, std::string_view key) {
  std::string own = upstream_path(upstream, key);
  if (sources.has(own)) return own;
  std::string inherited = "defaults." + std::string(key);
  if (sources.has(inherited)) return inherited;
  return {};
}

std::string policy_path(const SourceMap& sources, std::size_t upstream, std::size_t route,
                        std::string_view key) {
  std::string own = route_path(upstream, route, key);
  return sources.has(own) ? own : policy_path(sources, upstream, key);
}

}  // namespace penstock
