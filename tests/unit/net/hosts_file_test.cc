// The hosts file: which names it knows, in which order, and what it makes of odd lines.
#include "net/hosts_file.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace penstock {
namespace {

using Ips = std::vector<std::string>;

Ips find(std::string_view text, std::string_view name) {
  Ips ips;
  for (const SocketAddress& address : HostsFile::parse(text).find(name)) {
    EXPECT_EQ(address.port(), 0);
    ips.push_back(address.ip());
  }
  return ips;
}

TEST(HostsFile, KnowsNamesAndAliasesOfSeveralLinesInTheirOrder) {
  constexpr std::string_view kText =
      "# the machines\n"
      "192.0.2.2\tdb.test  db   # first\n"
      "\n"
      "  192.0.2.1 db\r\n"
      "2001:db8::1 db\n"
      "192.0.2.2 db";
  EXPECT_EQ(find(kText, "db"), (Ips{"192.0.2.2", "192.0.2.1", "2001:db8::1"}));
  EXPECT_EQ(find(kText, "db.test"), Ips{"192.0.2.2"});
  EXPECT_EQ(find(kText, "first"), Ips{});
  EXPECT_EQ(find(kText, "other"), Ips{});
}

TEST(HostsFile, TakesNamesInAnyCaseAndWithAFinalDot) {
  EXPECT_EQ(find("192.0.2.1 DB.Test.\n", "db.test"), Ips{"192.0.2.1"});
  EXPECT_EQ(find("192.0.2.1 db.test\n", "Db.TEST."), Ips{"192.0.2.1"});
}

TEST(HostsFile, SkipsLinesThatMakeNoSense) {
  EXPECT_EQ(find("db 192.0.2.1\n300.1.1.1 db\nfe80::1%eth0 db\n192.0.2.7\n192.0.2.8 db\n", "db"),
            Ips{"192.0.2.8"});
  EXPECT_EQ(find("", "db"), Ips{});
  EXPECT_EQ(HostsFile::parse("192.0.2.1 . db.. .\n").names(), std::vector<std::string>{});
}

TEST(HostsFile, KnowsLocalhostUnlessItIsToldOtherwise) {
  EXPECT_EQ(find("", "localhost"), (Ips{"::1", "127.0.0.1"}));
  EXPECT_EQ(find("", "app.localhost."), (Ips{"::1", "127.0.0.1"}));
  EXPECT_EQ(find("127.0.0.9 localhost\n", "localhost"), Ips{"127.0.0.9"});
  EXPECT_EQ(find("", "notlocalhost"), Ips{});
}

}  // namespace
}  // namespace penstock
