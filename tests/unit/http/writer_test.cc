// What passes, what goes and what is added, written from parsed messages.
#include "http/writer.h"

#include <gtest/gtest.h>

#include "driver.h"
#include "http/parser.h"

namespace penstock {
namespace {

class Writing : public ::testing::Test {
 protected:
  // The head of `text`, written for the next hop; the bound is held to exactly.
  std::string request(const std::string& text, const RequestRewrite& rewrite) {
    RequestParser parser({});
    RequestHead head;
    EXPECT_EQ(parser.next(text, head).event, ParseEvent::kHead) << text;
    Buffer out(pool_, request_head_bound(head, rewrite));
    write_request_head(head, rewrite, out);
    return std::string(out.readable());
  }

  std::string response(const std::string& text, const ResponseRewrite& rewrite,
                       Method method = Method::kGet) {
    ResponseParser parser({});
    parser.start(method, {});
    ResponseHead head;
    EXPECT_EQ(parser.next(text, head).event, ParseEvent::kHead) << text;
    Buffer out(pool_, response_head_bound(head, rewrite));
    write_response_head(head, rewrite, out);
    return std::string(out.readable());
  }

  // A request with these fields behind Host, forwarded with nothing special.
  std::string forwarded(const std::string& fields) {
    return request("GET http://h/ HTTP/1.1\r\nHost: h\r\n" + fields + "\r\n", plain_request_);
  }
  std::string relayed(const std::string& fields) {
    return response("HTTP/1.1 200 OK\r\n" + fields + "\r\n", plain_response_);
  }
  std::string last_chunk(const std::string& fields, const std::string& trailers, bool pass = true) {
    ResponseParser parser({});
    ResponseHead head;
    std::string pending = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n" + fields +
                          "\r\n0\r\n" + trailers + "\r\n";
    test::Outcome run;
    EXPECT_TRUE(test::take_events(parser, head, pending, run)) << run.log;
    Buffer out(pool_, last_chunk_bound(head));
    write_last_chunk(head, pass, out);
    return std::string(out.readable());
  }

