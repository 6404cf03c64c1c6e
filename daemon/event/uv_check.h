// For libuv calls that fail only when the caller is wrong or the kernel has no memory left, and
// after which a loop would silently miss events: the process ends, with the reason.
#pragma once

namespace penstock {

void check_uv(int status, const char* call);

}  // namespace penstock
