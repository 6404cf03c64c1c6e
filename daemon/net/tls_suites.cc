#include "net/tls_suites.h"

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

namespace penstock {
namespace {

// Those of TLS 1.3 alone, whose names no other version has.
std::vector<std::string_view> suites_of_tls_1_3(const SSL_CTX* context) {
  std::vector<std::string_view> names;
  const STACK_OF(SSL_CIPHER)* const ciphers = SSL_CTX_get_ciphers(context);
  for (int i = 0; i < sk_SSL_CIPHER_num(ciphers); ++i) {
    const std::string_view name = SSL_CIPHER_get_name(sk_SSL_CIPHER_value(ciphers, i));
    if (name.starts_with("TLS_")) names.push_back(name);
  }
  return names;
}

std::string joined(const std::vector<std::string_view>& names) {
  std::string text;
  for (const std::string_view name : names) text.append(text.empty() ? "" : ":").append(name);
  return text;
}

}  // namespace

void prefer_aes_128(SSL_CTX* context) {
  std::vector<std::string_view> names = suites_of_tls_1_3(context);
  const auto large = std::find(names.begin(), names.end(), "TLS_AES_256_GCM_SHA384");
  const auto small = std::find(large, names.end(), "TLS_AES_128_GCM_SHA256");
  if (small == names.end()) return;
  std::rotate(large, small, small + 1);
  SSL_CTX_set_ciphersuites(context, joined(names).c_str());
}

}  // namespace penstock
