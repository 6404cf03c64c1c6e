// Port, TLS and what is dialled, by scheme, origin and connect_to.
#include "config/destination.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace penstock {
namespace {

Authority authority(std::string_view text) {
  Authority parsed;
  EXPECT_EQ(parse_authority(text, parsed), std::nullopt) << text;
  return parsed;
}

std::string chosen(const UpstreamSettings& upstream, bool https, std::string_view requested) {
  const Authority from = authority(requested);
  const Destination destination(upstream);
  const auto choice = destination.choose(https, from);
  return std::string(choice.tls ? "tls " : "plain ") + std::string(choice.host) + ' ' +
         std::to_string(choice.port);
}

struct SchemeCase {
  SchemeMode scheme;
  bool https;
  std::string_view requested;
  std::string chosen;
};

TEST(Destination, ChoosesPortAndTlsByScheme) {
  using enum SchemeMode;
  const std::vector<SchemeCase> cases = {
      {kHttps, false, "a.example", "tls a.example 443"},
      {kHttps, false, "a.example:80", "tls a.example 443"},
      {kHttps, false, "a.example:8080", "tls a.example 8080"},
      {kHttps, false, "localhost", "tls localhost 443"},
      {kHttps, true, "a.example", "tls a.example 443"},
      {kHttps, true, "a.example:80", "tls a.example 80"},
      {kAuto, false, "a.example", "tls a.example 443"},
      {kAuto, false, "a.example:80", "tls a.example 443"},
      {kAuto, false, "a.example:443", "tls a.example 443"},
      {kAuto, false, "a.example:8080", "plain a.example 8080"},
      {kAuto, false, "localhost", "plain localhost 80"},
      {kAuto, false, "app.localhost", "plain app.localhost 80"},
      {kAuto, false, "db", "plain db 80"},
      {kAuto, false, "10.0.0.1", "plain 10.0.0.1 80"},
      {kAuto, false, "[::1]:443", "plain ::1 443"},
      {kAuto, true, "10.0.0.1", "tls 10.0.0.1 443"},
      {kAuto, true, "a.example:8443", "tls a.example 8443"},
      {kSame, false, "a.example", "plain a.example 80"},
      {kSame, true, "a.example", "tls a.example 443"},
      {kHttp, false, "a.example:443", "plain a.example 443"},
      {kHttp, true, "a.example", "tls a.example 443"},
  };
  for (const SchemeCase& each : cases) {
    UpstreamSettings upstream;
    upstream.policy.scheme = each.scheme;
    EXPECT_EQ(chosen(upstream, each.https, each.requested), each.chosen)
        << each.requested << " scheme " << static_cast<int>(each.scheme);
  }
}

TEST(Destination, TakesHostFromOriginAndPortFromWhoeverNamesOne) {
  UpstreamSettings upstream;
  upstream.origin = "real.example";
  EXPECT_EQ(chosen(upstream, false, "alias"), "tls real.example 443");
  EXPECT_EQ(chosen(upstream, false, "alias:8080"), "tls real.example 8080");
  upstream.origin = "real.example:9443";
  EXPECT_EQ(chosen(upstream, false, "alias:8080"), "tls real.example 9443");
}

TEST(Destination, DialsConnectToAndStaysTheAuthority) {
  UpstreamSettings upstream;
  upstream.policy.connect_to = "[::1]:4433";
  const Destination destination(upstream);
  const Authority requested = authority("a.example");
  const auto choice = destination.choose(false, requested);
  const auto dial = destination.dial(choice);
  EXPECT_EQ(dial.host, "::1");
  EXPECT_EQ(dial.kind, HostKind::kIpv6);
  EXPECT_EQ(dial.port, 4433);
  EXPECT_EQ(choice.host, "a.example");
  EXPECT_EQ(destination.server_name(choice), "a.example");
}

TEST(Destination, DialsTheAuthoritysPortWhereConnectToNamesNone) {
  UpstreamSettings upstream;
  upstream.policy.connect_to = "backend.local";
  const Destination destination(upstream);
  const Authority requested = authority("a.example:8443");
  EXPECT_EQ(destination.dial(destination.choose(false, requested)).port, 8443);
}

TEST(Destination, DialsASocket) {
  UpstreamSettings upstream;
  upstream.policy.connect_to = "unix:/run/origin.sock";
  const Destination destination(upstream);
  const Authority requested = authority("a.example");
  const auto dial = destination.dial(destination.choose(false, requested));
  EXPECT_EQ(dial.unix_path, "/run/origin.sock");
  EXPECT_EQ(dial.host, "");
}

TEST(Destination, VerifiesTheNameThatTheFileGives) {
  UpstreamSettings upstream;
  upstream.policy.tls.server_name = "cert.example";
  const Destination destination(upstream);
  const Authority requested = authority("10.0.0.1");
  EXPECT_EQ(destination.server_name(destination.choose(true, requested)), "cert.example");
}

}  // namespace
}  // namespace penstock
