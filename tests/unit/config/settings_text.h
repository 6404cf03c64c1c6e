// A configuration as the table of keys shows it: equal texts mean equal settings.
#pragma once

#include <string>

#include "config/key_table.h"

namespace penstock {

inline std::string settings_text(const Config& config) {
  std::string text;
  const auto show = [&](KeyScope scope, const KeySource& source) {
    for (const KeyRow& row : key_rows()) {
      if (row.scope != scope) continue;
      text += full_path(row) + ": " + row.get(row, source) + '\n';
    }
  };
  show(KeyScope::kTop, source_of(config));
  for (const ListenerSettings& listener : config.listeners) {
    show(KeyScope::kListener, source_of(listener));
  }
  for (const UpstreamSettings& upstream : config.upstreams) {
    show(KeyScope::kUpstream, source_of(upstream));
    show(KeyScope::kPolicy, source_of(upstream.policy));
  }
  return text;
}

}  // namespace penstock
