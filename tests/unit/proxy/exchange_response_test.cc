// The response's way to the client, byte for byte.
#include "http/writer.h"
#include "unit/proxy/proxy_fixture.h"

namespace penstock {
namespace {

class ResponseTest : public ProxyTest {};

struct Relayed {
  std::string_view name;
  std::string_view request_line;
  std::string_view response;
  bool eof;  // the upstream ends the connection after it
  std::string relayed;
  bool client_kept;
  bool upstream_kept;
};

std::vector<Relayed> relayed_cases() {
  constexpr std::string_view kGet = "GET http://api.test/x HTTP/1.1";
  constexpr std::string_view kGet10 = "GET http://api.test/x HTTP/1.0";
  constexpr std::string_view kHead = "HEAD http://api.test/x HTTP/1.1";
  return {
      {"length", kGet, "HTTP/1.1 200 OK\r\nDate: d\r\nContent-Length: 5\r\n\r\nhello", false,
       join({"HTTP/1.1 200 OK\r\nDate: d\r\nContent-Length: 5\r\n", kKeepAlive, kVia, "\r\nhello"}),
       true, true},
      {"fields", kGet,
       "HTTP/1.1 299 Fine Indeed\r\nDate: d\r\nset-cookie: a\r\nSet-Cookie: b\r\n"
       "Connection: X-Hop\r\nX-Hop: 1\r\nKeep-Alive: timeout=5\r\nContent-Length: 0\r\n\r\n",
       false,
       join({"HTTP/1.1 299 Fine Indeed\r\nDate: d\r\nset-cookie: a\r\nSet-Cookie: b\r\n"
             "Content-Length: 0\r\n",
             kKeepAlive, kVia, "\r\n"}),
       true, true},
      {"no date", kGet, "HTTP/1.1 200 \r\nContent-Length: 0\r\n\r\n", false,
       join({"HTTP/1.1 200 \r\nContent-Length: 0\r\n", kKeepAlive,
             "Date: Fri, 04 Oct 2024 00:00:00 GMT\r\n", kVia, "\r\n"}),
       true, true},
      {"chunked", kGet,
       "HTTP/1.1 200 OK\r\nDate: d\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n"
       "0\r\nX-Sum: 1\r\nTransfer-Encoding: gzip\r\n\r\n",
       false,
       join({"HTTP/1.1 200 OK\r\nDate: d\r\nTransfer-Encoding: chunked\r\n", kKeepAlive, kVia,
             "\r\n3\r\nabc\r\n0\r\nX-Sum: 1\r\n\r\n"}),
       true, true},
      {"chunked to a 1.0 client", kGet10,
       "HTTP/1.1 200 OK\r\nDate: d\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX: 1"
       "\r\n\r\n",
       false, join({"HTTP/1.1 200 OK\r\nDate: d\r\n", kClose, kVia, "\r\nabc"}), false, true},
      {"close-delimited", kGet, "HTTP/1.1 200 OK\r\nDate: d\r\n\r\nabc", true,
       join({"HTTP/1.1 200 OK\r\nDate: d\r\nTransfer-Encoding: chunked\r\n", kKeepAlive, kVia,
             "\r\n3\r\nabc\r\n0\r\n\r\n"}),
       true, false},
      {"close-delimited to a 1.0 client", kGet10, "HTTP/1.1 200 OK\r\nDate: d\r\n\r\nabc", true,
       join({"HTTP/1.1 200 OK\r\nDate: d\r\n", kClose, kVia, "\r\nabc"}), false, false},
      {"1.0 upstream", kGet,
       "HTTP/1.0 200 OK\r\nDate: d\r\nContent-Length: 2\r\nConnection: keep-alive\r\n\r\nok", false,
       join({"HTTP/1.1 200 OK\r\nDate: d\r\nContent-Length: 2\r\n", kKeepAlive,
             "Via: 1.0 penstock-0badcafe\r\n\r\nok"}),
       true, false},
      {"upstream closes", kGet,
       "HTTP/1.1 200 OK\r\nDate: d\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok", false,
       join({"HTTP/1.1 200 OK\r\nDate: d\r\nContent-Length: 2\r\n", kKeepAlive, kVia, "\r\nok"}),
       true, false},
      {"surplus", kGet, "HTTP/1.1 200 OK\r\nDate: d\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 X",
       false,
       join({"HTTP/1.1 200 OK\r\nDate: d\r\nContent-Length: 2\r\n", kKeepAlive, kVia, "\r\nok"}),
       true, false},
      {"HEAD", kHead, "HTTP/1.1 200 OK\r\nDate: d\r\nContent-Length: 5\r\n\r\n", false,
       join({"HTTP/1.1 200 OK\r\nDate: d\r\nContent-Length: 5\r\n", kKeepAlive, kVia, "\r\n"}),
       true, true},
      {"HEAD with a body", kHead, "HTTP/1.1 200 OK\r\nDate: d\r\nContent-Length: 5\r\n\r\nhello",
       false,
       join({"HTTP/1.1 200 OK\r\nDate: d\r\nContent-Length: 5\r\n", kKeepAlive, kVia, "\r\n"}),
       true, false},
      {"HEAD of chunks", kHead, "HTTP/1.1 200 OK\r\nDate: d\r\nTransfer-Encoding: chunked\r\n\r\n",
       false, join({"HTTP/1.1 200 OK\r\nDate: d\r\n", kKeepAlive, kVia, "\r\n"}), true, true},
      {"204", kGet, "HTTP/1.1 204 No Content\r\nDate: d\r\nContent-Length: 5\r\n\r\n", false,
       join({"HTTP/1.1 204 No Content\r\nDate: d\r\n", kKeepAlive, kVia, "\r\n"}), true, true},
      {"304", kGet, "HTTP/1.1 304 Not Modified\r\nDate: d\r\nContent-Length: 5\r\n\r\n", false,
       join({"HTTP/1.1 304 Not Modified\r\nDate: d\r\nContent-Length: 5\r\n", kKeepAlive, kVia,
             "\r\n"}),
       true, true},
      {"interim", kGet,
       "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
       "HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 200 OK\r\nDate: d\r\nContent-Length: 0\r\n\r\n",
       false,
       join({"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n", kVia, "\r\nHTTP/1.1 102 Processing\r\n",
             kVia, "\r\nHTTP/1.1 200 OK\r\nDate: d\r\nContent-Length: 0\r\n", kKeepAlive, kVia,
             "\r\n"}),
       true, true},
      {"interim to a 1.0 client", kGet10,
       "HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nDate: d\r\nContent-Length: 0\r\n\r\n",
       false, join({"HTTP/1.1 200 OK\r\nDate: d\r\nContent-Length: 0\r\n", kClose, kVia, "\r\n"}),
       false, true},
  };
}

TEST_F(ResponseTest, IsWrittenAnewAndLeavesTheConnectionsAsItShould) {
  keep_records();
  for (const Relayed& want : relayed_cases()) {
    SCOPED_TRACE(want.name);
    const Parties parties = open(join({want.request_line, "\r\nHost: api.test\r\n\r\n"}));
    parties.upstream.send(want.response);
    if (want.eof) parties.upstream.send_eof();
    settle();
    EXPECT_EQ(parties.client.take_written(), want.relayed);
    EXPECT_EQ(parties.client.write_shut(), !want.client_kept);
    EXPECT_FALSE(parties.client.aborted());
    EXPECT_EQ(parties.upstream.open(), want.upstream_kept);
    part(parties);
    settle();
    EXPECT_FALSE(parties.upstream.open());
  }
}

TEST_F(ResponseTest, ReceivedInSingleBytesIsTheSameResponse) {
  for (const Relayed& want : relayed_cases()) {
    if (want.name == "surplus" || want.name == "HEAD with a body") continue;
    SCOPED_TRACE(want.name);
    const Parties parties = open(join({want.request_line, "\r\nHost: api.test\r\n\r\n"}));
    parties.upstream.read_at_most(1);
    parties.upstream.send(want.response);
    if (want.eof) parties.upstream.send_eof();
    settle();
    std::string relayed = parties.client.take_written();
    if (want.name == "chunked") {
      EXPECT_TRUE(relayed.ends_with("\r\n1\r\na\r\n1\r\nb\r\n1\r\nc\r\n0\r\nX-Sum: 1\r\n\r\n"));
    } else if (want.name == "close-delimited") {
      EXPECT_TRUE(relayed.ends_with("\r\n1\r\na\r\n1\r\nb\r\n1\r\nc\r\n0\r\n\r\n"));
    } else {
      EXPECT_EQ(relayed, want.relayed);
    }
    EXPECT_EQ(parties.upstream.open(), want.upstream_kept);
    part(parties);
    settle();
  }
}

// Chunks may be cut anew, what ends a response may not.
std::string content_end(std::string_view relayed) {
  return std::string(relayed.substr(relayed.size() - std::min<std::size_t>(relayed.size(), 7)));
}

TEST_F(ResponseTest, HeldInTlsIsReadWithoutAnotherEvent) {
  for (const Relayed& want : relayed_cases()) {
    // Only a length or the last chunk ends these within what TLS holds.
    if (want.eof || !want.upstream_kept) continue;
    SCOPED_TRACE(want.name);
    const Parties parties = open(join({want.request_line, "\r\nHost: api.test\r\n\r\n"}));
    parties.upstream.read_at_most(7);
    parties.upstream.send(want.response);
    parties.upstream.take_from_kernel(want.response.size() - 1);  // the last byte is announced
    parties.upstream.turn();
    EXPECT_LE(parties.upstream.unread_bytes(), 1U);
    settle();
    EXPECT_EQ(content_end(parties.client.written()), content_end(want.relayed));
    part(parties);
    settle();
  }
}

TEST_F(ResponseTest, WhatHasComeGoesOnInOneWrite) {
  std::string response = "HTTP/1.1 200 OK\r\nDate: d\r\nContent-Length: 65536\r\n\r\n";
  response.append(65536, 'x');
  for (const std::size_t record : {9999, 16384}) {
    const Parties parties = open();
    parties.upstream.read_at_most(record);
    parties.upstream.send(response);
    parties.upstream.take_from_kernel(response.size() - 1);
    parties.upstream.turn();
    EXPECT_EQ(parties.client.writes().size(), 1U);
    EXPECT_TRUE(parties.client.written().ends_with(std::string(65536, 'x')));
    part(parties);
    settle();
  }
}

TEST_F(ResponseTest, BehindWhichTheEndIsReadLeavesNoConnectionToUse) {
  std::string response = "HTTP/1.1 200 OK\r\nDate: d\r\nContent-Length: ";
  const std::size_t length = BlockPool::kBlockBytes - (response + "16000\r\n\r\n").size();
  response += std::to_string(length) + "\r\n\r\n" + std::string(length, 'x');
  ASSERT_EQ(response.size(), BlockPool::kBlockBytes) << "the first read takes it all";
  const Parties parties = open();
  parties.upstream.send(response);
  parties.upstream.send_eof();
  parties.upstream.turn();
  EXPECT_TRUE(parties.client.written().ends_with(std::string(length, 'x')));
  EXPECT_EQ(pool_state().idle, 0U);
  settle();
  EXPECT_FALSE(parties.upstream.open());
}

TEST_F(ResponseTest, SplitAtEveryByteAndCutThereNeverLooksWhole) {
  const std::string_view responses[] = {
      "HTTP/1.1 200 OK\r\nDate: d\r\nContent-Length: 5\r\n\r\nhello",
      "HTTP/1.1 200 OK\r\nDate: d\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX: y\r\n"
      "\r\n",
  };
  for (const std::string_view response : responses) {
    const std::size_t head = response.find("\r\n\r\n") + 4;
    for (const bool reset : {false, true}) {
      for (std::size_t cut = 0; cut < response.size(); ++cut) {
        SCOPED_TRACE(testing::Message() << cut << (reset ? " reset" : " end"));
        const Parties parties = open();
        parties.upstream.send(response.substr(0, cut));
        settle();
        if (reset) {
          parties.upstream.fail_reads();
        } else {
          parties.upstream.send_eof();
        }
        settle();
        const std::string relayed = parties.client.take_written();
        EXPECT_FALSE(parties.upstream.open());
        if (cut < head) {
          EXPECT_TRUE(relayed.starts_with("HTTP/1.1 502 Bad Gateway\r\n")) << relayed;
          EXPECT_NE(relayed.find("error=connection_terminated"), std::string::npos) << relayed;
          EXPECT_TRUE(parties.client.open()) << "the request had ended: the client may go on";
        } else {
          EXPECT_TRUE(parties.client.aborted());
          EXPECT_FALSE(parties.client.open());
          EXPECT_FALSE(relayed.ends_with("hello\r\n0\r\n\r\n"));
        }
        if (parties.client.open()) parties.client.send_eof();
        settle();
      }
    }
  }
}

TEST_F(ResponseTest, ThatIsNoHttpIs502AndNeverPassedOn) {
  const std::pair<std::string_view, std::string_view> cases[] = {
      {"garbage\r\n\r\n", "http_protocol_error"},
      {"HTTP/2 200\r\n\r\n", "http_protocol_error"},
      {"HTTP/1.1 2000 OK\r\n\r\n", "http_protocol_error"},
      {"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", "http_protocol_error"},
      {"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
       "http_protocol_error"},
      {"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n", "http_response_transfer_coding"},
      {"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n",
       "http_upgrade_failed"},
  };
  for (const auto& [response, token] : cases) {
    SCOPED_TRACE(response);
    const Parties parties = open();
    answer(parties.upstream, response);
    EXPECT_TRUE(parties.client.written().starts_with("HTTP/1.1 502 ")) << parties.client.written();
    EXPECT_NE(parties.client.written().find(join({"error=", token, ";"})), std::string::npos)
        << parties.client.written();
    EXPECT_FALSE(parties.upstream.open());
  }
}

TEST_F(ResponseTest, WhoseChunksAreBadIs502UntilSomeOfItWasSent) {
  constexpr std::string_view kHead = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
  for (const std::string_view chunks : {"zz\r\n", "2\r\nab\r\n-1\r\n"}) {
    SCOPED_TRACE(chunks);
    const Parties at_once = open();
    answer(at_once.upstream, join({kHead, chunks}));
    EXPECT_TRUE(at_once.client.written().starts_with("HTTP/1.1 502 ")) << at_once.client.written();
    EXPECT_NE(at_once.client.written().find("error=http_response_transfer_coding;"),
              std::string::npos);
    EXPECT_FALSE(at_once.upstream.open());

    const Parties apart = open();
    answer(apart.upstream, kHead);
    answer(apart.upstream, chunks);
    EXPECT_TRUE(apart.client.written().starts_with("HTTP/1.1 200 OK\r\n"));
    EXPECT_TRUE(apart.client.aborted());
  }
}

TEST_F(ResponseTest, HeadsAreBoundedInterimOnesTogetherWithTheFinal) {
  policy().max_response_header_size = 1024;
  const Parties parties = open();
  for (int i = 0; i < 100 && parties.upstream.open(); ++i) {
    answer(parties.upstream, "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n");
  }
  EXPECT_FALSE(parties.upstream.open());
  EXPECT_NE(parties.client.written().find("error=http_protocol_error"), std::string::npos);
  EXPECT_NE(parties.client.written().find("limit=max_response_header_size"), std::string::npos);
}

TEST_F(ResponseTest, SmallChunksThatComeTogetherGoOnAsOne) {
  const Parties parties = open();
  std::string chunks;
  for (int i = 0; i < 100; ++i) chunks += "1\r\nx\r\n";
  answer(parties.upstream, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks);
  const std::string relayed =
      "\r\n\r\n40\r\n" + std::string(64, 'x') + "\r\n24\r\n" + std::string(36, 'x') + "\r\n";
  EXPECT_TRUE(parties.client.written().ends_with(relayed)) << parties.client.written();
  answer(parties.upstream,
         "2\r\nab\r\n2000\r\n" + std::string(0x2000, 'y') + "\r\n1\r\nc\r\n0\r\n\r\n");
  EXPECT_TRUE(parties.client.written().ends_with(
      relayed + "2\r\nab\r\n2000\r\n" + std::string(0x2000, 'y') + "\r\n1\r\nc\r\n0\r\n\r\n"));
}

TEST_F(ResponseTest, AnInterimResponseIsNoReasonToForgetACut) {
  const Parties parties = open();
  answer(parties.upstream, "HTTP/1.1 103 Early Hints\r\n\r\n");
  parties.upstream.send_eof();
  settle();
  EXPECT_NE(parties.client.written().find("HTTP/1.1 502 Bad Gateway\r\n"), std::string::npos);
}

TEST_F(ResponseTest, ABadChunkCutsTheClientOff) {
  const Parties parties = open();
  answer(parties.upstream, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
  answer(parties.upstream, "0x3\r\nabc\r\n0\r\n\r\n");
  EXPECT_TRUE(parties.client.aborted());
  EXPECT_FALSE(parties.client.open());
  EXPECT_EQ(parties.client.written().find("0\r\n\r\n"), std::string::npos);
}

}  // namespace
}  // namespace penstock
