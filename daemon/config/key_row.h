// How a row of the key table is made: row<&Config::client, &ClientSettings::header_timeout>(...)
// takes its type, its reader and its writer from the field that the members lead to.
#pragma once

#include <type_traits>
#include <utility>

#include "config/addresses.h"
#include "config/key_table.h"
#include "config/values.h"

namespace penstock::key_row {

using Wrong = std::optional<std::string>;

template <typename Member>
struct MemberOf;
template <typename Class, typename Field>
struct MemberOf<Field Class::*> {
  using Owner = Class;
};

template <auto First, auto... Rest>
struct Field {
  using Owner = typename MemberOf<decltype(First)>::Owner;
  static auto& in(const KeyTarget& target) {
    return ((std::get<Owner*>(target)->*First).*....*Rest);
  }
  static const auto& in(const KeySource& source) {
    return ((std::get<const Owner*>(source)->*First).*....*Rest);
  }
  using Type = std::remove_cvref_t<decltype(in(std::declval<const KeyTarget&>()))>;
};

template <typename Owner>
constexpr KeyScope scope_of() {
  if constexpr (std::is_same_v<Owner, Config>) return KeyScope::kTop;
  if constexpr (std::is_same_v<Owner, ListenerSettings>) return KeyScope::kListener;
  if constexpr (std::is_same_v<Owner, UpstreamSettings>) return KeyScope::kUpstream;
  if constexpr (std::is_same_v<Owner, RouteSettings>) return KeyScope::kRoute;
  if constexpr (std::is_same_v<Owner, RequestPolicy>) return KeyScope::kRequestPolicy;
  return KeyScope::kPolicy;
}

// Moves a parsed value into its field, or hands on what was wrong.
template <typename T>
Wrong store(Parsed<T> parsed, T& field) {
  if (!parsed) return std::move(parsed.error());
  field = std::move(*parsed);
  return std::nullopt;
}

inline Wrong assign(const KeyRow&, Duration& field, std::string_view text) {
  return store(parse_duration(text), field);
}
inline Wrong assign(const KeyRow& row, Limit& field, std::string_view text) {
  if (!row.zero_allowed || text != "0") return store(parse_limit(text), field);
  field = Duration::zero();
  return std::nullopt;
}
inline Wrong assign(const KeyRow&, bool& field, std::string_view text) {
  return store(parse_switch(text), field);
}
inline Wrong assign(const KeyRow&, double& field, std::string_view text) {
  return store(parse_share(text), field);
}
Wrong assign(const KeyRow& row, std::uint64_t& field, std::string_view text);
Wrong assign(const KeyRow& row, std::uint32_t& field, std::string_view text);
Wrong assign(const KeyRow& row, Count& field, std::string_view text);

inline std::string show(const KeyRow&, const Duration& field) { return format_duration(field); }
inline std::string show(const KeyRow&, const Limit& field) {
  return field == Duration::zero() ? "0" : format_limit(field);
}
inline std::string show(const KeyRow&, const bool& field) { return field ? "true" : "false"; }
inline std::string show(const KeyRow&, const double& field) { return format_share(field); }
std::string show(const KeyRow& row, const std::uint64_t& field);
std::string show(const KeyRow& row, const std::uint32_t& field);
std::string show(const KeyRow& row, const Count& field);

template <typename T>
constexpr ValueType type_of() {
  if constexpr (std::is_same_v<T, Duration> || std::is_same_v<T, Limit>) {
    return ValueType::kDuration;
  } else if constexpr (std::is_same_v<T, std::uint64_t>) {
    return ValueType::kSize;
  } else if constexpr (std::is_same_v<T, bool>) {
    return ValueType::kSwitch;
  } else if constexpr (std::is_same_v<T, double>) {
    return ValueType::kShare;
  } else {
    static_assert(std::is_same_v<T, std::uint32_t> || std::is_same_v<T, Count>);
    return ValueType::kCount;
  }
}

// What a row says beside its field.
struct Spec {
  std::string_view path;
  std::string_view default_text;
  ReloadClass reload;
  std::string_view doc;
};

template <typename Field>
constexpr KeyRow blank(ValueType type, const Spec& spec) {
  KeyRow row{};
  row.scope = scope_of<typename Field::Owner>();
  row.type = type;
  row.path = spec.path;
  row.default_text = spec.default_text;
  row.reload = spec.reload;
  row.doc = spec.doc;
  return row;
}

template <auto... Members>
constexpr KeyRow value(const Spec& spec) {
  using At = Field<Members...>;
  using Type = typename At::Type;
  KeyRow row = blank<At>(type_of<Type>(), spec);
  if (std::is_same_v<Type, Limit>) row.nothing = "off";
  row.set = [](const KeyRow& self, const KeyTarget& target, std::string_view text) {
    return assign(self, At::in(target), text);
  };
  row.get = [](const KeyRow& self, const KeySource& source) { return show(self, At::in(source)); };
  return row;
}

// A size or a count: its range, and the word for none.
template <auto... Members>
constexpr KeyRow number(const Spec& spec, std::uint64_t min, std::uint64_t max,
                        std::string_view nothing = {}) {
  KeyRow row = value<Members...>(spec);
  row.min = min;
  row.max = max;
  row.nothing = nothing;
  return row;
}

// Index in `words` to a field's value and back: an enum, a bool, or TLS 1.x as 12 and 13.
template <typename T>
T from_index(std::size_t index) {
  if constexpr (std::is_same_v<T, int>) return static_cast<int>(index) + 12;
  return static_cast<T>(index);
}
template <typename T>
std::size_t to_index(T value) {
  if constexpr (std::is_same_v<T, int>) return static_cast<std::size_t>(value - 12);
  return static_cast<std::size_t>(value);
}

std::optional<std::size_t> find_word(const KeyRow& row, std::string_view text);

template <auto... Members>
constexpr KeyRow word(const Spec& spec, std::span<const std::string_view> words) {
  using At = Field<Members...>;
  KeyRow row = blank<At>(ValueType::kWord, spec);
  row.words = words;
  row.set = [](const KeyRow& self, const KeyTarget& target, std::string_view text) -> Wrong {
    const auto index = find_word(self, text);
    if (!index) return in_quotes(text) + " is not one of its words";
    At::in(target) = from_index<typename At::Type>(*index);
    return std::nullopt;
  };
  row.get = [](const KeyRow& self, const KeySource& source) {
    return std::string(self.words[to_index(At::in(source))]);
  };
  return row;
}

using Check = Parsed<std::string> (*)(std::string_view);
bool is_nothing(const KeyRow& row, std::string_view text);

template <Check check, auto... Members>
constexpr KeyRow text(const Spec& spec, std::string_view allowed, std::string_view nothing = {}) {
  using At = Field<Members...>;
  KeyRow row = blank<At>(ValueType::kText, spec);
  row.allowed_words = allowed;
  row.nothing = nothing;
  row.set = [](const KeyRow& self, const KeyTarget& target, std::string_view value) -> Wrong {
    if (!is_nothing(self, value)) return store(check(value), At::in(target));
    At::in(target).clear();
    return std::nullopt;
  };
  row.get = [](const KeyRow& self, const KeySource& source) {
    const std::string& value = At::in(source);
    return value.empty() ? std::string(self.nothing) : value;
  };
  return row;
}

std::string flow_list(std::span<const std::string> items, std::string_view nothing);

template <Check check, auto... Members>
constexpr KeyRow list(const Spec& spec, std::string_view allowed, std::uint64_t min,
                      std::string_view nothing = {}) {
  using At = Field<Members...>;
  KeyRow row = blank<At>(ValueType::kList, spec);
  row.allowed_words = allowed;
  row.nothing = nothing;
  row.min = min;
  row.set = [](const KeyRow&, const KeyTarget& target, std::string_view item) -> Wrong {
    auto parsed = check(item);
    if (!parsed) return std::move(parsed.error());
    At::in(target).push_back(std::move(*parsed));
    return std::nullopt;
  };
  row.get = [](const KeyRow& self, const KeySource& source) {
    return flow_list(At::in(source), self.nothing);
  };
  row.clear = [](const KeyTarget& target) { At::in(target).clear(); };
  return row;
}

// A list of whole numbers, kept as texts.
template <Check check, auto... Members>
constexpr KeyRow number_list(const Spec& spec, std::string_view allowed, std::uint64_t max,
                             std::string_view nothing) {
  KeyRow row = list<check, Members...>(spec, allowed, 1, nothing);
  row.max = max;
  return row;
}

// A time limit for which 0 has a meaning of its own.
constexpr KeyRow zero_allowed(KeyRow row) {
  row.zero_allowed = true;
  return row;
}

// `off` for the row's whole section turns this value, and with it the section, off.
constexpr KeyRow section_switch(KeyRow row) {
  row.section_switch = true;
  return row;
}

constexpr KeyRow pattern(KeyRow row, std::string_view expression) {
  row.pattern = expression;
  return row;
}

constexpr KeyRow required(KeyRow row) {
  row.required = true;
  return row;
}

}  // namespace penstock::key_row
