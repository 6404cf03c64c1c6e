// What a head's lines are made of: the request line, read by llhttp, and fields.
//
// Both are given whole lines, whose ends SectionScanner has judged: no control character, no fold
// and no bare CR or LF is left in them. What the fields then mean is for semantics.h.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "http/field_list.h"
#include "http/violation.h"

namespace penstock {

// `line` with its CRLF: whether llhttp knows the method and takes the target. The one place that
// knows llhttp; a parser is begun anew for each line, so nothing goes from one message to the next.
Violation check_request_line(std::string_view line);

// RFC 9112 section 5: adds the fields of `section`, whose first begins at `begin` and each next
// behind the CRLF at one of `line_ends`; their views point into it. A name is a token directly
// before its colon.
Violation split_fields(std::string_view section, std::size_t begin,
                       std::span<const std::uint32_t> line_ends, FieldList& fields);

}  // namespace penstock
