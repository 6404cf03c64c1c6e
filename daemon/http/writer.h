// Messages to bytes: heads are judged and written anew, framing is always our own.
//
// What goes away, what stays and what is added is fixed in ARCHITECTURE.md: hop-by-hop fields and
// what Connection names go (RFC 9110 section 7.6.1), except names that Connection cannot remove;
// order, repeats and spelling of the rest stay; Via is added (section 7.6.3).
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "base/buffer.h"
#include "http/head.h"

namespace penstock {

struct RequestRewrite {
  std::string_view
      path_and_query{};        // after the slash question is settled: starts with '/' or is "*"
  bool add_slash = false;      // write a '/' before path_and_query
  std::string_view host{};     // value of the Host field, which is written first
  std::string_view via{};      // our pseudonym; empty: no Via
  BodyFraming framing{};       // kNone, kLength or kChunked
  bool close = false;          // Connection: close
  std::string_view upgrade{};  // protocols to offer in Upgrade; empty: none (RFC 9110 section 7.8)
  bool expect_continue = false;  // Expect: 100-continue
  // What Max-Forwards becomes (RFC 9110 section 7.6.2); the field passes as it is without it.
  std::optional<std::uint64_t> max_forwards{};
  std::string_view grpc_timeout{};  // what grpc-timeout becomes; empty: as it came
  std::string_view left_out{};      // a field that was for us alone; empty: none
};

struct ResponseRewrite {
  HttpVersion client_version = HttpVersion::k11;
  BodyFraming framing{};           // towards the client; kUntilClose for a 1.0 client
  bool keep_length_field = false;  // HEAD and 304: pass Content-Length although there is no body
  bool keep_alive = true;          // false: Connection: close
  std::uint32_t keep_alive_seconds = 0;  // advertised in Keep-Alive when not 0 and keep_alive
  std::string_view via{};
  std::string_view date{};           // added when the response has none (RFC 9110 section 6.6.1)
  std::string_view upgrade{};        // of a 101: the protocol switched to
  std::string_view location{};       // instead of the upstream's Location; empty: as it came
  std::string_view server_timing{};  // added as Server-Timing; empty: none
  bool strip_secure = false;  // Set-Cookie loses its Secure attribute (RFC 6265 section 4.1.2.5)
};

// Upper bounds of what the writers append, to ask room() for.
std::size_t request_head_bound(const RequestHead& head, const RequestRewrite& rewrite);
std::size_t response_head_bound(const ResponseHead& head, const ResponseRewrite& rewrite);

void write_request_head(const RequestHead& head, const RequestRewrite& rewrite, Buffer& out);
void write_response_head(const ResponseHead& head, const ResponseRewrite& rewrite, Buffer& out);

// Chunked coding. The size line of a chunk ("1a2b\r\n"), in a caller's array of 18 bytes; the
// caller writes the content and kChunkEnd behind it.
std::string_view format_chunk_line(std::uint64_t bytes, char (&space)[18]);
inline constexpr std::string_view kChunkEnd = "\r\n";
// The last chunk with the trailers that may pass (no framing, routing, authentication, Content-*).
std::size_t last_chunk_bound(const MessageHead& head);
void write_last_chunk(const MessageHead& head, bool with_trailers, Buffer& out);

}  // namespace penstock
