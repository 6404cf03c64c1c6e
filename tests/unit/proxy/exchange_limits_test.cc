// Every time limit of an exchange: silent until its moment, then the answer that names it.
#include "unit/proxy/proxy_fixture.h"

namespace penstock {
namespace {

constexpr Duration kTick = TimerWheel::kTick;

class LimitsTest : public ProxyTest {
 protected:
  // One limit of 1 s is looked at at a time; the others are far away.
  LimitsTest() {
    keep_records();
    config.client.header_timeout = config.client.body_stall = config.client.write_stall = 1h;
    TimeoutSettings& all = timeouts();
    all.queue = all.resolve = all.connect = all.tls_handshake = 1h;
    all.write_stall = all.response_header = all.body_stall = 1h;
  }

  // Nothing has been answered, logged or ended.
  void expect_silence(const FakePeer& client) {
    EXPECT_TRUE(client.open());
    EXPECT_FALSE(client.write_shut());
    EXPECT_EQ(client.written().find("Proxy-Status"), std::string::npos) << client.written();
  }
  // Just before `limit` has passed nothing happens, then `expect_end` does.
  void pass(const FakePeer& client, Duration limit) {
    advance(limit - 1ns);
    expect_silence(client);
    advance(kTick + 1ns);
  }
  void expect_reply(FakePeer& client, std::string_view status, std::string_view token,
                    std::string_view details) {
    const std::string written = client.take_written();
    EXPECT_NE(written.find(join({"HTTP/1.1 ", status, " "})), std::string::npos) << written;
    EXPECT_NE(written.find(join({"Proxy-Status: penstock; error=", token, "; details=\"", details,
                                 " spent=1.0"})),
              std::string::npos)
        << written;
  }
  void expect_record(std::string_view status, std::string_view token, std::string_view phase,
                     std::string_view key, std::size_t line = 0) {
    const std::vector<std::string> lines = lines_of(records(line + 1));
    ASSERT_EQ(lines.size(), line + 1);
    EXPECT_NE(lines[line].find(join({"\"status\":", status, ","})), std::string::npos)
        << lines[line];
    const std::string in_phase =
        phase.empty() ? std::string() : join({"\"error_phase\":\"", phase, "\","});
    EXPECT_NE(lines[line].find(
                  join({"\"error\":\"", token, "\",", in_phase, "\"error_limit\":\"", key, "\""})),
              std::string::npos)
        << lines[line];
  }
};

constexpr std::string_view kGet = "GET http://api.test/x HTTP/1.1\r\nHost: api.test\r\n\r\n";
constexpr std::string_view kPost =
    "POST http://api.test/x HTTP/1.1\r\nHost: api.test\r\nContent-Length: 10\r\n\r\n";

TEST_F(LimitsTest, HeaderTimeoutRunsFromTheFirstByteAndATrickleDoesNotPutItOff) {
  config.client.header_timeout = 1s;
  FakePeer& client = connect();
  advance(10s);
  for (std::size_t i = 0; i < 9; ++i) {
    client.send(kGet.substr(i, 1));
    settle();
    advance(100ms);
  }
  pass(client, 100ms);
  expect_reply(client, "408", "http_request_error", "limit=client.header_timeout 1s");
  EXPECT_TRUE(client.write_shut());
  expect_record("408", "http_request_error", "", "client.header_timeout");
}

TEST_F(LimitsTest, HeaderTimeoutOfALaterRequestRunsFromItsOwnFirstByte) {
  config.client.header_timeout = 1s;
  FakePeer& client = ask(kGet);
  FakePeer& upstream = open_upstream();
  advance(5s);
  answer(upstream, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
  advance(5s);
  client.take_written();
  client.send("G");
  settle();
  pass(client, 1s);
  expect_reply(client, "408", "http_request_error", "limit=client.header_timeout 1s");
}

TEST_F(LimitsTest, ClientBodyStallRunsAnewWithEachByteAndOnlyWhileWeWaitForOne) {
  config.client.body_stall = 1s;
  FakePeer& client = ask(kPost);
  advance(10s);  // no connection yet: nobody waits for the body
  FakePeer& upstream = open_upstream();
  for (const char c : std::string_view("0123")) {
    advance(900ms);
    client.send(std::string_view(&c, 1));
    settle();
  }
  upstream.set_room(0);
  client.send("4");
  settle();
  advance(10s);  // the upstream takes nothing: it is not the client that stalls
  upstream.set_room(FakePeer::kUnlimited);
  settle();
  pass(client, 1s);
  expect_reply(client, "408", "http_request_error", "phase=send limit=client.body_stall 1s");
  EXPECT_FALSE(upstream.open());
  expect_record("408", "http_request_error", "send", "client.body_stall");
}

TEST_F(LimitsTest, ClientWriteStallRunsAnewWithEachByteTaken) {
  config.client.write_stall = 1s;
  FakePeer& client = ask(kGet);
  client.set_room(0);
  FakePeer& upstream = open_upstream();
  advance(10s);  // nothing for the client yet
  answer(upstream, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello");
  for (int i = 0; i < 5; ++i) {
    advance(900ms);
    client.set_room(1);
    settle();
  }
  pass(client, 1s);
  EXPECT_FALSE(client.open());
  EXPECT_TRUE(client.aborted());
  expect_record("499", "client_write_timeout", "receive", "client.write_stall");
}

TEST_F(LimitsTest, ClientWriteStallEndsALocalReplyToo) {
  config.client.write_stall = 1s;
  FakePeer& client = ask(kGet);
  client.set_room(3);
  dialer.fail();
  settle();
  pass(client, 1s);
  EXPECT_TRUE(client.aborted());
  expect_record("499", "client_write_timeout", "receive", "client.write_stall");
}

TEST_F(LimitsTest, QueueEndsWhenADialStartsForTheRequest) {
  timeouts().queue = 1s;
  policy().pool.max_connections = 1;
  FakePeer& first = ask(kGet);
  FakePeer& second = ask(kGet);
  advance(999ms);
  first.send_eof();  // its dial is now for the second
  settle();
  advance(10s);
  expect_silence(second);
  open_upstream();
  advance(10s);
  expect_silence(second);
}

TEST_F(LimitsTest, QueueAnswers503AndTheClientMayTryAgain) {
  timeouts().queue = 1s;
  policy().pool.max_connections = 1;
  FakePeer& first = ask(kGet);
  FakePeer& upstream = open_upstream();
  FakePeer& second = ask(kGet);
  pass(second, 1s);
  EXPECT_NE(second.written().find("Retry-After: 1\r\n"), std::string::npos);
  expect_reply(second, "503", "connection_limit_reached", "phase=queue limit=timeouts.queue 1s");
  expect_record("503", "connection_limit_reached", "queue", "timeouts.queue");
  EXPECT_TRUE(second.open());
  answer(upstream, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
  EXPECT_TRUE(first.written().starts_with("HTTP/1.1 200 "));
  EXPECT_EQ(upstream.writes().size(), 1U) << "the request that gave up is never sent";
  second.send(kGet);
  settle();
  EXPECT_EQ(upstream.writes().size(), 2U);
}

TEST_F(LimitsTest, DialLimitsNameTheirKeyAndValue) {
  timeouts().tls_handshake = 1s;
  FakePeer& client = ask(kGet);
  dialer.enter_phase(Phase::kConnect);
  advance(5s);
  dialer.enter_phase(Phase::kTlsHandshake);
  advance(1s);
  expect_silence(client);
  dialer.fail({.code = ErrorCode::kConnectionTimeout,
               .phase = Phase::kTlsHandshake,
               .limit_key = "timeouts.tls_handshake",
               .detail = "too slow"});
  settle();
  expect_reply(client, "504", "connection_timeout",
               "phase=tls_handshake limit=timeouts.tls_handshake 1s");
  expect_record("504", "connection_timeout", "tls_handshake", "timeouts.tls_handshake");
  EXPECT_NE(records().find("\"connect_ms\":5000.000,\"tls_ms\":1000.000,\"total_ms\":6000.000"),
            std::string::npos)
      << records();
}

TEST_F(LimitsTest, WriteStallRunsAnewWithEachByteTheUpstreamTakes) {
  timeouts().write_stall = 1s;
  FakePeer& client = ask(join({kPost, "0123456789"}));
  FakePeer& upstream = dialer.complete();
  ASSERT_EQ(upstream.writes().size(), 1U);
  client.send(join({kPost, "0123456789"}));
  upstream.set_room(0);
  answer(upstream, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
  for (int i = 0; i < 5; ++i) {
    advance(900ms);
    upstream.set_room(1);
    settle();
  }
  client.take_written();
  pass(client, 1s);
  expect_reply(client, "504", "connection_write_timeout",
               "phase=send limit=timeouts.write_stall 1s");
  EXPECT_FALSE(upstream.open());
  expect_record("504", "connection_write_timeout", "send", "timeouts.write_stall", 1);
}

TEST_F(LimitsTest, WriteStallRestsWhileTheClientHasNothingForTheUpstream) {
  timeouts().write_stall = 1s;
  FakePeer& client = ask(kPost);
  open_upstream();
  advance(10s);
  expect_silence(client);
}

TEST_F(LimitsTest, ResponseHeaderRunsFromTheWholeRequestAndInterimOnesDoNotStopIt) {
  timeouts().response_header = 1s;
  FakePeer& client = ask(kPost);
  FakePeer& upstream = open_upstream();
  advance(10s);  // the request is not sent yet
  client.send("0123456789");
  settle();
  advance(900ms);
  answer(upstream, "HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 O");
  pass(client, 100ms);
  expect_reply(client, "504", "http_response_timeout",
               "phase=await_head limit=timeouts.response_header 1s");
  EXPECT_FALSE(upstream.open());
  expect_record("504", "http_response_timeout", "await_head", "timeouts.response_header");
  EXPECT_NE(records().find("\"close_reason\":\"timeout\""), std::string::npos);
}

TEST_F(LimitsTest, BodyStallRunsAnewWithEachByteAndRestsWhileTheClientIsSlow) {
  timeouts().body_stall = 1s;
  FakePeer& client = ask(kGet);
  FakePeer& upstream = open_upstream();
  advance(10s);  // no head yet
  answer(upstream, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n");
  for (int i = 0; i < 5; ++i) {
    advance(900ms);
    answer(upstream, "x");
  }
  client.set_room(0);
  answer(upstream, "y");
  advance(10s);  // it is the client that stalls
  client.set_room(FakePeer::kUnlimited);
  settle();
  pass(client, 1s);
  EXPECT_TRUE(client.aborted());
  EXPECT_FALSE(client.open());
  EXPECT_FALSE(upstream.open());
  expect_record("200", "connection_read_timeout", "receive", "timeouts.body_stall");
}

TEST_F(LimitsTest, TotalEndsARequestInWhateverPhaseItIs) {
  timeouts().total = 1s;
  policy().drain.size = 0;
  policy().pool.max_connections = 1;
  constexpr std::string_view kToken = "http_response_timeout";
  std::size_t line = 0;
  // while the dial is under way, for itself and for one behind it
  FakePeer& dialing = ask(kGet);
  dialer.enter_phase(Phase::kConnect);
  advance(500ms);
  FakePeer& queued = ask(kGet);
  pass(dialing, 500ms);
  expect_reply(dialing, "504", kToken, "phase=connect limit=timeouts.total 1s");
  expect_record("504", kToken, "connect", "timeouts.total", line++);
  dialer.enter_phase(Phase::kTlsHandshake);  // the dial is now for the one behind it
  pass(queued, 500ms - kTick);
  expect_reply(queued, "504", kToken, "phase=tls_handshake limit=timeouts.total 1s");
  expect_record("504", kToken, "tls_handshake", "timeouts.total", line++);
  // while its head is awaited: the dial that was left over serves it
  FakePeer& awaiting = ask(kGet);
  FakePeer& upstream = open_upstream();
  advance(900ms);
  answer(upstream, "HTTP/1.1 103 Early Hints\r\n\r\n");
  pass(awaiting, 100ms);
  expect_reply(awaiting, "504", kToken, "phase=await_head limit=timeouts.total 1s");
  expect_record("504", kToken, "await_head", "timeouts.total", line++);
  // while its request is sent
  FakePeer& sending = ask(kPost);
  open_upstream();
  pass(sending, 1s);
  expect_reply(sending, "504", kToken, "phase=send limit=timeouts.total 1s");
  expect_record("504", kToken, "send", "timeouts.total", line++);
  // while its response comes
  FakePeer& receiving = ask(kGet);
  FakePeer& slow = open_upstream();
  answer(slow, "HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n");
  for (int i = 0; i < 9; ++i) {
    advance(100ms);
    answer(slow, "x");
  }
  pass(receiving, 100ms);
  EXPECT_TRUE(receiving.aborted());
  expect_record("200", kToken, "receive", "timeouts.total", line++);
  // while the client takes it
  FakePeer& taking = ask(kGet);
  taking.set_room(0);
  FakePeer& done = open_upstream();
  answer(done, "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx");
  EXPECT_EQ(pool_state().idle, 1U);
  pass(taking, 1s);
  EXPECT_TRUE(taking.aborted());
  expect_record("200", kToken, "receive", "timeouts.total", line++);
}

TEST_F(LimitsTest, ALimitThatIsOffNeverFires) {
  config.client.header_timeout = config.client.body_stall = std::nullopt;
  timeouts() = {.queue = {},
                .resolve = {},
                .connect = {},
                .tls_handshake = {},
                .write_stall = {},
                .response_header = {},
                .body_stall = {},
                .exchange = {},
                .total = {}};
  FakePeer& heading = connect();
  heading.send("GET ");
  FakePeer& sending = ask(kPost);
  advance(48h);
  FakePeer& upstream = open_upstream();
  advance(48h);
  sending.send("0123456789");
  settle();
  advance(48h);
  answer(upstream, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nx");
  advance(48h);
  expect_silence(heading);
  expect_silence(sending);
  answer(upstream, "y");
  EXPECT_TRUE(sending.written().ends_with("xy"));
}

TEST_F(LimitsTest, TheClocksOfOneRequestAreNotThoseOfTheNext) {
  timeouts().total = 1s;
  timeouts().response_header = 1s;
  timeouts().body_stall = 1s;
  FakePeer& client = ask(kGet);
  FakePeer* upstream = &open_upstream();
  for (int i = 0; i < 10; ++i) {
    advance(700ms);
    answer(*upstream, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    ASSERT_TRUE(client.take_written().starts_with("HTTP/1.1 200 OK"));
    client.send(kGet);
    settle();
  }
  pass(client, 1s);
  expect_reply(client, "504", "http_response_timeout",
               "phase=await_head limit=timeouts.response_header 1s");
}

}  // namespace
}  // namespace penstock
