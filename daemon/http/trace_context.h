// Where a request stands in a distributed trace (W3C Trace Context, section 3.2).
#pragma once

#include <string_view>

#include "http/field_list.h"

namespace penstock {

// Of version 00 exactly, of a later one its beginning, which means the same (section 4.3).
bool is_valid_traceparent(std::string_view value);

// The value of the only `traceparent`, when it is valid; empty otherwise. Two of them, or a broken
// one, say nothing about the trace (section 3.2.2.5); all of them go on to the upstream as they
// came.
std::string_view trace_parent(const FieldList& fields);

}  // namespace penstock
