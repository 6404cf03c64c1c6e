// Foreign bytes made safe for a log line or a page.
#pragma once

#include <cstddef>
#include <string_view>

namespace penstock {

// The longest that any function below makes of one byte.
inline constexpr std::size_t kMaxEscapedBytes = 6;

// The inside of a JSON string (RFC 8259 section 7). Valid UTF-8 stays; a byte that is none becomes
// \u00XX, so that the line parses and the byte can still be read. Returns the end of what it wrote.
char* write_json_escaped(char* out, std::string_view text);

// One word of printable ASCII: white space, controls, backslashes and all that is not ASCII become
// \xNN, so that nothing forges a line, a field or a terminal's escape sequence.
char* write_text_escaped(char* out, std::string_view text);

// The text of an HTML element or of a quoted attribute. A control or a byte that is no UTF-8
// becomes \xNN, so that it can be read and does nothing.
char* write_html_escaped(char* out, std::string_view text);

}  // namespace penstock
