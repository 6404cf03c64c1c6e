// What the fields of a whole head say about the message as such: where its body ends (RFC 9112
// section 6), whether the connection lasts (section 9.3), and for requests Host and Expect.
#pragma once

#include <cstddef>

#include "http/authority.h"
#include "http/head.h"
#include "http/violation.h"

namespace penstock {

// `max_options`: how many names the Connection fields may hold, since each is compared with every
// field's. `scratch` only saves an allocation.
Violation judge_request(RequestHead& head, std::size_t max_options, Authority& scratch);
Violation judge_response(ResponseHead& head, std::size_t max_options, Method request_method);

}  // namespace penstock
