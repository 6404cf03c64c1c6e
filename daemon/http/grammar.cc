#include "http/grammar.h"

#include <llhttp.h>

namespace penstock {

namespace {

struct Collector {
  FieldList& fields;
  std::string_view name{};
};

Collector& collector_of(llhttp_t* parser) { return *static_cast<Collector*>(parser->data); }

// llhttp lets a line pass that begins with its colon.
int on_name(llhttp_t* parser, const char* at, std::size_t length) {
  if (length == 0) return HPE_INVALID_HEADER_TOKEN;
  collector_of(parser).name = {at, length};
  return HPE_OK;
}

// Once a field, for an empty value too: only folded lines, gone by now, come in pieces.
int on_value(llhttp_t* parser, const char* at, std::size_t length) {
  Collector& collector = collector_of(parser);
  collector.fields.add(collector.name, {at, length});
  return HPE_OK;
}

int on_section_end(llhttp_t*) { return HPE_PAUSED; }

const llhttp_settings_t kSettings = [] {
  llhttp_settings_t settings;
  llhttp_settings_init(&settings);
  settings.on_header_field = on_name;
  settings.on_header_value = on_value;
  settings.on_headers_complete = on_section_end;
  return settings;
}();

Violation violation_of(const llhttp_t& parser, llhttp_errno_t error) {
  const bool coded = (parser.flags & F_TRANSFER_ENCODING) != 0;
  const bool sized = (parser.flags & F_CONTENT_LENGTH) != 0;
  // INVALID_CONSTANT: a method of RTSP.
  if (error == HPE_INVALID_METHOD || error == HPE_INVALID_CONSTANT)
    return Violation::kMethodUnknown;
  if (error == HPE_INVALID_URL) return Violation::kTarget;
  if (error == HPE_INVALID_HEADER_TOKEN) return Violation::kFieldName;
  if (error == HPE_INVALID_CONTENT_LENGTH) return Violation::kContentLength;
  if (error == HPE_INVALID_TRANSFER_ENCODING) {
    return sized ? Violation::kLengthAndCoding : Violation::kCoding;
  }
  if (error == HPE_UNEXPECTED_CONTENT_LENGTH) {
    return coded ? Violation::kLengthAndCoding : Violation::kContentLengthRepeated;
  }
  return Violation::kMalformedHead;
}

// The section must end exactly where the text does.
Violation execute(llhttp_t& parser, std::string_view text) {
  const llhttp_errno_t error = llhttp_execute(&parser, text.data(), text.size());
  if (error != HPE_PAUSED) return violation_of(parser, error);
  const bool to_the_end = llhttp_get_error_pos(&parser) == text.data() + text.size();
  return to_the_end ? Violation::kNone : Violation::kMalformedHead;
}

}  // namespace

Violation parse_head_section(Side side, std::string_view text, FieldList& fields) {
  Collector collector{fields};
  llhttp_t parser;
  llhttp_init(&parser, side == Side::kRequest ? HTTP_REQUEST : HTTP_RESPONSE, &kSettings);
  parser.data = &collector;
  return execute(parser, text);
}

// Trailers have the grammar of a head's fields, so they are read behind a start line of our own.
Violation parse_trailer_section(std::string_view text, FieldList& trailers) {
  constexpr std::string_view kStartLine = "HTTP/1.1 200\r\n";
  Collector collector{trailers};
  llhttp_t parser;
  llhttp_init(&parser, HTTP_RESPONSE, &kSettings);
  parser.data = &collector;
  llhttp_execute(&parser, kStartLine.data(), kStartLine.size());
  return execute(parser, text) == Violation::kNone ? Violation::kNone : Violation::kTrailer;
}

}  // namespace penstock
