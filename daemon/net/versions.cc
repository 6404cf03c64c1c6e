#include "net/versions.h"

#include <ares.h>
#include <openssl/crypto.h>
#include <uv.h>

namespace penstock {

std::vector<std::pair<std::string, std::string>> net_library_versions() {
  return {{"libuv", uv_version_string()},
          {"openssl", OpenSSL_version(OPENSSL_VERSION_STRING)},
          {"c_ares", ares_version(nullptr)}};
}

}  // namespace penstock
