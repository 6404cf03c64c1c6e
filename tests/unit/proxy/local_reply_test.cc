#include "proxy/local_reply.h"

#include <gtest/gtest.h>

#include <chrono>

#include "http/parser.h"

namespace penstock {
namespace {

using namespace std::chrono_literals;

constexpr MonotonicTime kNow{100s};
constexpr std::string_view kDate = "Fri, 04 Oct 2024 00:00:00 GMT";

struct Parts {
  std::string status_line;
  std::vector<std::pair<std::string, std::string>> fields;
  std::string body;

  std::string field(std::string_view name) const {
    std::string found;
    for (const auto& [field, value] : fields) {
      if (field != name) continue;
      EXPECT_TRUE(found.empty()) << name << " is there twice";
      found = value;
    }
    return found;
  }
};

Parts take_apart(const std::string& response) {
  Parts parts;
  const std::size_t head_end = response.find("\r\n\r\n");
  EXPECT_NE(head_end, std::string::npos);
  parts.body = response.substr(head_end + 4);
  std::size_t at = response.find("\r\n");
  parts.status_line = response.substr(0, at);
  while (at < head_end) {
    const std::size_t begin = at + 2;
    at = response.find("\r\n", begin);
    const std::string line = response.substr(begin, at - begin);
    const std::size_t colon = line.find(": ");
    parts.fields.emplace_back(line.substr(0, colon), line.substr(colon + 2));
  }
  return parts;
}

class LocalReplyTest : public testing::Test {
 protected:
  Parts format() {
    return take_apart(format_local_reply({.error = error,
                                          .timeline = timeline,
                                          .now = kNow,
                                          .request_id = 0xab12,
                                          .limit_value = limit_value,
                                          .spent = spent,
                                          .json = json,
                                          .head_only = head_only,
                                          .keep_alive = keep_alive,
                                          .date = kDate}));
  }

