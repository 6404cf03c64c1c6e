#include "http/chunked_decoder.h"

#include <algorithm>

#include "http/chars.h"

namespace penstock {

namespace {

// Leading zeros count, so that a line is bounded.
constexpr std::uint8_t kMaxSizeDigits = 16;
// As with Content-Length, sizes stay below 2^63.
constexpr std::uint64_t kMaxBeforeDigit = (std::uint64_t{1} << 59) - 1;

}  // namespace

void ChunkedDecoder::start(std::size_t max_extension_bytes) {
  *this = ChunkedDecoder();
  extension_bytes_left_ = max_extension_bytes;
}

ChunkedDecoder::Step ChunkedDecoder::next(std::string_view in) {
  for (std::size_t at = 0; at < in.size(); ++at) {
    if (state_ == State::kContent) return take_content(in, at);
    if (!take_byte(in[at])) return {Event::kRefused};
    if (state_ == State::kDone) return {Event::kLastChunk, at + 1};
  }
  return {Event::kNeedMore, in.size()};
}

ChunkedDecoder::Step ChunkedDecoder::take_content(std::string_view in, std::size_t at) {
  const std::size_t bytes =
      static_cast<std::size_t>(std::min<std::uint64_t>(left_, in.size() - at));
  left_ -= bytes;
  if (left_ == 0) state_ = State::kContentCr;
  return {Event::kContent, at + bytes, in.substr(at, bytes)};
}

bool ChunkedDecoder::take_byte(char c) {
  switch (state_) {
    case State::kSize:
      return take_size(c);
    case State::kExtensionName:
    case State::kExtensionValue:
    case State::kQuoted:
    case State::kEscaped:
      return take_extension(c);
    case State::kLineEnd:
      return take_line_end(c);
    case State::kContentCr:
      return expect(c, '\r', Violation::kChunkEnd, State::kContentLf);
    case State::kContentLf:
      left_ = 0;
      digits_ = 0;
      return expect(c, '\n', Violation::kChunkEnd, State::kSize);
    case State::kContent:
    case State::kDone:
      break;
  }
  return false;
}

bool ChunkedDecoder::take_size(char c) {
  const std::int8_t digit = chars::kHexValue[chars::index(c)];
  if (digit >= 0) {
    if (++digits_ > kMaxSizeDigits || left_ > kMaxBeforeDigit) {
      return refuse(Violation::kChunkSizeTooLarge);
    }
    left_ = left_ * 16 + static_cast<std::uint64_t>(digit);
    return true;
  }
  if (digits_ == 0) return refuse(Violation::kChunkSize);
  if (c == '\r') {
    state_ = State::kLineEnd;
  } else if (c == ';') {
    named_ = false;
    state_ = State::kExtensionName;
  } else {
    return refuse(c == '\n' ? Violation::kChunkLine : Violation::kChunkSize);
  }
  return true;
}

// Extensions mean nothing to us (section 7.1.1) and go no further; they are read only as far as is
// needed to know where they end.
bool ChunkedDecoder::take_extension(char c) {
  if (state_ != State::kQuoted && state_ != State::kEscaped && c == '\r') {
    state_ = State::kLineEnd;
    return named_ || refuse(Violation::kChunkExtension);
  }
  if (c == '\n' || c == '\r') return refuse(Violation::kChunkLine);
  if (!chars::is_text(c)) return refuse(Violation::kChunkExtension);
  if (extension_bytes_left_ == 0) return refuse(Violation::kChunkExtensionsTooLarge);
  --extension_bytes_left_;
  if (state_ == State::kEscaped) {
    state_ = State::kQuoted;
  } else if (state_ == State::kQuoted) {
    if (c == '"') state_ = State::kExtensionValue;
    if (c == '\\') state_ = State::kEscaped;
  } else {
    return take_extension_name(c);
  }
  return true;
}

// A name or an unquoted value; blanks around the signs are BWS.
bool ChunkedDecoder::take_extension_name(char c) {
  if (c == ';') {
    if (!named_) return refuse(Violation::kChunkExtension);
    named_ = false;
    state_ = State::kExtensionName;
  } else if (c == '=' && state_ == State::kExtensionName && named_) {
    state_ = State::kExtensionValue;
  } else if (c == '"' && state_ == State::kExtensionValue) {
    state_ = State::kQuoted;
  } else if (chars::is_token(c)) {
    named_ = true;
  } else {
    return chars::is_blank(c) || refuse(Violation::kChunkExtension);
  }
  return true;
}

bool ChunkedDecoder::take_line_end(char c) {
  return expect(c, '\n', Violation::kChunkLine, left_ == 0 ? State::kDone : State::kContent);
}

bool ChunkedDecoder::expect(char c, char wanted, Violation otherwise, State then) {
  if (c != wanted) return refuse(otherwise);
  state_ = then;
  return true;
}

bool ChunkedDecoder::refuse(Violation violation) {
  violation_ = violation;
  return false;
}

}  // namespace penstock
