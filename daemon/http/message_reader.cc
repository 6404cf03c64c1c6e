#include "http/message_reader.h"

#include <algorithm>
#include <string>

#include "http/chars.h"
#include "http/grammar.h"

namespace penstock {

namespace {

// RFC 9112 section 5.2: a fold in a response becomes spaces, in place.
void unfold(std::string& text) {
  for (std::size_t at = text.find('\n'); at + 1 < text.size(); at = text.find('\n', at + 1)) {
    if (chars::is_blank(text[at + 1])) text[at - 1] = text[at] = ' ';
  }
}

void copy_section(std::string_view section, bool folded, std::string& arena) {
  arena.assign(section);
  if (folded) unfold(arena);
}

}  // namespace

void MessageReader::start(const ParseLimits& limits) {
  limits_ = limits;
  state_ = State::kBetween;
}

void MessageReader::begin_head(std::size_t max_head_bytes) {
  state_ = State::kHead;
  scanner_.start(
      {SectionScanner::Kind::kHead, max_head_bytes, limits_.max_fields, side_ == Side::kResponse});
}

ParseEvent MessageReader::scan_head(std::string_view in) {
  switch (scanner_.scan(in)) {
    case SectionScanner::Progress::kIncomplete:
      return ParseEvent::kNeedMore;
    case SectionScanner::Progress::kRefused:
      return refuse(scanner_.violation()).event;
    case SectionScanner::Progress::kComplete:
      break;
  }
  return ParseEvent::kHead;
}

void MessageReader::take_head(std::string_view in, MessageHead& head) const {
  copy_section(in.substr(0, scanner_.scanned()), scanner_.folded(), head.arena);
  head.head_bytes = scanner_.scanned();
}

std::string_view MessageReader::start_line(const MessageHead& head) const {
  return std::string_view(head.arena).substr(0, scanner_.line_ends().front());
}

std::string_view MessageReader::start_line_with_end(const MessageHead& head) const {
  return std::string_view(head.arena).substr(0, scanner_.line_ends().front() + 2);
}

Violation MessageReader::split_head(MessageHead& head) const {
  const std::span<const std::uint32_t> ends = scanner_.line_ends();
  return split_fields(head.arena, ends.front() + 2, ends.subspan(1), head.fields);
}

ParseStep MessageReader::end_head(const MessageHead& head) {
  state_ = State::kBody;
  framing_ = head.framing;
  left_ = framing_.length;
  if (framing_.kind == FramingKind::kChunked) chunks_.start(limits_.max_chunk_extension_bytes);
  return {ParseEvent::kHead, head.head_bytes};
}

ParseStep MessageReader::read_on(std::string_view in, MessageHead& head) {
  if (state_ == State::kFault) return {ParseEvent::kFault};
  if (state_ == State::kTrailers) return read_trailers(in, head);
  switch (framing_.kind) {
    case FramingKind::kNone:
      return end_message(0);
    case FramingKind::kLength:
      return read_length(in);
    case FramingKind::kChunked:
      return read_chunked(in, head);
    case FramingKind::kUntilClose:
      return read_until_close(in);
  }
  return {ParseEvent::kFault};
}

ParseStep MessageReader::finish() {
  if (state_ == State::kFault) return {ParseEvent::kFault};
  if (is_complete()) return end_message(0);
  const bool inside = state_ == State::kBody || state_ == State::kTrailers;
  return refuse(inside ? Violation::kClosedInside : Violation::kClosedBeforeHead);
}

// The end was reached, whether or not the owner has asked for it.
bool MessageReader::is_complete() const {
  if (state_ != State::kBody) return false;
  if (framing_.kind == FramingKind::kLength) return left_ == 0;
  return framing_.kind != FramingKind::kChunked;
}

ParseStep MessageReader::refuse(Violation violation) {
  state_ = State::kFault;
  fault_ = fault_of(violation, side_);
  return {ParseEvent::kFault};
}

ParseStep MessageReader::read_length(std::string_view in) {
  if (left_ == 0) return end_message(0);
  if (in.empty()) return {ParseEvent::kNeedMore};
  const std::size_t bytes = static_cast<std::size_t>(std::min<std::uint64_t>(left_, in.size()));
  left_ -= bytes;
  return {ParseEvent::kBody, bytes, in.substr(0, bytes)};
}

ParseStep MessageReader::read_until_close(std::string_view in) const {
  if (in.empty()) return {ParseEvent::kNeedMore};
  return {ParseEvent::kBody, in.size(), in};
}

ParseStep MessageReader::read_chunked(std::string_view in, MessageHead& head) {
  const ChunkedDecoder::Step step = chunks_.next(in);
  switch (step.event) {
    case ChunkedDecoder::Event::kNeedMore:
      return {ParseEvent::kNeedMore, step.consumed};
    case ChunkedDecoder::Event::kContent:
      return {ParseEvent::kBody, step.consumed, step.content};
    case ChunkedDecoder::Event::kRefused:
      return refuse(chunks_.violation());
    case ChunkedDecoder::Event::kLastChunk:
      break;
  }
  state_ = State::kTrailers;
  scanner_.start({SectionScanner::Kind::kTrailers, limits_.max_trailer_bytes, limits_.max_fields,
                  side_ == Side::kResponse});
  ParseStep behind = read_trailers(in.substr(step.consumed), head);
  if (behind.event != ParseEvent::kFault) behind.consumed += step.consumed;
  return behind;
}

ParseStep MessageReader::read_trailers(std::string_view in, MessageHead& head) {
  switch (scanner_.scan(in)) {
    case SectionScanner::Progress::kIncomplete:
      return {ParseEvent::kNeedMore};
    case SectionScanner::Progress::kRefused:
      return refuse(scanner_.violation());
    case SectionScanner::Progress::kComplete:
      break;
  }
  const std::string_view section = in.substr(0, scanner_.scanned());
  constexpr std::size_t kNoTrailers = 2;
  if (section.size() > kNoTrailers) {
    copy_section(section, scanner_.folded(), head.trailer_arena);
    if (split_fields(head.trailer_arena, 0, scanner_.line_ends(), head.trailers) !=
        Violation::kNone) {
      return refuse(Violation::kTrailer);
    }
  }
  return end_message(section.size());
}

ParseStep MessageReader::end_message(std::size_t consumed) {
  state_ = State::kBetween;
  return {ParseEvent::kEnd, consumed};
}

}  // namespace penstock
