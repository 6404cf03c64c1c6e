#include "http/versions.h"

#include <llhttp.h>

namespace penstock {

std::string llhttp_version() {
  return std::to_string(LLHTTP_VERSION_MAJOR) + '.' + std::to_string(LLHTTP_VERSION_MINOR) + '.' +
         std::to_string(LLHTTP_VERSION_PATCH);
}

}  // namespace penstock
