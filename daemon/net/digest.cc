#include "net/digest.h"

#include <openssl/evp.h>

#include <array>

namespace penstock {

std::string digest_of(const std::string& text) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> hash{};
  unsigned int size = 0;
  EVP_Digest(text.data(), text.size(), hash.data(), &size, EVP_sha256(), nullptr);
  return {hash.begin(), hash.begin() + size};
}

}  // namespace penstock
