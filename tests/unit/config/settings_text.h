// A configuration as the table of keys shows it: equal texts mean equal settings.
#pragma once

#include <string>

#include "config/key_table.h"

namespace penstock {

inline std::string settings_text(const Config& config) {
  std::string text;
  const auto show = [&](KeyScope place, const KeySource& source) {
    for (const KeyRow& row : key_rows()) {
      if (!stands_in(row.scope, place)) continue;
      text += full_path(row) + ": " + row.get(row, source) + '\n';
    }
  };
  show(KeyScope::kTop, source_of(config));
  for (const ListenerSettings& listener : config.listeners) {
    show(KeyScope::kListener, source_of(listener));
  }
  for (const UpstreamSettings& upstream : config.upstreams) {
    show(KeyScope::kUpstream, source_of(upstream));
    for (const RouteSettings& route : upstream.routes) {
      text += "route:\n";
      show(KeyScope::kRoute, source_of(route));
    }
  }
  return text;
}

}  // namespace penstock
