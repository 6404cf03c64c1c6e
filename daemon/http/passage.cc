#include "http/passage.h"

#include <algorithm>
#include <initializer_list>

namespace penstock {

namespace {

bool begins_with(std::string_view name, std::string_view prefix) {
  return equals_ignoring_case(name.substr(0, prefix.size()), prefix);
}

bool is_one_of(std::string_view name, std::initializer_list<std::string_view> names) {
  return std::any_of(names.begin(), names.end(),
                     [&](std::string_view other) { return equals_ignoring_case(name, other); });
}

// What Connection mostly says: nothing about other fields.
bool names_no_field(std::string_view connection) {
  return is_word(connection, "keep-alive") || is_word(connection, "close");
}

// End-to-end fields that a sender could only name by mistake, or to make the next hop see another
// message than we did.
bool is_kept_from_connection(std::string_view name) {
  return begins_with(name, "content-") || begins_with(name, "x-forwarded-") ||
         is_one_of(name, {"host", "transfer-encoding", "authorization", "cookie", "set-cookie",
                          "cache-control", "via", "forwarded", "date", "location"});
}

}  // namespace

Nominations::Nominations(const FieldList& fields) : fields_(fields) {
  if (!fields.contains(FieldId::kConnection)) return;
  for (const Field& field : fields) {
    if (field.id == FieldId::kConnection && !names_no_field(field.value)) any_ = true;
  }
}

bool Nominations::names(const Field& field) const {
  for (const Field& other : fields_) {
    if (other.id == FieldId::kConnection && list_contains(other.value, field.name)) {
      return !is_kept_from_connection(field.name);
    }
  }
  return false;
}

bool passes_in_response(FieldId id, bool chunked) {
  switch (id) {
    case FieldId::kConnection:
    case FieldId::kContentLength:
    case FieldId::kHttp2Settings:
    case FieldId::kKeepAlive:
    case FieldId::kProxy:
    case FieldId::kProxyAuthenticate:
    case FieldId::kProxyAuthorization:
    case FieldId::kProxyConnection:
    case FieldId::kTe:
    case FieldId::kTransferEncoding:
    case FieldId::kUpgrade:
    case FieldId::kXPenstockDebug:
      return false;
    case FieldId::kTrailer:
      return chunked;
    case FieldId::kOther:
    case FieldId::kAccept:
    case FieldId::kAuthorization:
    case FieldId::kCookie:
    case FieldId::kDate:
    case FieldId::kExpect:
    case FieldId::kGrpcTimeout:
    case FieldId::kHost:
    case FieldId::kIdempotencyKey:
    case FieldId::kLocation:
    case FieldId::kMaxForwards:
    case FieldId::kOrigin:
    case FieldId::kProxyStatus:
    case FieldId::kSecFetchSite:
    case FieldId::kSetCookie:
    case FieldId::kTraceparent:
    case FieldId::kVia:
    case FieldId::kWwwAuthenticate:
      return true;
  }
  return false;
}

// Host is written anew, and Expect where the exchange decided that it goes on.
bool passes_in_request(FieldId id, bool chunked) {
  return id != FieldId::kHost && id != FieldId::kExpect && passes_in_response(id, chunked);
}

bool may_be_trailer(const Field& field) {
  if (!passes_in_request(field.id, false)) return false;
  const std::string_view name = field.name;
  const bool routes = is_one_of(name, {"max-forwards", "via", "forwarded", "location", "origin"}) ||
                      begins_with(name, "x-forwarded-");
  const bool authenticates =
      is_one_of(name, {"authorization", "www-authenticate", "authentication-info",
                       "proxy-authentication-info", "cookie", "set-cookie"});
  return !routes && !authenticates && !begins_with(name, "content-");
}

}  // namespace penstock
