// Request line and status line, RFC 9112 sections 3 and 4, by the letter: single spaces, the
// version spelled in full. Whether a method is known and a target's bytes are allowed is llhttp's
// part.
#pragma once

#include <string_view>

#include "http/head.h"
#include "http/violation.h"

namespace penstock {

// `line` without its CRLF. Fills in version, method and target.
Violation parse_request_line(std::string_view line, RequestHead& head);
// Fills in version, status and reason.
Violation parse_status_line(std::string_view line, ResponseHead& head);

// What every response begins with.
inline constexpr std::string_view kHttp1 = "HTTP/1.";

}  // namespace penstock
