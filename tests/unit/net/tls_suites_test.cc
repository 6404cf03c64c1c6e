// Which cipher suites are asked for first, and that none comes back which was left out.
#include "net/tls_suites.h"

#include <gtest/gtest.h>

#include <string>

#include "net/tls_ptr.h"

namespace penstock {
namespace {

constexpr const char* kAes128 = "TLS_AES_128_GCM_SHA256";
constexpr const char* kAes256 = "TLS_AES_256_GCM_SHA384";
constexpr const char* kChacha = "TLS_CHACHA20_POLY1305_SHA256";

// The suites of TLS 1.3 that are asked for where the policy is `policy`.
std::string order_after(const std::string& policy) {
  const SslContextPtr context(SSL_CTX_new(TLS_client_method()));
  EXPECT_EQ(SSL_CTX_set_ciphersuites(context.get(), policy.c_str()), 1);
  EXPECT_EQ(SSL_CTX_set_min_proto_version(context.get(), TLS1_3_VERSION), 1);
  prefer_aes_128(context.get());
  const SslPtr ssl(SSL_new(context.get()));
  std::string names;
  STACK_OF(SSL_CIPHER)* const ciphers = SSL_get1_supported_ciphers(ssl.get());
  for (int i = 0; i < sk_SSL_CIPHER_num(ciphers); ++i) {
    names +=
        (i == 0 ? "" : ":") + std::string(SSL_CIPHER_get_name(sk_SSL_CIPHER_value(ciphers, i)));
  }
  sk_SSL_CIPHER_free(ciphers);
  return names;
}

std::string list(const char* first, const char* second, const char* third) {
  return std::string(first) + ":" + second + ":" + third;
}

TEST(PreferAes128, ComesBefore256AndNothingElse) {
  EXPECT_EQ(order_after(list(kAes256, kChacha, kAes128)), list(kAes128, kAes256, kChacha));
  EXPECT_EQ(order_after(list(kChacha, kAes256, kAes128)), list(kChacha, kAes128, kAes256));
  EXPECT_EQ(order_after(list(kAes128, kChacha, kAes256)), list(kAes128, kChacha, kAes256));
}

TEST(PreferAes128, LeavesOutWhatThePolicyLeavesOut) {
  EXPECT_EQ(order_after(kAes256), kAes256);
  EXPECT_EQ(order_after(kAes128), kAes128);
  EXPECT_EQ(order_after(std::string(kAes256) + ":" + kChacha),
            std::string(kAes256) + ":" + kChacha);
}

}  // namespace
}  // namespace penstock
