// Client connections: pipelining, idle time, lingering, drain and abort.
#include "unit/proxy/proxy_fixture.h"

namespace penstock {
namespace {

constexpr std::string_view kGet = "GET http://api.test/x HTTP/1.1\r\nHost: api.test\r\n\r\n";
constexpr std::string_view kUnknown =
    "GET http://unknown.test/ HTTP/1.1\r\nHost: unknown.test\r\n\r\n";
constexpr std::string_view kOk = "HTTP/1.1 200 OK\r\nDate: d\r\nContent-Length: 2\r\n\r\nok";
const std::string kOkRelayed =
    join({"HTTP/1.1 200 OK\r\nDate: d\r\nContent-Length: 2\r\n", kKeepAlive, kVia, "\r\nok"});

std::size_t count(std::string_view text, std::string_view of) {
  std::size_t found = 0;
  for (std::size_t at = text.find(of); at != std::string_view::npos; at = text.find(of, at + 1)) {
    ++found;
  }
  return found;
}

class SessionTest : public ProxyTest {
 protected:
  struct Listener {
    void on_empty() { ++times; }
    int times = 0;
  };
  void begin_drain() {
    proxy->begin_drain(Delegate<void()>::to<&Listener::on_empty>(drained));
    settle();
  }

  void pass_ticks(int count) {
    for (int i = 0; i <= count; ++i) {
      clock.advance(2 * TimerWheel::kTick);
      settle();
    }
  }

