// Names and addresses in their normal form. What is refused is in faults_of_addresses_test.cc.
#include "config/addresses.h"

#include <gtest/gtest.h>

#include <vector>

namespace penstock {
namespace {

struct NormalForm {
  std::string_view written;
  std::string normal;
};

void expect_forms(Parsed<std::string> (*check)(std::string_view),
                  const std::vector<NormalForm>& forms) {
  for (const NormalForm& form : forms) {
    const auto parsed = check(form.written);
    ASSERT_TRUE(parsed) << form.written << ": " << parsed.error();
    EXPECT_EQ(*parsed, form.normal);
    EXPECT_EQ(*check(form.normal), form.normal) << "the normal form stays as it is";
  }
}

TEST(ListenerAddresses, AreLiteralsPathsOrNames) {
  expect_forms(check_listener_address, {{"127.0.0.1:3128", "127.0.0.1:3128"},
                                        {"127.8.9.1:1", "127.8.9.1:1"},
                                        {"[::1]:65535", "[::1]:65535"},
                                        {"[0:0:0::0:1]:80", "[::1]:80"},
                                        {"LocalHost:3128", "127.0.0.1:3128"},
                                        {"127.0.0.1:0", "127.0.0.1:0"},
                                        {"[::1]:0", "[::1]:0"},
                                        {"unix:/run/a.sock", "unix:/run/a.sock"},
                                        {"0.0.0.0:3128", "0.0.0.0:3128"},
                                        {"[::]:3128", "[::]:3128"},
                                        {"unix:/run/A.sock", "unix:/run/A.sock"},
                                        {"systemd:My.socket", "systemd:My.socket"}});
}

TEST(ListenerAddresses, SayWhatStandsBehindThem) {
  EXPECT_EQ(listener_kind("127.0.0.1:1"), ListenerKind::kTcp);
  EXPECT_EQ(listener_kind("unix:/a"), ListenerKind::kUnix);
  EXPECT_EQ(listener_kind("systemd:a"), ListenerKind::kSystemd);
  EXPECT_EQ(socket_name("unix:/a:b"), "/a:b");
  EXPECT_TRUE(is_loopback_address("127.9.9.9:0"));
  EXPECT_TRUE(is_loopback_address("[::1]:1"));
  EXPECT_FALSE(is_loopback_address("[::]:1"));
  EXPECT_FALSE(is_loopback_address("192.0.2.1:127"));
}

TEST(AdminAddresses, AreLoopbackLiterals) {
  expect_forms(check_admin_address, {{"localhost:1", "127.0.0.1:1"},
                                     {"[::1]:0", "[::1]:0"},
                                     {"unix:/run/a.sock", "unix:/run/a.sock"}});
}

TEST(FileModes, HaveFourDigits) {
  expect_forms(check_file_mode, {{"0600", "0600"}, {"660", "0660"}, {"0222", "0222"}});
}

TEST(HostPatterns, LoseCaseAndTrailingDot) {
  expect_forms(check_host_pattern, {{"API.Example.", "api.example"},
                                    {"api.example:443", "api.example:443"},
                                    {"*.Example", "*.example"},
                                    {"*", "*"},
                                    {"payments", "payments"},
                                    {"10.0.0.1", "10.0.0.1"},
                                    {"[FE80::0:1]:8443", "[fe80::1]:8443"},
                                    {"xn--bcher-kva.example", "xn--bcher-kva.example"}});
}

TEST(DnsServers, TakeBareAddressesAndPorts) {
  expect_forms(check_dns_server, {{"1.1.1.1", "1.1.1.1"},
                                  {"1.1.1.1:5353", "1.1.1.1:5353"},
                                  {"0:0::1", "::1"},
                                  {"[::1]:53", "[::1]:53"}});
}

TEST(EgressRules, AreNamesAddressesOrWholeBlocks) {
  expect_forms(check_egress_rule, {{"link_local", "link_local"},
                                   {"any", "any"},
                                   {"10.0.0.0/8", "10.0.0.0/8"},
                                   {"0.0.0.0/0", "0.0.0.0/0"},
                                   {"192.0.2.7", "192.0.2.7"},
                                   {"192.0.2.7/32", "192.0.2.7/32"},
                                   {"fd00:0::/8", "fd00::/8"},
                                   {"::/0", "::/0"}});
}

TEST(ConnectTo, TakesHostsAndSockets) {
  expect_forms(check_connect_to, {{"Backend.Local.:8443", "backend.local:8443"},
                                  {"127.0.0.1", "127.0.0.1"},
                                  {"unix:/run/Origin.sock", "unix:/run/Origin.sock"}});
  EXPECT_TRUE(check_connect_to("unix:/" + std::string(106, 'x')));
  EXPECT_FALSE(check_connect_to("unix:/" + std::string(107, 'x'))) << "108 bytes with the NUL";
}

TEST(SourceAddress, IsABareAddress) {
  expect_forms(check_source_address, {{"192.0.2.7", "192.0.2.7"}, {"fd00:0::7", "fd00::7"}});
  for (const std::string_view text :
       {"", "localhost", "192.0.2.7:80", "[fd00::7]", "192.0.2.0/24", "192.0.2", "auto"}) {
    EXPECT_FALSE(check_source_address(text)) << text;
  }
}

TEST(UpstreamNames, AreLowerCaseWords) {
  expect_forms(check_upstream_name, {{"a", "a"}, {"0-a_b", "0-a_b"}});
  EXPECT_TRUE(check_upstream_name(std::string(64, 'a')));
  for (const std::string_view text : {"", "_a", "-a", "A", "a.b", "a/b", "é"}) {
    EXPECT_FALSE(check_upstream_name(text)) << text;
  }
}

TEST(Paths, NeverHoldNul) {
  using std::string_view_literals::operator""sv;
  EXPECT_FALSE(check_file_path("/etc/a\0.pem"sv));
  EXPECT_FALSE(check_log_path("/var/log/\0"sv));
  EXPECT_FALSE(check_connect_to("unix:/run/\0"sv));
  EXPECT_FALSE(check_egress_rule("10.0.0.0\0/8"sv));
}

}  // namespace
}  // namespace penstock
