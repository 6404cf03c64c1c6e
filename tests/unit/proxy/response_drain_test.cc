// Responses that nobody waits for any more: read to their end within `drain`, or closed.
#include "unit/proxy/proxy_fixture.h"

namespace penstock {
namespace {

constexpr std::string_view kGet = "GET http://api.test/x HTTP/1.1\r\nHost: api.test\r\n\r\n";
constexpr std::string_view kOk = "HTTP/1.1 200 OK\r\nDate: d\r\nContent-Length: 2\r\n\r\nok";

class DrainTest : public ProxyTest {
 protected:
  // A request whose client leaves; `before` was relayed until then.
  FakePeer& abandon(std::string_view before, std::string_view request = kGet) {
    FakePeer& client = ask(request);
    FakePeer& upstream = open_upstream();
    if (!before.empty()) answer(upstream, before);
    client.send_eof();
    settle();
    return upstream;
  }
  std::uint64_t closed_for(CloseReason reason) {
    return pool_state().closed[static_cast<std::size_t>(reason)];
  }
  // Another client's request goes by the connection, and gets its own answer.
  void expect_usable(FakePeer& upstream) {
    ASSERT_EQ(pool_state().idle, 1U);
    upstream.take_written();
    FakePeer& client = ask("GET http://api.test/next HTTP/1.1\r\nHost: api.test\r\n\r\n");
    EXPECT_TRUE(upstream.written().starts_with("GET /next HTTP/1.1\r\n"));
    answer(upstream, kOk);
    EXPECT_TRUE(client.written().ends_with("\r\n\r\nok"));
  }
};

struct Drained {
  std::string_view name;
  std::string_view before;  // the client leaves
  std::string_view after;
};

TEST_F(DrainTest, AResponseReadToItsEndSavesTheConnection) {
  const Drained cases[] = {
      {"before a head", "", kOk},
      {"before a head, interim ones first", "", "HTTP/1.1 102 P\r\n\r\nHTTP/1.1 204 N\r\n\r\n"},
      {"inside a head", "HTTP/1.1 200 OK\r\nContent-", "Length: 3\r\n\r\nabc"},
      {"inside a length", "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nabc", "def"},
      {"inside chunks", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nab",
       "c\r\n0\r\nX-Sum: 1\r\n\r\n"},
  };
  for (const Drained& drained : cases) {
    SCOPED_TRACE(drained.name);
    FakePeer& upstream = abandon(drained.before);
    EXPECT_EQ(pool_state().draining, 1U);
    EXPECT_EQ(pool_state().idle, 0U) << "nobody gets it before its response has ended";
    answer(upstream, drained.after);
    EXPECT_EQ(pool_state().draining, 0U);
    expect_usable(upstream);
    upstream.send_eof();
    settle();
  }
}

TEST_F(DrainTest, WhatHasNoEndToWaitForIsClosedAtOnce) {
  const std::pair<std::string_view, std::string_view> cases[] = {
      {"close-delimited", "HTTP/1.1 200 OK\r\n\r\nabc"},
      {"says close", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\nConnection: close\r\n\r\nabc"},
      {"1.0", "HTTP/1.0 200 OK\r\nContent-Length: 9\r\nConnection: keep-alive\r\n\r\nabc"},
      {"more than drain.size", "HTTP/1.1 200 OK\r\nContent-Length: 262148\r\n\r\nabc"},
  };
  for (const auto& [name, before] : cases) {
    SCOPED_TRACE(name);
    FakePeer& upstream = abandon(before);
    EXPECT_FALSE(upstream.open());
    EXPECT_EQ(pool_state().draining, 0U);
  }
  EXPECT_EQ(closed_for(CloseReason::kClientAbort), std::size(cases));
}

TEST_F(DrainTest, AnEndThatShowsItCannotBeUsedCloses) {
  const std::pair<std::string_view, std::string_view> cases[] = {
      {"close-delimited", "HTTP/1.1 200 OK\r\n\r\nabc"},
      {"says close", "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"},
      {"bytes behind it", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\nx"},
      {"malformed", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\nx"},
      {"switches protocols", "HTTP/1.1 101 S\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"},
  };
  for (const auto& [name, after] : cases) {
    SCOPED_TRACE(name);
    FakePeer& upstream = abandon("");
    answer(upstream, after);
    EXPECT_FALSE(upstream.open());
    EXPECT_EQ(pool_state().idle, 0U);
  }
}

TEST_F(DrainTest, EndsWithTheUpstream) {
  for (const bool reset : {false, true}) {
    FakePeer& upstream = abandon("");
    reset ? upstream.fail_reads() : upstream.send_eof();
    settle();
    EXPECT_FALSE(upstream.open());
  }
  EXPECT_EQ(closed_for(CloseReason::kServerClose), 2U);
}

TEST_F(DrainTest, LastsNoLongerThanItsTime) {
  policy().drain.time = 50ms;
  FakePeer& upstream = abandon("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nabc");
  advance(50ms - 1ns);
  answer(upstream, "d");
  EXPECT_TRUE(upstream.open()) << "and no byte puts it off";
  advance(1ns + TimerWheel::kTick);
  EXPECT_FALSE(upstream.open());
  EXPECT_EQ(closed_for(CloseReason::kTimeout), 1U);
}

TEST_F(DrainTest, ReadsNoMoreThanItsSize) {
  policy().drain.size = 1000;
  const std::string chunk = "3e8\r\n" + std::string(1000, 'x') + "\r\n";
  FakePeer& upstream = abandon("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
  answer(upstream, chunk.substr(0, 1000));
  EXPECT_TRUE(upstream.open());
  answer(upstream, chunk.substr(1000));
  EXPECT_FALSE(upstream.open());
}

TEST_F(DrainTest, CanBeOff) {
  policy().drain.size = 0;
  EXPECT_FALSE(abandon("").open());
  policy().drain.size = 1000;
  policy().drain.time = std::nullopt;
  policy().pool.max_lifetime = std::nullopt;
  reload();
  FakePeer& upstream = abandon("");
  advance(24h);
  answer(upstream, kOk);
  expect_usable(upstream);
}

TEST_F(DrainTest, ATotalThatEndsKeepsTheConnectionOfAnUpstreamThatAnswersSoon) {
  timeouts().total = 1s;
  FakePeer& client = get();
  FakePeer& upstream = open_upstream();
  advance(1s + TimerWheel::kTick);
  EXPECT_TRUE(client.written().starts_with("HTTP/1.1 504 "));
  EXPECT_EQ(pool_state().draining, 1U);
  answer(upstream, kOk);
  EXPECT_EQ(client.written().find("200 OK"), std::string::npos) << "nobody gets a late answer";
  expect_usable(upstream);
}

TEST_F(DrainTest, AnUpstreamThatIsAtFaultIsNotWaitedFor) {
  timeouts().response_header = 1s;
  get();
  FakePeer& upstream = open_upstream();
  advance(1s + TimerWheel::kTick);
  EXPECT_FALSE(upstream.open());
  EXPECT_EQ(closed_for(CloseReason::kTimeout), 1U);
}

TEST_F(DrainTest, WhatTheClientDidNotTakeIsReadOnAfterItLeft) {
  FakePeer& client = get();
  FakePeer& upstream = open_upstream();
  client.set_room(0);
  answer(upstream, "HTTP/1.1 200 OK\r\nContent-Length: 200000\r\n\r\n" + std::string(150'000, 'x'));
  EXPECT_TRUE(upstream.paused_for(PauseReason::kBackpressure));
  client.fail_reads();
  settle();
  answer(upstream, std::string(50'000, 'x'));
  expect_usable(upstream);
}

TEST_F(DrainTest, AnInterimResponseThatWasNotTakenIsNotTheFinalOne) {
  FakePeer& client = get();
  FakePeer& upstream = open_upstream();
  client.set_room(0);
  answer(upstream, "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n");
  client.fail_reads();
  settle();
  EXPECT_EQ(pool_state().draining, 1U) << "the final one is still to come";
  answer(upstream, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nlate");
  expect_usable(upstream);
}

TEST_F(DrainTest, AnAnswerThatOffersToAuthenticateTheConnectionClosesIt) {
  FakePeer& upstream = abandon("");
  answer(upstream, "HTTP/1.1 401 U\r\nWWW-Authenticate: Negotiate\r\nContent-Length: 0\r\n\r\n");
  EXPECT_FALSE(upstream.open());
}

TEST_F(DrainTest, GoesWithTheProxy) {
  FakePeer& upstream = abandon("");
  proxy->abort_sessions();
  EXPECT_FALSE(upstream.open());
  EXPECT_EQ(closed_for(CloseReason::kShutdown), 1U);
}

}  // namespace
}  // namespace penstock
