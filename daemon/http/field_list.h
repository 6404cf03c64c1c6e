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

// Case-insensitive; no allocation.
FieldId identify_field(std::string_view name);

struct Field {
  std::string_view name;   // spelled as received
  std::string_view value;  // without surrounding white space; may hold obs-text
  FieldId id = FieldId::kOther;
};

class FieldList {
 public:
  void clear() { fields_.clear(); }
  void add(std::string_view name, std::string_view value);
  std::size_t size() const { return fields_.size(); }
  auto begin() const { return fields_.begin(); }
  auto end() const { return fields_.end(); }

  // The first field of that name, null when there is none. Not for kOther.
  const Field* find(FieldId id) const;
  const Field* find(std::string_view name) const;  // case-insensitive
  bool contains(FieldId id) const { return find(id) != nullptr; }

 private:
  std::vector<Field> fields_;
};

bool equals_ignoring_case(std::string_view a, std::string_view b);
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
