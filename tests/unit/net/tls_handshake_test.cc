// Handshakes against a real server: versions, resumption, what is verified, and how each failure
// is told.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>

#include <chrono>
#include <string>
#include <thread>

#include "support/test_ca.h"
#include "support/tls_test_server.h"
#include "unit/net/tls_test_client.h"

namespace penstock {
namespace {

using std::chrono::hours;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

TestIdentity good(const TestCa& ca) { return ca.issue({.dns_names = {"good.test"}}); }

class TlsHandshake : public testing::Test {
 protected:
  // The error of a handshake that must fail.
  Error failure(std::uint16_t port, const ClientContext& context,
                const std::string& name = "good.test") {
    TlsTestClient client(loop_, context, port, name);
    EXPECT_FALSE(client.handshake());
    return client.error.value_or(Error{.code = ErrorCode::kProxyInternalResponse});
  }

  Loop loop_;
  const TestCa ca_;
};

TEST_F(TlsHandshake, SpeaksTls12And13AndSendsTheName) {
  for (const auto& [version, text] :
       {std::pair{TLS1_2_VERSION, "TLSv1.2"}, std::pair{TLS1_3_VERSION, "TLSv1.3"}}) {
    TlsTestServer server({.identity = good(ca_),
                          .min_version = version,
                          .max_version = version,
                          .serve = [](TlsTestConnection& c) { c.write_all(c.server_name()); }});
    TlsTestClient client(loop_, make_context(ca_.pem()), server.port());
    ASSERT_TRUE(client.handshake()) << client.error->detail;
    EXPECT_STREQ(client.stream().tls_version(), text);
    EXPECT_FALSE(client.stream().resumed());
    ASSERT_TRUE(client.receive(9));
    EXPECT_EQ(client.received, "good.test");
  }
}

TEST_F(TlsHandshake, AsksForAes128First) {
  TlsTestServer server(
      {.identity = good(ca_), .min_version = TLS1_3_VERSION, .serve = [](TlsTestConnection& c) {
         c.write_all(SSL_get_cipher_name(c.ssl()));
       }});
  TlsTestClient client(loop_, make_context(ca_.pem()), server.port());
  ASSERT_TRUE(client.handshake());
  ASSERT_TRUE(client.receive(22));
  EXPECT_EQ(client.received, "TLS_AES_128_GCM_SHA256");
}

TEST_F(TlsHandshake, OffersHttp11ByAlpn) {
  TlsTestServer server({.identity = good(ca_),
                        .serve = [](TlsTestConnection& c) { c.write_all("<" + c.alpn() + ">"); }});
  TlsTestClient client(loop_, make_context(ca_.pem()), server.port());
  ASSERT_TRUE(client.handshake());
  ASSERT_TRUE(client.receive(10));
  EXPECT_EQ(client.received, "<http/1.1>");
}

TEST_F(TlsHandshake, ResumesWithTheSameNameOnly) {
  for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    TlsTestServer server({.identity = ca_.issue({.dns_names = {"good.test", "other.test"}}),
                          .min_version = version,
                          .max_version = version});
    const ClientContext context = make_context(ca_.pem());
    const auto resumed = [&](const ClientContext& with, const std::string& name) {
      TlsTestClient client(loop_, with, server.port(), name);
      EXPECT_TRUE(client.handshake());
      const bool answer = client.stream().resumed();
      EXPECT_TRUE(client.send("x") && client.receive(1));  // the tickets have come by then
      return answer;
    };
    EXPECT_FALSE(resumed(context, "good.test"));
    EXPECT_FALSE(resumed(context, "other.test")) << "a ticket served another name";
    EXPECT_TRUE(resumed(context, "good.test"));
    EXPECT_TRUE(resumed(context, "good.test"));
    EXPECT_TRUE(resumed(context, "other.test"));
    EXPECT_FALSE(resumed(make_context(ca_.pem()), "good.test")) << "or another identity";
  }
}

// Nobody looks at a certificate again when its session is resumed.
TEST_F(TlsHandshake, ResumesNothingOnceTheCertificateHasEnded) {
  using std::chrono::minutes;
  for (const bool verify : {true, false}) {
    TlsTestServer server(
        {.identity = ca_.issue({.dns_names = {"good.test"}, .valid_until = minutes(60)})});
    const ClientContext context = verify ? make_context(ca_.pem()) : make_context("", unverified());
    TlsTestClient client(loop_, context, server.port());
    ASSERT_TRUE(client.handshake());
    ASSERT_TRUE(client.send("x") && client.receive(1));  // both tickets have come by then
    const auto resumes_after = [&](minutes passed) {
      BioSocket none{.fd = -1};
      TlsPeer peer{.key = {"good.test", 443}, .certificate_fault = {}};
      const SslPtr ssl = context->open(none, peer, loop_.wall_now() + passed);
      return SSL_get0_session(ssl.get()) != nullptr;
    };
    EXPECT_TRUE(resumes_after(minutes(50)));
    EXPECT_EQ(resumes_after(minutes(70)), !verify);
  }
}

TEST_F(TlsHandshake, ResumesNothingWithoutACache) {
  TlsTestServer server({.identity = good(ca_)});
  const ClientContext context = make_context(ca_.pem(), without_sessions());
  for (int i = 0; i < 2; ++i) {
    TlsTestClient client(loop_, context, server.port());
    ASSERT_TRUE(client.handshake());
    EXPECT_FALSE(client.stream().resumed());
    EXPECT_TRUE(client.send("x") && client.receive(1));
  }
}

TEST_F(TlsHandshake, RefusesEachCertificateThatDoesNotProveTheName) {
  const TestCa stranger("a stranger");
  struct Case {
    const char* what;
    TestIdentity identity;
    std::string name;
    std::vector<std::string> details;
  };
  const std::vector<std::string> names(20, "x.test");
  const Case cases[] = {
      {"unknown CA",
       stranger.issue({.dns_names = {"good.test"}}),
       "good.test",
       {"issuer \"CN=a stranger\"", "depth 0", "tls.extra_ca_file"}},
      {"self-signed",
       TestCa::self_signed({.dns_names = {"good.test"}, .common_name = "me"}),
       "good.test",
       {"self-signed", "subject \"CN=me\"", "tls.extra_ca_file"}},
      {"expired",
       ca_.issue({.dns_names = {"good.test"}, .valid_from = hours(-48), .valid_until = hours(-1)}),
       "good.test",
       {"expired", "valid until 20", "clock"}},
      {"not valid yet",
       ca_.issue({.dns_names = {"good.test"}, .valid_from = hours(1)}),
       "good.test",
       {"not yet valid", "valid from 20", "clock"}},
      {"another name",
       ca_.issue({.dns_names = {"a.test", "b.test"}, .ip_addresses = {"192.0.2.1", "2001:db8::1"}}),
       "good.test",
       {"hostname mismatch", "a.test, b.test, 192.0.2.1, 2001:db8::1", "tls.server_name"}},
      {"many names", ca_.issue({.dns_names = names}), "good.test", {"x.test, ...; if"}},
      {"common name only",
       ca_.issue({.common_name = "good.test"}),
       "good.test",
       {"hostname mismatch", "no host name or address"}},
      {"wildcard over two labels",
       ca_.issue({.dns_names = {"*.z.test"}}),
       "a.b.z.test",
       {"mismatch"}},
      {"partial wildcard", ca_.issue({.dns_names = {"go*.z.test"}}), "good.z.test", {"mismatch"}},
      {"a client's certificate",
       ca_.issue({.dns_names = {"good.test"}, .extended_key_usage = "clientAuth"}),
       "good.test",
       {"extendedKeyUsage serverAuth"}},
      {"address as a DNS name",
       ca_.issue({.dns_names = {"127.0.0.1"}}),
       "127.0.0.1",
       {"IP address mismatch"}},
      {"another address",
       ca_.issue({.ip_addresses = {"127.0.0.2"}}),
       "127.0.0.1",
       {"IP address mismatch", "127.0.0.2"}},
  };
  for (const Case& c : cases) {
    for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
      TlsTestServer server({.identity = c.identity, .max_version = version});
      const Error error = failure(server.port(), make_context(ca_.pem()), c.name);
      EXPECT_EQ(token(error.code), "tls_certificate_error") << c.what << ": " << error.detail;
      EXPECT_EQ(error.phase, Phase::kTlsHandshake);
      EXPECT_THAT(error.detail, HasSubstr("the certificate of " + c.name)) << c.what;
      for (const auto& detail : c.details) EXPECT_THAT(error.detail, HasSubstr(detail)) << c.what;
    }
  }
}

