// What request and response parsers share: the way from a head's first byte to the message's end.
//
// Internal to http/, the common part of both parsers' Impl.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "http/chunked_decoder.h"
#include "http/parser.h"
#include "http/section_scanner.h"

namespace penstock {

class MessageReader {
 public:
  explicit MessageReader(Side side) : side_(side) {}

  void start(const ParseLimits& limits);
  bool between_messages() const { return state_ == State::kBetween; }
  const ParseFault& fault() const { return fault_; }
  const ParseLimits& limits() const { return limits_; }

 protected:
  enum class State : std::uint8_t { kBetween, kHead, kBody, kTrailers, kFault };

  // kBetween to kHead.
  void begin_head(std::size_t max_head_bytes);
  // kNeedMore, kFault, or kHead: `in` begins with a whole head.
  ParseEvent scan_head(std::string_view in);
  // Copies the whole head into its arena.
  void take_head(std::string_view in, MessageHead& head) const;
  std::string_view start_line(const MessageHead& head) const;
  std::string_view start_line_with_end(const MessageHead& head) const;  // CRLF
  Violation split_head(MessageHead& head) const;
  // kHead to kBody.
  ParseStep end_head(const MessageHead& head);
  // Everything after the head.
  ParseStep read_on(std::string_view in, MessageHead& head);
  ParseStep finish();
  ParseStep refuse(Violation violation);

  State state_ = State::kBetween;
  ParseLimits limits_;
  SectionScanner scanner_;

 private:
  ParseStep read_length(std::string_view in);
  ParseStep read_until_close(std::string_view in) const;
  ParseStep read_chunked(std::string_view in, MessageHead& head);
  ParseStep read_trailers(std::string_view in, MessageHead& head);
  ParseStep end_message(std::size_t consumed);
  bool is_complete() const;

  const Side side_;
  BodyFraming framing_;
  std::uint64_t left_ = 0;  // of a body with a length
  ChunkedDecoder chunks_;
  ParseFault fault_{};
};

}  // namespace penstock
