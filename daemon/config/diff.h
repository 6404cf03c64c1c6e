// What a reload changes.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "config/settings.h"

namespace penstock {

enum class UpstreamFate : std::uint8_t {
  kKept,     // nothing changed
  kChanged,  // other limits or hosts; its connections stay, surplus ones are trimmed
  kRetired,  // another dialling identity; its idle connections go
  kAdded,
  kRemoved,
};
std::string_view word(UpstreamFate fate);       // "kept", "changed", ...
std::string_view to_string(UpstreamFate fate);  // what it means

struct UpstreamChange {
  std::string name;
  UpstreamFate fate = UpstreamFate::kKept;
  std::vector<std::string_view> keys;  // changed ones; the content of a file counts for its key
};

enum class ListenerFate : std::uint8_t { kKept, kChanged, kAdded, kRemoved };
std::string_view word(ListenerFate fate);
std::string_view to_string(ListenerFate fate);

struct ListenerChange {
  std::string address;
  ListenerFate fate = ListenerFate::kKept;
};

struct ConfigDiff {
  std::vector<UpstreamChange> upstreams;       // in the new order, then the removed ones
  std::vector<ListenerChange> listeners;       // likewise
  std::vector<std::string_view> changed_keys;  // of the daemon itself, applied
  std::vector<std::string_view> restart_keys;  // changed, and applied only by a restart

  bool empty() const;
  // One line for each listener and upstream, and for the daemon's own keys.
  std::vector<std::string> lines() const;
};
std::string to_line(const UpstreamChange& change);
std::string to_line(const ListenerChange& change);
// Of a diff's changed_keys and restart_keys; empty for none.
std::string to_line(const std::vector<std::string_view>& keys, bool restart);

ConfigDiff diff(const Config& before, const Config& after);

// What differs, for people: a line for each listener and upstream, below it one for each key with
// both values. Empty when a reload would change nothing.
std::vector<std::string> explain_diff(const Config& before, const Config& after);

}  // namespace penstock
