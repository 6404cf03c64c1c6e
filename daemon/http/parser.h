// Bytes to messages, strictly: what cannot be framed with certainty is a fault (RFC 9112, and
// design decisions in ARCHITECTURE.md).
//
// Pull, not push: next() looks at the bytes and says what comes first in them, so that the owner
// acts on a head before any byte behind it is looked at. A head is only parsed once it is whole:
// the same scan that finds its end bounds it and checks the line ends, and a head split at any byte
// gives the same answer as one in one piece.
//
// Owner: a ClientSession (requests), an upstream connection's user (responses). No I/O, no thread.
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>

#include "base/error.h"
#include "http/head.h"

namespace penstock {

enum class ParseEvent : std::uint8_t {
  kNeedMore,  // `consumed` bytes are done with; offer the rest again with more behind it
  kHead,      // the head is filled in; nothing behind it was consumed
  kBody,      // `body` is a piece of content, chunk framing removed; a view into the input
  kEnd,       // the message is complete (head.trailers is filled in); next() starts another
  kFault,     // fault() says why; the parser is of no further use until reset()
};

struct ParseStep {
  ParseEvent event;
  std::size_t consumed = 0;  // bytes of the input that need not be offered again
  std::string_view body{};
};

struct ParseLimits {
  std::size_t max_head_bytes = 64 * 1024;  // a response: 1xx heads and the final one together
  std::size_t max_fields = 128;            // of a request; responses: 1000
  std::size_t max_trailer_bytes = 16 * 1024;
  std::size_t max_chunk_extension_bytes = 4 * 1024;  // in one body
};

// What the owner may want to tell apart.
enum class FaultKind : std::uint8_t {
  kMalformed,
  kHeadTooLarge,     // ParseLimits::max_head_bytes
  kTooManyFields,    // ParseLimits::max_fields
  kForeignProtocol,  // TLS or SOCKS: no HTTP answer would be understood
};

struct ParseFault {
  ErrorCode code;
  std::uint16_t status;     // to answer with: 400, 431, 501, 505; 502 for responses
  std::string_view reason;  // a literal: what was wrong and where
  FaultKind kind = FaultKind::kMalformed;
};

class RequestParser {
 public:
  explicit RequestParser(const ParseLimits& limits);
  ~RequestParser();
  RequestParser(const RequestParser&) = delete;
  RequestParser& operator=(const RequestParser&) = delete;

  // `in` starts with the bytes that were not consumed yet. `head` is the same object from the start
  // of a message to its end.
  ParseStep next(std::string_view in, RequestHead& head);
  // True between messages: nothing of a next one was seen (an empty line does not count).
  bool idle() const;
  const ParseFault& fault() const;
  // `empty_line_seen`: one came already, so none is forgiven before the next message.
  void reset(bool empty_line_seen = false);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

class ResponseParser {
 public:
  explicit ResponseParser(const ParseLimits& limits);
  ~ResponseParser();
  // The rest of a response may be read by another owner. The one moved from is of no further use.
  ResponseParser(ResponseParser&& other) noexcept;
  ResponseParser& operator=(ResponseParser&& other) noexcept;

  // Before the response to each request: a response to HEAD has no body whatever its fields say.
  void start(Method request_method, const ParseLimits& limits);
  // A 1xx is a whole message: kHead, then kEnd, then the next kHead.
  ParseStep next(std::string_view in, ResponseHead& head);
  // The upstream's stream ended: kEnd when that is the end of the body (kUntilClose), else kFault
  // (connection_terminated before a head, http_response_incomplete inside a message).
  ParseStep finish(ResponseHead& head);
  const ParseFault& fault() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace penstock
