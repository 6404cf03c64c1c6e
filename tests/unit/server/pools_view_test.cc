// /pools as a table and as a screen of `penstock top`: from the JSON that the daemon writes.
#include "server/pools_view.h"

#include <gtest/gtest.h>

#include <sstream>

#include "server/pools_json.h"

namespace penstock {
namespace {

using std::chrono::milliseconds;

HostSnapshot host(const std::string& upstream, const std::string& name) {
  HostSnapshot snapshot;
  snapshot.key = {upstream, name, 443};
  snapshot.limits.max_connections = 50;
  return snapshot;
}

PoolsView view_of(const std::vector<HostSnapshot>& hosts, const UpstreamNames& paused = {}) {
  auto view = parse_pools(pools_json(hosts, paused, "", 7, WallTime()));
  EXPECT_TRUE(view) << view.error();
  return *std::move(view);
}

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}

HostSnapshot busy_host() {
  HostSnapshot one = host("payments", "api.test");
  one.dialing = 1;
  one.idle = 2;
  one.busy = 3;
  one.draining = 4;
  one.upgraded = 5;
  one.waiting = 6;
  one.oldest_wait = milliseconds(1260);
  one.opened = 10;
  one.acquired_idle = 70;
  one.acquired_takeover = 10;
  one.acquired_dialed = 10;
  one.acquired_queued = 10;
  one.last_error = "connection_refused";
  return one;
}

TEST(PoolsView, ReadsWhatTheDaemonWrites) {
  const PoolsView view = view_of({busy_host()});
  EXPECT_EQ(view.revision, 7U);
  EXPECT_FALSE(view.truncated);
  ASSERT_EQ(view.hosts.size(), 1U);
  EXPECT_EQ(view.hosts[0].origin, "api.test:443");
  EXPECT_EQ(view.hosts[0].limit, 50U);
  EXPECT_EQ(view.hosts[0].acquires, 100U);
  EXPECT_EQ(view.hosts[0].oldest_wait_ms, 1260U);
}

TEST(PoolsView, WhatIsNoPoolsPageIsSaidToBeNone) {
  for (const char* text : {"", "alive\n", "{}", "[]", R"({"revision":1,"upstreams":[{}]})",
                           R"({"revision":"x","upstreams":[]})"})
    EXPECT_FALSE(parse_pools(text)) << text;
}

TEST(PoolsView, TableIsAligned) {
  HostSnapshot plain = host("everything-else", "a.test");
  plain.limits.max_connections = kUnlimitedCount;
  const auto lines = lines_of(pools_table(view_of({busy_host(), plain}, {"payments"})));
  ASSERT_EQ(lines.size(), 3U);
  EXPECT_EQ(lines[0],
            "UPSTREAM           ORIGIN        BUSY  IDLE  DIALING  DRAINING  UPGRADED  LIMIT  "
            "WAITING  OLDEST  OPENED  REUSE  LAST ERROR");
  EXPECT_EQ(lines[1],
            "everything-else    a.test:443       0     0        0         0         0      -  "
            "      0       -       0      -  -");
  EXPECT_EQ(lines[2],
            "payments (paused)  api.test:443     3     2        1         4         5     50  "
            "      6    1.3s      10  90.0%  connection_refused");
}

TEST(PoolsView, PausedUpstreamWithoutHostsHasALine) {
  const auto lines = lines_of(pools_table(view_of({}, {"payments"})));
  ASSERT_EQ(lines.size(), 2U);
  EXPECT_TRUE(lines[1].starts_with("payments (paused)  -")) << lines[1];
}

TEST(PoolsView, WarmConnectionsAreNoNegativeReuse) {
  HostSnapshot warm = host("payments", "api.test");
  warm.opened = 10;
  warm.acquired_idle = 3;
  EXPECT_NE(pools_table(view_of({warm})).find("0.0%"), std::string::npos);
}

// Whose dials all fail has nothing to use again.
TEST(PoolsView, WithoutAConnectionThereIsNoReuse) {
  HostSnapshot down = host("payments", "api.test");
  down.opened = 0;
  down.acquired_dialed = 3;
  EXPECT_EQ(pools_table(view_of({down})).find('%'), std::string::npos);
}

TEST(PoolsView, ControlsFromElsewhereDoNotReachTheTerminal) {
  HostSnapshot odd = host("payments", "a\x1b[2Jb");
  EXPECT_NE(pools_table(view_of({odd})).find("a?[2Jb:443"), std::string::npos);
}

TEST(PoolsView, TruncationIsSaid) {
  std::vector<HostSnapshot> many;
  for (int i = 0; i < 1001; ++i) many.push_back(host("all", "h" + std::to_string(i)));
  const std::string table = pools_table(view_of(many));
  EXPECT_EQ(lines_of(table).size(), 1002U);
  EXPECT_NE(table.find("there are more"), std::string::npos);
}

TEST(Top, BusiestHostsComeFirstAndTheRestIsLeftOut) {
  std::vector<HostSnapshot> hosts;
  for (std::uint32_t i = 0; i < 10; ++i) {
    hosts.push_back(host("all", "h" + std::to_string(i)));
    hosts.back().busy = i;
    hosts.back().waiting = i == 3 ? 100 : 0;
  }
  const auto lines = top_lines(view_of(hosts), nullptr, 0, 200, 5);
  ASSERT_EQ(lines.size(), 5U);
  EXPECT_NE(lines[0].find("10 hosts, 45 busy, 0 idle, 100 waiting"), std::string::npos) << lines[0];
  EXPECT_NE(lines[1].find("REQ/S"), std::string::npos);
  EXPECT_NE(lines[2].find("h3:443"), std::string::npos);
  EXPECT_NE(lines[3].find("h9:443"), std::string::npos);
  EXPECT_NE(lines[4].find("h8:443"), std::string::npos);
}

TEST(Top, RatesAreThoseSinceTheLastLook) {
  HostSnapshot then = busy_host();
  HostSnapshot now = then;
  now.acquired_idle += 500;
  now.opened += 5;
  const PoolsView before = view_of({then});
  EXPECT_NE(top_lines(view_of({now}), &before, 2, 200, 9)[2].find("  250.0       2.5  "),
            std::string::npos);
  const PoolsView nobody = view_of({});
  EXPECT_NE(top_lines(view_of({then}), &nobody, 1, 200, 9)[2].find("  100.0      10.0  "),
            std::string::npos)
      << "a host that is new";
  const PoolsView later = view_of({now});
  EXPECT_NE(top_lines(view_of({then}), &later, 1, 200, 9)[2].find("  0.0       0.0  "),
            std::string::npos)
      << "one that was forgotten and met again";
}

TEST(Top, FitsAnyWindow) {
  const PoolsView view = view_of({busy_host(), host("all", "a.test")});
  for (const std::size_t height : {0U, 1U, 2U, 3U, 24U}) {
    for (const std::size_t width : {1U, 20U, 80U}) {
      const auto lines = top_lines(view, nullptr, 0, width, height);
      EXPECT_LE(lines.size(), height);
      for (const std::string& line : lines) EXPECT_LE(line.size(), width);
    }
  }
}

}  // namespace
}  // namespace penstock
