// The one table of keys: whatever the daemon knows about a key of its file stands in one row.
//
// Parsing, `penstock check`, `explain`, the JSON Schema, the sample and the comparison at reload
// are all made from these rows; nothing else lists keys. A row reads and writes its field of the
// structs in settings.h. A key without a row does not exist.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>

#include "config/settings.h"

namespace penstock {

// Where a key may stand. kPolicy: in `defaults` and in each upstream. kRequestPolicy: there, and in
// the routes of an upstream.
enum class KeyScope : std::uint8_t { kTop, kListener, kUpstream, kRoute, kPolicy, kRequestPolicy };

enum class ValueType : std::uint8_t {
  kDuration,
  kSize,
  kCount,
  kSwitch,
  kShare,  // 0 to 1
  kWord,   // one of `words`
  kText,
  kList,  // of texts
};

// When a changed value takes effect after a reload.
enum class ReloadClass : std::uint8_t { kLive, kNewConnections, kRestart };
std::string_view to_string(ReloadClass reload);

// The structs that a row may write to or read from; the one that its scope names is set.
using KeyTarget = std::tuple<Config*, ListenerSettings*, UpstreamSettings*, RouteSettings*,
                             UpstreamPolicy*, RequestPolicy*>;
using KeySource = std::tuple<const Config*, const ListenerSettings*, const UpstreamSettings*,
                             const RouteSettings*, const UpstreamPolicy*, const RequestPolicy*>;

// Sets the object and what the keys that stand in its place write to besides: an upstream's policy,
// a route's.
template <typename Structs, typename T>
void add_structs(Structs& structs, T& object) {
  using Base = std::conditional_t<std::is_const_v<T>, const RequestPolicy, RequestPolicy>;
  std::get<T*>(structs) = &object;
  if constexpr (std::is_base_of_v<RequestPolicy, T>) std::get<Base*>(structs) = &object;
  if constexpr (requires { object.policy; }) add_structs(structs, object.policy);
}

template <typename T>
KeyTarget target_of(T& object) {
  KeyTarget target{};
  add_structs(target, object);
  return target;
}
template <typename T>
KeySource source_of(const T& object) {
  KeySource source{};
  add_structs(source, object);
  return source;
}

struct KeyRow {
  KeyScope scope;
  ValueType type;
  std::string_view path;          // within the scope: "client.header_timeout", "pool.max_idle"
  std::string_view default_text;  // as it would be written
  ReloadClass reload;
  std::string_view doc;
  // kWord: all that may be written, in the order of the enum.
  std::span<const std::string_view> words{};
  // What stands for no value ("off", "auto", "unlimited", "system", "all"); empty: there is none.
  std::string_view nothing{};
  // What is allowed, in words, for kText and kList; allowed_text() makes the others'.
  std::string_view allowed_words{};
  std::string_view pattern{};  // kText: what the schema can say of it, as a regular expression
  std::uint64_t min = 0;       // kSize, kCount, and the length of a kList
  std::uint64_t max = 0;       // kSize, kCount, and the items of a kList of numbers
  bool required = false;
  bool zero_allowed = false;    // kDuration: 0 is a value
  bool section_switch = false;  // `off` for the whole section stands for this key being off

  // Writes the value of `text`, or adds it to the list; what is wrong when it is refused.
  std::optional<std::string> (*set)(const KeyRow&, const KeyTarget&, std::string_view text){};
  // The value as it would be written in the file.
  std::string (*get)(const KeyRow&, const KeySource&){};
  // kList: empties it.
  void (*clear)(const KeyTarget&){};
};

// In the order of the sample.
std::span<const KeyRow> key_rows();
// nullptr: no such key. A place finds all that may stand in it: kUpstream the policy's keys too.
const KeyRow* find_key(KeyScope scope, std::string_view path);
// True when the rows of this scope stand below it: "client", "pool".
bool is_section(KeyScope scope, std::string_view path);
// The row that switches a whole section off; nullptr: the section is never a single value.
const KeyRow* find_section_switch(KeyScope scope, std::string_view path);
// True when a key of this scope may stand in that place: an upstream takes its policy.
bool stands_in(KeyScope row, KeyScope place);
// A key of the contract whose feature this version lacks.
bool is_later_key(KeyScope scope, std::string_view path);

std::string allowed_text(const KeyRow& row);
// "listeners[].address", "upstreams[].pool.max_idle", "upstreams[].routes[].methods"
std::string full_path(const KeyRow& row);

// The bit of RequestPolicy::timeouts_set, all of its keys' bits for a section; `path` is the whole
// key, "timeouts.connect" or "timeouts.min_rate".
std::uint32_t timeout_bits(std::string_view path);
inline bool is_timeout_set(const RequestPolicy& policy, std::string_view path) {
  return (policy.timeouts_set & timeout_bits(path)) != 0;
}

}  // namespace penstock
