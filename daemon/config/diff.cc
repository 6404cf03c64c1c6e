#include "config/diff.h"

#include <algorithm>

#include "config/identity.h"
#include "config/key_table.h"

namespace penstock {
namespace {

template <typename T>
std::vector<std::string_view> changed_keys(KeyScope place, const T& before, const T& after) {
  std::vector<std::string_view> keys;
  for (const KeyRow& row : key_rows()) {
    if (!stands_in(row.scope, place)) continue;
    if (row.get(row, source_of(before)) != row.get(row, source_of(after))) keys.push_back(row.path);
  }
  return keys;
}

// A route's value that is its upstream's before and after only follows it.
bool follows_upstream(const KeyRow& row, const UpstreamSettings& upstream,
                      const RouteSettings& route) {
  return row.scope == KeyScope::kRequestPolicy &&
         row.get(row, source_of(upstream)) == row.get(row, source_of(route));
}

bool routes_differ(const UpstreamSettings& before, const UpstreamSettings& after) {
  if (before.routes.size() != after.routes.size()) return true;
  for (std::size_t i = 0; i < before.routes.size(); ++i) {
    const RouteSettings& old = before.routes[i];
    const RouteSettings& now = after.routes[i];
    for (const auto key : changed_keys(KeyScope::kRoute, old, now)) {
      const KeyRow& row = *find_key(KeyScope::kRoute, key);
      if (!follows_upstream(row, before, old) || !follows_upstream(row, after, now)) return true;
    }
  }
  return false;
}

void add_once(std::vector<std::string_view>& keys, std::string_view key) {
  if (std::ranges::find(keys, key) == keys.end()) keys.push_back(key);
}

void add_changed_files(const UpstreamPolicy& before, const UpstreamPolicy& after,
                       std::vector<std::string_view>& keys) {
  if (before.ca_pem != after.ca_pem) add_once(keys, "tls.ca_file");
  if (before.extra_ca_pem != after.extra_ca_pem) add_once(keys, "tls.extra_ca_file");
  if (before.cert_pem != after.cert_pem) add_once(keys, "tls.cert_file");
  if (before.key_pem != after.key_pem) add_once(keys, "tls.key_file");
}

UpstreamChange compare(const UpstreamSettings& before, const UpstreamSettings& after) {
  UpstreamChange change{.name = after.name, .fate = UpstreamFate::kKept, .keys = {}};
  change.keys = changed_keys(KeyScope::kUpstream, before, after);
  add_changed_files(before.policy, after.policy, change.keys);
  if (routes_differ(before, after)) change.keys.push_back("routes");
  if (!change.keys.empty()) change.fate = UpstreamFate::kChanged;
  if (identity_hash(before) != identity_hash(after)) change.fate = UpstreamFate::kRetired;
  return change;
}

// Which element of `others` has this one's `key`; nullptr: none.
template <typename T>
const T* counterpart(const T& item, const std::vector<T>& others, std::string T::*key) {
  const auto at = std::ranges::find(others, item.*key, key);
  return at == others.end() ? nullptr : &*at;
}

void compare_upstreams(const Config& before, const Config& after, ConfigDiff& out) {
  for (const UpstreamSettings& upstream : after.upstreams) {
    const auto* old = counterpart(upstream, before.upstreams, &UpstreamSettings::name);
    out.upstreams.push_back(old != nullptr
                                ? compare(*old, upstream)
                                : UpstreamChange{upstream.name, UpstreamFate::kAdded, {}});
  }
  for (const UpstreamSettings& upstream : before.upstreams) {
    if (counterpart(upstream, after.upstreams, &UpstreamSettings::name) != nullptr) continue;
    out.upstreams.push_back({upstream.name, UpstreamFate::kRemoved, {}});
  }
}

void compare_listeners(const Config& before, const Config& after, ConfigDiff& out) {
  for (const ListenerSettings& listener : after.listeners) {
    const auto* old = counterpart(listener, before.listeners, &ListenerSettings::address);
    const auto fate = old == nullptr ? ListenerFate::kAdded
                      : changed_keys(KeyScope::kListener, *old, listener).empty()
                          ? ListenerFate::kKept
                          : ListenerFate::kChanged;
    out.listeners.push_back({listener.address, fate});
  }
  for (const ListenerSettings& listener : before.listeners) {
    if (counterpart(listener, after.listeners, &ListenerSettings::address) != nullptr) continue;
    out.listeners.push_back({listener.address, ListenerFate::kRemoved});
  }
}

void compare_process_keys(const Config& before, const Config& after, ConfigDiff& out) {
  for (const auto key : changed_keys(KeyScope::kTop, before, after)) {
    const bool restart = find_key(KeyScope::kTop, key)->reload == ReloadClass::kRestart;
    (restart ? out.restart_keys : out.changed_keys).push_back(key);
  }
}

std::string join(const std::vector<std::string_view>& words) {
  std::string text;
  for (const std::string_view word : words) text.append(text.empty() ? "" : ", ").append(word);
  return text;
}

}  // namespace

std::string_view word(UpstreamFate fate) {
  switch (fate) {
    case UpstreamFate::kKept:
      return "kept";
    case UpstreamFate::kChanged:
      return "changed";
    case UpstreamFate::kRetired:
      return "retired";
    case UpstreamFate::kAdded:
      return "added";
    case UpstreamFate::kRemoved:
      return "removed";
  }
  return {};
}

std::string_view to_string(UpstreamFate fate) {
  switch (fate) {
    case UpstreamFate::kKept:
      return "kept";
    case UpstreamFate::kChanged:
      return "changed, its connections stay";
    case UpstreamFate::kRetired:
      return "dialled otherwise from now on, its idle connections are closed";
    case UpstreamFate::kAdded:
      return "added";
    case UpstreamFate::kRemoved:
      return "removed";
  }
  return {};
}

std::string_view word(ListenerFate fate) {
  return fate == ListenerFate::kChanged ? "changed" : to_string(fate);
}

std::string_view to_string(ListenerFate fate) {
  switch (fate) {
    case ListenerFate::kKept:
      return "kept";
    case ListenerFate::kChanged:
      return "changed, its socket stays";
    case ListenerFate::kAdded:
      return "added";
    case ListenerFate::kRemoved:
      return "removed";
  }
  return {};
}

bool ConfigDiff::empty() const {
  const auto kept = [](const auto& change) {
    return change.fate == std::remove_cvref_t<decltype(change.fate)>::kKept;
  };
  return std::ranges::all_of(upstreams, kept) && std::ranges::all_of(listeners, kept) &&
         changed_keys.empty() && restart_keys.empty();
}

std::vector<std::string> ConfigDiff::lines() const {
  std::vector<std::string> lines;
  for (const ListenerChange& change : listeners) lines.push_back(to_line(change));
  for (const UpstreamChange& change : upstreams) lines.push_back(to_line(change));
  if (!changed_keys.empty()) lines.push_back(to_line(changed_keys, false));
  if (!restart_keys.empty()) lines.push_back(to_line(restart_keys, true));
  return lines;
}

std::string to_line(const UpstreamChange& change) {
  std::string line = "upstream " + change.name + ": " + std::string(to_string(change.fate));
  if (!change.keys.empty()) line += " (" + join(change.keys) + ')';
  return line;
}

std::string to_line(const ListenerChange& change) {
  return "listener " + change.address + ": " + std::string(to_string(change.fate));
}

std::string to_line(const std::vector<std::string_view>& keys, bool restart) {
  if (keys.empty()) return {};
  return (restart ? "changed, applied only by a restart: " : "changed: ") + join(keys);
}

ConfigDiff diff(const Config& before, const Config& after) {
  ConfigDiff out;
  compare_upstreams(before, after, out);
  compare_listeners(before, after, out);
  compare_process_keys(before, after, out);
  return out;
}

namespace {

// "  pool.max_connections: 50 -> 20"; what has no value of its own (routes, the bytes of a file) is
// named alone.
template <typename T>
std::string key_line(KeyScope place, std::string_view key, const T& before, const T& after) {
  const KeyRow* row = find_key(place, key);
  const std::string was = row == nullptr ? "" : row->get(*row, source_of(before));
  const std::string is = row == nullptr ? "" : row->get(*row, source_of(after));
  std::string line = "  " + std::string(key) + ": ";
  return line + (was == is ? "other content" : was + " -> " + is);
}

template <typename T>
void add_key_lines(KeyScope place, const std::vector<std::string_view>& keys, const T& before,
                   const T& after, std::vector<std::string>& lines) {
  for (const std::string_view key : keys) lines.push_back(key_line(place, key, before, after));
}

void explain_listeners(const ConfigDiff& changes, const Config& before, const Config& after,
                       std::vector<std::string>& lines) {
  for (const ListenerChange& change : changes.listeners) {
    if (change.fate == ListenerFate::kKept) continue;
    lines.push_back(to_line(change));
    if (change.fate != ListenerFate::kChanged) continue;
    const auto at = [&](const Config& config) {
      return std::ranges::find(config.listeners, change.address, &ListenerSettings::address);
    };
    add_key_lines(KeyScope::kListener, changed_keys(KeyScope::kListener, *at(before), *at(after)),
                  *at(before), *at(after), lines);
  }
}

void explain_upstreams(const ConfigDiff& changes, const Config& before, const Config& after,
                       std::vector<std::string>& lines) {
  for (const UpstreamChange& change : changes.upstreams) {
    if (change.fate == UpstreamFate::kKept) continue;
    lines.push_back("upstream " + change.name + ": " + std::string(to_string(change.fate)));
    if (change.keys.empty()) continue;
    const auto at = [&](const Config& config) {
      return std::ranges::find(config.upstreams, change.name, &UpstreamSettings::name);
    };
    add_key_lines(KeyScope::kUpstream, change.keys, *at(before), *at(after), lines);
  }
}

}  // namespace

std::vector<std::string> explain_diff(const Config& before, const Config& after) {
  const ConfigDiff changes = diff(before, after);
  std::vector<std::string> lines;
  explain_listeners(changes, before, after, lines);
  explain_upstreams(changes, before, after, lines);
  if (!changes.changed_keys.empty()) lines.emplace_back("the daemon: changed");
  add_key_lines(KeyScope::kTop, changes.changed_keys, before, after, lines);
  if (!changes.restart_keys.empty())
    lines.emplace_back("the daemon: changed, applied only by a restart");
  add_key_lines(KeyScope::kTop, changes.restart_keys, before, after, lines);
  return lines;
}

}  // namespace penstock
