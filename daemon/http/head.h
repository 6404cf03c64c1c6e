// A parsed start line with its fields: what the parsers produce and the writers take.
//
// The bytes live in the head's own arena, whose capacity is kept from message to message: a head
// that is used again allocates nothing. All views end with the next clear().
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "http/field_list.h"

namespace penstock {

enum class HttpVersion : std::uint8_t { k10, k11 };

// Methods that the proxy treats in a way of their own. kOther is a method that llhttp knows and
// that simply passes; an unknown one is refused with 501.
enum class Method : std::uint8_t {
  kGet,
  kHead,
  kPost,
  kPut,
  kDelete,
  kConnect,
  kOptions,
  kTrace,
  kPatch,
  kOther
};

enum class FramingKind : std::uint8_t { kNone, kLength, kChunked, kUntilClose };

// How the end of a body is known, RFC 9112 section 6.
struct BodyFraming {
  FramingKind kind = FramingKind::kNone;
  std::uint64_t length = 0;  // for kLength; may be 0
  bool operator==(const BodyFraming&) const = default;
};

struct MessageHead {
  HttpVersion version = HttpVersion::k11;
  FieldList fields;
  FieldList trailers;  // after the end of a chunked message; views into trailer_arena
  BodyFraming framing;
  // The sender keeps the connection open after this message (RFC 9112 section 9.3).
  bool keep_alive = false;
  // NTLM or Negotiate is asked for or offered: it authenticates the connection, which from then on
  // belongs to one client (RFC 4559 section 6).
  bool binds_connection = false;
  std::size_t head_bytes = 0;  // as received, CRLFCRLF included

  std::string arena;
  std::string trailer_arena;

 protected:
  void clear_message();
  ~MessageHead() = default;
};

struct RequestHead : MessageHead {
  Method method = Method::kGet;
  std::string_view method_name;
  std::string_view target;  // as received
  bool expects_continue = false;

  void clear();
};

struct ResponseHead : MessageHead {
  std::uint16_t status = 0;
  std::string_view reason;  // may be empty

  bool informational() const { return status >= 100 && status < 200; }
  void clear();
};

}  // namespace penstock
