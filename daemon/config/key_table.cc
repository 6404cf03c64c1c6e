#include "config/key_table.h"

#include <algorithm>
#include <array>
#include <vector>

#include "config/key_rows.h"
#include "config/values.h"

namespace penstock {
namespace {

struct LaterKey {
  KeyScope scope;
  std::string_view path;
};

// Keys that the configuration contract names and this version does not have.
constexpr std::array kLaterKeys = {
    LaterKey{KeyScope::kUpstream, "routed"},     LaterKey{KeyScope::kPolicy, "protocol"},
    LaterKey{KeyScope::kPolicy, "parent_proxy"}, LaterKey{KeyScope::kPolicy, "compression"},
    LaterKey{KeyScope::kPolicy, "tls.ciphers"},  LaterKey{KeyScope::kPolicy, "tls.groups"},
    LaterKey{KeyScope::kPolicy, "tls.crl_file"}, LaterKey{KeyScope::kPolicy, "tls.pins"},
};

std::vector<KeyRow> join_rows() {
  const auto process = process_key_rows();
  const auto upstream = upstream_key_rows();
  std::vector<KeyRow> rows(process.begin(), process.end());
  rows.insert(rows.end(), upstream.begin(), upstream.end());
  return rows;
}

// True when `path` is a key of this section, however deep.
bool is_below(std::string_view path, std::string_view section) {
  return path.size() > section.size() && path.starts_with(section) && path[section.size()] == '.';
}

std::string range_text(const KeyRow& row) {
  if (row.type == ValueType::kSize) return format_size(row.min) + " to " + format_size(row.max);
  return std::to_string(row.min) + " to " + std::to_string(row.max);
}

std::string allowed_without_nothing(const KeyRow& row) {
  switch (row.type) {
    case ValueType::kDuration:
      return (row.zero_allowed ? "0, or " : "") + format_duration(kShortestDuration) + " to " +
             format_duration(kLongestDuration);
    case ValueType::kSize:
    case ValueType::kCount:
      return range_text(row);
    case ValueType::kSwitch:
      return "true or false";
    case ValueType::kShare:
      return "0 to 1, or 0% to 100%";
    case ValueType::kWord:
      return alternatives(row.words);
    case ValueType::kText:
    case ValueType::kList:
      break;
  }
  return {};
}

}  // namespace

std::string_view to_string(ReloadClass reload) {
  switch (reload) {
    case ReloadClass::kLive:
      return "live";
    case ReloadClass::kNewConnections:
      return "new connections";
    case ReloadClass::kRestart:
      return "restart";
  }
  return {};
}

std::span<const KeyRow> key_rows() {
  static const std::vector<KeyRow> rows = join_rows();
  return rows;
}

bool stands_in(KeyScope row, KeyScope place) {
  if (row == place) return true;
  const bool has_policy = place == KeyScope::kUpstream || place == KeyScope::kPolicy;
  if (row == KeyScope::kRequestPolicy) return has_policy || place == KeyScope::kRoute;
  return row == KeyScope::kPolicy && has_policy;
}

const KeyRow* find_key(KeyScope scope, std::string_view path) {
  const auto rows = key_rows();
  const auto at = std::ranges::find_if(
      rows, [&](const KeyRow& row) { return row.path == path && stands_in(row.scope, scope); });
  return at == rows.end() ? nullptr : &*at;
}

bool is_section(KeyScope scope, std::string_view path) {
  return std::ranges::any_of(key_rows(), [&](const KeyRow& row) {
    return stands_in(row.scope, scope) && is_below(row.path, path);
  });
}

const KeyRow* find_section_switch(KeyScope scope, std::string_view path) {
  const auto rows = key_rows();
  const auto at = std::ranges::find_if(rows, [&](const KeyRow& row) {
    return row.section_switch && stands_in(row.scope, scope) &&
           row.path.substr(0, row.path.rfind('.')) == path;
  });
  return at == rows.end() ? nullptr : &*at;
}

bool is_later_key(KeyScope scope, std::string_view path) {
  return std::ranges::any_of(kLaterKeys, [&](const LaterKey& key) {
    return key.path == path && stands_in(key.scope, scope);
  });
}

std::string allowed_text(const KeyRow& row) {
  if (!row.allowed_words.empty()) return std::string(row.allowed_words);
  std::string text = allowed_without_nothing(row);
  if (!row.nothing.empty()) text.append(", or ").append(row.nothing);
  return text;
}

std::string full_path(const KeyRow& row) {
  switch (row.scope) {
    case KeyScope::kTop:
      return std::string(row.path);
    case KeyScope::kListener:
      return "listeners[]." + std::string(row.path);
    case KeyScope::kRoute:
      return "upstreams[].routes[]." + std::string(row.path);
    case KeyScope::kUpstream:
    case KeyScope::kPolicy:
    case KeyScope::kRequestPolicy:
      return "upstreams[]." + std::string(row.path);
  }
  return {};
}

std::uint32_t timeout_bits(std::string_view path) {
  std::uint32_t bits = 0;
  std::uint32_t bit = 1;
  for (const KeyRow& row : key_rows()) {
    if (!is_below(row.path, "timeouts")) continue;
    if (row.path == path || is_below(row.path, path)) bits |= bit;
    bit <<= 1;
  }
  return bits;
}

}  // namespace penstock
