// A client that takes less than the upstream has for it.
#include "http/writer.h"
#include "unit/proxy/proxy_fixture.h"

namespace penstock {
namespace {

class BlockedClientTest : public ProxyTest {
 protected:
  // Sends `request` on a connection of its own, and answers it.
  struct Parties {
    FakePeer& client;
    FakePeer& upstream;
  };
  Parties open(std::string_view request) {
    FakePeer& client = ask(request);
    FakePeer& upstream = open_upstream();
    return {client, upstream};
  }
  Parties open() { return open("GET http://api.test/x HTTP/1.1\r\nHost: api.test\r\n\r\n"); }
  // Every later request opens a connection of its own again.
  static void part(const Parties& parties) {
    parties.client.send_eof();
    parties.upstream.send_eof();
  }
};

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

}  // namespace
}  // namespace penstock
