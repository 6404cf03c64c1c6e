// A message as llhttp alone reads it, body and all: another implementation's word on what our
// parsers accepted. It forgives more than they do; what both take must be the same message.
#pragma once

#include <llhttp.h>

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "fuzz/check.h"
#include "http/chars.h"
#include "http/head.h"

namespace penstock::fuzz {

struct LlhttpReading {
  bool whole = false;
  std::size_t consumed = 0;
  std::string start;  // the target, or the reason
  std::vector<std::pair<std::string, std::string>> lines;
  std::string body;
  bool no_body = false;  // set beforehand: a response to HEAD
};

namespace llhttp_events {

inline LlhttpReading& of(llhttp_t* parser) { return *static_cast<LlhttpReading*>(parser->data); }

inline int on_start(llhttp_t* parser, const char* at, std::size_t length) {
  of(parser).start.append(at, length);
  return 0;
}
// An empty value has no event of its own: the line begins with its name.
inline int on_name(llhttp_t* parser, const char* at, std::size_t length) {
  of(parser).lines.emplace_back(std::string(at, length), "");
  return 0;
}
inline int on_value(llhttp_t* parser, const char* at, std::size_t length) {
  of(parser).lines.back().second.append(at, length);
  return 0;
}
inline int on_head(llhttp_t* parser) { return of(parser).no_body ? 1 : 0; }
inline int on_body(llhttp_t* parser, const char* at, std::size_t length) {
  of(parser).body.append(at, length);
  return 0;
}
inline int on_end(llhttp_t* parser) {
  of(parser).whole = true;
  return HPE_PAUSED;
}

}  // namespace llhttp_events

// `bytes` is one message; they come in one piece.
inline LlhttpReading read_with_llhttp(llhttp_type_t type, std::string_view bytes, bool no_body) {
  llhttp_settings_t settings;
  llhttp_settings_init(&settings);
  settings.on_url = settings.on_status = llhttp_events::on_start;
  settings.on_header_field = llhttp_events::on_name;
  settings.on_header_value = llhttp_events::on_value;
  settings.on_headers_complete = llhttp_events::on_head;
  settings.on_body = llhttp_events::on_body;
  settings.on_message_complete = llhttp_events::on_end;
  LlhttpReading reading;
  reading.no_body = no_body;
  llhttp_t parser;
  llhttp_init(&parser, type, &settings);
  parser.data = &reading;
  const llhttp_errno_t error = llhttp_execute(&parser, bytes.data(), bytes.size());
  if (error == HPE_PAUSED || error == HPE_PAUSED_UPGRADE) {
    reading.consumed = static_cast<std::size_t>(llhttp_get_error_pos(&parser) - bytes.data());
  }
  return reading;
}

// A tab in the white space behind a line of the head, spaces around it or not.
inline bool tab_ends_a_line(std::string_view head) {
  for (std::size_t end = head.find("\r\n"); end != head.npos; end = head.find("\r\n", end + 2)) {
    for (std::size_t at = end; at > 0 && chars::is_blank(head[at - 1]); --at) {
      if (head[at - 1] == '\t') return true;
    }
  }
  return false;
}

// Whether it can be asked: it takes no tab behind a length, knows no quoted chunk extensions, and
// takes framing fields in trailers, which we never pass on, for fields of the head.
inline bool llhttp_reads(std::string_view message, const MessageHead& head) {
  if (tab_ends_a_line(message.substr(0, head.head_bytes))) return false;
  if (head.framing.kind != FramingKind::kChunked) return true;
  return message.find(';', head.head_bytes) == std::string_view::npos &&
         !head.trailers.contains(FieldId::kContentLength) &&
         !head.trailers.contains(FieldId::kTransferEncoding);
}

// Fields and trailers, in order; a folded value is one more way to say the same.
inline void check_lines(const LlhttpReading& reading, const MessageHead& head) {
  FUZZ_CHECK(reading.lines.size() == head.fields.size() + head.trailers.size());
  auto line = reading.lines.begin();
  for (const FieldList* fields : {&head.fields, &head.trailers}) {
    for (const Field& field : *fields) {
      FUZZ_CHECK(line->first == field.name);
      FUZZ_CHECK(chars::trim(line->second) == field.value);
      ++line;
    }
  }
}

}  // namespace penstock::fuzz
