// The request's way to the upstream, byte for byte.
#include "http/writer.h"
#include "unit/proxy/proxy_fixture.h"

namespace penstock {
namespace {

class RequestTest : public ProxyTest {
 protected:
  // What the upstream gets when the client sends `request`.
  std::string forwarded(std::string_view request) {
    ask(request);
    return open_upstream().take_written();
  }
};

constexpr std::string_view kPostHead =
    "POST http://api.test/up HTTP/1.1\r\nHost: api.test\r\nContent-Length: 10\r\n\r\n";
constexpr std::string_view kPostSent =
    "POST /up HTTP/1.1\r\nHost: api.test\r\nContent-Length: 10\r\n"
    "Via: 1.1 penstock-0badcafe\r\n\r\n0123456789";

TEST_F(RequestTest, WritesTheHeadAnew) {
  EXPECT_EQ(
      forwarded("GET http://api.test/a?b HTTP/1.1\r\n"
                "Host: other.test\r\n"
                "accept:  x \r\n"
                "Connection: X-Hop, keep-alive\r\n"
                "X-Hop: 1\r\n"
                "Proxy-Connection: keep-alive\r\n"
                "Proxy: http://evil\r\n"
                "Accept: y\r\n\r\n"),
      join({"GET /a?b HTTP/1.1\r\nHost: api.test\r\naccept: x\r\nAccept: y\r\n", kVia, "\r\n"}));
}

TEST_F(RequestTest, SpeaksItsOwnVersionFor10Clients) {
  EXPECT_EQ(forwarded("GET http://api.test HTTP/1.0\r\n\r\n"),
            "GET / HTTP/1.1\r\nHost: api.test\r\nVia: 1.0 penstock-0badcafe\r\n\r\n");
}

TEST_F(RequestTest, LeavesViaOutWhereItIsOff) {
  policy().via = false;
  EXPECT_EQ(forwarded("GET http://api.test/ HTTP/1.1\r\nHost: x\r\n\r\n"),
            "GET / HTTP/1.1\r\nHost: api.test\r\n\r\n");
}

TEST_F(RequestTest, AsksForACloseWhereNothingIsReused) {
  policy().pool.reuse = false;
  EXPECT_EQ(forwarded("GET http://api.test/ HTTP/1.1\r\nHost: x\r\n\r\n"),
            join({"GET / HTTP/1.1\r\nHost: api.test\r\n", kClose, kVia, "\r\n"}));
}

TEST_F(RequestTest, HeadAndSmallBodyLeaveInOneWrite) {
  ask(join({kPostHead, "0123456789"}));
  FakePeer& upstream = open_upstream();
  EXPECT_EQ(upstream.writes(), std::vector<std::string>{std::string(kPostSent)});
}

TEST_F(RequestTest, ARequestSplitAtEveryByteIsTheSameRequest) {
  const std::string whole = join({kPostHead, "0123456789"});
  for (std::size_t split = 1; split < whole.size(); ++split) {
    SCOPED_TRACE(split);
    FakePeer& client = connect();
    client.send(whole.substr(0, split));
    settle();
    FakePeer* upstream = dialer.in_flight() == 1 ? &dialer.complete() : nullptr;
    settle();
    client.send(whole.substr(split));
    settle();
    if (upstream == nullptr) upstream = &open_upstream();
    ASSERT_EQ(upstream->take_written(), kPostSent);
    client.send_eof();
    settle();
  }
}

TEST_F(RequestTest, ARequestInSingleBytesIsTheSameRequest) {
  FakePeer& client = connect();
  for (const char c : join({"\r\n", kPostHead, "0123456789"})) {
    client.send(std::string_view(&c, 1));
    settle();
    if (dialer.in_flight() == 1) dialer.complete();
  }
  settle();
  EXPECT_EQ(dialer.peer(0).written(), kPostSent);
}

TEST_F(RequestTest, ChunksAreFramedAnewWithTheirTrailers) {
  ask("PUT http://api.test/ HTTP/1.1\r\nHost: api.test\r\nTransfer-Encoding: chunked\r\n"
      "Trailer: X-Sum\r\n\r\n"
      "003;ext=1\r\nabc\r\n0\r\nX-Sum: 1\r\nContent-Length: 9\r\n\r\n");
  EXPECT_EQ(open_upstream().take_written(),
            join({"PUT / HTTP/1.1\r\nHost: api.test\r\nTrailer: X-Sum\r\n"
                  "Transfer-Encoding: chunked\r\n",
                  kVia, "\r\n3\r\nabc\r\n0\r\nX-Sum: 1\r\n\r\n"}));
}

TEST_F(RequestTest, ChunksAreSentAsTheyCome) {
  FakePeer& client =
      ask("PUT http://api.test/ HTTP/1.1\r\nHost: api.test\r\nTransfer-Encoding: chunked\r\n\r\n");
  FakePeer& upstream = open_upstream();
  upstream.take_written();
  client.send("3\r\nabc\r\n");
  settle();
  EXPECT_EQ(upstream.take_written(), "3\r\nabc\r\n");
  client.send("0\r\n\r\n");
  settle();
  EXPECT_EQ(upstream.take_written(), "0\r\n\r\n");
}

TEST_F(RequestTest, A100IsSentOnlyOnceThereIsAConnection) {
  timeouts().expect_continue = Duration::zero();
  FakePeer& client =
      ask("POST http://api.test/ HTTP/1.1\r\nHost: api.test\r\nContent-Length: 3\r\n"
          "Expect: 100-continue\r\n\r\n");
  EXPECT_EQ(client.take_written(), "");
  FakePeer& upstream = open_upstream();
  EXPECT_EQ(client.take_written(), "HTTP/1.1 100 Continue\r\n\r\n");
  client.send("abc");
  settle();
  EXPECT_EQ(upstream.take_written(), join({"POST / HTTP/1.1\r\nHost: api.test\r\n"
                                           "Content-Length: 3\r\n",
                                           kVia, "\r\nabc"}));
  answer(upstream, "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\nDate: d\r\n\r\n");
  EXPECT_EQ(client.take_written(),
            join({"HTTP/1.1 204 No Content\r\nDate: d\r\n", kKeepAlive, kVia, "\r\n"}));
}

TEST_F(RequestTest, ABodyThatIsHereAlreadyNeedsNo100) {
  FakePeer& client =
      ask("POST http://api.test/ HTTP/1.1\r\nHost: api.test\r\nContent-Length: 3\r\n"
          "Expect: 100-continue\r\n\r\nabc");
  open_upstream();
  EXPECT_EQ(client.written(), "");
}

TEST_F(RequestTest, A100WaitsForRoomAtTheClient) {
  timeouts().expect_continue = Duration::zero();
  // The response before leaves little room in what the session keeps for its client.
  FakePeer& client = get();
  FakePeer& upstream = open_upstream();
  answer(upstream, "HTTP/1.1 200 OK\r\nDate: d\r\nTransfer-Encoding: chunked\r\n\r\n");
  answer(upstream, join({"2000\r\n", std::string(0x2000, 'x'), "\r\n"}));
  answer(upstream, "0\r\n\r\n");
  client.take_written();
  client.set_room(0);
  client.send(
      "POST http://api.test/ HTTP/1.1\r\nHost: api.test\r\nContent-Length: 3\r\n"
      "Expect: 100-continue\r\n\r\n");
  settle();
  client.set_room(FakePeer::kUnlimited);
  settle();
  EXPECT_EQ(client.take_written(), "HTTP/1.1 100 Continue\r\n\r\n");
  client.send("abc");
  settle();
  upstream.take_written();
  answer(upstream, "HTTP/1.1 200 OK\r\nDate: d\r\nContent-Length: 2\r\n\r\nok");
  EXPECT_EQ(client.take_written(), join({"HTTP/1.1 200 OK\r\nDate: d\r\nContent-Length: 2\r\n",
                                         kKeepAlive, kVia, "\r\nok"}));
}

TEST_F(RequestTest, AMalformedBodyIsRefusedAndItsUploadCut) {
  FakePeer& client =
      ask("PUT http://api.test/ HTTP/1.1\r\nHost: api.test\r\nTransfer-Encoding: chunked\r\n\r\n");
  FakePeer& upstream = open_upstream();
  client.send("3\r\nabcX\r\nGET http://api.test/smuggled HTTP/1.1\r\nHost: api.test\r\n\r\n");
  settle();
  EXPECT_TRUE(client.take_written().starts_with("HTTP/1.1 400 Bad Request\r\n"));
  EXPECT_TRUE(client.write_shut());
  EXPECT_FALSE(upstream.open());
  EXPECT_EQ(upstream.written().find("smuggled"), std::string::npos);
  EXPECT_EQ(upstream.written().find("0\r\n\r\n"), std::string::npos);
}

// A body of `bytes`, each unlike its neighbours.
std::string body_of(std::size_t bytes) {
  std::string body(bytes, '\0');
  for (std::size_t i = 0; i < bytes; ++i) body[i] = static_cast<char>('a' + i * 7 % 26);
  return body;
}

std::string upload(std::string_view body) {
  return join({"POST http://api.test/ HTTP/1.1\r\nHost: api.test\r\nContent-Length: ",
               std::to_string(body.size()), "\r\n\r\n", body});
}

std::string body_sent(const std::string& written) {
  return written.substr(written.find("\r\n\r\n") + 4);
}

class BlockedUpstreamTest : public RequestTest, public testing::WithParamInterface<Limit> {
 protected:
  BlockedUpstreamTest() { timeouts().write_stall = GetParam(); }
};
INSTANTIATE_TEST_SUITE_P(WriteStall, BlockedUpstreamTest,
                         testing::Values(Limit(30s), Limit(std::nullopt)));

TEST_P(BlockedUpstreamTest, StopsTheClientAndGrowsNoMemory) {
  const std::string body = body_of(1024 * 1024);
  FakePeer& client = ask(upload(body));
  ASSERT_EQ(dialer.in_flight(), 1U);
  FakePeer& upstream = dialer.complete();
  upstream.set_room(0);
  settle();
  EXPECT_TRUE(client.paused());
  // One input buffer and one output buffer, both of 64 KiB and a little.
  EXPECT_GT(client.unread_bytes(), body.size() - 256 * 1024);
  upstream.set_room(FakePeer::kUnlimited);
  settle();
  EXPECT_EQ(body_sent(upstream.written()), body);
}

TEST_P(BlockedUpstreamTest, MayTakeSingleBytes) {
  const std::string body = body_of(70 * 1024);
  ask(upload(body));
  ASSERT_EQ(dialer.in_flight(), 1U);
  FakePeer& upstream = dialer.complete();
  upstream.set_room(0);
  for (std::size_t bytes = 0; bytes < body.size() + 1000; ++bytes) {
    upstream.set_room(1);
    settle();
  }
  EXPECT_EQ(body_sent(upstream.written()), body);
}

TEST_P(BlockedUpstreamTest, GetsChunksWholeWhateverItTakesAtOnce) {
  FakePeer& client =
      ask("PUT http://api.test/ HTTP/1.1\r\nHost: api.test\r\nTransfer-Encoding: chunked\r\n\r\n");
  ASSERT_EQ(dialer.in_flight(), 1U);
  FakePeer& upstream = dialer.complete();
  upstream.set_room(0);
  std::string sent;
  for (std::size_t size : {1U, 5000U, 20000U, 70000U}) {
    char line[18];
    sent += join({format_chunk_line(size, line), body_of(size), "\r\n"});
  }
  client.send(sent + "0\r\n\r\n");
  std::string got;
  for (int turns = 0; turns < 200; ++turns) {
    upstream.set_room(997);
    settle();
  }
  // Chunks may be cut anew: what counts is what a reader of the whole gets.
  RequestParser parser{ParseLimits{}};
  RequestHead head;
  std::string_view rest = upstream.written();
  std::string content;
  for (;;) {
    const ParseStep step = parser.next(rest, head);
    content.append(step.body);
    rest.remove_prefix(step.consumed);
    ASSERT_NE(step.event, ParseEvent::kFault);
    ASSERT_NE(step.event, ParseEvent::kNeedMore);
    if (step.event == ParseEvent::kEnd) break;
  }
  EXPECT_EQ(content, join({body_of(1), body_of(5000), body_of(20000), body_of(70000)}));
  EXPECT_EQ(rest, "");
}

TEST_F(RequestTest, ABodyWaitsInTheInputForAConnectionAlsoWhenAReloadMakesThatSmaller) {
  config.client.max_header_size = 1024 * 1024;
  policy().pool.max_connections = 1;
  ask("GET http://api.test/ HTTP/1.1\r\nHost: api.test\r\n\r\n");
  FakePeer& upstream = open_upstream();
  const std::string body = body_of(1024 * 1024);
  ask(upload(body));
  config.client.max_header_size = 4096;
  reload();
  upstream.take_written();
  upstream.set_room(0);
  answer(upstream, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
  EXPECT_TRUE(upstream.write_blocked());
  upstream.set_room(FakePeer::kUnlimited);
  settle();
  EXPECT_EQ(body_sent(upstream.written()), body);
}

// What the table of http.md says of malformed heads; the parser's own tests have the rest.
TEST_F(RequestTest, AHeadThatCannotBeReadIsAnsweredOnceThenTheConnectionEnds) {
  const std::pair<std::string_view, std::string_view> cases[] = {
      {"GET http://api.test/ HTTP/1.1\r\n\r\n", "HTTP/1.1 400 "},
      {"GET http://api.test/ HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n"
       "Transfer-Encoding: chunked\r\n\r\n",
       "HTTP/1.1 400 "},
      {"BREW http://api.test/ HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 501 "},
      {"GET http://api.test/ HTTP/2.0\r\nHost: a\r\n\r\n", "HTTP/1.1 505 "},
      {"GET /x HTTP/1.1\r\nHost: elsewhere.test\r\n\r\n", "HTTP/1.1 421 "},
  };
  for (const auto& [request, status] : cases) {
    FakePeer& client =
        ask(join({request, "GET http://api.test/ HTTP/1.1\r\nHost: api.test\r\n\r\n"}));
    EXPECT_TRUE(client.written().starts_with(status)) << request << client.written();
    EXPECT_EQ(client.written().find("\nHTTP/1.1 "), std::string::npos) << client.written();
    EXPECT_NE(client.written().find(kClose), std::string::npos);
    EXPECT_TRUE(client.write_shut());
    EXPECT_EQ(dialer.in_flight(), 0U);
  }
}

TEST_F(RequestTest, AHeadOverItsLimitIs431AndNamesTheKey) {
  config.client.max_header_size = 1024;
  config.client.max_header_fields = 10;
  start();
  const std::string big =
      join({"GET http://api.test/ HTTP/1.1\r\nHost: api.test\r\nX: ", std::string(2000, 'x'),
            "\r\n\r\n"});
  std::string many = "GET http://api.test/ HTTP/1.1\r\nHost: api.test\r\n";
  for (int i = 0; i < 10; ++i) many += "X: y\r\n";
  const FakePeer& too_big = ask(big);
  EXPECT_TRUE(too_big.written().starts_with("HTTP/1.1 431 ")) << too_big.written();
  EXPECT_NE(too_big.written().find("client.max_header_size"), std::string::npos);
  const FakePeer& too_many = ask(many + "\r\n");
  EXPECT_TRUE(too_many.written().starts_with("HTTP/1.1 431 ")) << too_many.written();
  EXPECT_NE(too_many.written().find("client.max_header_fields"), std::string::npos);
}

TEST_F(RequestTest, ALocalReplyToHeadHasNoBody) {
  FakePeer& client = ask("HEAD http://unknown.test/ HTTP/1.1\r\nHost: unknown.test\r\n\r\n");
  EXPECT_TRUE(client.written().starts_with("HTTP/1.1 403 Forbidden\r\n"));
  EXPECT_TRUE(client.written().ends_with("\r\n\r\n"));
  EXPECT_EQ(client.written().find("penstock: "), std::string::npos);
}

TEST_F(RequestTest, AnotherProtocolIsCutWithoutAnHttpAnswer) {
  for (const std::string_view greeting : {"\x16\x03\x01", "\x05\x01\x00"}) {
    FakePeer& client = ask(greeting);
    EXPECT_EQ(client.written(), "");
    EXPECT_FALSE(client.open());
  }
}

}  // namespace
}  // namespace penstock
