// How long an app gives its own request: the field that `client.deadline_header` names, and
// grpc-timeout (gRPC over HTTP/2, 'Requests').
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/time.h"
#include "http/field_list.h"

namespace penstock {

// The value of the field of this name; none when there is no such field or `name` is empty. The
// error says what is wrong with it.
Result<std::optional<Duration>, std::string> read_deadline(const FieldList& fields,
                                                           std::string_view name);

// At most 8 digits and a unit of H, M, S, m, u or n; nullopt for anything else.
std::optional<Duration> parse_grpc_timeout(std::string_view text);
// The largest such text that is no longer than `left`, in milliseconds or seconds; at least 1m.
std::string format_grpc_timeout(Duration left);

}  // namespace penstock
