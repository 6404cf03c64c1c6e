// Which addresses are refused, in every disguise of an IPv4 address we know of.
#include "net/egress.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace penstock {
namespace {

using Texts = std::vector<std::string>;

bool refuses(const EgressPolicy& policy, const std::string& ip) {
  return !policy.check(*SocketAddress::from_ip(ip, 443)).has_value();
}

TEST(EgressPolicy, NamesStandForTheirBlocks) {
  struct Case {
    const char* rule;
    Texts refused;
    Texts passed;
  };
  const std::vector<Case> cases = {
      {"link_local",
       {"169.254.0.1", "169.254.255.255", "fe80::1", "febf::1"},
       {"169.253.0.1", "fec0::1"}},
      {"metadata",
       {"169.254.169.254", "169.254.170.2", "169.254.170.23", "fd00:ec2::254", "fd00:ec2::23",
        "100.100.100.200", "168.63.129.16"},
       {"169.254.169.253", "fd00:ec2::25", "100.100.100.201", "168.63.129.17"}},
      {"loopback", {"127.0.0.1", "127.255.255.255", "::1"}, {"128.0.0.1", "::2", "0.0.0.0"}},
      {"private",
       {"10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.0.1", "100.64.0.1", "fc00::1",
        "fdff::1"},
       {"11.0.0.1", "172.32.0.1", "192.169.0.1", "100.128.0.1", "fe00::1"}},
      {"unspecified", {"0.0.0.0", "0.1.2.3", "::"}, {"1.0.0.0", "::1"}},
      {"any", {"203.0.113.1", "2001:db8::1", "::1", "0.0.0.0"}, {}},
      {"203.0.113.0/24", {"203.0.113.9"}, {"203.0.112.9", "2001:db8::1"}},
      {"2001:db8::/32", {"2001:db8::9"}, {"2001:db9::9", "203.0.113.1"}},
  };
  for (const Case& c : cases) {
    const EgressPolicy policy({c.rule}, {}, {});
    for (const std::string& ip : c.refused) EXPECT_TRUE(refuses(policy, ip)) << c.rule << " " << ip;
    for (const std::string& ip : c.passed) EXPECT_FALSE(refuses(policy, ip)) << c.rule << " " << ip;
  }
}

TEST(EgressPolicy, JudgesIpv4InsideIpv6) {
  const EgressPolicy policy({"metadata"}, {}, {});
  for (const char* ip : {
           "::ffff:169.254.169.254",           // mapped
           "::169.254.169.254",                // compatible
           "64:ff9b::169.254.169.254",         // NAT64, well-known prefix
           "64:ff9b:1::169.254.169.254",       // NAT64, local prefix of 96 bits
           "64:ff9b:1:abcd::169.254.169.254",  // another one
           "64:ff9b:1:a9fe:a9:fe00::",         // of 48 bits
           "64:ff9b:1:a9:fe:a9fe::",           // of 56 bits
           "64:ff9b:1:0:a9:fea9:fe00:0",       // of 64 bits
           "2002:a9fe:a9fe::1",                // 6to4
       }) {
    EXPECT_TRUE(refuses(policy, ip)) << ip;
  }
  for (const char* ip : {"::ffff:169.254.169.253", "64:ff9b::1.2.3.4", "2002:a9fe:a9fd::1",
                         "64:ff9c::169.254.169.254", "2001:a9fe:a9fe::1"}) {
    EXPECT_FALSE(refuses(policy, ip)) << ip;
  }
}

TEST(EgressPolicy, TakesNeitherLoopbackNorUnspecifiedForAnEmbeddedAddress) {
  const EgressPolicy policy({"unspecified"}, {}, {});
  EXPECT_FALSE(refuses(policy, "::1"));
  EXPECT_FALSE(refuses(policy, "64:ff9b:1::1.2.3.4"));
  EXPECT_TRUE(refuses(EgressPolicy({"loopback"}, {}, {}), "::ffff:127.0.0.1"));
}

TEST(EgressPolicy, LetsAllowWinOverDeny) {
  const EgressPolicy policy({"private", "link_local"}, {"10.1.0.0/16", "fd12::/16"}, {});
  EXPECT_FALSE(refuses(policy, "10.1.2.3"));
  EXPECT_FALSE(refuses(policy, "::ffff:10.1.2.3"));
  EXPECT_FALSE(refuses(policy, "fd12::1"));
  EXPECT_TRUE(refuses(policy, "10.2.2.3"));
  EXPECT_TRUE(refuses(policy, "169.254.1.1"));
}

TEST(EgressPolicy, DoesNotTakeAnAllowedIpv6BlockForTheIpv4Inside) {
  const EgressPolicy policy({"metadata"}, {"::/0"}, {});
  EXPECT_TRUE(refuses(policy, "::ffff:169.254.169.254"));
  EXPECT_TRUE(refuses(policy, "64:ff9b::169.254.169.254"));
  EXPECT_FALSE(refuses(policy, "fd00:ec2::254"));
}

TEST(EgressPolicy, AllowsWhatNoRuleHits) {
  EXPECT_FALSE(refuses(EgressPolicy(), "169.254.169.254"));
  EXPECT_FALSE(refuses(EgressPolicy({"link_local", "metadata"}, {}, {}), "127.0.0.1"));
  EXPECT_TRUE(
      EgressPolicy({"any"}, {}, {}).check(*SocketAddress::from_unix_path("/run/x")).has_value());
}

TEST(EgressPolicy, NamesTheAddressAndTheRule) {
  const EgressPolicy policy({"private", "link_local"}, {}, {});
  const auto result = policy.check(*SocketAddress::from_ip("169.254.1.1", 443));
  ASSERT_FALSE(result.has_value());
  EXPECT_EQ(result.error().code, ErrorCode::kDestinationIpProhibited);
  EXPECT_EQ(result.error().phase, Phase::kConnect);
  EXPECT_NE(result.error().detail.find("169.254.1.1"), std::string::npos);
  EXPECT_NE(result.error().detail.find("link_local"), std::string::npos);
}

TEST(EgressPolicy, RefusesOurOwnAddresses) {
  struct Case {
    const char* own_ip;
    const char* ip;
    int port;
    bool refused;
  };
  for (const Case& c : {
           Case{"127.0.0.1", "127.0.0.1", 3128, true},
           {"127.0.0.1", "127.0.0.1", 3129, false},
           {"127.0.0.1", "127.0.0.2", 3128, false},
           {"127.0.0.1", "::ffff:127.0.0.1", 3128, true},
           {"127.0.0.1", "0.0.0.0", 3128, true},
           {"127.0.0.1", "::", 3128, true},
           {"192.0.2.1", "192.0.2.1", 3128, true},
           {"192.0.2.1", "0.0.0.0", 3128, false},
           {"0.0.0.0", "127.0.0.1", 3128, true},
           {"0.0.0.0", "127.9.9.9", 3128, true},
           {"0.0.0.0", "::1", 3128, true},
           {"0.0.0.0", "0.0.0.0", 3128, true},
           {"0.0.0.0", "127.0.0.1", 80, false},
           {"0.0.0.0", "203.0.113.1", 3128, false},
           {"::", "::1", 3128, true},
           {"::", "127.0.0.1", 3128, true},
       }) {
    const EgressPolicy policy({}, {"any"}, {*SocketAddress::from_ip(c.own_ip, 3128)});
    const auto address = SocketAddress::from_ip(c.ip, static_cast<std::uint16_t>(c.port));
    const auto result = policy.check(*address);
    EXPECT_EQ(!result.has_value(), c.refused) << c.own_ip << " " << c.ip << " " << c.port;
    if (!result.has_value()) {
      EXPECT_EQ(result.error().code, ErrorCode::kProxyLoopDetected);
    }
  }
}

TEST(EgressPolicy, KnowsARuleFromATypingError) {
  for (const char* text : {"link_local", "metadata", "loopback", "private", "unspecified", "any",
                           "10.0.0.0/8", "10.0.0.1", "::1", "fd00::/8"}) {
    EXPECT_TRUE(EgressPolicy::is_rule(text)) << text;
  }
  for (const char* text : {"", "linklocal", "Private", "10.0.0.0/33", "example.com", "any "}) {
    EXPECT_FALSE(EgressPolicy::is_rule(text)) << text;
  }
}

}  // namespace
}  // namespace penstock
