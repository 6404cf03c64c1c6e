// The fields of one head, in order, as views into the head's arena.
#pragma once

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
  kDate,
  kExpect,
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
// True when the comma-separated list holds the token (case-insensitive), RFC 9110 section 5.6.1.
bool list_contains(std::string_view list, std::string_view token);

}  // namespace penstock
