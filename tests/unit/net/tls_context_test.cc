// Which settings make a context, which are refused and how, and what is shared.
#include "net/tls_context.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <openssl/pem.h>

#include <string>

#include "support/test_ca.h"
#include "unit/net/tls_test_client.h"

namespace penstock {
namespace {

using testing::HasSubstr;

struct Files {
  std::string ca{}, extra_ca{}, cert{}, key{};
};

std::string fault_of(const Files& files, const TlsSettings& settings = {}) {
  TrustStores stores;
  const auto made =
      TlsClientContext::create(settings, files.ca, files.extra_ca, files.cert, files.key, stores);
  if (made) return "";
  EXPECT_EQ(made.error().code, ErrorCode::kProxyInternalError);
  EXPECT_EQ(made.error().source, ErrorSource::kInternal);
  return made.error().detail;
}

std::string with_password(const std::string& key_pem) {
  const BioPtr in(BIO_new_mem_buf(key_pem.data(), static_cast<int>(key_pem.size())));
  const PrivateKeyPtr key(PEM_read_bio_PrivateKey(in.get(), nullptr, nullptr, nullptr));
  const BioPtr out(BIO_new(BIO_s_mem()));
  const unsigned char password[] = "secret";
  PEM_write_bio_PrivateKey(out.get(), key.get(), EVP_aes_256_cbc(), password, 6, nullptr, nullptr);
  char* data = nullptr;
  const long size = BIO_get_mem_data(out.get(), &data);
  return {data, static_cast<std::size_t>(size)};
}

TEST(TlsClientContext, TakesTheSystemsCertificatesAndNoIdentityByDefault) {
  EXPECT_EQ(fault_of({}), "");
}

TEST(TlsClientContext, NamesTheKeyOfEachFaultInItsSettings) {
  const TestCa ca;
  const TestIdentity client = ca.issue({.extended_key_usage = "clientAuth"});
  const TestIdentity other = ca.issue({});
  const std::string broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
  const struct {
    const char* fault;
    Files files;
    const char* expected;
  } cases[] = {
      {"no PEM", {.ca = "hello"}, "tls.ca_file holds no PEM certificate"},
      {"only a key", {.ca = client.key_pem}, "tls.ca_file holds no PEM certificate"},
      {"broken", {.ca = broken}, "tls.ca_file holds a broken certificate"},
      {"second broken", {.ca = ca.pem() + broken}, "tls.ca_file holds a broken certificate"},
      {"extra broken", {.ca = ca.pem(), .extra_ca = broken}, "tls.extra_ca_file holds a broken"},
      {"cert is none", {.cert = "x", .key = client.key_pem}, "tls.cert_file holds no usable"},
      {"chain broken",
       {.cert = client.cert_pem + broken, .key = client.key_pem},
       "tls.cert_file is"},
      {"no key", {.cert = client.cert_pem}, "tls.key_file holds no usable private key"},
      {"key with a password",
       {.cert = client.cert_pem, .key = with_password(client.key_pem)},
       "tls.key_file holds no usable private key"},
      {"another's key",
       {.cert = client.cert_pem, .key = other.key_pem},
       "tls.key_file does not belong to tls.cert_file"},
  };
  for (const auto& c : cases) {
    EXPECT_THAT(fault_of(c.files), HasSubstr(c.expected)) << c.fault;
  }
  EXPECT_EQ(fault_of({.ca = ca.pem(), .cert = client.cert_pem, .key = client.key_pem}), "");
}

TEST(TlsClientContext, NeedsANameToVerify) {
  TrustStores stores;
  TlsPeer nameless{};
  const auto strict = TlsClientContext::create({}, TestCa().pem(), "", "", "", stores);
  ASSERT_TRUE(strict);
  EXPECT_EQ((*strict)->open(0, nameless, WallTime{}), nullptr);
  const auto lax = TlsClientContext::create(unverified(), "", "", "", "", stores);
  ASSERT_TRUE(lax);
  EXPECT_NE((*lax)->open(0, nameless, WallTime{}), nullptr);
}

TEST(TrustStores, ShareOneStorePerContent) {
  const TestCa a, b;
  TrustStores stores;
  const auto first = stores.get(a.pem(), "");
  ASSERT_TRUE(first);
  EXPECT_EQ(*stores.get(a.pem(), ""), *first);
  EXPECT_NE(*stores.get(b.pem(), ""), *first);
  EXPECT_NE(*stores.get("", a.pem()), *first) << "extra is not the same as instead";
  EXPECT_NE(*stores.get(a.pem(), b.pem()), *stores.get(a.pem() + b.pem(), ""));
}

TEST(TrustStores, LetAStoreGoWithItsLastUser) {
  const TestCa ca;
  TrustStores stores;
  std::weak_ptr<X509_STORE> kept;
  {
    const auto context = TlsClientContext::create({}, ca.pem(), "", "", "", stores);
    ASSERT_TRUE(context);
    kept = *stores.get(ca.pem(), "");
    EXPECT_FALSE(kept.expired());
  }
  EXPECT_TRUE(kept.expired());
}

TEST(TrustStores, LoadNothingWhereNothingIsVerified) {
  TrustStores stores;
  const auto context = TlsClientContext::create(unverified(), "not PEM at all", "", "", "", stores);
  EXPECT_TRUE(context);
}

}  // namespace
}  // namespace penstock