  Error error{.code = ErrorCode::kConnectionTimeout,
              .phase = Phase::kConnect,
              .limit_key = "timeouts.connect",
              .detail = "no connection to 192.0.2.1:443"};
  Timeline timeline;
  std::string limit_value = "5s";
  Duration spent = 5001ms;
  bool json = false, head_only = false, keep_alive = true;
};

TEST_F(LocalReplyTest, SaysWhatFailedInWhichPhaseByWhichLimit) {
  timeline.enter(Phase::kResolve, kNow - 6s);
  timeline.leave(Phase::kResolve, kNow - 5001ms);
  timeline.enter(Phase::kConnect, kNow - 5001ms);
  const Parts parts = format();
  EXPECT_EQ(parts.status_line, "HTTP/1.1 504 Gateway Timeout");
  EXPECT_EQ(parts.field("Date"), kDate);
  EXPECT_EQ(parts.field("Proxy-Status"),
            "penstock; error=connection_timeout; details=\"phase=connect limit=timeouts.connect 5s "
            "spent=5.001s id=000000000000ab12 (no connection to 192.0.2.1:443)\"");
  EXPECT_EQ(parts.field("Content-Type"), "text/plain; charset=utf-8");
  EXPECT_EQ(parts.field("Connection"), "");
  EXPECT_EQ(parts.field("Retry-After"), "");
  EXPECT_EQ(parts.body,
            "penstock: connection_timeout\n"
            "no connection to 192.0.2.1:443\n"
            "phase: connect\n"
            "limit: timeouts.connect 5s (spent 5.001s)\n"
            "phases: resolve 0.999s, connect 5.001s\n"
            "Check that the address can be reached, or raise the limit.\n"
            "request id: 000000000000ab12\n");
}

TEST_F(LocalReplyTest, SpeaksJsonToThoseWhoPreferIt) {
  json = true;
  error.detail = "a \"quoted\" \\ name\r\nSet-Cookie: x\x80";
  const Parts parts = format();
  EXPECT_EQ(parts.field("Content-Type"), "application/problem+json");
  EXPECT_EQ(parts.body,
            "{\"title\":\"connection_timeout\",\"status\":504,"
            "\"detail\":\"a \\\"quoted\\\" \\\\ name??Set-Cookie: x?\",\"phase\":\"connect\","
            "\"limit\":\"timeouts.connect\",\"limit_value\":\"5s\",\"spent\":\"5.001s\","
            "\"advice\":\"Check that the address can be reached, or raise the limit.\","
            "\"request_id\":\"000000000000ab12\"}\n");
}

TEST_F(LocalReplyTest, ALimitThatIsNoTimeHasNoTimeSpentOnIt) {
  error.limit_key = "client.max_header_size";
  limit_value.clear();
  EXPECT_EQ(format().body.find("spent"), std::string::npos);
  EXPECT_EQ(format().field("Proxy-Status").find("spent"), std::string::npos);
  json = true;
  EXPECT_EQ(format().body.find("spent"), std::string::npos);
  EXPECT_NE(format().body.find("\"limit\":\"client.max_header_size\""), std::string::npos);
}

TEST_F(LocalReplyTest, ContentLengthIsThatOfTheBody) {
  for (const bool as_json : {false, true}) {
    json = as_json;
    const Parts parts = format();
    EXPECT_EQ(parts.field("Content-Length"), std::to_string(parts.body.size()));
  }
}

TEST_F(LocalReplyTest, HeadGetsTheLengthAndNoBody) {
  const std::string length = format().field("Content-Length");
  head_only = true;
  const Parts parts = format();
  EXPECT_EQ(parts.field("Content-Length"), length);
  EXPECT_EQ(parts.body, "");
}

TEST_F(LocalReplyTest, SaysCloseWhenItCloses) {
  keep_alive = false;
  EXPECT_EQ(format().field("Connection"), "close");
}

TEST_F(LocalReplyTest, AStrangersTextCannotAddFieldsOrEndTheString) {
  error.detail = "bad\r\nSet-Cookie: a=b\r\n\r\n\"\\\0\x7f\xff; error=x";
  const Parts parts = format();
  EXPECT_EQ(parts.fields.size(), 5U);
  const std::string status = parts.field("Proxy-Status");
  const std::size_t begin = status.find('"');
  ASSERT_NE(begin, std::string::npos);
  EXPECT_EQ(status.find('"', begin + 1), status.size() - 1) << status;
  for (const char c : status) EXPECT_TRUE(c >= 0x20 && c < 0x7f && c != '\\') << status;
  for (const char c : parts.body) EXPECT_TRUE(c == '\n' || (c >= 0x20 && c < 0x7f));
}

TEST_F(LocalReplyTest, DetailsStayWithin256BytesWhateverTheTextIs) {
  for (std::size_t length = 0; length < 600; ++length) {
    error.detail.assign(length, '"');
    const std::string status = format().field("Proxy-Status");
    const std::size_t begin = status.find("details=\"") + 9;
    EXPECT_LE(status.size() - 1 - begin, 256U) << length;
    EXPECT_NE(status.find("id=000000000000ab12"), std::string::npos);
  }
}

struct Answer {
  ErrorCode code;
  std::uint16_t status;
};

TEST(StatusOf, IsThatOfTheTableForEachToken) {
  constexpr Answer kAnswers[] = {
      {ErrorCode::kDnsTimeout, 504},
      {ErrorCode::kDnsError, 502},
      {ErrorCode::kDestinationIpProhibited, 403},
      {ErrorCode::kDestinationIpUnroutable, 502},
      {ErrorCode::kDestinationUnavailable, 503},
      {ErrorCode::kConnectionRefused, 502},
      {ErrorCode::kConnectionTerminated, 502},
      {ErrorCode::kConnectionTimeout, 504},
      {ErrorCode::kConnectionReadTimeout, 504},
      {ErrorCode::kConnectionWriteTimeout, 504},
      {ErrorCode::kConnectionLimitReached, 503},
      {ErrorCode::kTlsProtocolError, 502},
      {ErrorCode::kTlsCertificateError, 502},
      {ErrorCode::kTlsAlertReceived, 502},
      {ErrorCode::kHttpRequestError, 400},
      {ErrorCode::kHttpRequestDenied, 403},
      {ErrorCode::kHttpResponseIncomplete, 502},
      {ErrorCode::kHttpResponseHeaderSectionSize, 502},
      {ErrorCode::kHttpResponseHeaderSize, 502},
      {ErrorCode::kHttpResponseTrailerSectionSize, 502},
      {ErrorCode::kHttpResponseTransferCoding, 502},
      {ErrorCode::kHttpResponseTimeout, 504},
      {ErrorCode::kHttpUpgradeFailed, 502},
      {ErrorCode::kHttpProtocolError, 502},
      {ErrorCode::kProxyInternalResponse, 503},
      {ErrorCode::kProxyInternalError, 500},
      {ErrorCode::kProxyLoopDetected, 502},
      {ErrorCode::kClientAborted, 499},
      {ErrorCode::kClientWriteTimeout, 499},
  };
  static_assert(std::size(kAnswers) == kErrorCodeCount);
  for (const Answer& answer : kAnswers) {
    EXPECT_EQ(status_of({.code = answer.code}), answer.status) << token(answer.code);
    EXPECT_EQ(reason_phrase(answer.status) == "Error", answer.status == 499);
  }
  EXPECT_EQ(status_of({.code = ErrorCode::kHttpRequestError, .status = 431}), 431);
}

TEST_F(LocalReplyTest, ABusyProxySaysWhenToTryAgain) {
  error = {.code = ErrorCode::kConnectionLimitReached, .phase = Phase::kQueue};
  limit_value.clear();
  EXPECT_EQ(format().field("Retry-After"), "1");
}

// Which of several limits is meant, only the rest of the error says.
TEST_F(LocalReplyTest, AdvisesByWhatIsWrong) {
  error = {.code = ErrorCode::kConnectionLimitReached, .limit_key = "timeouts.queue"};
  EXPECT_NE(format().body.find("process.max_upstream_connections"), std::string::npos);
  error.source = ErrorSource::kInternal;
  EXPECT_NE(format().body.find("LimitNOFILE"), std::string::npos);
  error = {.code = ErrorCode::kHttpResponseHeaderSectionSize};
  EXPECT_NE(format().body.find("1,000 fields"), std::string::npos);
  error.limit_key = "max_response_header_size";
  EXPECT_NE(format().body.find("Raise max_response_header_size"), std::string::npos);
}

TEST(PrefersJson, GoesByWeightThenByOrder) {
  const std::pair<std::string_view, bool> cases[] = {
      {"", false},
      {"Accept: */*\r\n", false},
      {"Accept: text/html\r\n", false},
      {"Accept: application/json\r\n", true},
      {"Accept: application/problem+json\r\n", true},
      {"Accept: application/json, text/plain\r\n", true},
      {"Accept: text/plain, application/json\r\n", false},
      {"Accept: text/plain;q=0.5, application/json\r\n", true},
      {"Accept: text/plain;q=0.5, application/json; q=0.4\r\n", false},
      {"Accept: application/json;q=0\r\n", false},
      {"Accept: text/html\r\nAccept: application/json\r\n", false},
      {"Accept: application/json;q=broken\r\n", true},
      {"Accept: ,,;q=,\r\n", false},
  };
  for (const auto& [fields, json] : cases) {
    RequestParser parser{ParseLimits{}};
    RequestHead head;
    const std::string text =
        "GET http://a.test/ HTTP/1.1\r\nHost: a.test\r\n" + std::string(fields) + "\r\n";
    ASSERT_EQ(parser.next(text, head).event, ParseEvent::kHead);
    EXPECT_EQ(prefers_json(head), json) << fields;
  }
}

}  // namespace
}  // namespace penstock
