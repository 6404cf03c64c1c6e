// The fields of one head, in order, as views into the head's arena.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string_view>
#include <vector>

namespace penstock {

// The names that the proxy itself acts on; everything else is kOther and just passes.
enum class FieldId : std::uint8_t {
  kOther,
  kAccept,
  kAuthorization,
  kConnection,
  kContentLength,
  kCookie,
  kDate,
  kExpect,
  kGrpcTimeout,
  kHost,
  kHttp2Settings,
  kIdempotencyKey,
  kKeepAlive,
  kLocation,
  kMaxForwards,
  kOrigin,
  kProxy,
  kProxyAuthenticate,
  kProxyAuthorization,
  kProxyConnection,
  kProxyStatus,
  kSecFetchSite,
  kSetCookie,
  kTe,
  kTraceparent,
  kTrailer,
  kTransferEncoding,
  kUpgrade,
  kVia,
  kWwwAuthenticate,
  kXPenstockDebug,
};

// Of a token, case-insensitive.
FieldId identify_field(std::string_view name);

struct Field {
  std::string_view name;   // spelled as received
  std::string_view value;  // without surrounding white space; may hold obs-text
  FieldId id = FieldId::kOther;
  // Its line is spelled as we write one: name, ": ", value and CRLF lie one behind the other.
  bool as_written = false;

  std::string_view line() const {  // where as_written
    return {name.data(), name.size() + value.size() + 4};
  }
};

class FieldList {
 public:
  void clear() {
    fields_.clear();
    ids_ = 0;
  }
  void add(const Field& field) {
    fields_.push_back(field);
    ids_ |= bit(field.id);
  }
  void add(std::string_view name, std::string_view value);
  std::size_t size() const { return fields_.size(); }
  auto begin() const { return fields_.begin(); }
  auto end() const { return fields_.end(); }

  // The first field of that name, null when there is none. Not for kOther.
  const Field* find(FieldId id) const { return contains(id) ? first(id) : nullptr; }
  const Field* find(std::string_view name) const;  // case-insensitive
  bool contains(FieldId id) const { return (ids_ & bit(id)) != 0; }

 private:
  static std::uint64_t bit(FieldId id) { return std::uint64_t{1} << static_cast<int>(id); }
  const Field* first(FieldId id) const;

  std::vector<Field> fields_;
  std::uint64_t ids_ = 0;  // of all fields: a bit for each that is there
};

bool equals_ignoring_case(std::string_view a, std::string_view b);
// The same for a text without control characters and a word of letters, digits and hyphens in lower
// case.
bool is_word(std::string_view text, std::string_view word);
// Calls `each` with the elements of a comma-separated list, without white space around them; empty
// ones are left out (RFC 9110 section 5.6.1).
template <typename F>
void for_each_element(std::string_view list, F&& each) {
  constexpr std::string_view kBlank = " \t";
  while (!list.empty()) {
    const std::size_t end = std::min(list.find(','), list.size());
    std::string_view element = list.substr(0, end);
    list.remove_prefix(std::min(end + 1, list.size()));
    element.remove_prefix(std::min(element.find_first_not_of(kBlank), element.size()));
    element = element.substr(0, element.find_last_not_of(kBlank) + 1);
    if (!element.empty()) each(element);
  }
}
// True when the comma-separated list holds the token (case-insensitive), RFC 9110 section 5.6.1.
bool list_contains(std::string_view list, std::string_view token);

}  // namespace penstock
