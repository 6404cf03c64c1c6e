// Addresses and blocks are values: parsing, printing, comparing, containing.
#include "net/address.h"

#include <gtest/gtest.h>
#include <netinet/in.h>

#include <string>

namespace penstock {
namespace {

TEST(SocketAddress, PrintsWhatItParsed) {
  struct Case {
    const char* ip;
    int family;
    const char* printed;
  };
  for (const Case& c : {
           Case{"127.0.0.1", AF_INET, "127.0.0.1:80"},
           {"0.0.0.0", AF_INET, "0.0.0.0:80"},
           {"255.255.255.255", AF_INET, "255.255.255.255:80"},
           {"::1", AF_INET6, "[::1]:80"},
           {"2001:DB8:0:0::1", AF_INET6, "[2001:db8::1]:80"},
           {"::ffff:10.0.0.1", AF_INET6, "[::ffff:10.0.0.1]:80"},
       }) {
    const auto address = SocketAddress::from_ip(c.ip, 80);
    ASSERT_TRUE(address) << c.ip;
    EXPECT_EQ(address->family(), c.family);
    EXPECT_EQ(address->port(), 80);
    EXPECT_EQ(address->to_string(), c.printed);
  }
}

TEST(SocketAddress, TakesNothingButIpLiterals) {
  using namespace std::string_view_literals;
  for (const std::string_view text :
       {""sv, "localhost"sv, "1.2.3"sv, "1.2.3.4.5"sv, "256.1.1.1"sv, "1.2.3.4 "sv, " 1.2.3.4"sv,
        "01.2.3.4"sv, "0x7f.0.0.1"sv, "2130706433"sv, "127.1"sv, "[::1]"sv, "::1%lo"sv, ":::"sv,
        "1:2:3:4:5:6:7:8:9"sv, "1.2.3.4\0"sv, "127.0.0.1/8"sv, "1.2.3.4:80"sv,
        "1111:2222:3333:4444:5555:6666:7777:8888:9999:aaaa"sv}) {
    EXPECT_FALSE(SocketAddress::from_ip(text, 80)) << text;
  }
}

TEST(SocketAddress, ComparesFamilyAddressAndPort) {
  const auto a = *SocketAddress::from_ip("10.0.0.1", 80);
  EXPECT_EQ(a, *SocketAddress::from_ip("10.0.0.1", 80));
  EXPECT_FALSE(a == *SocketAddress::from_ip("10.0.0.1", 81));
  EXPECT_FALSE(a == *SocketAddress::from_ip("10.0.0.2", 80));
  EXPECT_FALSE(a == *SocketAddress::from_ip("::ffff:10.0.0.1", 80));
  EXPECT_FALSE(a == SocketAddress());
  EXPECT_EQ(SocketAddress(), SocketAddress());
}

TEST(SocketAddress, ChangesItsPort) {
  for (const char* ip : {"10.0.0.1", "::1"}) {
    auto address = *SocketAddress::from_ip(ip, 0);
    address.set_port(65535);
    EXPECT_EQ(address, *SocketAddress::from_ip(ip, 65535));
  }
}

TEST(SocketAddress, HoldsTheAddressTheKernelGave) {
  sockaddr_in6 raw{};
  raw.sin6_family = AF_INET6;
  raw.sin6_port = htons(443);
  raw.sin6_addr = in6addr_loopback;
  const auto address = SocketAddress::from_sockaddr(reinterpret_cast<sockaddr*>(&raw), sizeof(raw));
  EXPECT_EQ(address, *SocketAddress::from_ip("::1", 443));
  EXPECT_EQ(address.length(), sizeof(raw));
  EXPECT_EQ(address.ip(), "::1");
}

TEST(SocketAddress, HoldsAUnixPathThatFits) {
  const auto address = SocketAddress::from_unix_path("/run/origin.sock");
  ASSERT_TRUE(address);
  EXPECT_EQ(address->family(), AF_UNIX);
  EXPECT_EQ(address->to_string(), "unix:/run/origin.sock");
  EXPECT_EQ(address->ip(), "");
  EXPECT_EQ(*address, *SocketAddress::from_unix_path("/run/origin.sock"));
  EXPECT_FALSE(*address == *SocketAddress::from_unix_path("/run/origin.soc"));
  EXPECT_TRUE(SocketAddress::from_unix_path(std::string(107, 'x')));
  EXPECT_FALSE(SocketAddress::from_unix_path(std::string(108, 'x')));
  EXPECT_FALSE(SocketAddress::from_unix_path(""));
  EXPECT_FALSE(SocketAddress::from_unix_path(std::string_view("a\0b", 3)));
}

TEST(SocketAddress, PrintsAnUnnamedUnixPeer) {
  const sockaddr raw{.sa_family = AF_UNIX, .sa_data = {}};
  EXPECT_EQ(SocketAddress::from_sockaddr(&raw, sizeof(sa_family_t)).to_string(), "unix:");
}

TEST(Cidr, PrintsTheBlockItParsed) {
  for (const auto& [text, printed] : {
           std::pair{"10.0.0.0/8", "10.0.0.0/8"},
           {"10.1.2.3/8", "10.0.0.0/8"},
           {"10.1.2.3", "10.1.2.3/32"},
           {"10.255.255.255/31", "10.255.255.254/31"},
           {"0.0.0.0/0", "0.0.0.0/0"},
           {"fd00::/8", "fd00::/8"},
           {"::1", "::1/128"},
           {"::/0", "::/0"},
           {"fe80::1/10", "fe80::/10"},
       }) {
    const auto block = Cidr::parse(text);
    ASSERT_TRUE(block) << text;
    EXPECT_EQ(block->to_string(), printed);
  }
}

TEST(Cidr, RefusesWhatIsNoBlock) {
  for (const char* text : {"", "/", "10.0.0.0/", "10.0.0.0/33", "10.0.0.0/-1", "10.0.0.0/08",
                           "10.0.0.0/ 8", "10.0.0.0/8 ", "10.0.0.0/8/8", "10.0.0/8", "::/129",
                           "::/+1", "::/1000000000000", "any", "example.com/8", "10.0.0.0/x"}) {
    EXPECT_FALSE(Cidr::parse(text)) << text;
  }
}

TEST(Cidr, ContainsExactlyItsAddresses) {
  struct Case {
    const char* block;
    const char* ip;
    bool inside;
  };
  for (const Case& c : {
           Case{"10.0.0.0/8", "10.255.255.255", true},
           {"10.0.0.0/8", "11.0.0.0", false},
           {"10.0.0.0/8", "9.255.255.255", false},
           {"172.16.0.0/12", "172.31.255.255", true},
           {"172.16.0.0/12", "172.32.0.0", false},
           {"10.1.2.3", "10.1.2.3", true},
           {"10.1.2.3", "10.1.2.2", false},
           {"0.0.0.0/0", "203.0.113.9", true},
           {"0.0.0.0/0", "2001:db8::1", false},
           {"10.0.0.0/8", "::ffff:10.1.2.3", true},
           {"10.0.0.0/8", "::ffff:11.1.2.3", false},
           {"::ffff:10.0.0.0/104", "10.1.2.3", true},
           {"10.0.0.0/8", "::10.1.2.3", false},
           {"fe80::/10", "febf::1", true},
           {"fe80::/10", "fec0::1", false},
           {"::/0", "2001:db8::1", true},
           {"::/0", "10.0.0.1", false},
           {"::1", "::1", true},
           {"::1", "::2", false},
       }) {
    EXPECT_EQ(Cidr::parse(c.block)->contains(*SocketAddress::from_ip(c.ip, 0)), c.inside)
        << c.block << " " << c.ip;
  }
}

TEST(Cidr, ContainsNoUnixPath) {
  EXPECT_FALSE(Cidr::parse("0.0.0.0/0")->contains(*SocketAddress::from_unix_path("/x")));
  EXPECT_FALSE(Cidr::parse("::/0")->contains(*SocketAddress::from_unix_path("/x")));
}

}  // namespace
}  // namespace penstock
