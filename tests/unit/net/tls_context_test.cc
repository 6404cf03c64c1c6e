// Which settings make a context, which are refused and how, and what is shared.
#include "net/tls_context.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <openssl/pem.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <utility>

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

// Hours from now until the identity's certificates end; -1 without any.
double hours_left(const TestIdentity& identity) {
  TrustStores stores;
  const auto made =
      TlsClientContext::create({}, "", "", identity.cert_pem, identity.key_pem, stores);
  if (!made || !(*made)->certificate_not_after()) return -1;
  return std::chrono::duration<double, std::ratio<3600>>(*(*made)->certificate_not_after() -
                                                         std::chrono::system_clock::now())
      .count();
}

TEST(TlsClientContext, KnowsWhenTheFirstOfItsCertificatesEnds) {
  const TestCa ca;
  EXPECT_NEAR(hours_left(ca.issue({.valid_until = std::chrono::hours(5)})), 5, 0.1);
  EXPECT_NEAR(hours_left(ca.issue_by_intermediate({.valid_until = std::chrono::hours(5)})), 5, 0.1);
  const TestIdentity late = ca.issue({.valid_until = std::chrono::hours(50)});
  const TestIdentity soon = ca.issue({.valid_until = std::chrono::hours(2)});
  EXPECT_NEAR(hours_left({late.cert_pem + soon.cert_pem, late.key_pem}), 2, 0.1);
  EXPECT_EQ(hours_left({}), -1);
}

TEST(TlsClientContext, NeedsANameToVerify) {
  TrustStores stores;
  TlsPeer nameless{};
  BioSocket socket{.fd = 0};
  const auto strict = TlsClientContext::create({}, TestCa().pem(), "", "", "", stores);
  ASSERT_TRUE(strict);
  EXPECT_EQ((*strict)->open(socket, nameless, WallTime{}), nullptr);
  const auto lax = TlsClientContext::create(unverified(), "", "", "", "", stores);
  ASSERT_TRUE(lax);
  EXPECT_NE((*lax)->open(socket, nameless, WallTime{}), nullptr);
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

// What OpenSSL trusts by default, as long as it lives.
class SystemCas {
 public:
  SystemCas() : folder_(testing::TempDir() + "cas-XXXXXX") {
    EXPECT_NE(::mkdtemp(folder_.data()), nullptr);
    std::filesystem::create_directory(directory());
    ::setenv("SSL_CERT_FILE", file().c_str(), 1);
    ::setenv("SSL_CERT_DIR", ("/nowhere:" + directory()).c_str(), 1);
  }
  SystemCas(const SystemCas&) = delete;
  SystemCas& operator=(const SystemCas&) = delete;
  ~SystemCas() {
    ::unsetenv("SSL_CERT_FILE");
    ::unsetenv("SSL_CERT_DIR");
    std::filesystem::remove_all(folder_);
  }
  std::string file() const { return folder_ + "/bundle.pem"; }
  std::string directory() const { return folder_ + "/certs"; }
  static void write(const std::string& path, const std::string& text) {
    std::ofstream(path) << text;
  }

 private:
  std::string folder_;
};

TEST(TrustStores, LookAtTheSystemsCertificatesAnewWhenTheyHaveChanged) {
  const TestCa a, b;
  const SystemCas system;
  TrustStores stores;
  std::string before = stores.look_at_system();
  auto store = *stores.get("", "");
  const auto has_changed = [&] {
    const std::string stamp = std::exchange(before, stores.look_at_system());
    const auto last = std::exchange(store, *stores.get("", ""));
    EXPECT_EQ(stamp != before, last != store);
    return last != store;
  };
  EXPECT_FALSE(has_changed());
  SystemCas::write(system.file(), a.pem() + b.pem());
  EXPECT_TRUE(has_changed());
  EXPECT_FALSE(has_changed());
  SystemCas::write(system.file(), a.pem());
  EXPECT_TRUE(has_changed());
  SystemCas::write(system.directory() + "/12345678.0", b.pem());
  EXPECT_TRUE(has_changed());
  EXPECT_FALSE(has_changed());
  std::filesystem::remove(system.directory() + "/12345678.0");
  EXPECT_TRUE(has_changed());
  const auto own = *stores.get(a.pem(), "");
  SystemCas::write(system.file(), b.pem());
  stores.look_at_system();
  EXPECT_EQ(*stores.get(a.pem(), ""), own) << "that trusts nobody else";
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
