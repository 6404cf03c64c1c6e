// A client that takes less than the upstream has for it.
#include "http/writer.h"
#include "unit/proxy/proxy_fixture.h"

namespace penstock {
namespace {

class BlockedClientTest : public ProxyTest {};

std::string body_of(std::size_t bytes) {
  std::string body(bytes, '\0');
  for (std::size_t i = 0; i < bytes; ++i) body[i] = static_cast<char>('a' + i * 11 % 26);
  return body;
}

std::string with_length(const std::string& body) {
  return join({"HTTP/1.1 200 OK\r\nDate: d\r\nContent-Length: ", std::to_string(body.size()),
               "\r\n\r\n", body});
}

std::string in_chunks(const std::string& body) {
  std::string response = "HTTP/1.1 200 OK\r\nDate: d\r\nTransfer-Encoding: chunked\r\n\r\n";
  for (std::size_t at = 0, size = 1; at < body.size(); at += size, size = size * 3 + 1) {
    char line[18];
    const std::string piece = body.substr(at, size);
    response += join({format_chunk_line(piece.size(), line), piece, "\r\n"});
  }
  return response + "0\r\n\r\n";
}

// The content of the one response in `text`.
std::string content_of(std::string_view text) {
  ResponseParser parser{ParseLimits{}};
  parser.start(Method::kGet, {});
  ResponseHead head;
  std::string content;
  for (;;) {
    const ParseStep step = parser.next(text, head);
    content.append(step.body);
    text.remove_prefix(step.consumed);
    if (step.event == ParseEvent::kEnd) break;
    if (step.event == ParseEvent::kNeedMore || step.event == ParseEvent::kFault) {
      return "not a whole response";
    }
  }
  return text.empty() ? content : "bytes after the response";
}

TEST_F(BlockedClientTest, AClientThatTakesNothingStopsTheUpstream) {
  const std::string body = body_of(1024 * 1024);
  for (const std::string& response : {with_length(body), in_chunks(body)}) {
    const Parties parties = open();
    parties.client.set_room(0);
    answer(parties.upstream, response);
    EXPECT_TRUE(parties.upstream.paused());
    EXPECT_GT(parties.upstream.unread_bytes(), body.size() - 256 * 1024);
    parties.client.set_room(FakePeer::kUnlimited);
    settle();
    EXPECT_EQ(content_of(parties.client.written()), body);
    EXPECT_TRUE(parties.upstream.open()) << "kept for the next request";
    EXPECT_FALSE(parties.upstream.paused());
    part(parties);
    settle();
  }
}

TEST_F(BlockedClientTest, AClientMayTakeSingleBytes) {
  const std::string body = body_of(40 * 1024);
  for (const std::string& response : {with_length(body), in_chunks(body)}) {
    const Parties parties = open();
    parties.client.set_room(0);
    parties.upstream.send(response);
    for (std::size_t turns = 0; turns < response.size() + 2000; ++turns) {
      parties.client.set_room(1);
      settle();
    }
    EXPECT_EQ(content_of(parties.client.written()), body);
    part(parties);
    settle();
  }
}

TEST_F(BlockedClientTest, AConnectionIsBackBeforeTheClientHasTheLastByte) {
  for (const std::string& response : {with_length(body_of(2)), with_length(body_of(4 * 1024)),
                                      with_length(body_of(16 * 1024)), in_chunks(body_of(2))}) {
    const Parties parties = open();
    parties.client.set_room(0);
    answer(parties.upstream, response);
    EXPECT_EQ(pool_state().idle, 1U) << response.size();
    parties.client.set_room(FakePeer::kUnlimited);
    settle();
    EXPECT_EQ(content_of(parties.client.written()), content_of(response));
    part(parties);
    settle();
  }
}

TEST_F(BlockedClientTest, WhatTlsHoldsWhileTheClientIsBlockedIsReadWhenItGoesOn) {
  const std::string body = body_of(200 * 1024);
  const Parties parties = open();
  parties.client.set_room(0);
  parties.upstream.read_at_most(16 * 1024);
  parties.upstream.send(with_length(body));
  settle();
  ASSERT_TRUE(parties.upstream.paused());
  parties.upstream.take_from_kernel(parties.upstream.unread_bytes());
  parties.client.set_room(FakePeer::kUnlimited);
  settle();
  EXPECT_EQ(content_of(parties.client.written()), body);
}

// The bytes fill the first read, so that it is not the last.
TEST_F(BlockedClientTest, AnEndBehindWhatTheClientHasYetToTakeIsRememberedAsItWas) {
  std::string response = "HTTP/1.1 200 OK\r\nDate: d\r\n\r\n";
  response.resize(BlockPool::kBlockBytes, 'x');
  for (const bool reset : {false, true}) {
    const Parties parties = open();
    parties.client.set_room(100);
    parties.upstream.send(response);
    reset ? parties.upstream.fail_reads() : parties.upstream.send_eof();
    settle();
    ASSERT_TRUE(parties.client.write_blocked());
    parties.upstream.send_eof();  // a socket tells of its reset once
    parties.client.set_room(FakePeer::kUnlimited);
    settle();
    EXPECT_EQ(parties.client.aborted(), reset);
    EXPECT_EQ(parties.client.written().ends_with("x\r\n0\r\n\r\n"), !reset);
    EXPECT_FALSE(parties.upstream.open());
    part(parties);
    settle();
  }
}

TEST_F(BlockedClientTest, AnEndThatComesWhileTheClientIsBlockedIsSeenAfterwards) {
  const Parties parties = open();
  answer(parties.upstream, "HTTP/1.1 200 OK\r\nDate: d\r\n\r\n");
  parties.client.take_written();
  parties.client.set_room(0);
  answer(parties.upstream, "abc");
  parties.upstream.send_eof();
  settle();
  EXPECT_TRUE(parties.upstream.open());
  parties.client.set_room(FakePeer::kUnlimited);
  settle();
  EXPECT_EQ(parties.client.take_written(), "3\r\nabc\r\n0\r\n\r\n");
  EXPECT_FALSE(parties.upstream.open());
}

TEST_F(BlockedClientTest, ALocalReplyWaitsForRoomToo) {
  FakePeer& client = get();
  client.set_room(0);
  dialer.fail();
  settle();
  EXPECT_EQ(client.written(), "");
  for (int bytes = 0; bytes < 2000; ++bytes) {
    client.set_room(1);
    settle();
  }
  EXPECT_TRUE(client.written().starts_with("HTTP/1.1 502 Bad Gateway\r\n"));
  EXPECT_TRUE(client.written().ends_with("request id: 0000000000000001\n"));
  client.set_room(FakePeer::kUnlimited);
  client.take_written();
  client.send("GET http://api.test/y HTTP/1.1\r\nHost: api.test\r\n\r\n");
  settle();
  EXPECT_EQ(dialer.in_flight(), 1U) << "the connection serves the next request";
}

// The answer that it does not take yet is the only one: what it sends meanwhile is not looked at.
TEST_F(BlockedClientTest, RefusedHeadThatComesToItsEndIsNotServedAfterAll) {
  FakePeer& client = connect();
  client.send("GET http://api.test/x HTTP/1.1\r\nHo");
  settle();
  client.set_room(0);
  advance(11s);  // client.header_timeout
  client.send("st: api.test\r\n\r\n");
  settle();
  EXPECT_EQ(dialer.started(), 0U);
  client.set_room(FakePeer::kUnlimited);
  settle();
  EXPECT_TRUE(client.written().starts_with("HTTP/1.1 408 "));
  EXPECT_EQ(client.written().find("HTTP/1.1", 1), std::string::npos) << "one answer";
}

TEST_F(BlockedClientTest, MalformedHeadIsRefusedOnce) {
  FakePeer& client = connect();
  client.set_room(0);
  client.send("GET / HTTP/1.1\r\nBad field: x\r\n\r\n");
  settle();
  client.send("more");
  settle();
  client.set_room(FakePeer::kUnlimited);
  settle();
  EXPECT_TRUE(client.written().starts_with("HTTP/1.1 400 "));
  EXPECT_EQ(client.written().find("HTTP/1.1", 1), std::string::npos) << "one answer";
}

TEST_F(BlockedClientTest, HugeHeadsWithHugeBodiesFitWhatTheClientLeaves) {
  policy().max_response_header_size = 512 * 1024;
  const std::string body = body_of(600 * 1024);
  const Parties parties = open();
  parties.client.set_room(0);
  answer(parties.upstream,
         join({"HTTP/1.1 200 OK\r\nDate: d\r\nX: ", std::string(300 * 1024, 'x'),
               "\r\nContent-Length: ", std::to_string(body.size()), "\r\n\r\n", body}));
  parties.client.set_room(FakePeer::kUnlimited);
  settle();
  EXPECT_TRUE(parties.client.written().ends_with(body));
}

// The head and a chunk had been read with what was wrong behind them.
TEST_F(BlockedClientTest, NothingOfAResponseStandsBehindTheErrorInItsPlace) {
  const Parties parties = open();
  parties.client.set_room(10);
  answer(parties.upstream,
         "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nHELLO\r\nZZ\r\nbad");
  parties.client.set_room(FakePeer::kUnlimited);
  settle();
  EXPECT_TRUE(parties.client.written().starts_with("HTTP/1.1 502 "));
  EXPECT_EQ(parties.client.written().find("HELLO"), std::string::npos);
}

// The rest of its body is of no use to anybody once there is an answer.
TEST_F(BlockedClientTest, AnAnswerIsNotCutForAnUploadThatStops) {
  config.client.body_stall = 2s;
  config.client.write_stall = 30s;
  timeouts().write_stall = 2s;
  const std::string post =
      "POST http://api.test/x HTTP/1.1\r\nHost: api.test\r\nContent-Length: 100000\r\n\r\n";
  for (const bool upstream_reads : {true, false}) {
    SCOPED_TRACE(upstream_reads);
    const Parties parties = open(post);
    if (!upstream_reads) parties.upstream.set_room(10);
    parties.client.send("0123456789 0123456789");
    settle();
    answer(parties.upstream, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nok");
    advance(5s);
    parties.client.set_room(10);
    answer(parties.upstream, "ok");
    advance(5s);
    parties.client.set_room(FakePeer::kUnlimited);
    settle();
    EXPECT_TRUE(parties.client.written().ends_with("\r\n\r\nokok")) << parties.client.written();
    part(parties);
    settle();
  }
}

}  // namespace
}  // namespace penstock