TEST_F(TlsHandshake, AcceptsWhatProvesTheName) {
  std::string intermediate;
  const TestIdentity by_intermediate =
      ca_.issue_by_intermediate({.dns_names = {"good.test"}}, &intermediate);
  const TestIdentity own = TestCa::self_signed({.dns_names = {"good.test"}});
  const struct {
    const char* what;
    TestIdentity identity;
    std::string name;
    std::string ca_pem;
  } cases[] = {
      {"wildcard", ca_.issue({.dns_names = {"*.z.test"}}), "good.z.test", ca_.pem()},
      {"upper case", ca_.issue({.dns_names = {"GOOD.test"}}), "good.test", ca_.pem()},
      {"IPv4", ca_.issue({.ip_addresses = {"127.0.0.1"}}), "127.0.0.1", ca_.pem()},
      {"IPv6", ca_.issue({.ip_addresses = {"::1"}}), "::1", ca_.pem()},
      {"no EKU", ca_.issue({.dns_names = {"good.test"}, .extended_key_usage = ""}), "good.test",
       ca_.pem()},
      {"chain", by_intermediate, "good.test", ca_.pem()},
      {"a trusted intermediate", by_intermediate, "good.test", intermediate},
      {"itself", own, "good.test", own.cert_pem},
  };
  for (const auto& c : cases) {
    TlsTestServer server({.identity = c.identity});
    TlsTestClient client(loop_, make_context(c.ca_pem), server.port(), c.name);
    EXPECT_TRUE(client.handshake()) << c.what << ": " << client.error->detail;
  }
}

