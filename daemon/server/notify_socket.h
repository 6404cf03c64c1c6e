// One message to the service manager, as sd_notify(3) sends it; but that one waits, for ever, when
// the manager does not read for a while.
#pragma once

#include <string>

#include "base/time.h"

namespace penstock {

bool has_notify_socket();

// 0, or the errno: EAGAIN when the manager's queue is full, still so after `wait`.
int notify(const std::string& lines, Duration wait = {});

}  // namespace penstock
