// The answer to a request that ends at the proxy itself: OPTIONS * and the last hop that
// Max-Forwards allows to OPTIONS and TRACE (RFC 9110 sections 7.6.2, 9.3.7 and 9.3.8).
#pragma once

#include <string>
#include <string_view>

#include "http/head.h"

namespace penstock {

// The whole response. To TRACE it is the request as it came, but for credentials.
std::string format_own_answer(const RequestHead& request, bool keep_alive, std::string_view date);

}  // namespace penstock
