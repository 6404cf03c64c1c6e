// client.half_close: an app that shuts its writing side is served while its request came whole, and
// has left where it did not. settle() fails when anything spins on the end that was seen.
#include "unit/proxy/proxy_fixture.h"

namespace penstock {
namespace {

constexpr std::string_view kGet = "GET http://api.test/x HTTP/1.1\r\nHost: api.test\r\n\r\n";
constexpr std::string_view kPostHead =
    "POST http://api.test/x HTTP/1.1\r\nHost: api.test\r\nContent-Length: 4\r\n\r\n";
constexpr std::string_view kOk = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

class HalfCloseTest : public ProxyTest {
 protected:
  HalfCloseTest() { config.client.half_close = true; }

  FakePeer& ask_and_end(std::string_view request) {
    FakePeer& client = connect();
    client.send(request);
    client.send_eof();
    settle();
    return client;
  }
  static bool served(const FakePeer& client) {
    return client.written().ends_with("\r\n\r\nok") && !client.open() && !client.aborted();
  }
};

TEST_F(HalfCloseTest, AResponseIsDeliveredAndThenTheConnectionCloses) {
  FakePeer& client = ask_and_end(kGet);
  EXPECT_TRUE(client.open());
  EXPECT_TRUE(client.paused_for(PauseReason::kEndSeen));
  answer(open_upstream(), kOk);
  EXPECT_TRUE(served(client));
  EXPECT_EQ(pool_state().idle, 1U);
}

TEST_F(HalfCloseTest, AResponseThatTheClientTakesSlowlyIsDelivered) {
  FakePeer& client = ask_and_end(kGet);
  client.set_room(20);
  answer(open_upstream(), kOk);
  EXPECT_TRUE(client.open());
  client.set_room(FakePeer::kUnlimited);
  settle();
  EXPECT_TRUE(served(client));
}

TEST_F(HalfCloseTest, AnAnswerOfOurOwnIsDeliveredToo) {
  FakePeer& client = ask_and_end("GET http://no.test/ HTTP/1.1\r\nHost: no.test\r\n\r\n");
  EXPECT_TRUE(client.written().starts_with("HTTP/1.1 403 "));
  EXPECT_FALSE(client.open());
  EXPECT_FALSE(client.aborted());
}

TEST_F(HalfCloseTest, ABodyThatWaitsInTheInputIsSent) {
  FakePeer& client = ask_and_end(join({kPostHead, "body"}));
  FakePeer& upstream = open_upstream();
  EXPECT_TRUE(upstream.written().ends_with("\r\n\r\nbody"));
  answer(upstream, kOk);
  EXPECT_TRUE(served(client));
}

TEST_F(HalfCloseTest, RequestsThatWereSentAheadAreServed) {
  FakePeer& client = ask_and_end(join({kGet, kGet}));
  FakePeer& upstream = open_upstream();
  answer(upstream, kOk);
  EXPECT_TRUE(client.open());
  answer(upstream, kOk);
  EXPECT_TRUE(served(client));
}

TEST_F(HalfCloseTest, AnEndBetweenRequestsIsAnEnd) {
  FakePeer& client = ask(kGet);
  answer(open_upstream(), kOk);
  EXPECT_TRUE(client.open());
  client.send_eof();
  settle();
  EXPECT_FALSE(client.open());
}

TEST_F(HalfCloseTest, ARequestWithoutItsEndIsCancelled) {
  for (const std::string_view part : {kGet.substr(0, 10), kPostHead.substr(0, 60)}) {
    FakePeer& client = ask_and_end(part);
    EXPECT_FALSE(client.open());
    EXPECT_TRUE(client.aborted());
  }
  EXPECT_EQ(dialer.in_flight(), 0U);
}

TEST_F(HalfCloseTest, ABodyWithoutItsEndLeavesTheQueueAtOnce) {
  keep_records();
  FakePeer& client = ask_and_end(join({kPostHead, "bod"}));
  EXPECT_FALSE(client.open());
  EXPECT_EQ(open_upstream().written(), "") << "the dial is the pool's";
  EXPECT_NE(records().find("\"status\":499,\"status_source\":\"none\","
                           "\"error\":\"client_aborted\",\"error_phase\":\"resolve\""),
            std::string::npos);
}

TEST_F(HalfCloseTest, ABodyWithoutItsEndIsNeverCompleted) {
  FakePeer& client = ask(join({kPostHead, "bo"}));
  FakePeer& upstream = open_upstream();
  client.send("d");
  client.send_eof();
  settle();
  EXPECT_FALSE(client.open());
  EXPECT_FALSE(upstream.open());
  EXPECT_TRUE(upstream.written().ends_with("\r\n\r\nbod"));
}

// Without `expect_continue` nothing else would ever end it.
TEST_F(HalfCloseTest, ABodyThatWaitsForA100AndCannotComeIsCancelled) {
  timeouts().expect_continue.reset();
  const std::string post =
      join({kPostHead.substr(0, kPostHead.size() - 2), "Expect: 100-continue\r\n\r\n"});
  FakePeer& client = ask(post);
  FakePeer& upstream = open_upstream();
  EXPECT_NE(upstream.written().find("Expect: 100-continue\r\n"), std::string::npos);
  client.send_eof();
  settle();
  EXPECT_FALSE(client.open());
  EXPECT_FALSE(upstream.open());
}

TEST_F(HalfCloseTest, ABodyThatWaitsForA100BehindAnotherRequestIsCancelledToo) {
  timeouts().expect_continue.reset();
  FakePeer& client =
      ask_and_end(join({kGet, kPostHead.substr(0, kPostHead.size() - 21),
                        "Transfer-Encoding: chunked\r\n", "Expect: 100-continue\r\n\r\n"}));
  FakePeer& upstream = open_upstream();
  answer(upstream, kOk);
  EXPECT_FALSE(client.open());
  EXPECT_FALSE(upstream.open());
}

TEST_F(HalfCloseTest, AResetIsNoHalfClose) {
  FakePeer& client = ask(kGet);
  client.fail_reads();
  settle();
  EXPECT_FALSE(client.open());
}

TEST_F(HalfCloseTest, AReloadTurnsItOff) {
  FakePeer& client = ask(kGet);
  config.client.half_close = false;
  reload();
  client.send_eof();
  settle();
  EXPECT_FALSE(client.open());
}

TEST_F(HalfCloseTest, AStopEndsAClientThatWaits) {
  FakePeer& client = ask_and_end(kGet);
  proxy->abort_sessions();
  settle();
  EXPECT_FALSE(client.open());
}

}  // namespace
}  // namespace penstock