  static constexpr std::string_view kRequestStart = "GET / HTTP/1.1\r\nHost: h\r\n";
  static constexpr std::string_view kResponseStart = "HTTP/1.1 200 OK\r\n";
  BlockPool pool_;
  RequestRewrite plain_request_{.path_and_query = "/", .host = "h"};
  ResponseRewrite plain_response_{.framing = {FramingKind::kLength, 0}};
};

using WriteRequest = Writing;
using WriteResponse = Writing;
using WriteLastChunk = Writing;

TEST_F(WriteRequest, PutsHostFirstAndViaLast) {
  EXPECT_EQ(request("GET http://a/x?y HTTP/1.1\r\nAccept: z\r\nHost: other\r\nUser-Agent: u\r\n"
                    "Via: 1.0 before\r\n\r\n",
                    {.path_and_query = "/x?y", .host = "a:81", .via = "penstock-01234567"}),
            "GET /x?y HTTP/1.1\r\nHost: a:81\r\nAccept: z\r\nUser-Agent: u\r\nVia: 1.0 before\r\n"
            "Via: 1.1 penstock-01234567\r\n\r\n");
}

TEST_F(WriteRequest, SpeaksItsOwnVersionAndNamesTheReceivedOneInVia) {
  EXPECT_EQ(request("GET / HTTP/1.0\r\n\r\n", {.path_and_query = "/", .host = "h", .via = "p"}),
            "GET / HTTP/1.1\r\nHost: h\r\nVia: 1.0 p\r\n\r\n");
}

TEST_F(WriteRequest, AddsTheSlashThatTheUrlLeftOut) {
  EXPECT_EQ(request("GET http://h?q HTTP/1.1\r\nHost: h\r\n\r\n",
                    {.path_and_query = "?q", .add_slash = true, .host = "h"}),
            "GET /?q HTTP/1.1\r\nHost: h\r\n\r\n");
}

TEST_F(WriteRequest, KeepsOrderRepeatsSpellingAndObsText) {
  const std::string fields = "bB: 1\r\nX-A: \xe9 \t 2\r\nbb: 3\r\nCookie: a=b\r\nEmpty: \r\n";
  EXPECT_EQ(forwarded(fields), std::string(kRequestStart) + fields + "\r\n");
}

TEST_F(WriteRequest, WritesFieldsFromTheirParsedForm) {
  EXPECT_EQ(forwarded("A:b\r\nC: \t d \t \r\n"),
            std::string(kRequestStart) + "A: b\r\nC: d\r\n\r\n");
}

TEST_F(WriteRequest, FramesTheBodyItself) {
  const std::string text = "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 0005\r\nA: b\r\n\r\n";
  RequestRewrite rewrite = plain_request_;
  rewrite.framing = {FramingKind::kLength, 5};
  EXPECT_EQ(request(text, rewrite),
            "POST / HTTP/1.1\r\nHost: h\r\nA: b\r\nContent-Length: 5\r\n\r\n");
  rewrite.framing = {FramingKind::kLength, 9223372036854775807u};
  EXPECT_NE(request(text, rewrite).find("Content-Length: 9223372036854775807\r\n"),
            std::string::npos);
  rewrite.framing = {FramingKind::kChunked, 0};
  EXPECT_EQ(request(text, rewrite),
            "POST / HTTP/1.1\r\nHost: h\r\nA: b\r\nTransfer-Encoding: chunked\r\n\r\n");
  rewrite.framing = {};
  EXPECT_EQ(request(text, rewrite), "POST / HTTP/1.1\r\nHost: h\r\nA: b\r\n\r\n");
}

TEST_F(WriteRequest, DropsWhatIsForThisHopOnly) {
  const std::string_view table[] = {
      "Connection: keep-alive",
      "Keep-Alive: timeout=5",
      "Proxy-Connection: keep-alive",
      "Proxy-Authorization: Basic eA==",
      "Proxy-Authenticate: Basic",
      "TE: gzip",
      "Upgrade: websocket",
      "HTTP2-Settings: AAMAAABk",
      "Proxy: http://evil/",
      "Expect: 100-continue",
      "Trailer: X-Sum",
      "connection: close",
      "PROXY-AUTHORIZATION: Basic eA==",
  };
  for (std::string_view field : table) {
    EXPECT_EQ(forwarded(std::string(field) + "\r\nA: b\r\n"),
              std::string(kRequestStart) + "A: b\r\n\r\n")
        << field;
  }
}

TEST_F(WriteRequest, KeepsWhatOnlyLooksLikeThem) {
  const std::string fields =
      "Proxy-Foo: 1\r\nConnectionX: 2\r\nTEE: 3\r\nUpgrade-Insecure-Requests: 1\r\n"
      "Authorization: Basic eA==\r\nMax-Forwards: 3\r\n";
  EXPECT_EQ(forwarded(fields), std::string(kRequestStart) + fields + "\r\n");
}

TEST_F(WriteRequest, DropsWhatConnectionNamesOverSeveralLines) {
  EXPECT_EQ(forwarded("Connection: X-One , close\r\nX-One: 1\r\nX-Two: 2\r\nx-one: 3\r\n"
                      "Connection: ,,x-TWO,\r\nX-Three: 4\r\n"),
            std::string(kRequestStart) + "X-Three: 4\r\n\r\n");
}

TEST_F(WriteRequest, DoesNotLetConnectionTakeEndToEndFields) {
  const std::string_view names[] = {
      "Authorization", "Cookie",           "Set-Cookie",  "Cache-Control", "Via",
      "Forwarded",     "X-Forwarded-For",  "Date",        "Location",      "X-Forwarded-Host",
      "Content-Type",  "Content-Encoding", "content-foo",
  };
  for (std::string_view name : names) {
    const std::string field = std::string(name) + ": v\r\n";
    EXPECT_EQ(forwarded("Connection: " + std::string(name) + "\r\n" + field),
              std::string(kRequestStart) + field + "\r\n");
  }
}

TEST_F(WriteRequest, KeepsHostAndFramingWhenConnectionNamesThem) {
  RequestRewrite rewrite = plain_request_;
  rewrite.framing = {FramingKind::kLength, 5};
  EXPECT_EQ(request("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n"
                    "Connection: Host, Content-Length, Transfer-Encoding\r\n\r\n",
                    rewrite),
            "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\n");
}

TEST_F(WriteRequest, PassesOnTheWishForTrailersAsAHopOfItsOwn) {
  const std::string wanted = std::string(kRequestStart) + "TE: trailers\r\nConnection: TE\r\n\r\n";
  EXPECT_EQ(forwarded("TE: trailers\r\n"), wanted);
  EXPECT_EQ(forwarded("Connection: TE\r\nTE: gzip;q=0.5, Trailers\r\n"), wanted);
  EXPECT_EQ(forwarded("TE: gzip\r\nTE: trailers\r\n"), wanted);
  EXPECT_EQ(forwarded("TE: trailersx\r\n"), std::string(kRequestStart) + "\r\n");
}

TEST_F(WriteRequest, AsksForCloseWhenToldTo) {
  RequestRewrite rewrite = plain_request_;
  rewrite.close = true;
  EXPECT_EQ(request("GET / HTTP/1.1\r\nHost: h\r\n\r\n", rewrite),
            std::string(kRequestStart) + "Connection: close\r\n\r\n");
  EXPECT_EQ(request("GET / HTTP/1.1\r\nHost: h\r\nTE: trailers\r\n\r\n", rewrite),
            std::string(kRequestStart) + "TE: trailers\r\nConnection: TE, close\r\n\r\n");
}

TEST_F(WriteRequest, AnnouncesTrailersOnlyWhereThereCanBeSome) {
  RequestRewrite rewrite = plain_request_;
  rewrite.framing = {FramingKind::kChunked, 0};
  EXPECT_EQ(request("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n"
                    "Trailer: X-Sum\r\n\r\n",
                    rewrite),
            "POST / HTTP/1.1\r\nHost: h\r\nTrailer: X-Sum\r\nTransfer-Encoding: chunked\r\n\r\n");
}

TEST_F(WriteResponse, KeepsTheReasonAndSpeaksItsOwnVersion) {
  ResponseRewrite rewrite = plain_response_;
  rewrite.via = "p";
  EXPECT_EQ(response("HTTP/1.0 404 No  such\tpage\r\nA: b\r\n\r\n", rewrite),
            "HTTP/1.1 404 No  such\tpage\r\nA: b\r\nContent-Length: 0\r\nVia: 1.0 p\r\n\r\n");
  EXPECT_EQ(response("HTTP/1.1 404\r\n\r\n", rewrite),
            "HTTP/1.1 404 \r\nContent-Length: 0\r\nVia: 1.1 p\r\n\r\n");
}

TEST_F(WriteResponse, DropsWhatIsForThisHopOnly) {
  const std::string_view table[] = {
      "Connection: close",           "Connection: keep-alive", "Keep-Alive: timeout=5",
      "Proxy-Connection: close",     "Proxy-Authenticate: x",  "Upgrade: h2c",
      "Proxy-Authorization: x",      "TE: trailers",           "Trailer: A",
      "Connection: x\r\nX: dropped",
  };
  for (std::string_view field : table) {
    EXPECT_EQ(relayed(std::string(field) + "\r\nA: b\r\n"),
              std::string(kResponseStart) + "A: b\r\nContent-Length: 0\r\n\r\n")
        << field;
  }
}

TEST_F(WriteResponse, KeepsEveryCookieAndAForeignProxyStatus) {
  const std::string fields = "Set-Cookie: a=b\r\nSet-Cookie: c=d\r\nProxy-Status: x\r\nHost: y\r\n";
  EXPECT_EQ(relayed(fields), std::string(kResponseStart) + fields + "Content-Length: 0\r\n\r\n");
}

TEST_F(WriteResponse, LeavesNoWhiteSpaceWhereSecureStoodLast) {
  const ResponseRewrite rewrite{.strip_secure = true};
  EXPECT_EQ(response("HTTP/1.1 204 x\r\nSet-Cookie: a=b ; Path=/ ;Secure\r\n\r\n", rewrite),
            "HTTP/1.1 204 x\r\nSet-Cookie: a=b; Path=/\r\n\r\n");
  EXPECT_EQ(response("HTTP/1.1 204 x\r\nSet-Cookie: secure ; secure\r\n\r\n", rewrite),
            "HTTP/1.1 204 x\r\nSet-Cookie: secure\r\n\r\n");
}

TEST_F(WriteResponse, AddsADateOnlyWhereThereIsNone) {
  plain_response_.date = "Sun, 06 Nov 1994 08:49:37 GMT";
  EXPECT_EQ(relayed(""),
            "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n"
            "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n\r\n");
  EXPECT_EQ(relayed("date: then\r\n"),
            "HTTP/1.1 200 OK\r\ndate: then\r\nContent-Length: 0\r\n\r\n");
}

TEST_F(WriteResponse, SaysWhetherTheConnectionLasts) {
  const std::string start = std::string(kResponseStart) + "Content-Length: 0\r\n";
  plain_response_.keep_alive_seconds = 600;
  EXPECT_EQ(relayed(""), start + "Connection: keep-alive\r\nKeep-Alive: timeout=600\r\n\r\n");
  plain_response_.keep_alive = false;
  EXPECT_EQ(relayed(""), start + "Connection: close\r\n\r\n");
}

TEST_F(WriteResponse, NeverPromisesAnOldClientAnything) {
  plain_response_.client_version = HttpVersion::k10;
  plain_response_.keep_alive_seconds = 600;
  EXPECT_EQ(relayed(""),
            std::string(kResponseStart) + "Content-Length: 0\r\nConnection: close\r\n\r\n");
}

TEST_F(WriteResponse, ClosesWhereTheEndOfTheConnectionEndsTheBody) {
  plain_response_.framing = {FramingKind::kUntilClose, 0};
  EXPECT_EQ(relayed(""), std::string(kResponseStart) + "Connection: close\r\n\r\n");
}

TEST_F(WriteResponse, KeepsTheLengthOfAnAnswerToHeadAndNoneOf204) {
  ResponseRewrite rewrite{.keep_length_field = true};
  EXPECT_EQ(
      response("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nA: b\r\n\r\n", rewrite, Method::kHead),
      "HTTP/1.1 200 OK\r\nA: b\r\nContent-Length: 5\r\n\r\n");
  EXPECT_EQ(
      response("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", rewrite, Method::kHead),
      "HTTP/1.1 200 OK\r\n\r\n");
  rewrite.keep_length_field = false;
  EXPECT_EQ(response("HTTP/1.1 204 x\r\nContent-Length: 5\r\n\r\n", rewrite),
            "HTTP/1.1 204 x\r\n\r\n");
}

TEST_F(WriteResponse, WritesChunkedFramingWithItsTrailerAnnouncement) {
  plain_response_.framing = {FramingKind::kChunked, 0};
  EXPECT_EQ(relayed("Transfer-Encoding: CHUNKED\r\nTrailer: X\r\n"),
            std::string(kResponseStart) + "Trailer: X\r\nTransfer-Encoding: chunked\r\n\r\n");
}

TEST_F(WriteResponse, LeavesAnInterimResponseBare) {
  ResponseRewrite rewrite{.keep_alive = false, .keep_alive_seconds = 5, .date = "today"};
  EXPECT_EQ(response("HTTP/1.1 103 Early Hints\r\nLink: x\r\nConnection: close\r\n\r\n", rewrite),
            "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n");
}

TEST(ChunkLine, IsPlainHexadecimal) {
  const std::pair<std::uint64_t, std::string_view> table[] = {
      {0, "0\r\n"},
      {1, "1\r\n"},
      {15, "f\r\n"},
      {16, "10\r\n"},
      {16384, "4000\r\n"},
      {0xabcdef, "abcdef\r\n"},
      {~std::uint64_t{0}, "ffffffffffffffff\r\n"},
  };
  for (const auto& [bytes, text] : table) {
    char space[18];
    EXPECT_EQ(format_chunk_line(bytes, space), text);
  }
}

TEST_F(WriteLastChunk, CarriesTrailersThatMayPass) {
  EXPECT_EQ(last_chunk("", "X-Sum: 1\r\nGrpc-Status:0\r\nx-sum: 2\r\n"),
            "0\r\nX-Sum: 1\r\nGrpc-Status: 0\r\nx-sum: 2\r\n\r\n");
  EXPECT_EQ(last_chunk("", ""), "0\r\n\r\n");
}

TEST_F(WriteLastChunk, LeavesTrailersOutWhereTheOtherSideHasNone) {
  EXPECT_EQ(last_chunk("", "X-Sum: 1\r\n", false), "0\r\n\r\n");
}

TEST_F(WriteLastChunk, DropsWhatWouldFrameRouteOrAuthenticateAfterTheFact) {
  const std::string_view names[] = {
      "Content-Length",
      "Content-Type",
      "Content-Foo",
      "Host",
      "Authorization",
      "Connection",
      "Trailer",
      "Cookie",
      "Set-Cookie",
      "Upgrade",
      "TE",
      "Keep-Alive",
      "Proxy-Connection",
      "Location",
      "Via",
      "Forwarded",
      "X-Forwarded-For",
      "WWW-Authenticate",
      "Max-Forwards",
      "Expect",
      "Proxy-Authorization",
      "Proxy-Authenticate",
      "Proxy",
      "transfer-encoding",
  };
  for (std::string_view name : names) {
    const std::string value = name == "Content-Length" ? ": 1\r\n" : ": chunked\r\n";
    EXPECT_EQ(last_chunk("", std::string(name) + value + "A: b\r\n"), "0\r\nA: b\r\n\r\n") << name;
  }
}

TEST_F(WriteLastChunk, DropsTrailersThatTheHeadsConnectionNames) {
  EXPECT_EQ(last_chunk("Connection: X-Hop\r\n", "X-Hop: 1\r\nA: b\r\n"), "0\r\nA: b\r\n\r\n");
}

TEST(Bounds, HoldForAnyHead) {
  // Everything that can be added at once, behind a head of nothing else.
  BlockPool pool;
  RequestHead request;
  request.method_name = "M";
  const RequestRewrite to_origin{.path_and_query = "*",
                                 .add_slash = true,
                                 .host = "h",
                                 .via = "p",
                                 .framing = {FramingKind::kLength, ~std::uint64_t{0}},
                                 .close = true};
  Buffer out(pool, request_head_bound(request, to_origin));
  write_request_head(request, to_origin, out);
  EXPECT_LE(out.size(), request_head_bound(request, to_origin));

  ResponseHead response;
  response.status = 599;
  const ResponseRewrite to_client{.framing = {FramingKind::kLength, ~std::uint64_t{0}},
                                  .keep_alive_seconds = ~std::uint32_t{0},
                                  .via = "p",
                                  .date = "d"};
  Buffer back(pool, response_head_bound(response, to_client));
  write_response_head(response, to_client, back);
  EXPECT_LE(back.size(), response_head_bound(response, to_client));
}

}  // namespace
}  // namespace penstock
