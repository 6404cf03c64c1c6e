// Every form of host[:port] that we take, in its canonical form, and those that we refuse.
#include "http/authority.h"

#include <gtest/gtest.h>

namespace penstock {
namespace {

struct Accepted {
  std::string_view text;
  std::string_view canonical;  // with default port 80
  HostKind kind;
};

const std::string kLabel63(63, 'a');
const std::string kName253 =
    kLabel63 + "." + kLabel63 + "." + kLabel63 + "." + std::string(61, 'b');

TEST(Authority, TakesAndNormalisesWhatIsUnambiguous) {
  const std::string label_63 = kLabel63 + ".example";
  const std::string name_254_with_dot = kName253 + ".";
  const Accepted table[] = {
      {"example.com", "example.com", HostKind::kName},
      {"EXAMPLE.Com", "example.com", HostKind::kName},
      {"example.com.", "example.com", HostKind::kName},
      {"example.com.:8080", "example.com:8080", HostKind::kName},
      {"example.com:80", "example.com", HostKind::kName},
      {"example.com:1", "example.com:1", HostKind::kName},
      {"example.com:65535", "example.com:65535", HostKind::kName},
      {"localhost", "localhost", HostKind::kName},
      {"a", "a", HostKind::kName},
      {"my_service", "my_service", HostKind::kName},
      {"_srv._tcp.example", "_srv._tcp.example", HostKind::kName},
      {"xn--bcher-kva.example", "xn--bcher-kva.example", HostKind::kName},
      {"r3---sn-4g5e.example", "r3---sn-4g5e.example", HostKind::kName},
      {"1.example", "1.example", HostKind::kName},
      {"1.2.3.4.example", "1.2.3.4.example", HostKind::kName},
      {"0x7f.example", "0x7f.example", HostKind::kName},
      {"example.0xfg", "example.0xfg", HostKind::kName},
      {"3com", "3com", HostKind::kName},
      {label_63, label_63, HostKind::kName},
      {kName253, kName253, HostKind::kName},
      {name_254_with_dot, kName253, HostKind::kName},
      {"127.0.0.1", "127.0.0.1", HostKind::kIpv4},
      {"127.0.0.1:3128", "127.0.0.1:3128", HostKind::kIpv4},
      {"0.0.0.0", "0.0.0.0", HostKind::kIpv4},
      {"255.255.255.255:80", "255.255.255.255", HostKind::kIpv4},
      {"[::1]", "[::1]", HostKind::kIpv6},
      {"[::1]:8080", "[::1]:8080", HostKind::kIpv6},
      {"[::1]:80", "[::1]", HostKind::kIpv6},
      {"[::]", "[::]", HostKind::kIpv6},
      {"[2001:DB8:0:0:0:0:0:1]", "[2001:db8::1]", HostKind::kIpv6},
      {"[2001:0db8::0001]:443", "[2001:db8::1]:443", HostKind::kIpv6},
      {"[::ffff:127.0.0.1]", "[::ffff:127.0.0.1]", HostKind::kIpv6},
      {"[1:2:3:4:5:6:7:8]", "[1:2:3:4:5:6:7:8]", HostKind::kIpv6},
      {"[fe80::1]", "[fe80::1]", HostKind::kIpv6},
  };
  for (const Accepted& row : table) {
    SCOPED_TRACE(row.text);
    Authority authority;
    const auto fault = parse_authority(row.text, authority);
    ASSERT_FALSE(fault) << *fault;
    EXPECT_EQ(authority.to_string(80), row.canonical);
    EXPECT_EQ(authority.kind, row.kind);
  }
}

TEST(Authority, RefusesWhatTwoReadersCouldTakeDifferently) {
  using namespace std::string_view_literals;
  const std::string label_64 = kLabel63 + "a.example";
  const std::string name_254 = kName253 + "b";
  const std::string_view table[] = {
      ""sv,
      ":"sv,
      ":80"sv,
      "."sv,
      ".."sv,
      ".example"sv,
      "a..b"sv,
      "a.."sv,
      "user@example"sv,
      "user:password@example"sv,
      "@example"sv,
      "example@"sv,
      "example:"sv,
      "example:0"sv,
      "example:00080"sv,
      "example:080"sv,
      "example:65536"sv,
      "example:99999999999999999999"sv,
      "example:-1"sv,
      "example:+80"sv,
      "example: 80"sv,
      "example:80 "sv,
      "example:8o"sv,
      "example:0x50"sv,
      "example:80:80"sv,
      "example:http"sv,
      "b\xc3\xbc"
      "cher.example"sv,
      "\xff.example"sv,
      "exa mple"sv,
      " example"sv,
      "example "sv,
      "exa\tmple"sv,
      "exa\0mple"sv,
      "example\r"sv,
      "example%2ecom"sv,
      "exam%00ple"sv,
      "example/"sv,
      "example?"sv,
      "example#"sv,
      "example\\"sv,
      "exam*ple"sv,
      "a,b"sv,
      "a;b"sv,
      "a~b"sv,
      "a!b"sv,
      "a\"b"sv,
      "a'b"sv,
      "(a)"sv,
      "a|b"sv,
      "{a}"sv,
      label_64,
      name_254,
      "127.1"sv,
      "127.0.1"sv,
      "2130706433"sv,
      "0x7f000001"sv,
      "0x7f.0.0.1"sv,
      "127.0.0.0x1"sv,
      "0"sv,
      "0x"sv,
      "0X7F000001"sv,
      "1.2.3.4.5"sv,
      "1.2.3.256"sv,
      "01.2.3.4"sv,
      "1.2.3.04"sv,
      "1.2.3.4."sv,
      "127.1."sv,
      "example.1"sv,
      "example.0x1"sv,
      "1.2.3.4444"sv,
      "a.123"sv,
      "["sv,
      "[]"sv,
      "[::1"sv,
      "::1"sv,
      "::1]"sv,
      "[::1]x"sv,
      "[::1]:"sv,
      "[::1]:0"sv,
      "[::1]80"sv,
      "[::1%eth0]"sv,
      "[::1%25eth0]"sv,
      "[fe80::1%1]:80"sv,
      "[127.0.0.1]"sv,
      "[1::2::3]"sv,
      "[12345::]"sv,
      "[::g]"sv,
      "[1:2:3:4:5:6:7:8:9]"sv,
      "[v1.a]"sv,
      "[::1\0]"sv,
      "[[::1]]"sv,
      "x[::1]"sv,
      "[::ffff:127.0.0.256]"sv,
      "[ ::1]"sv,
      "[0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000]"sv,
  };
  for (std::string_view text : table) {
    Authority authority;
    EXPECT_TRUE(parse_authority(text, authority)) << text << " became " << authority.to_string(0);
  }
}

TEST(Authority, SaysWhatIsWrong) {
  const std::pair<std::string_view, std::string_view> table[] = {
      {"user@example", "user information"},
      {"b\xc3\xbc"
       "cher",
       "ASCII"},
      {"", "empty"},
      {"a:0", "1 to 65535"},
      {"127.1", "dotted quad"},
      {"[::1%eth0]", "zone"},
      {"a..b", "empty label"},
      {"[::1", "closing bracket"},
  };
  for (const auto& [text, part] : table) {
    Authority authority;
    const auto fault = parse_authority(text, authority);
    ASSERT_TRUE(fault) << text;
    EXPECT_NE(fault->find(part), std::string_view::npos) << text << ": " << *fault;
  }
}

TEST(Authority, ForgetsThePortOfTheOneBefore) {
  Authority authority;
  ASSERT_FALSE(parse_authority("[::1]:8080", authority));
  ASSERT_FALSE(parse_authority("example", authority));
  EXPECT_FALSE(authority.port);
  EXPECT_EQ(authority.kind, HostKind::kName);
}

TEST(Authority, KnowsASingleLabelFromANameAndAnAddress) {
  const std::pair<std::string_view, bool> table[] = {{"payments", true},
                                                     {"payments.", true},
                                                     {"a.b", false},
                                                     {"127.0.0.1", false},
                                                     {"[::1]", false}};
  for (const auto& [text, single] : table) {
    Authority authority;
    ASSERT_FALSE(parse_authority(text, authority));
    EXPECT_EQ(authority.single_label(), single) << text;
  }
}

TEST(Authority, LeavesOutOnlyTheDefaultPort) {
  Authority authority;
  ASSERT_FALSE(parse_authority("example:443", authority));
  EXPECT_EQ(authority.to_string(443), "example");
  EXPECT_EQ(authority.to_string(80), "example:443");
  std::string text = "to ";
  authority.append_to(text, 80);
  EXPECT_EQ(text, "to example:443");
}

}  // namespace
}  // namespace penstock
