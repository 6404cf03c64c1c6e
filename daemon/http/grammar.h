// A whole head or trailer section, its line ends already judged, to fields: the one place that
// knows llhttp.
//
// llhttp is given one section at a time and never a body: bodies are framed by rules stricter than
// its own, and a parser that is begun anew for each head carries nothing from one message into the
// next.
#pragma once

#include <string_view>

#include "http/field_list.h"
#include "http/violation.h"

namespace penstock {

// `text` is the section with its start line and empty line; the fields' views point into it.
Violation parse_head_section(Side side, std::string_view text, FieldList& fields);
Violation parse_trailer_section(std::string_view text, FieldList& trailers);

}  // namespace penstock
