#include "config/effective.h"

#include "config/key_table.h"

namespace penstock {
namespace {

template <typename T>
EffectiveValue value_at(const LoadResult& loaded, const KeyRow& row, const T& object,
                        const std::string& path, ValueSource source) {
  const bool written = !path.empty() && loaded.sources.has(path);
  return {row.path, row.get(row, source_of(object)), written ? source : ValueSource::kBuiltIn,
          written ? loaded.sources.at(path).line : 0};
}

}  // namespace

std::string_view to_string(ValueSource source) {
  switch (source) {
    case ValueSource::kBuiltIn:
      return "built-in";
    case ValueSource::kProcess:
      return "process";
    case ValueSource::kListener:
      return "listener";
    case ValueSource::kDefaults:
      return "defaults";
    case ValueSource::kUpstream:
      return "upstream";
    case ValueSource::kRoute:
      return "route";
  }
  return {};
}

EffectiveValues process_values(const LoadResult& loaded) {
  EffectiveValues values;
  for (const KeyRow& row : key_rows()) {
    if (row.scope != KeyScope::kTop) continue;
    values.push_back(
        value_at(loaded, row, *loaded.config, std::string(row.path), ValueSource::kProcess));
  }
  return values;
}

EffectiveValues listener_values(const LoadResult& loaded, std::size_t listener) {
  EffectiveValues values;
  for (const KeyRow& row : key_rows()) {
    if (row.scope != KeyScope::kListener) continue;
    values.push_back(value_at(loaded, row, loaded.config->listeners[listener],
                              listener_path(listener, row.path), ValueSource::kListener));
  }
  return values;
}

EffectiveValues upstream_values(const LoadResult& loaded, std::size_t upstream) {
  EffectiveValues values;
  for (const KeyRow& row : key_rows()) {
    if (!stands_in(row.scope, KeyScope::kUpstream)) continue;
    const std::string path = policy_path(loaded.sources, upstream, row.path);
    const ValueSource source =
        path.starts_with("defaults") ? ValueSource::kDefaults : ValueSource::kUpstream;
    values.push_back(value_at(loaded, row, loaded.config->upstreams[upstream], path, source));
  }
  return values;
}

EffectiveValues route_values(const LoadResult& loaded, std::size_t upstream, std::size_t route) {
  EffectiveValues values;
  for (const KeyRow& row : key_rows()) {
    const std::string path = route_path(upstream, route, row.path);
    if (!stands_in(row.scope, KeyScope::kRoute) || !loaded.sources.has(path)) continue;
    values.push_back(value_at(loaded, row, loaded.config->upstreams[upstream].routes[route], path,
                              ValueSource::kRoute));
  }
  return values;
}

}  // namespace penstock
