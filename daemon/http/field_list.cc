#include "http/field_list.h"

#include <cstring>

#include "http/chars.h"

namespace penstock {

namespace {

template <typename Piece>
Piece load(std::string_view text, std::size_t at) {
  Piece piece;
  std::memcpy(&piece, text.data() + at, sizeof(piece));
  return piece;
}

// The last piece may overlap the one before. Of all bytes but control characters only a letter in
// upper case becomes one of a word by having this bit set.
template <typename Piece>
bool is_word_by_pieces(std::string_view text, std::string_view word) {
  constexpr Piece kLowerCase = static_cast<Piece>(0x2020202020202020);
  const auto same = [&](std::size_t at) {
    return (load<Piece>(text, at) | kLowerCase) == load<Piece>(word, at);
  };
  const std::size_t last = text.size() - sizeof(Piece);
  for (std::size_t at = 0; at < last; at += sizeof(Piece)) {
    if (!same(at)) return false;
  }
  return same(last);
}

// Both are equally long.
bool is_word_of_that_size(std::string_view text, std::string_view word) {
  if (text.size() >= 8) return is_word_by_pieces<std::uint64_t>(text, word);
  if (text.size() >= 4) return is_word_by_pieces<std::uint32_t>(text, word);
  return is_word_by_pieces<std::uint8_t>(text, word);
}

FieldId pick(std::string_view name, std::string_view lower, FieldId id) {
  return is_word_of_that_size(name, lower) ? id : FieldId::kOther;
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
  add({name, chars::trim(value), identify_field(name)});
}

const Field* FieldList::first(FieldId id) const {
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
  return a.size() == b.size() && std::equal(a.begin(), a.end(), b.begin(), [](char x, char y) {
           return x == y || chars::lower(x) == chars::lower(y);
         });
}

bool is_word(std::string_view text, std::string_view word) {
  return text.size() == word.size() && is_word_of_that_size(text, word);
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
