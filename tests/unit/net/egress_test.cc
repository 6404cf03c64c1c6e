// Which addresses are refused, in every disguise of an IPv4 address we know of.
#include "net/egress.h"

#include <gtest/gtest.h>
#include <ifaddrs.h>
#include <netinet/in.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "support/no_descriptors.h"

namespace penstock {
namespace {

using Texts = std::vector<std::string>;

bool refuses(const EgressPolicy& policy, const std::string& ip,
             ClientScope scope = ClientScope::kMachine) {
  return !policy.check(*SocketAddress::from_ip(ip, 443), scope).has_value();
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
        "fd20:ce::254", "fd00:c1::a9fe:a9fe", "fd00:42::42", "100.100.100.200", "168.63.129.16",
        "192.0.0.192"},
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

// Smokescreen: classifyAddr, the addresses that hide another.
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
           "2001:0:a9fe:a9fe::1",              // Teredo, the server
           "2001:0:102:304:0:0:5601:5601",     // Teredo, the client behind its mask
           "::ffff:0:169.254.169.254",         // translated (RFC 2765)
           "2001:db8::5efe:169.254.169.254",   // ISATAP
           "2001:db8::200:5efe:a9fe:a9fe",     // ISATAP of a unique address
           "64:ff9b:1:a9fe:a9:fe00:5efe:0",    // of 48 bits, with something behind it
       }) {
    EXPECT_TRUE(refuses(policy, ip)) << ip;
  }
  for (const char* ip :
       {"::ffff:169.254.169.253", "64:ff9b::1.2.3.4", "2002:a9fe:a9fd::1",
        "64:ff9c::169.254.169.254", "2001:a9fe:a9fe::1", "2001:0:102:304::a9fe:a9fe",
        "2001:db8::5eff:169.254.169.254", "::fffe:0:169.254.169.254"}) {
    EXPECT_FALSE(refuses(policy, ip)) << ip;
  }
}

TEST(EgressPolicy, TakesNeitherLoopbackNorUnspecifiedForAnEmbeddedAddress) {
  const EgressPolicy policy({"unspecified"}, {}, {});
  EXPECT_FALSE(refuses(policy, "::1"));
  EXPECT_FALSE(refuses(policy, "64:ff9b:1::1.2.3.4"));
  EXPECT_TRUE(refuses(EgressPolicy({"loopback"}, {}, {}), "::ffff:127.0.0.1"));
}

struct Form {
  const char* ip;
  bool here;  // leads to this machine
};

// Whoever is on this machine gets there without us; clients of the network would get past its
// walls.
TEST(EgressPolicy, DeniesThisMachineToClientsOfTheNetworkInEveryForm) {
  const EgressPolicy policy({"link_local", "metadata"}, {}, {});
  for (const Form& form : {
           Form{"127.0.0.1", true},
           {"127.9.9.9", true},
           {"0.0.0.0", true},
           {"0.1.2.3", true},
           {"::1", true},
           {"::", true},
           {"::ffff:127.0.0.1", true},
           {"::ffff:0.0.0.0", true},
           {"::ffff:0:127.0.0.1", true},
           {"::127.0.0.1", true},
           {"64:ff9b::127.0.0.1", true},
           {"64:ff9b:1::127.0.0.1", true},
           {"64:ff9b:1::0.0.0.0", true},
           {"64:ff9b:1:7f00:0:100::", true},
           {"2002:7f00:1::1", true},
           {"2001:0:102:304:0:0:80ff:fffe", true},
           {"2001:db8::5efe:127.0.0.1", true},
           {"203.0.113.1", false},
           {"10.1.2.3", false},
           {"2001:db8::1", false},
           {"::ffff:203.0.113.1", false},
           {"64:ff9b::203.0.113.1", false},
           {"64:ff9b:1:cb00:71:100::", false},
           {"2002:cb00:7101::1", false},
       }) {
    EXPECT_EQ(refuses(policy, form.ip, ClientScope::kNetwork), form.here) << form.ip;
    EXPECT_FALSE(refuses(policy, form.ip, ClientScope::kMachine)) << form.ip;
  }
}

// Of every interface, asked of the system in another way than the policy does. Link-local ones need
// a zone, which no name and no URL gives.
Texts addresses_of_interfaces() {
  ifaddrs* first = nullptr;
  if (::getifaddrs(&first) != 0) return {};
  const std::unique_ptr<ifaddrs, decltype(&::freeifaddrs)> owner(first, &::freeifaddrs);
  Texts found;
  for (const ifaddrs* one = first; one != nullptr; one = one->ifa_next) {
    const int family = one->ifa_addr == nullptr ? AF_UNSPEC : one->ifa_addr->sa_family;
    if (family != AF_INET && family != AF_INET6) continue;
    const socklen_t length = family == AF_INET ? sizeof(sockaddr_in) : sizeof(sockaddr_in6);
    const std::string ip = SocketAddress::from_sockaddr(one->ifa_addr, length).ip();
    if (!ip.starts_with("fe80:")) found.push_back(ip);
  }
  return found;
}