TEST_F(TlsHandshake, SendsNoAddressAsAName) {
  TlsTestServer server(
      {.identity = ca_.issue({.ip_addresses = {"127.0.0.1"}}),
       .serve = [](TlsTestConnection& c) { c.write_all("<" + c.server_name() + ">"); }});
  TlsTestClient client(loop_, make_context(ca_.pem()), server.port(), "127.0.0.1");
  ASSERT_TRUE(client.handshake());
  ASSERT_TRUE(client.receive(2));
  EXPECT_EQ(client.received, "<>");
}

TEST_F(TlsHandshake, TellsTheServerThatItsCertificateIsRefused) {
  TlsTestServer server({.identity = TestCa::self_signed({.dns_names = {"good.test"}})});
  failure(server.port(), make_context(ca_.pem()));
  EXPECT_THAT(server.wait_for_failure(), HasSubstr("alert unknown ca"));
  EXPECT_EQ(server.handshakes(), 0);
}

TEST_F(TlsHandshake, VerifiesNothingWhenToldSo) {
  TlsTestServer server({.identity = TestCa::self_signed({.dns_names = {"other.test"}})});
  TlsTestClient client(loop_, make_context("", unverified()), server.port());
  EXPECT_TRUE(client.handshake());
}

TEST_F(TlsHandshake, NamesTheAlertThatTheServerSent) {
  TlsTestServer old({.identity = good(ca_), .max_version = TLS1_2_VERSION});
  const Error version = failure(old.port(), make_context(ca_.pem(), at_least_tls13()));
  EXPECT_EQ(token(version.code), "tls_alert_received");
  EXPECT_THAT(version.detail, AllOf(HasSubstr("protocol version"), HasSubstr("tls.min_version")));

  TlsTestServer strict(
      {.identity = good(ca_), .max_version = TLS1_2_VERSION, .client_ca_pem = ca_.pem()});
  const Error certificate = failure(strict.port(), make_context(ca_.pem()));
  EXPECT_EQ(token(certificate.code), "tls_alert_received");
  EXPECT_THAT(certificate.detail, HasSubstr("handshake failure"));
}

