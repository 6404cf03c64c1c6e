#include "http/field_list.h"

#include "http/chars.h"

namespace penstock {

namespace {

// `lower` is in lower case and as long as `name`.
bool is_name(std::string_view name, std::string_view lower) {
  for (std::size_t i = 0; i < lower.size(); ++i) {
    if (chars::lower(name[i]) != lower[i]) return false;
  }
  return true;
}

FieldId pick(std::string_view name, std::string_view lower, FieldId id) {
  return is_name(name, lower) ? id : FieldId::kOther;
}

}  // namespace

// By length, then by a first letter: at most one full comparison, none for most other names.
FieldId identify_field(std::string_view name) {
  if (name.empty()) return FieldId::kOther;
  const char first = chars::lower(name[0]);
  switch (name.size()) {
    case 2:
      return pick(name, "te", FieldId::kTe);
    case 3:
      return pick(name, "via", FieldId::kVia);
    case 4:
      return first == 'h' ? pick(name, "host", FieldId::kHost) : pick(name, "date", FieldId::kDate);
    case 5:
      return pick(name, "proxy", FieldId::kProxy);
    case 6:
      if (first == 'a') return pick(name, "accept", FieldId::kAccept);
      if (first == 'c') return pick(name, "cookie", FieldId::kCookie);
      return first == 'e' ? pick(name, "expect", FieldId::kExpect)
                          : pick(name, "origin", FieldId::kOrigin);
    case 7:
      return first == 'u' ? pick(name, "upgrade", FieldId::kUpgrade)
                          : pick(name, "trailer", FieldId::kTrailer);
    case 8:
      return pick(name, "location", FieldId::kLocation);
    case 10:
      if (first == 'c') return pick(name, "connection", FieldId::kConnection);
      return first == 'k' ? pick(name, "keep-alive", FieldId::kKeepAlive)
                          : pick(name, "set-cookie", FieldId::kSetCookie);
    case 11:
      return pick(name, "traceparent", FieldId::kTraceparent);
    case 12:
      if (first == 'g') return pick(name, "grpc-timeout", FieldId::kGrpcTimeout);
      return first == 'm' ? pick(name, "max-forwards", FieldId::kMaxForwards)
                          : pick(name, "proxy-status", FieldId::kProxyStatus);
    case 13:
      return pick(name, "authorization", FieldId::kAuthorization);
    case 14:
      if (first == 'c') return pick(name, "content-length", FieldId::kContentLength);
      return first == 's' ? pick(name, "sec-fetch-site", FieldId::kSecFetchSite)
                          : pick(name, "http2-settings", FieldId::kHttp2Settings);
    case 15:
      return pick(name, "idempotency-key", FieldId::kIdempotencyKey);
    case 16:
      if (first == 'x') return pick(name, "x-penstock-debug", FieldId::kXPenstockDebug);
      return first == 'w' ? pick(name, "www-authenticate", FieldId::kWwwAuthenticate)
                          : pick(name, "proxy-connection", FieldId::kProxyConnection);
    case 17:
      return pick(name, "transfer-encoding", FieldId::kTransferEncoding);
    case 18:
      return pick(name, "proxy-authenticate", FieldId::kProxyAuthenticate);
    case 19:
      return pick(name, "proxy-authorization", FieldId::kProxyAuthorization);
    default:
      return FieldId::kOther;
  }
}

void FieldList::add(std::string_view name, std::string_view value) {
  fields_.push_back({name, chars::trim(value), identify_field(name)});
}

const Field* FieldList::find(FieldId id) const {
  for (const Field& field : fields_) {
    if (field.id == id) return &field;
  }
  return nullptr;
}

const Field* FieldList::find(std::string_view name) const {
  for (const Field& field : fields_) {
    if (equals_ignoring_case(field.name, name)) return &field;
  }
  return nullptr;
}

bool equals_ignoring_case(std::string_view a, std::string_view b) {
  if (a.size() != b.size()) return false;
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (chars::lower(a[i]) != chars::lower(b[i])) return false;
  }
  return true;
}

bool list_contains(std::string_view list, std::string_view token) {
  while (true) {
    const std::size_t comma = list.find(',');
    if (equals_ignoring_case(chars::trim(list.substr(0, comma)), token)) return true;
    if (comma == std::string_view::npos) return false;
    list.remove_prefix(comma + 1);
  }
}

}  // namespace penstock
