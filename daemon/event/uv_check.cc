#include "event/uv_check.h"

#include <uv.h>

#include <cstdio>
#include <cstdlib>

namespace penstock {

void check_uv(int status, const char* call) {
  if (status >= 0) return;
  std::fprintf(stderr, "%s: %s\n", call, uv_strerror(status));
  std::abort();
}

}  // namespace penstock
