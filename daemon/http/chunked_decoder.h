// The chunked coding up to its last chunk, RFC 9112 section 7.1; trailers are the owner's.
//
// Nothing but 1*HEXDIG, optional extensions and CRLF is a chunk line here; what other readers
// forgive (signs, blanks, 0x, a bare LF) is how two of them come to see different messages. Content
// is never looked at: it costs the same whatever its length.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "http/violation.h"

namespace penstock {

class ChunkedDecoder {
 public:
  enum class Event : std::uint8_t { kNeedMore, kContent, kLastChunk, kRefused };
  struct Step {
    Event event;
    std::size_t consumed = 0;
    std::string_view content{};
  };

  void start(std::size_t max_extension_bytes);
  // kLastChunk: everything up to the line of the last chunk is consumed.
  Step next(std::string_view in);
  Violation violation() const { return violation_; }

 private:
  enum class State : std::uint8_t {
    kSize,
    kExtensionName,
    kExtensionValue,
    kQuoted,
    kEscaped,
    kLineEnd,
    kContent,
    kContentCr,
    kContentLf,
    kDone,
  };

  Step take_content(std::string_view in, std::size_t at);
  bool take_byte(char c);
  bool take_size(char c);
  bool take_extension(char c);
  bool take_extension_name(char c);
  bool take_line_end(char c);
  bool expect(char c, char wanted, Violation otherwise, State then);
  bool refuse(Violation violation);

  State state_ = State::kSize;
  std::uint64_t left_ = 0;  // of the size so far, then of the chunk's content
  std::uint8_t digits_ = 0;
  bool named_ = false;  // the extension has a name
  std::size_t extension_bytes_left_ = 0;
  Violation violation_ = Violation::kNone;
};

}  // namespace penstock