  Listener drained;
};

// Pipelining

TEST_F(SessionTest, PipelinedRequestsAreAnsweredInOrder) {
  std::string requests;
  for (int i = 0; i < 20; ++i) {
    requests += join({"GET http://api.test/", std::to_string(i),
                      i % 3 == 0 ? " HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc"
                                 : " HTTP/1.1\r\nHost: a\r\n\r\n"});
  }
  FakePeer& client = ask(requests);
  FakePeer& upstream = open_upstream();
  std::string relayed;
  for (int i = 0; i < 20; ++i) {
    const std::string sent = upstream.take_written();
    ASSERT_TRUE(sent.starts_with(join({"GET /", std::to_string(i), " HTTP/1.1\r\n"}))) << sent;
    ASSERT_EQ(count(sent, "GET "), 1U) << "one at a time";
    answer(upstream, kOk);
    relayed += kOkRelayed;
    ASSERT_EQ(client.written(), relayed);
  }
}

TEST_F(SessionTest, TenThousandPipelinedRequestsThatAreServedHereNeitherRecurseNorGrow) {
  constexpr int kRequests = 10'000;
  std::string requests;
  for (int i = 0; i < kRequests; ++i) requests += kUnknown;
  FakePeer& client = ask(requests);
  pass_ticks(kRequests / 64);
  EXPECT_EQ(count(client.written(), "HTTP/1.1 403 Forbidden\r\n"), std::size_t{kRequests});
  EXPECT_TRUE(client.open());
  EXPECT_EQ(proxy->session_count(), 1U);
}

TEST_F(SessionTest, APipelineThatIsServedHereLeavesTurnsToOthers) {
  std::string requests;
  for (int i = 0; i < 100; ++i) requests += kUnknown;
  FakePeer& client = connect();
  client.send(requests);
  client.turn();
  const std::size_t first = count(client.written(), "HTTP/1.1 403 ");
  EXPECT_GT(first, 0U);
  EXPECT_LT(first, 100U);
  pass_ticks(2);
  EXPECT_EQ(count(client.written(), "HTTP/1.1 403 "), 100U);
  clock.advance(std::chrono::seconds(1));
  EXPECT_TRUE(client.open()) << "it is idle only from then on";
}

TEST_F(SessionTest, TenThousandPipelinedRequestsOverOneConnection) {
  constexpr int kRequests = 10'000;
  std::string requests;
  for (int i = 0; i < kRequests; ++i) requests += kGet;
  FakePeer& client = ask(requests);
  EXPECT_GT(client.unread_bytes(), requests.size() / 2) << "what is not served waits outside";
  FakePeer& upstream = open_upstream();
  for (int i = 0; i < kRequests; ++i) answer(upstream, kOk);
  EXPECT_EQ(client.written().size(), kRequests * kOkRelayed.size());
  EXPECT_EQ(client.unread_bytes(), 0U);
  EXPECT_EQ(dialer.started(), 1U);
}

TEST_F(SessionTest, AResponseThatEndsTheConnectionEndsThePipeline) {
  FakePeer& client =
      ask(join({"GET http://unknown.test/ HTTP/1.1\r\nHost: x\r\n"
                "Connection: close\r\n\r\n",
                kGet}));
  EXPECT_EQ(count(client.written(), "HTTP/1.1 "), 1U);
  EXPECT_TRUE(client.write_shut());
  EXPECT_EQ(dialer.in_flight(), 0U);
}

TEST_F(SessionTest, APipelineThatTheClientDoesNotReadGoesOnWhenItDoes) {
  FakePeer& client = connect();
  client.set_room(100);
  for (int i = 0; i < 3000; ++i) client.send(kUnknown);
  settle();
  EXPECT_GT(client.unread_bytes(), 0U);
  client.set_room(FakePeer::kUnlimited);
  settle();
  pass_ticks(3000 / 64);
  EXPECT_EQ(count(client.written(), "HTTP/1.1 403 Forbidden\r\n"), 3000U);
  EXPECT_EQ(client.unread_bytes(), 0U);
}

TEST_F(SessionTest, EmptyLinesBetweenRequestsAreNoRequests) {
  keep_records();
  FakePeer& client = connect();
  client.send("\r\n");
  settle();
  client.send(kUnknown);
  client.send("\r\n");
  settle();
  client.send(kUnknown);
  settle();
  EXPECT_EQ(count(client.written(), "HTTP/1.1 403 "), 2U);
  EXPECT_EQ(lines_of(records(2)).size(), 2U);
}

TEST_F(SessionTest, ASecondEmptyLineIsRefusedHoweverTheyCome) {
  FakePeer& client = connect();
  client.send("\r\n");
  settle();
  EXPECT_EQ(client.written(), "");
  client.send("\r\n");
  settle();
  EXPECT_EQ(count(client.written(), "HTTP/1.1 400 "), 1U);
  EXPECT_TRUE(client.write_shut());
}

// Idle time

TEST_F(SessionTest, AnIdleConnectionClosesAfterItsTimeAndNotBefore) {
  config.client.idle_timeout = 10s;
  FakePeer& client = connect();
  advance(9s);
  client.send(kUnknown);
  settle();
  EXPECT_NE(client.written().find("HTTP/1.1 403 "), std::string::npos);
  advance(10s - 1ns);
  EXPECT_TRUE(client.open());
  advance(5ms);
  EXPECT_FALSE(client.open());
  EXPECT_EQ(proxy->session_count(), 0U);
}

TEST_F(SessionTest, AConnectionThatNeverSpeaksClosesToo) {
  config.client.idle_timeout = 10s;
  FakePeer& client = connect();
  advance(10s + 5ms);
  EXPECT_FALSE(client.open());
}

TEST_F(SessionTest, AnExchangeIsNotIdle) {
  config.client.idle_timeout = 1s;
  FakePeer& client = ask(kGet);
  FakePeer& upstream = open_upstream();
  advance(100s);
  answer(upstream, kOk);
  EXPECT_EQ(client.written().size() > 0, true);
  EXPECT_TRUE(client.open());
}

TEST_F(SessionTest, IdleTimeThatAReloadTurnsOffIsOffFromTheNextRequestOn) {
  config.client.idle_timeout = 10s;
  FakePeer& client = ask(kUnknown);
  config.client.idle_timeout = std::nullopt;
  reload();
  client.send(kUnknown);
  settle();
  advance(1h);
  EXPECT_TRUE(client.open());
}

TEST_F(SessionTest, AHeadThatGrewWithAReloadFitsConnectionsThatAreOpen) {
  FakePeer& client = ask(kUnknown);
  config.client.max_header_size = 512 * 1024;
  reload();
  client.take_written();
  const std::string large = std::string(300 * 1024, 'x');
  client.send(
      join({"GET http://unknown.test/ HTTP/1.1\r\nHost: unknown.test\r\nX: ", large, "\r\n\r\n"}));
  settle();
  EXPECT_TRUE(client.written().starts_with("HTTP/1.1 403 "))
      << client.written().substr(0, 300) << client.paused();
}

TEST_F(SessionTest, ABusyPipelineIsSizedAnewByAReload) {
  std::string requests(kGet);
  const std::string large = join({"GET http://unknown.test/ HTTP/1.1\r\nHost: unknown.test\r\nX: ",
                                  std::string(300 * 1024, 'x'), "\r\n\r\n"});
  FakePeer& client = ask(join({kGet, large}));
  config.client.max_header_size = 512 * 1024;
  reload();
  answer(open_upstream(), kOk);
  EXPECT_EQ(count(client.written(), "HTTP/1.1 403 "), 1U)
      << client.written().substr(0, 600) << client.paused();
}

// Lingering: our last answer is not lost to a reset

TEST_F(SessionTest, ALastAnswerIsFollowedByAnEndAndInputIsDiscardedForAWhile) {
  FakePeer& client = ask("BREW http://api.test/ HTTP/1.1\r\nHost: a\r\n\r\n");
  EXPECT_TRUE(client.write_shut());
  client.send(std::string(512 * 1024, 'x'));
  settle();
  EXPECT_EQ(client.unread_bytes(), 0U);
  EXPECT_TRUE(client.open());
  advance(2s - 1ns);
  EXPECT_TRUE(client.open());
  advance(5ms);
  EXPECT_FALSE(client.open());
  EXPECT_FALSE(client.aborted());
}

TEST_F(SessionTest, LingeringEndsWithTheClientOrWithAMegabyte) {
  FakePeer& leaves = ask("BREW http://api.test/ HTTP/1.1\r\nHost: a\r\n\r\n");
  leaves.send_eof();
  settle();
  EXPECT_FALSE(leaves.open());
  FakePeer& floods = ask("BREW http://api.test/ HTTP/1.1\r\nHost: a\r\n\r\n");
  floods.send(std::string(2 * 1024 * 1024, 'x'));
  settle();
  EXPECT_FALSE(floods.open());
  EXPECT_GT(floods.unread_bytes(), 900U * 1024);
}

// Numbers

TEST_F(SessionTest, ClientsBeyondTheLimitAreTurnedAwayWithAnAnswer) {
  quota.set_limit(2);
  FakePeer& first = connect();
  connect();
  FakePeer& third = connect();
  EXPECT_FALSE(third.open());
  EXPECT_TRUE(third.write_shut());
  const std::string answer = third.written();
  EXPECT_TRUE(answer.starts_with("HTTP/1.1 503 Service Unavailable\r\n"));
  EXPECT_NE(answer.find("limit=client.max_connections"), std::string::npos);
  const std::size_t body = answer.find("\r\n\r\n") + 4;
  EXPECT_NE(answer.find("Content-Length: " + std::to_string(answer.size() - body) + "\r\n"),
            std::string::npos);
  EXPECT_EQ(endpoint->metrics->rejected[RejectReason::kMaxConnections].value(), 1U);
  first.send_eof();
  settle();
  EXPECT_TRUE(connect().open());
}

TEST_F(SessionTest, TheRequestOfAClientThatIsTurnedAwayIsReadSoThatNoResetEatsTheAnswer) {
  start();
  quota.set_limit(0);
  FakePeer& peer = *clients.emplace_back(std::make_unique<FakePeer>());
  peer.send(kGet);
  proxy->accept(peer.connect(), endpoint, address("127.0.0.1", 50000));
  EXPECT_FALSE(peer.open());
  EXPECT_EQ(peer.unread_bytes(), 0U);
}

TEST_F(SessionTest, CountsTheClientsThatAreConnected) {
  FakePeer& client = connect();
  connect();
  EXPECT_EQ(endpoint->metrics->client_connections.value(), 2);
  client.fail_reads();
  settle();
  EXPECT_EQ(endpoint->metrics->client_connections.value(), 1);
}

// Drain and abort

TEST_F(SessionTest, ADrainClosesIdleConnectionsAndTellsOnceWhenAllHaveGone) {
  FakePeer& idle = ask(kUnknown);
  FakePeer& busy = ask(kGet);
  begin_drain();
  advance(496ms);
  EXPECT_TRUE(idle.open()) << "its next request may be on its way";
  advance(8ms);
  EXPECT_FALSE(idle.open());
  EXPECT_FALSE(idle.aborted());
  EXPECT_EQ(drained.times, 0);
  answer(open_upstream(), kOk);
  EXPECT_EQ(busy.written(),
            join({"HTTP/1.1 200 OK\r\nDate: d\r\nContent-Length: 2\r\n", kClose, kVia, "\r\nok"}));
  EXPECT_TRUE(busy.write_shut());
  busy.send_eof();
  settle();
  EXPECT_EQ(drained.times, 1);
  advance(1h);
  EXPECT_EQ(drained.times, 1);
}

TEST_F(SessionTest, ADrainOfNobodyTellsToo) {
  start();
  begin_drain();
  EXPECT_EQ(drained.times, 1);
}

TEST_F(SessionTest, ADrainServesARequestThatHasComeAlready) {
  FakePeer& client = ask(kUnknown);
  client.take_written();
  client.send(kGet);
  begin_drain();
  answer(open_upstream(), kOk);
  EXPECT_TRUE(client.written().ends_with("\r\n\r\nok"));
  EXPECT_NE(client.written().find(kClose), std::string::npos);
}

TEST_F(SessionTest, ADrainServesOneRequestMoreOfWhoeverWasNotToldToGo) {
  FakePeer& client = ask(kUnknown);
  client.take_written();
  begin_drain();
  advance(400ms);
  client.send(kUnknown);
  settle();
  EXPECT_TRUE(client.written().starts_with("HTTP/1.1 403 "));
  EXPECT_NE(client.written().find(kClose), std::string::npos);
  EXPECT_TRUE(client.write_shut());
}

TEST_F(SessionTest, ADrainDoesNotLengthenAnIdleTimeThatIsAboutToEnd) {
  config.client.idle_timeout = 1s;
  FakePeer& client = connect();
  advance(900ms);
  begin_drain();
  advance(105ms);
  EXPECT_FALSE(client.open());
}

// The loop looks at the clock before it looks at the sockets.
TEST_F(SessionTest, ARequestThatComesWithTheEndOfTheIdleTimeIsServed) {
  for (const bool draining : {false, true}) {
    config.client.idle_timeout = draining ? 1h : 1s;
    FakePeer& client = connect();
    if (draining) begin_drain();
    client.send(kUnknown);
    clock.advance(1s);
    settle();
    EXPECT_TRUE(client.written().starts_with("HTTP/1.1 403 ")) << draining;
  }
}

TEST_F(SessionTest, ADrainGivesANewConnectionAMomentToSpeak) {
  FakePeer& speaks = connect();
  FakePeer& silent = connect();
  begin_drain();
  EXPECT_TRUE(silent.open());
  advance(400ms);
  speaks.send(kUnknown);
  settle();
  EXPECT_TRUE(speaks.written().starts_with("HTTP/1.1 403 "));
  advance(105ms);
  EXPECT_FALSE(silent.open());
  FakePeer& late = connect();  // accepted from the queue of a listener that closes
  late.send(kUnknown);
  settle();
  EXPECT_TRUE(late.written().starts_with("HTTP/1.1 403 "));
}

TEST_F(SessionTest, AResponseThatPromisedMoreBeforeTheDrainIsFollowedByOneMore) {
  FakePeer& client = ask(kGet);
  FakePeer& upstream = open_upstream();
  answer(upstream, "HTTP/1.1 200 OK\r\nDate: d\r\nContent-Length: 2\r\n\r\no");
  begin_drain();
  advance(2s);
  answer(upstream, "k");
  EXPECT_EQ(client.take_written(), kOkRelayed);
  EXPECT_TRUE(client.open() && !client.write_shut());
  client.send(kUnknown);
  settle();
  EXPECT_TRUE(client.written().starts_with("HTTP/1.1 403 "));
  EXPECT_TRUE(client.write_shut());
}

TEST_F(SessionTest, AResponseThatPromisedMoreBeforeTheDrainAndIsTheLastEndsTheConnection) {
  FakePeer& client = ask(kGet);
  FakePeer& upstream = open_upstream();
  answer(upstream, "HTTP/1.1 200 OK\r\nDate: d\r\nContent-Length: 2\r\n\r\no");
  begin_drain();
  answer(upstream, "k");
  advance(505ms);
  EXPECT_FALSE(client.open());
}

TEST_F(SessionTest, AnAbortEndsEverySessionWhateverItIsAbout) {
  keep_records();
  policy().pool.max_connections = 3;
  FakePeer& idle = connect();
  FakePeer& heading = connect();
  heading.send("GET");
  settle();
  FakePeer& dialing = ask(join({kGet, kUnknown}));
  FakePeer& blocked = connect();
  blocked.set_room(0);
  blocked.send(kUnknown);
  settle();
  FakePeer& lingering = ask("BREW http://api.test/ HTTP/1.1\r\nHost: a\r\n\r\n");
  FakePeer& receiving = ask(kGet);
  FakePeer& upstream = dialer.complete();  // the oldest request's
  settle();
  FakePeer& second = dialer.complete();
  settle();
  answer(second, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\no");
  FakePeer& waiting = ask(kGet);
  FakePeer& queued = ask(kGet);
  proxy->abort_sessions();
  EXPECT_EQ(proxy->session_count(), 0U);
  for (FakePeer* peer :
       {&idle, &heading, &dialing, &blocked, &lingering, &receiving, &waiting, &queued}) {
    EXPECT_FALSE(peer->open());
  }
  EXPECT_FALSE(upstream.open());
  EXPECT_FALSE(second.open());
  EXPECT_TRUE(receiving.aborted());
  for (FakePeer* peer : {&dialing, &waiting, &queued}) {
    EXPECT_TRUE(peer->written().starts_with("HTTP/1.1 503 ")) << peer->written();
    EXPECT_NE(peer->written().find("error=proxy_internal_response"), std::string::npos);
    EXPECT_EQ(count(peer->written(), "HTTP/1.1 "), 1U);
  }
  executor.run_all();
  EXPECT_EQ(pool_state().busy, 0U);
}

TEST_F(SessionTest, EveryEndAtEveryByteLeavesNothingBehind) {
  const std::string request =
      "POST http://api.test/x HTTP/1.1\r\nHost: api.test\r\nContent-Length: 3\r\n\r\nabc";
  for (std::size_t cut = 0; cut <= request.size(); ++cut) {
    for (const bool reset : {false, true}) {
      FakePeer& client = ask(request.substr(0, cut));
      if (dialer.in_flight() > 0) open_upstream();
      reset ? client.fail_reads() : client.send_eof();
      settle();
      EXPECT_FALSE(client.open()) << cut;
      EXPECT_EQ(proxy->session_count(), 0U) << cut;
      EXPECT_EQ(pool_state().busy, 0U) << cut;
    }
  }
}

}  // namespace
}  // namespace penstock
