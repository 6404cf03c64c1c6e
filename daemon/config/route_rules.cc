#include "config/route_rules.h"

#include <algorithm>
#include <string>
#include <string_view>

#include "config/key_table.h"
#include "config/route.h"

namespace penstock {
namespace {

// The routes of one upstream.
class RouteRules {
 public:
  RouteRules(const Config& config, const SourceMap& sources, std::size_t upstream)
      : routes_(config.upstreams[upstream].routes), sources_(sources), upstream_(upstream) {}

  std::vector<Fault> run() {
    for (std::size_t i = 0; i < routes_.size(); ++i) {
      if (is_readable(i)) check(i);
    }
    return std::move(faults_);
  }

 private:
  void check(std::size_t index);
  bool is_readable(std::size_t index) const {
    return !sources_.faulty_within(route_path(upstream_, index));
  }
  bool sets_policy(std::size_t index) const;
  bool shields_from_later(std::size_t index) const;

  void fault(std::size_t index, std::string what) {
    const std::string path = route_path(upstream_, index);
    faults_.push_back({sources_.at(path), path, std::move(what)});
  }

  const std::vector<RouteSettings>& routes_;
  const SourceMap& sources_;
  const std::size_t upstream_;
  std::vector<Fault> faults_;
};

void RouteRules::check(std::size_t index) {
  const RouteSettings& route = routes_[index];
  if (route.methods.empty() && route.path_prefix.size() <= 1) {
    return fault(index,
                 "takes every request, so that the upstream's own values would hold for none "
                 "(methods, a path_prefix longer than /, or the values in the upstream itself)");
  }
  for (std::size_t i = 0; i < index; ++i) {
    if (!is_readable(i) || !covers(routes_[i], route)) continue;
    return fault(index, "is never taken: routes[" + std::to_string(i) + "] (" +
                            to_string(routes_[i]) + ") takes all its requests before it " +
                            "(the narrower route goes first)");
  }
  if (sets_policy(index) || shields_from_later(index)) return;
  fault(index,
        "changes nothing (timeouts or retry; without them a route only keeps its requests "
        "from later routes, and no later one takes any of them)");
}

bool RouteRules::sets_policy(std::size_t index) const {
  return std::ranges::any_of(key_rows(), [&](const KeyRow& row) {
    return row.scope == KeyScope::kRequestPolicy &&
           sources_.has(route_path(upstream_, index, row.path));
  });
}

bool RouteRules::shields_from_later(std::size_t index) const {
  return std::any_of(routes_.begin() + static_cast<std::ptrdiff_t>(index) + 1, routes_.end(),
                     [&](const RouteSettings& later) { return overlap(routes_[index], later); });
}

}  // namespace

std::vector<Fault> find_route_faults(const Config& config, const SourceMap& sources) {
  std::vector<Fault> faults;
  for (std::size_t i = 0; i < config.upstreams.size(); ++i) {
    for (Fault& fault : RouteRules(config, sources, i).run()) faults.push_back(std::move(fault));
  }
  return faults;
}

}  // namespace penstock