// In TLS 1.3 the client's handshake is over before the server has judged its certificate.
TEST_F(TlsHandshake, ReadsTheAlertOfATls13ServerThatWantsACertificate) {
  TlsTestServer server({.identity = good(ca_), .client_ca_pem = ca_.pem()});
  TlsTestClient client(loop_, make_context(ca_.pem()), server.port());
  ASSERT_TRUE(client.handshake());
  ASSERT_TRUE(client.ended());
  ASSERT_TRUE(client.error.has_value());
  EXPECT_EQ(token(client.error->code), "tls_alert_received");
  EXPECT_THAT(client.error->detail,
              AllOf(HasSubstr("certificate required"), HasSubstr("tls.cert_file")));
}

TEST_F(TlsHandshake, ShowsItsClientCertificateWithItsChain) {
  const TestIdentity client_identity =
      ca_.issue_by_intermediate({.extended_key_usage = "clientAuth"});
  TrustStores stores;
  const auto context = TlsClientContext::create({}, ca_.pem(), "", client_identity.cert_pem,
                                                client_identity.key_pem, stores);
  ASSERT_TRUE(context);
  for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    TlsTestServer server(
        {.identity = good(ca_), .max_version = version, .client_ca_pem = ca_.pem()});
    TlsTestClient client(loop_, *context, server.port());
    ASSERT_TRUE(client.handshake());
    EXPECT_TRUE(client.send("x") && client.receive(1));
  }
}

// A server that answers the hello in its own way, then closes.
class RawServer {
 public:
  explicit RawServer(std::string answer)
      : answer_(std::move(answer)), listener_(listen_on_loopback(&port_)) {
    thread_ = std::thread([this] { serve(); });
  }
  ~RawServer() {
    ::shutdown(listener_.get(), SHUT_RDWR);
    thread_.join();
  }
  std::uint16_t port() const { return port_; }

 private:
  void serve() {
    const UniqueFd peer(::accept(listener_.get(), nullptr, nullptr));
    char hello[4096];
    if (::recv(peer.get(), hello, sizeof hello, 0) > 0) {
      ::send(peer.get(), answer_.data(), answer_.size(), MSG_NOSIGNAL);
    }
  }

  const std::string answer_;
  std::uint16_t port_ = 0;
  UniqueFd listener_;
  std::thread thread_;
};

TEST_F(TlsHandshake, RecognisesWhoDoesNotSpeakTls) {
  using std::string_literals::operator""s;
  const struct {
    const char* what;
    std::string answer;
    const char* code;
    const char* detail;
  } cases[] = {
      {"HTTP", "HTTP/1.1 400 Bad Request\r\n\r\n", "tls_protocol_error", "set scheme: http"},
      {"SSH", "SSH-2.0-OpenSSH_9.2\r\n", "tls_protocol_error", "speaks plaintext"},
      {"SMTP", "220 mail.test ESMTP\r\n", "tls_protocol_error", "speaks plaintext"},
      {"nothing", "", "connection_terminated", "unexpected eof"},
      {"half a record", "\x16\x03\x03\0\x04"s, "connection_terminated", "unexpected eof"},
      {"data at once", "\x17\x03\x03\0\x05hello"s, "tls_protocol_error", "TLS failed: "},
      {"huge record", "\x16\x03\x03\xff\xff" + std::string(100, 'x'), "tls_protocol_error",
       "TLS failed: "},
      {"close_notify", "\x15\x03\x03\0\x02\x01\0"s, "connection_terminated", "ended"},
      {"alert", "\x15\x03\x03\0\x02\x02\x70"s, "tls_alert_received", "tls.server_name"},
  };
  for (const auto& c : cases) {
    RawServer server(c.answer);
    const Error error = failure(server.port(), make_context(ca_.pem()));
    EXPECT_EQ(token(error.code), c.code) << c.what << ": " << error.detail;
    EXPECT_THAT(error.detail, HasSubstr(c.detail)) << c.what;
  }
}

}  // namespace
}  // namespace penstock
