// How exchanges share, keep and give up connections, and what ends them early.
#include "unit/proxy/proxy_fixture.h"

namespace penstock {
namespace {

constexpr std::string_view kGet = "GET http://api.test/x HTTP/1.1\r\nHost: api.test\r\n\r\n";
constexpr std::string_view kPost =
    "POST http://api.test/x HTTP/1.1\r\nHost: api.test\r\nContent-Length: 10\r\n\r\n";
constexpr std::string_view kOk = "HTTP/1.1 200 OK\r\nDate: d\r\nContent-Length: 2\r\n\r\nok";
const std::string kOkRelayed =
    join({"HTTP/1.1 200 OK\r\nDate: d\r\nContent-Length: 2\r\n", kKeepAlive, kVia, "\r\nok"});

class ConnectionTest : public ProxyTest {
 protected:
  std::uint64_t closed_for(CloseReason reason) {
    return pool_state().closed[static_cast<std::size_t>(reason)];
  }
};

TEST_F(ConnectionTest, TheNextRequestReusesIt) {
  keep_records();
  FakePeer& client = ask(kGet);
  FakePeer& upstream = open_upstream();
  answer(upstream, kOk);
  client.send(kGet);
  settle();
  answer(upstream, kOk);
  EXPECT_EQ(client.written(), kOkRelayed + kOkRelayed);
  EXPECT_EQ(dialer.started(), 1U);
  const std::vector<std::string> lines = lines_of(records(2));
  ASSERT_EQ(lines.size(), 2U);
  EXPECT_NE(lines[0].find("\"conn_id\":1,\"conn_requests\":1,\"reused\":false,\"attempts\":1"),
            std::string::npos)
      << lines[0];
  EXPECT_NE(lines[1].find("\"conn_id\":1,\"conn_requests\":2,\"reused\":true,\"attempts\":1"),
            std::string::npos)
      << lines[1];
  for (const std::string_view phase : {"queue_ms", "resolve_ms", "connect_ms", "tls_ms"}) {
    EXPECT_EQ(lines[1].find(phase), std::string::npos) << lines[1];
  }
}

TEST_F(ConnectionTest, ARecordHasWhatHappenedAndNothingElse) {
  keep_records();
  FakePeer& client = ask(kPost);
  advance(2ms);
  dialer.enter_phase(Phase::kConnect);
  advance(4ms);
  FakePeer& upstream = open_upstream();
  client.send("0123456789");
  settle();
  advance(8ms);
  answer(upstream, kOk);
  const std::string line = records();
  EXPECT_NE(line.find("\"listener\":\"127.0.0.1:3128\",\"client\":\"127.0.0.1:50000\","
                      "\"form\":\"absolute\",\"method\":\"POST\",\"host\":\"api.test\","
                      "\"path\":\"/x\",\"upstream\":\"api\",\"address\":\"192.0.2.1:80\""),
            std::string::npos)
      << line;
  EXPECT_NE(line.find("\"status\":200,\"status_source\":\"upstream\",\"request_bytes\":10,"
                      "\"response_bytes\":2,\"conn_id\":1,\"conn_requests\":1,\"reused\":false,"
                      "\"attempts\":1,\"resolve_ms\":2.000,\"connect_ms\":4.000,"
                      "\"send_ms\":0.000,\"wait_ms\":8.000,\"receive_ms\":0.000,"
                      "\"exchange_ms\":8.000,\"total_ms\":14.000}"),
            std::string::npos)
      << line;
}

TEST_F(ConnectionTest, ARefusedRequestHasNoConnectionAndNoUpstreamInItsRecord) {
  keep_records();
  ask("GET ftp://api.test/ HTTP/1.1\r\nHost: api.test\r\n\r\n");
  const std::string line = records();
  EXPECT_NE(line.find("\"status\":400,\"status_source\":\"proxy\","
                      "\"error\":\"http_request_error\",\"request_bytes\":0,\"total_ms\":0.000}"),
            std::string::npos)
      << line;
  for (const std::string_view absent :
       {"form", "upstream", "conn_id", "attempts", "response_bytes", "error_phase", "address"}) {
    EXPECT_EQ(line.find(join({"\"", absent, "\":"})), std::string::npos) << absent << line;
  }
}

TEST_F(ConnectionTest, AReleasedConnectionServesTheOldestWaiterAtOnce) {
  policy().pool.max_connections = 1;
  FakePeer& first = ask(kGet);
  FakePeer& upstream = open_upstream();
  FakePeer& second = ask(kGet);
  FakePeer& third = ask(kGet);
  upstream.take_written();
  answer(upstream, kOk);
  EXPECT_EQ(first.written(), kOkRelayed);
  answer(upstream, kOk);
  EXPECT_EQ(second.written(), kOkRelayed);
  EXPECT_EQ(third.written(), "");
  answer(upstream, kOk);
  EXPECT_EQ(third.written(), kOkRelayed);
  EXPECT_EQ(dialer.started(), 1U);
}

TEST_F(ConnectionTest, AFullQueueAnswersAtOnce) {
  policy().pool.max_connections = 1;
  policy().pool.max_waiting = 1;
  ask(kGet);
  open_upstream();
  ask(kGet);
  FakePeer& refused = ask(kGet);
  EXPECT_TRUE(refused.written().starts_with("HTTP/1.1 503 Service Unavailable\r\n"));
  EXPECT_NE(refused.written().find("limit=pool.max_waiting"), std::string::npos);
  EXPECT_NE(refused.written().find("Retry-After: 1\r\n"), std::string::npos);
  EXPECT_EQ(pool_state().waiting, 1U);
}

TEST_F(ConnectionTest, AFailedDialIsToldToTheClientWhichMayGoOn) {
  FakePeer& client = ask(kGet);
  dialer.fail({.code = ErrorCode::kDnsError, .phase = Phase::kResolve, .detail = "no such name"});
  settle();
  EXPECT_TRUE(client.take_written().starts_with("HTTP/1.1 502 Bad Gateway\r\n"));
  client.send(kGet);
  settle();
  answer(open_upstream(), kOk);
  EXPECT_EQ(client.written(), kOkRelayed);
}

// Early answers: the request is not sent yet

TEST_F(ConnectionTest, AnEarlyAnswerIsRelayedWhileTheUploadGoesOn) {
  FakePeer& client = ask(kPost);
  FakePeer& upstream = open_upstream();
  upstream.take_written();
  answer(upstream, "HTTP/1.1 200 OK\r\nDate: d\r\nContent-Length: 2\r\n\r\n");
  EXPECT_EQ(client.take_written(),
            join({"HTTP/1.1 200 OK\r\nDate: d\r\nContent-Length: 2\r\n", kClose, kVia, "\r\n"}));
  client.send("01234");
  settle();
  EXPECT_EQ(upstream.take_written(), "01234");
  answer(upstream, "o");
  client.send("56789");
  settle();
  EXPECT_EQ(upstream.take_written(), "56789");
  answer(upstream, "k");
  EXPECT_EQ(client.take_written(), "ok");
  EXPECT_TRUE(client.write_shut());
  EXPECT_TRUE(upstream.open()) << "both messages ended";
}

TEST_F(ConnectionTest, AnAnswerThatEndsBeforeTheUploadClosesBoth) {
  FakePeer& client = ask(kPost);
  FakePeer& upstream = open_upstream();
  answer(upstream, kOk);
  EXPECT_TRUE(client.written().ends_with("\r\n\r\nok"));
  EXPECT_TRUE(client.write_shut());
  EXPECT_FALSE(client.aborted());
  EXPECT_FALSE(upstream.open());
  client.send("0123456789");
  settle();
  EXPECT_EQ(client.unread_bytes(), 0U) << "read and discarded, so that no reset eats the answer";
}

TEST_F(ConnectionTest, AnAnswerThatCameBeforeAWriteErrorIsRelayed) {
  FakePeer& client = ask(kPost);
  FakePeer& upstream = open_upstream();
  upstream.fail_writes();
  upstream.send("HTTP/1.1 413 Too Large\r\nDate: d\r\nContent-Length: 3\r\n\r\nbig");
  upstream.send_eof();
  client.send("01234");
  settle();
  EXPECT_EQ(client.written(), join({"HTTP/1.1 413 Too Large\r\nDate: d\r\nContent-Length: 3\r\n",
                                    kClose, kVia, "\r\nbig"}));
  EXPECT_TRUE(client.write_shut());
  EXPECT_FALSE(upstream.open());
}

TEST_F(ConnectionTest, AWriteErrorIsNoFaultOfAClientThatHasSentItsWholeRequest) {
  FakePeer& client = ask(kPost);
  FakePeer& upstream = open_upstream();
  upstream.fail_writes();
  client.send("0123456789");
  answer(upstream, kOk);
  EXPECT_EQ(client.written(), kOkRelayed);
  EXPECT_FALSE(client.write_shut()) << "it is served on, the upstream's connection is not";
  EXPECT_FALSE(upstream.open());
}

TEST_F(ConnectionTest, AnAnswerThatComesAfterAWriteErrorIsRelayed) {
  FakePeer& client = ask(kPost);
  FakePeer& upstream = open_upstream();
  upstream.fail_writes();
  client.send("01234");
  settle();
  EXPECT_EQ(client.written(), "");
  client.send("56789");
  settle();
  answer(upstream, kOk);
  EXPECT_TRUE(client.written().ends_with("\r\n\r\nok"));
  EXPECT_TRUE(client.write_shut());
}

TEST_F(ConnectionTest, AWriteErrorWithoutAnAnswerIsATermination) {
  for (const bool reset : {false, true}) {
    FakePeer& client = ask(kPost);
    FakePeer& upstream = open_upstream();
    upstream.fail_writes();
    client.send("01234");
    settle();
    if (reset) {
      upstream.fail_reads();
    } else {
      upstream.send_eof();
    }
    settle();
    EXPECT_TRUE(client.written().starts_with("HTTP/1.1 502 ")) << client.written();
    EXPECT_NE(client.written().find("error=connection_terminated"), std::string::npos);
    EXPECT_FALSE(upstream.open());
    EXPECT_TRUE(client.write_shut());
  }
}

TEST_F(ConnectionTest, AWriteErrorInTheMiddleOfTheAnswerDoesNotCutIt) {
  FakePeer& client = ask(kPost);
  FakePeer& upstream = open_upstream();
  answer(upstream, "HTTP/1.1 200 OK\r\nDate: d\r\nContent-Length: 2\r\n\r\no");
  upstream.fail_writes();
  client.send("01234");
  settle();
  answer(upstream, "k");
  EXPECT_TRUE(client.written().ends_with("\r\n\r\nok"));
  EXPECT_FALSE(client.aborted());
  EXPECT_FALSE(upstream.open());
}

TEST_F(ConnectionTest, AWriteThatFailsAtOnceIsATermination) {
  policy().retry.attempts = 0;
  policy().pool.max_connections = 1;
  FakePeer& first = ask(kGet);
  FakePeer& upstream = open_upstream();
  answer(upstream, kOk);
  upstream.fail_writes();
  first.take_written();
  first.send(kGet);
  settle();
  EXPECT_EQ(first.written(), "") << "an answer may be on its way";
  upstream.fail_reads();
  settle();
  EXPECT_TRUE(first.written().starts_with("HTTP/1.1 502 "));
  EXPECT_EQ(pool_state().busy + pool_state().idle, 0U);
}

// The write fails at once and the read only later: what was taken in between is sent once.
TEST_F(ConnectionTest, ABodyWhoseWriteFailedIsSentOnceByTheNextTry) {
  FakePeer& client = ask(kGet);
  FakePeer& upstream = open_upstream();
  answer(upstream, kOk);
  upstream.fail_writes();
  std::string body;
  for (int i = 0; i < 8000; ++i) body += std::to_string(10000 + i);
  client.send(join(
      {"PUT http://api.test/ HTTP/1.1\r\nHost: api.test\r\nContent-Length: 40000\r\n\r\n", body}));
  settle();
  upstream.fail_reads();
  settle();
  FakePeer& next = open_upstream();
  settle();
  const std::string sent = next.take_written();
  EXPECT_EQ(sent.substr(sent.find("\r\n\r\n") + 4), body);
  client.take_written();
  answer(next, kOk);
  EXPECT_TRUE(client.written().starts_with("HTTP/1.1 200 ")) << client.written();
}

// It is longer than what is gathered, and all of it had been taken from the client.
TEST_F(ConnectionTest, AChunkedBodyHasItsEndOnTheNextTryToo) {
  FakePeer& client = ask(kGet);
  FakePeer& upstream = open_upstream();
  answer(upstream, kOk);
  const std::string body(20'000, 'b');
  client.send(join({"PUT http://api.test/ HTTP/1.1\r\nHost: api.test\r\n",
                    "Transfer-Encoding: chunked\r\n\r\n4e20\r\n", body, "\r\n0\r\n\r\n"}));
  settle();
  upstream.fail_reads();
  settle();
  FakePeer& next = open_upstream();
  settle();
  EXPECT_TRUE(next.written().ends_with("b\r\n0\r\n\r\n"));
}

// The client leaves

TEST_F(ConnectionTest, AClientThatLeavesCancelsItsRequestInWhateverPhaseItIs) {
  keep_records();
  policy().pool.max_connections = 1;
  FakePeer& dialing = ask(kGet);
  FakePeer& queued = ask(kGet);
  queued.send_eof();
  settle();
  EXPECT_FALSE(queued.open());
  dialing.fail_reads();
  settle();
  EXPECT_FALSE(dialing.open());
  FakePeer& upstream = open_upstream();  // the dial is the pool's
  EXPECT_EQ(upstream.written(), "") << "what nobody waits for is never sent";
  EXPECT_EQ(pool_state().idle, 1U);

  FakePeer& sending = ask(kPost);
  sending.send_eof();
  settle();
  EXPECT_FALSE(upstream.open()) << "an upload that is cut short is never completed";
  FakePeer& leaving = ask(kGet);
  FakePeer& awaiting = open_upstream();
  leaving.send_eof();
  settle();
  EXPECT_EQ(pool_state().draining, 1U) << "its answer may still come";
  advance(100ms);
  EXPECT_FALSE(awaiting.open());
  FakePeer& receiving = ask(kGet);
  FakePeer& last = open_upstream();
  answer(last, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\no");
  receiving.send_eof();
  settle();
  EXPECT_EQ(pool_state().draining, 1U);
  advance(100ms);
  EXPECT_FALSE(last.open());

  const std::vector<std::string> lines = lines_of(records(5));
  ASSERT_EQ(lines.size(), 5U);
  const std::string_view phases[] = {"queue", "resolve", "send", "await_head", "receive"};
  for (std::size_t i = 0; i < lines.size(); ++i) {
    EXPECT_NE(lines[i].find("\"status\":499,\"status_source\":\"none\","
                            "\"error\":\"client_aborted\""),
              std::string::npos)
        << lines[i];
    EXPECT_NE(lines[i].find(join({"\"error_phase\":\"", phases[i], "\""})), std::string::npos)
        << lines[i];
  }
  EXPECT_EQ(closed_for(CloseReason::kClientAbort), 1U);
  EXPECT_EQ(closed_for(CloseReason::kTimeout), 2U);
}

TEST_F(ConnectionTest, AClientWhoseWriteFailsHasLeft) {
  FakePeer& client = ask(kGet);
  FakePeer& upstream = open_upstream();
  client.fail_writes();
  answer(upstream, kOk);
  EXPECT_FALSE(client.open());
  EXPECT_TRUE(upstream.open()) << "its response had ended cleanly";
}

TEST_F(ConnectionTest, AClientThatBreaksWhileBlockedHasLeft) {
  FakePeer& client = ask(kGet);
  FakePeer& upstream = open_upstream();
  client.set_room(10);
  answer(upstream, "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab");
  client.fail_writes();
  settle();
  EXPECT_FALSE(client.open());
  advance(100ms);  // the rest of its answer may still come
  EXPECT_FALSE(upstream.open());
}

// Idle connections

TEST_F(ConnectionTest, AnIdleConnectionThatSpeaksOrEndsIsNotUsedAgain) {
  for (const CloseReason reason : {CloseReason::kUnexpectedData, CloseReason::kPeerClosedIdle}) {
    FakePeer& client = ask(kGet);
    FakePeer& upstream = open_upstream();
    answer(upstream, kOk);
    reason == CloseReason::kUnexpectedData ? upstream.send("HTTP/1.1 408 Late\r\n\r\n")
                                           : upstream.send_eof();
    settle();
    EXPECT_FALSE(upstream.open());
    EXPECT_EQ(closed_for(reason), 1U);
    EXPECT_EQ(client.written(), kOkRelayed) << "a 408 on an idle connection is nobody's response";
  }
}

// The socket takes nothing of the second request, or fails the moment it is written.
TEST_F(ConnectionTest, WhatIsSaidBeforeTheRequestIsWrittenIsNobodysAnswer) {
  for (const bool broken : {false, true}) {
    SCOPED_TRACE(broken);
    FakePeer& client = ask(kPost);
    FakePeer& old = open_upstream();
    client.send("0123456789");
    settle();
    answer(old, kOk);
    broken ? old.fail_writes() : old.set_room(0);
    client.send(join({kPost, "0123456789"}));
    client.turn();
    answer(old, "HTTP/1.1 408 Late\r\nContent-Length: 0\r\n\r\n");
    EXPECT_FALSE(old.open());
    FakePeer& fresh = open_upstream();
    EXPECT_TRUE(fresh.written().ends_with("\r\n\r\n0123456789"));
    answer(fresh, kOk);
    EXPECT_EQ(client.written(), kOkRelayed + kOkRelayed);
    fresh.send_eof();
    settle();
  }
}

TEST_F(ConnectionTest, WhatIsSaidBeforeTheRequestIsWrittenIsAnErrorWithoutAnotherTry) {
  policy().retry.attempts = 0;
  FakePeer& client = ask(kGet);
  FakePeer& upstream = open_upstream();
  answer(upstream, kOk);
  upstream.set_room(0);
  client.send(kGet);
  client.turn();
  answer(upstream, kOk);
  EXPECT_FALSE(upstream.open());
  EXPECT_NE(client.written().find("HTTP/1.1 502 "), std::string::npos);
  EXPECT_NE(client.written().find("error=http_protocol_error"), std::string::npos);
}

TEST_F(ConnectionTest, ARecordHasThePathOfWhatWasRefused) {
  keep_records();
  ask("GET http://nobody.test/a?b HTTP/1.1\r\nHost: nobody.test\r\n\r\n");
  const std::string line = records();
  EXPECT_NE(line.find("\"host\":\"nobody.test\",\"path\":\"/a?b\""), std::string::npos) << line;
}

// Whose reading stands still, since its body is larger than what is read ahead.
TEST_F(ConnectionTest, AQueuedRequestOfAClientThatHasLeftIsNotSent) {
  policy().pool.max_connections = 1;
  keep_records();
  ask(kGet);
  FakePeer& upstream = open_upstream();
  for (const std::size_t size : {100UL * 1024, 10UL * 1024}) {
    FakePeer& left =
        ask(join({"POST http://api.test/x HTTP/1.1\r\nHost: api.test\r\nContent-Length: ",
                  std::to_string(size), "\r\n\r\n", std::string(size, 'b')}));
    left.send_eof();
    settle();
  }
  FakePeer& last = ask(kGet);
  upstream.take_written();
  answer(upstream, kOk);
  EXPECT_EQ(upstream.take_written().substr(0, 4), "GET ");
  answer(upstream, kOk);
  EXPECT_EQ(last.written(), kOkRelayed);
  EXPECT_EQ(dialer.started(), 1U);
  EXPECT_EQ(lines_of(records(4)).size(), 4U);
  EXPECT_EQ(upstream.written(), "");
}

TEST_F(ConnectionTest, WithoutReuseEachRequestHasItsOwn) {
  policy().pool.reuse = false;
  FakePeer& client = ask(kGet);
  FakePeer& upstream = open_upstream();
  answer(upstream, kOk);
  EXPECT_FALSE(upstream.open());
  client.send(kGet);
  settle();
  answer(open_upstream(), kOk);
  EXPECT_EQ(client.written(), kOkRelayed + kOkRelayed);
}

TEST_F(ConnectionTest, UnaskedTlsBytesBehindTheResponsePoisonTheConnection) {
  ask(kGet);
  FakePeer& upstream = open_upstream();
  upstream.read_at_most(kOk.size());
  upstream.send(join({kOk, "surplus"}));
  upstream.take_from_kernel(kOk.size() + 3);
  settle();
  EXPECT_FALSE(upstream.open());
  EXPECT_EQ(closed_for(CloseReason::kUnexpectedData), 1U);
}

TEST_F(ConnectionTest, AReloadDuringTheExchangeDoesNotDisturbIt) {
  FakePeer& client = ask(kGet);
  FakePeer& upstream = open_upstream();
  config.upstreams[0].hosts = {"elsewhere.test"};
  reload();
  answer(upstream, kOk);
  EXPECT_EQ(client.take_written(), kOkRelayed);
  client.send(kGet);
  settle();
  EXPECT_TRUE(client.take_written().starts_with("HTTP/1.1 403 "));
}

TEST_F(ConnectionTest, CountsEachExchangeOnceByItsEnd) {
  FakePeer& client = ask(kGet);
  answer(open_upstream(), kOk);
  client.send("GET http://unknown.test/ HTTP/1.1\r\nHost: unknown.test\r\n\r\n");
  settle();
  EXPECT_EQ(upstream_metrics().requests[CodeClass::k2xx][StatusSource::kUpstream].value(), 1U);
  EXPECT_EQ(metrics.upstream("").requests[CodeClass::k4xx][StatusSource::kProxy].value(), 1U);
}

TEST_F(ConnectionTest, CountsTheWebPagesThatItTurnedAway) {
  ask("GET /x HTTP/1.1\r\nHost: evil.test\r\n\r\n");
  ask("GET /x HTTP/1.1\r\nHost: api.test\r\nOrigin: http://evil.test\r\n\r\n");
  ask("GET http://unknown.test/ HTTP/1.1\r\nHost: unknown.test\r\n\r\n");
  EXPECT_EQ(endpoint->metrics->rejected[RejectReason::kWebPage].value(), 2U);
}

}  // namespace
}  // namespace penstock
