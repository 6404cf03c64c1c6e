// What the vectors cannot say: bounds, streaming, the parsers' states, and what they allocate.
#include "http/parser.h"

#include <gtest/gtest.h>

#include "driver.h"

namespace penstock {
namespace {

using namespace std::string_literals;
using test::every_byte;
using test::Outcome;
using test::run_request;
using test::run_response;

const std::string kRequest = "GET / HTTP/1.1\r\nHost: h\r\n\r\n";

// The same bytes whole and byte by byte under the same limits.
Outcome run_both_ways(const std::string& bytes, const ParseLimits& limits) {
  const Outcome whole = run_request(bytes, limits);
  const Outcome in_bytes = run_request(bytes, limits, every_byte(bytes.size()));
  EXPECT_EQ(whole.log, in_bytes.log);
  return whole;
}

TEST(RequestParser, TakesAHeadOfExactlyTheBoundAndNoByteMore) {
  ParseLimits limits;
  limits.max_head_bytes = kRequest.size();
  EXPECT_EQ(run_both_ways(kRequest, limits).ends, 1u);
  limits.max_head_bytes = kRequest.size() - 1;
  const Outcome run = run_both_ways(kRequest, limits);
  EXPECT_EQ(run.fault.status, 431);
  EXPECT_EQ(run.fault.reason, "the head is over its bound");
}

TEST(RequestParser, RefusesALargeHeadAsSoonAsTheBoundIsReachedWithNoLineEndInSight) {
  ParseLimits limits;
  limits.max_head_bytes = 100;
  EXPECT_EQ(run_both_ways("GET /" + std::string(94, 'a'), limits).fault.status, 0);
  const Outcome run = run_both_ways("GET /" + std::string(95, 'a'), limits);
  EXPECT_EQ(run.fault.status, 431);
  EXPECT_EQ(run.fault.reason, "the start line alone is over the head's bound");
}

TEST(RequestParser, RefusesByTheBoundBeforeItLooksAtWhatIsBehindIt) {
  ParseLimits limits;
  limits.max_head_bytes = 20;
  EXPECT_EQ(run_both_ways("GET / HTTP/1.1\r\nA: bbbbb\ncc", limits).fault.status, 431);
}

TEST(RequestParser, DoesNotCountAnEmptyLineBeforeTheHead) {
  ParseLimits limits;
  limits.max_head_bytes = kRequest.size();
  EXPECT_EQ(run_both_ways("\r\n" + kRequest, limits).ends, 1u);
}

// The scanner looks at eight bytes at a time: every byte value at every place among its neighbours.
TEST(RequestParser, LetsTextPassAndNoControlAtAnyPlaceOfAValue) {
  for (char neighbour : {'a', '\xff', '\t'}) {
    for (std::size_t place = 1; place < 18; ++place) {
      for (int c = 0; c < 256; ++c) {
        std::string value(19, neighbour);
        value.front() = value.back() = '.';
        value[place] = static_cast<char>(c);
        const bool text = c == '\t' || (c >= 0x20 && c != 0x7f);
        const Outcome outcome = run_request("GET / HTTP/1.1\r\nHost: h\r\nA:" + value + "\r\n\r\n");
        ASSERT_EQ(outcome.fault.status, text ? 0 : 400) << c << " at " << place;
      }
    }
  }
}

TEST(RequestParser, TakesExactlyAsManyFieldsAsAllowed) {
  ParseLimits limits;
  limits.max_fields = 3;
  const std::string start = "GET / HTTP/1.1\r\nHost: h\r\n";
  EXPECT_EQ(run_both_ways(start + "A: b\r\nC: d\r\n\r\n", limits).ends, 1u);
  const Outcome run = run_both_ways(start + "A: b\r\nC: d\r\nE: f\r\n\r\n", limits);
  EXPECT_EQ(run.fault.status, 431);
  EXPECT_EQ(run.fault.reason, "too many fields in the head");
}

TEST(RequestParser, BoundsTheOptionsOfAllConnectionFieldsTogether) {
  ParseLimits limits;
  limits.max_fields = 4;
  const std::string start = "GET / HTTP/1.1\r\nHost: h\r\nConnection: a, b\r\n";
  EXPECT_EQ(run_both_ways(start + "Connection: c, d\r\n\r\n", limits).ends, 1u);
  EXPECT_EQ(run_both_ways(start + "Connection: c, d, e\r\n\r\n", limits).fault.status, 431);
  EXPECT_EQ(run_both_ways(start + "Connection: ,,,,,\r\n\r\n", limits).fault.status, 431);
}

const std::string kChunkedHead = "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n";

TEST(RequestParser, TakesTrailersOfExactlyTheBound) {
  const std::string section = "A: b\r\n\r\n";
  ParseLimits limits;
  limits.max_trailer_bytes = section.size();
  EXPECT_EQ(run_both_ways(kChunkedHead + "0\r\n" + section, limits).ends, 1u);
  limits.max_trailer_bytes = section.size() - 1;
  const Outcome run = run_both_ways(kChunkedHead + "0\r\n" + section, limits);
  EXPECT_EQ(run.fault.status, 431);
  EXPECT_EQ(run.ends, 0u);
}

TEST(RequestParser, BoundsTheNumberOfTrailers) {
  ParseLimits limits;
  limits.max_fields = 2;
  EXPECT_EQ(run_both_ways(kChunkedHead + "0\r\nA: b\r\nC: d\r\n\r\n", limits).ends, 1u);
  EXPECT_EQ(run_both_ways(kChunkedHead + "0\r\nA: b\r\nC: d\r\nE: f\r\n\r\n", limits).fault.status,
            431);
}

TEST(RequestParser, BoundsExtensionsOverTheWholeBodyAndAnewForTheNext) {
  ParseLimits limits;
  limits.max_chunk_extension_bytes = 4;
  const std::string body = "1;aa\r\nx\r\n1;bb\r\nx\r\n0\r\n\r\n";
  EXPECT_EQ(run_both_ways(kChunkedHead + body + kChunkedHead + body, limits).ends, 2u);
  limits.max_chunk_extension_bytes = 3;
  EXPECT_EQ(run_both_ways(kChunkedHead + body, limits).fault.status, 400);
}

TEST(RequestParser, StopsAfterTheHeadSoThatTheOwnerActsBeforeTheBody) {
  RequestParser parser({});
  RequestHead head;
  const std::string bytes = "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabcGET";
  const ParseStep at_head = parser.next(bytes, head);
  EXPECT_EQ(at_head.event, ParseEvent::kHead);
  EXPECT_EQ(at_head.consumed, bytes.size() - 6);
  EXPECT_EQ(head.head_bytes, at_head.consumed);
  const ParseStep body = parser.next("abcGET", head);
  EXPECT_EQ(body.event, ParseEvent::kBody);
  EXPECT_EQ(body.body, "abc");
  EXPECT_EQ(body.consumed, 3u);
  const ParseStep end = parser.next("GET", head);
  EXPECT_EQ(end.event, ParseEvent::kEnd);
  EXPECT_EQ(end.consumed, 0u);
}

TEST(RequestParser, SaysTheEndWithoutAnotherByte) {
  RequestParser parser({});
  RequestHead head;
  EXPECT_EQ(parser.next("GET / HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n", head).event,
            ParseEvent::kHead);
  EXPECT_EQ(parser.next("", head).event, ParseEvent::kEnd);
  EXPECT_EQ(parser.next("", head).event, ParseEvent::kNeedMore);
}

TEST(RequestParser, HandsOutBodiesAsViewsIntoTheInput) {
  RequestParser parser({});
  RequestHead head;
  parser.next(kChunkedHead, head);
  const std::string bytes = "5\r\nhello\r\n";
  const ParseStep step = parser.next(bytes, head);
  EXPECT_EQ(step.body, "hello");
  EXPECT_EQ(step.body.data(), bytes.data() + 3);
}

TEST(RequestParser, GivesALongBodyInOnePieceAFeed) {
  RequestParser parser({});
  RequestHead head;
  parser.next("GET / HTTP/1.1\r\nHost: h\r\nContent-Length: 9223372036854775807\r\n\r\n", head);
  EXPECT_EQ(head.framing.length, 9223372036854775807u);
  const std::string piece(1'000'000, 'x');
  EXPECT_EQ(parser.next(piece, head).body.size(), piece.size());
  EXPECT_EQ(parser.next(piece, head).body.size(), piece.size());
}

TEST(RequestParser, IsIdleOnlyBetweenMessages) {
  RequestParser parser({});
  RequestHead head;
  EXPECT_TRUE(parser.idle());
  EXPECT_EQ(parser.next("\r", head).event, ParseEvent::kNeedMore);
  EXPECT_TRUE(parser.idle());
  EXPECT_EQ(parser.next("\r\n", head).consumed, 2u);
  EXPECT_TRUE(parser.idle());
  EXPECT_EQ(parser.next("G", head).event, ParseEvent::kNeedMore);
  EXPECT_FALSE(parser.idle());
  EXPECT_EQ(parser.next(kRequest, head).event, ParseEvent::kHead);
  EXPECT_FALSE(parser.idle());
  EXPECT_EQ(parser.next("", head).event, ParseEvent::kEnd);
  EXPECT_TRUE(parser.idle());
}

TEST(RequestParser, StaysAtFaultUntilReset) {
  RequestParser parser({});
  RequestHead head;
  EXPECT_EQ(parser.next("\x16", head).event, ParseEvent::kFault);
  EXPECT_FALSE(parser.idle());
  EXPECT_EQ(parser.next(kRequest, head).event, ParseEvent::kFault);
  parser.reset();
  EXPECT_TRUE(parser.idle());
  EXPECT_EQ(parser.next(kRequest, head).event, ParseEvent::kHead);
}

TEST(RequestParser, IsResetInTheMiddleOfAnything) {
  const std::string beginnings[] = {"\r\n", "GET / HT", kChunkedHead + "1\r\n",
                                    kChunkedHead + "0\r\n", kChunkedHead + "1;a=\""};
  for (const std::string& beginning : beginnings) {
    RequestParser parser({});
    RequestHead head;
    std::string pending = beginning;
    Outcome run;
    ASSERT_TRUE(test::take_events(parser, head, pending, run));
    parser.reset();
    pending = "\r\n" + kRequest;
    Outcome after;
    ASSERT_TRUE(test::take_events(parser, head, pending, after));
    EXPECT_EQ(after.ends, 1u) << beginning;
  }
}

TEST(RequestParser, KeepsTheHeadsCapacityFromMessageToMessage) {
  RequestParser parser({});
  RequestHead head;
  const std::string large = "GET /" + std::string(500, 'a') + " HTTP/1.1\r\nHost: h\r\n\r\n";
  parser.next(large, head);
  const char* const storage = head.arena.data();
  parser.next("", head);
  for (int i = 0; i < 3; ++i) {
    parser.next(kRequest, head);
    EXPECT_EQ(head.arena.data(), storage);
    EXPECT_EQ(head.target, "/");
    parser.next("", head);
  }
}

TEST(RequestParser, ForgetsTheTrailersOfTheMessageBefore) {
  const Outcome run = run_request(kChunkedHead + "0\r\nA: b\r\n\r\n" + kChunkedHead + "0\r\n\r\n");
  EXPECT_EQ(run.ends, 2u);
  EXPECT_EQ(run.log.find("[A=b]"), run.log.rfind("[A=b]"));
}

TEST(RequestParser, NamesTheMethodsThatTheProxyTreatsInAWayOfTheirOwn) {
  const std::pair<std::string, Method> table[] = {
      {"GET", Method::kGet},         {"HEAD", Method::kHead},      {"POST", Method::kPost},
      {"PUT", Method::kPut},         {"DELETE", Method::kDelete},  {"CONNECT", Method::kConnect},
      {"OPTIONS", Method::kOptions}, {"TRACE", Method::kTrace},    {"PATCH", Method::kPatch},
      {"PROPFIND", Method::kOther},  {"M-SEARCH", Method::kOther},
  };
  for (const auto& [name, method] : table) {
    RequestParser parser({});
    RequestHead head;
    const std::string target = method == Method::kConnect ? "h:1" : "/";
    const auto step = parser.next(name + " " + target + " HTTP/1.1\r\nHost: h\r\n\r\n", head);
    ASSERT_EQ(step.event, ParseEvent::kHead) << name;
    EXPECT_EQ(head.method, method) << name;
    EXPECT_EQ(head.method_name, name);
  }
}

TEST(RequestParser, SurvivesAMessageInTinyPieces) {
  std::string bytes;
  std::string content;
  for (int i = 0; i < 300; ++i) {
    bytes += "1\r\n" + std::string(1, static_cast<char>('a' + i % 26)) + "\r\n";
    content += static_cast<char>('a' + i % 26);
  }
  bytes = kChunkedHead + bytes + "0\r\n\r\n" + kRequest;
  const Outcome run = run_request(bytes, {}, every_byte(bytes.size()));
  EXPECT_EQ(run.body, content);
  EXPECT_EQ(run.ends, 2u);
}

const std::string kOk = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n";

TEST(ResponseParser, BoundsInterimHeadsAndTheFinalOneTogether) {
  const std::string interim = "HTTP/1.1 100 C\r\n\r\n";
  ParseLimits limits;
  limits.max_head_bytes = 2 * interim.size() + kOk.size();
  EXPECT_EQ(run_response(interim + interim + kOk + "ab", Method::kGet, limits).ends, 3u);
  const Outcome run = run_response(interim + interim + interim + kOk + "ab", Method::kGet, limits);
  EXPECT_EQ(run.fault.code, ErrorCode::kHttpProtocolError) << "it is the 1xx that have no end";
  EXPECT_EQ(run.fault.kind, FaultKind::kHeadTooLarge);
  EXPECT_EQ(run.fault.status, 502);
  const std::string large = "HTTP/1.1 200 OK\r\nX: " + std::string(200, 'x') + "\r\n\r\n";
  EXPECT_EQ(run_response(interim + large, Method::kGet, limits).fault.code,
            ErrorCode::kHttpResponseHeaderSize);
}

TEST(ResponseParser, TellsAFieldThatIsTooLargeFromAHeadThatIs) {
  ParseLimits limits;
  limits.max_head_bytes = 100;
  const std::string begun = "HTTP/1.1 200 OK\r\nX: ";
  const auto code = [&](std::size_t before) {
    const std::string bytes = begun + std::string(before, 'x') + "\r\nY: " + std::string(99, 'y');
    const Outcome whole = run_response(bytes, Method::kGet, limits);
    EXPECT_EQ(run_response(bytes, Method::kGet, limits, every_byte(bytes.size())).log, whole.log);
    return whole.fault.code;
  };
  EXPECT_EQ(code(27), ErrorCode::kHttpResponseHeaderSize) << "51 bytes of 100";
  EXPECT_EQ(code(28), ErrorCode::kHttpResponseHeaderSectionSize);
}

TEST(ResponseParser, NamesTheBoundWhereItComesBeforeTheFirstWrongByte) {
  const std::string bytes = "HTTP/1.1 100 C\r\n\r\nHTTX";
  for (const std::size_t left : {3, 4}) {
    ParseLimits limits;
    limits.max_head_bytes = bytes.size() - 4 + left;
    const Outcome whole = run_response(bytes, Method::kGet, limits);
    EXPECT_EQ(whole.fault.kind == FaultKind::kHeadTooLarge, left == 3);
    EXPECT_EQ(run_response(bytes, Method::kGet, limits, every_byte(bytes.size())).log, whole.log);
  }
}

TEST(ResponseParser, HasItsBoundsAnewForTheNextRequest) {
  ParseLimits limits;
  limits.max_head_bytes = kOk.size();
  ResponseParser parser(limits);
  ResponseHead head;
  for (int i = 0; i < 3; ++i) {
    parser.start(Method::kGet, limits);
    EXPECT_EQ(parser.next(kOk, head).event, ParseEvent::kHead);
    EXPECT_EQ(parser.next("ab", head).event, ParseEvent::kBody);
    EXPECT_EQ(parser.next("", head).event, ParseEvent::kEnd);
  }
}

TEST(ResponseParser, NamesTheBoundThatWasPassed) {
  ParseLimits limits;
  limits.max_head_bytes = 60;
  limits.max_trailer_bytes = 10;
  limits.max_fields = 1;
  limits.max_chunk_extension_bytes = 2;
  const std::string chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
  const std::pair<std::string, ErrorCode> table[] = {
      {"HTTP/1.1 200 OK\r\nA: " + std::string(60, 'b'), ErrorCode::kHttpResponseHeaderSize},
      {"HTTP/1.1 200 OK\r\nA: b\r\nC: d\r\n\r\n", ErrorCode::kHttpResponseHeaderSectionSize},
      {chunked + "0\r\nA: 123456789\r\n\r\n", ErrorCode::kHttpResponseTrailerSectionSize},
      {chunked + "0\r\nA:\r\nB:\r\n\r\n", ErrorCode::kHttpResponseTrailerSectionSize},
      {chunked + "1;abc\r\nx\r\n0\r\n\r\n", ErrorCode::kHttpProtocolError},
  };
  for (const auto& [bytes, code] : table) {
    EXPECT_EQ(run_response(bytes, Method::kGet, limits).fault.code, code) << bytes;
  }
}

TEST(ResponseParser, RefusesAnotherProtocolAtItsFirstWrongByte) {
  ResponseParser parser({});
  ResponseHead head;
  EXPECT_EQ(parser.next("HTT", head).event, ParseEvent::kNeedMore);
  EXPECT_EQ(parser.next("HTTX", head).event, ParseEvent::kFault);
  EXPECT_EQ(parser.fault().code, ErrorCode::kHttpProtocolError);
}

struct AtEnd {
  std::string bytes;
  bool complete;
  ErrorCode code = ErrorCode::kHttpResponseIncomplete;
};

TEST(ResponseParser, KnowsWhetherAClosedConnectionEndedTheMessage) {
  const std::string chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
  const AtEnd table[] = {
      {"", false, ErrorCode::kConnectionTerminated},
      {"H", false, ErrorCode::kConnectionTerminated},
      {"HTTP/1.1 200 OK\r\n", false, ErrorCode::kConnectionTerminated},
      {"HTTP/1.1 100 C\r\n\r\n", false, ErrorCode::kConnectionTerminated},
      {"HTTP/1.1 200 OK\r\n\r\n", true},
      {"HTTP/1.1 200 OK\r\n\r\nsome", true},
      {kOk, false},
      {kOk + "a", false},
      {chunked, false},
      {chunked + "1\r\na", false},
      {chunked + "1\r\na\r\n", false},
      {chunked + "1\r\na\r\n0\r\n", false},
      {chunked + "1\r\na\r\n0\r\nA: b\r\n", false},
  };
  for (const AtEnd& row : table) {
    SCOPED_TRACE(row.bytes);
    ResponseParser parser({});
    ResponseHead head;
    std::string pending = row.bytes;
    Outcome run;
    ASSERT_TRUE(test::take_events(parser, head, pending, run));
    EXPECT_EQ(parser.finish(head).event, row.complete ? ParseEvent::kEnd : ParseEvent::kFault);
    if (!row.complete) {
      EXPECT_EQ(parser.fault().code, row.code);
    }
  }
}

TEST(ResponseParser, EndsAMessageThatWasWholeWhenTheConnectionClosed) {
  ResponseParser parser({});
  ResponseHead head;
  parser.next(kOk, head);
  EXPECT_EQ(parser.next("ab", head).event, ParseEvent::kBody);
  EXPECT_EQ(parser.finish(head).event, ParseEvent::kEnd);
}

TEST(ResponseParser, RefusesEveryByteBehindABodylessAnswerToHead) {
  const Outcome run =
      run_response("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", Method::kHead);
  EXPECT_EQ(run.ends, 1u);
  EXPECT_EQ(run.fault.status, 502);
}

}  // namespace
}  // namespace penstock