TEST(EgressPolicy, DeniesTheAddressesOfInterfacesToClientsOfTheNetwork) {
  const Texts own = addresses_of_interfaces();
  EXPECT_FALSE(own.empty());
  for (const std::string& ip : own) {
    EXPECT_TRUE(refuses(EgressPolicy(), ip, ClientScope::kNetwork)) << ip;
    EXPECT_FALSE(refuses(EgressPolicy(), ip, ClientScope::kMachine)) << ip;
    EXPECT_FALSE(refuses(EgressPolicy({}, {ip}, {}), ip, ClientScope::kNetwork)) << ip;
    if (ip.find(':') != std::string::npos) continue;
    EXPECT_TRUE(refuses(EgressPolicy(), "::ffff:" + ip, ClientScope::kNetwork)) << ip;
    EXPECT_TRUE(refuses(EgressPolicy(), "64:ff9b::" + ip, ClientScope::kNetwork)) << ip;
  }
}

TEST(EgressPolicy, LetsAllowNameThisMachineForClientsOfTheNetwork) {
  const EgressPolicy one({}, {"127.0.0.2"}, {});
  EXPECT_FALSE(refuses(one, "127.0.0.2", ClientScope::kNetwork));
  EXPECT_TRUE(refuses(one, "127.0.0.1", ClientScope::kNetwork));
  EXPECT_FALSE(refuses(EgressPolicy({}, {"loopback"}, {}), "::1", ClientScope::kNetwork));
  const auto refusal = one.check(*SocketAddress::from_ip("127.0.0.1", 443), ClientScope::kNetwork);
  ASSERT_FALSE(refusal.has_value());
  EXPECT_EQ(refusal.error().code, ErrorCode::kDestinationIpProhibited);
  EXPECT_NE(refusal.error().detail.find("egress.allow"), std::string::npos);
}

// Out of descriptors the question has no answer: that is no permission.
TEST(EgressPolicy, PermitsNothingThatItCannotJudge) {
  const NoDescriptorsLeft limit;
  const auto judged =
      EgressPolicy().check(*SocketAddress::from_ip("203.0.113.1", 443), ClientScope::kNetwork);
  ASSERT_FALSE(judged.has_value());
  EXPECT_EQ(judged.error().sys, EMFILE);
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
  EXPECT_TRUE(EgressPolicy({"any"}, {}, {})
                  .check(*SocketAddress::from_unix_path("/run/x"), ClientScope::kMachine)
                  .has_value());
}

TEST(EgressPolicy, NamesTheAddressAndTheRule) {
  const EgressPolicy policy({"private", "link_local"}, {}, {});
  const auto result =
      policy.check(*SocketAddress::from_ip("169.254.1.1", 443), ClientScope::kMachine);
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
    const auto result = policy.check(*address, ClientScope::kMachine);
    EXPECT_EQ(!result.has_value(), c.refused) << c.own_ip << " " << c.ip << " " << c.port;
    if (!result.has_value()) {
      EXPECT_EQ(result.error().code, ErrorCode::kProxyLoopDetected);
    }
  }
}

TEST(EgressPolicy, RefusesItsOwnUnixSocketByWhateverPath) {
  const std::filesystem::path folder = testing::TempDir() + "egress" + std::to_string(::getpid());
  std::filesystem::create_directory(folder);
  for (const char* name : {"own", "other"}) std::ofstream(folder / name) << name;
  std::filesystem::create_symlink("own", folder / "alias");
  const auto address = [&](const char* name) {
    return *SocketAddress::from_unix_path((folder / name).string());
  };
  const EgressPolicy policy({"any"}, {}, {address("own"), *SocketAddress::from_ip("::1", 1)});
  for (const char* name : {"own", "./own", "alias"}) {
    const auto checked = policy.check(address(name), ClientScope::kMachine);
    ASSERT_FALSE(checked.has_value()) << name;
    EXPECT_EQ(checked.error().code, ErrorCode::kProxyLoopDetected);
  }
  for (const char* name : {"other", "none"})
    EXPECT_TRUE(policy.check(address(name), ClientScope::kNetwork).has_value()) << name;
  std::filesystem::remove_all(folder);
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
