// A line says what happened in the fixed names and nothing of what did not; it has a bound.
#include "telemetry/line_format.h"

#include <gtest/gtest.h>

#include <memory>
#include <nlohmann/json.hpp>
#include <random>
#include <string>

#include "support.h"

namespace penstock {
namespace {

using Json = nlohmann::ordered_json;

// Writes into exactly line_bound() bytes, so that a sanitizer sees a bound that is too low.
std::string line_of(LineFormatter& formatter, const ExchangeRecord& record, LineStyle style = {}) {
  const std::size_t bound = line_bound(record);
  EXPECT_LE(bound, kMaxLineBytes);
  const auto out = std::make_unique<char[]>(bound);
  const auto size = static_cast<std::size_t>(formatter.write(out.get(), record, style) - out.get());
  EXPECT_LE(size, bound);
  std::string line(out.get(), size);
  EXPECT_EQ(line.find('\n'), line.size() - 1);
  line.pop_back();
  return line;
}

std::string line_of(const ExchangeRecord& record, LineStyle style = {}) {
  LineFormatter formatter;
  return line_of(formatter, record, style);
}

TEST(JsonLine, HoldsEveryFieldOfAnAnsweredRequestInOrder) {
  const Timeline timeline = reused_timeline();
  ExchangeRecord record = answered(timeline);
  record.request_bytes = 0;
  record.traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
  EXPECT_EQ(line_of(record),
            R"({"ts":"2023-11-14T22:13:20.000042Z","id":"000000000000ab12",)"
            R"("listener":"127.0.0.1:3128","client":"127.0.0.1:50412","form":"absolute",)"
            R"("method":"GET","host":"api.payments.example","path":"/v1/items",)"
            R"("upstream":"payments","address":"192.0.2.7:443","protocol":"http/1.1",)"
            R"("status":200,"status_source":"upstream","request_bytes":0,"response_bytes":1234,)"
            R"("conn_id":17,"conn_requests":3,"reused":true,"attempts":1,)"
            R"("queue_ms":0.004,"send_ms":0.036,"wait_ms":12.345,"receive_ms":0.005,)"
            R"("exchange_ms":12.380,"total_ms":12.500,)"
            R"("traceparent":"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",)"
            R"("span_id":"000000000000ab12"})");
}

TEST(JsonLine, NamesErrorPhaseLimitAndCloseReason) {
  const Timeline timeline = reused_timeline();
  const Json line = Json::parse(line_of(timed_out(timeline)));
  EXPECT_EQ(line.at("status"), 504);
  EXPECT_EQ(line.at("status_source"), "proxy");
  EXPECT_EQ(line.at("error"), "http_response_timeout");
  EXPECT_EQ(line.at("error_phase"), "await_head");
  EXPECT_EQ(line.at("error_limit"), "timeouts.response_header");
  EXPECT_EQ(line.at("close_reason"), "timeout");
}

TEST(JsonLine, NamesTheUserOfAUnixSocket) {
  const Timeline timeline = reused_timeline();
  ExchangeRecord record = answered(timeline);
  record.client = "unix";
  record.client_uid = 0;
  EXPECT_NE(line_of(record).find(R"("client":"unix","client_uid":0,"form")"), std::string::npos);
}

TEST(JsonLine, HasNoFieldForWhatDidNotHappen) {
  const Timeline timeline;
  const Json line = Json::parse(line_of({.timeline = timeline, .id = 5}));
  std::vector<std::string> names;
  for (const auto& [name, value] : line.items()) names.push_back(name);
  EXPECT_EQ(names, (std::vector<std::string>{"ts", "id", "status_source"}));
}

TEST(JsonLine, GivesEachPhaseItsName) {
  const char* const names[kPhaseCount] = {"queue_ms", "resolve_ms",  "connect_ms", "tls_ms",
                                          "send_ms",  "continue_ms", "wait_ms",    "receive_ms"};
  for (int i = 0; i < kPhaseCount; ++i) {
    Timeline timeline;
    timeline.add(static_cast<Phase>(i), std::chrono::microseconds(1500));
    const Json line = Json::parse(line_of({.timeline = timeline}));
    EXPECT_EQ(line.size(), 4u);
    EXPECT_EQ(line.at(names[i]), 1.5);
  }
}

TEST(JsonLine, RoundsTimesToMicrosecondsWithThreeDecimals) {
  struct Case {
    std::int64_t nanos;
    const char* text;
  };
  const Case cases[] = {{0, "0.000"},           {499, "0.000"},
                        {500, "0.001"},         {999'499, "0.999"},
                        {999'500, "1.000"},     {1'000'000, "1.000"},
                        {60'050'000, "60.050"}, {86'400'000'000'000, "86400000.000"}};
  for (const Case& each : cases) {
    Timeline timeline;
    timeline.add(Phase::kResolve, Duration(each.nanos));
    EXPECT_NE(
        line_of({.timeline = timeline}).find("\"resolve_ms\":" + std::string(each.text) + "}"),
        std::string::npos)
        << each.text;
  }
}

TEST(JsonLine, WritesTheQueryOnlyWhenAsked) {
  const Timeline timeline;
  ExchangeRecord record{.timeline = timeline};
  record.path = "/a?b=1?c";
  EXPECT_EQ(Json::parse(line_of(record)).at("path"), "/a");
  EXPECT_EQ(Json::parse(line_of(record, {.query = true})).at("path"), "/a?b=1?c");
  record.path = "?q";
  EXPECT_FALSE(Json::parse(line_of(record)).contains("path"));
}

TEST(JsonLine, ClipsALongPathVisibly) {
  const Timeline timeline;
  ExchangeRecord record{.timeline = timeline};
  const std::string just_fits(kMaxLoggedPathBytes, 'p');
  record.path = just_fits;
  EXPECT_EQ(Json::parse(line_of(record)).at("path"), just_fits);
  const std::string too_long = just_fits + "p";
  record.path = too_long;
  EXPECT_EQ(Json::parse(line_of(record)).at("path"), just_fits + "…");
}

TEST(JsonLine, FollowsTheClockFromSecondToSecond) {
  struct Case {
    std::int64_t micros;
    const char* text;
  };
  const Case cases[] = {
      {1'700'000'000'000'042, "2023-11-14T22:13:20.000042Z"},
      {1'700'000'000'999'999, "2023-11-14T22:13:20.999999Z"},
      {1'700'000'001'000'000, "2023-11-14T22:13:21.000000Z"},
      {1'709'164'800'000'000, "2024-02-29T00:00:00.000000Z"},
      {1'700'000'000'000'042, "2023-11-14T22:13:20.000042Z"},
      {0, "1970-01-01T00:00:00.000000Z"},
      {-1, "1969-12-31T23:59:59.999999Z"},
  };
  const Timeline timeline;
  LineFormatter formatter;
  for (const Case& each : cases) {
    const ExchangeRecord record{.timeline = timeline, .ts = wall_micros(each.micros)};
    EXPECT_EQ(Json::parse(line_of(formatter, record)).at("ts"), each.text);
  }
}

// Every text full of the byte that grows most, every number as long as it gets.
ExchangeRecord widest(const Timeline& timeline, std::string_view texts) {
  constexpr std::uint64_t kMost = UINT64_MAX;
  return {.timeline = timeline,
          .ts = wall_micros(1'700'000'000'000'042),
          .id = kMost,
          .listener = texts,
          .client = texts,
          .form = Form::kAbsolute,
          .method = texts,
          .host = texts,
          .path = texts,
          .upstream = texts,
          .address = texts,
          .protocol = texts,
          .status = UINT16_MAX,
          .status_source = StatusSource::kUpstream,
          .error = ErrorCode::kHttpResponseTrailerSectionSize,
          .error_phase = Phase::kAwaitContinue,
          .error_limit = texts,
          .request_bytes = kMost,
          .response_bytes = kMost,
          .conn_id = kMost,
          .conn_requests = UINT32_MAX,
          .attempts = UINT32_MAX,
          .close_reason = CloseReason::kPeerClosedIdle,
          .traceparent = texts};
}

TEST(Line, StaysWithinItsBoundWhateverIsInIt) {
  Timeline timeline;
  for (int i = 0; i < kPhaseCount; ++i) timeline.add(static_cast<Phase>(i), Duration::max() / 2);
  timeline.head_read = timeline.first_byte_sent = MonotonicTime(Duration(1));
  timeline.finished = timeline.last_byte_received = MonotonicTime(Duration::max() / 2);
  for (const std::size_t size : {1, 7, 256, 257, 5000}) {
    const std::string texts(size, '\x01');
    const ExchangeRecord record = widest(timeline, texts);
    EXPECT_EQ(Json::parse(line_of(record, {.query = true})).at("id"), "ffffffffffffffff");
    line_of(record, {.json = false, .query = true});
  }
}

TEST(Line, ParsesWhateverBytesTheTextsHold) {
  std::mt19937 random(3);
  const Timeline timeline = reused_timeline();
  for (int round = 0; round < 3'000; ++round) {
    std::string texts(random() % 300, '\0');
    for (char& c : texts) c = static_cast<char>(random());
    const ExchangeRecord record = widest(timeline, texts);
    ASSERT_TRUE(Json::accept(line_of(record, {.query = true})));
    const std::string text = line_of(record, {.json = false, .query = true});
    for (const char c : text) ASSERT_TRUE(c >= ' ' && c < 0x7f);
  }
}

TEST(TextLine, BeginsWithWhatPeopleLookFor) {
  const Timeline timeline = reused_timeline();
  EXPECT_EQ(line_of(timed_out(timeline), {.json = false}),
            "2023-11-14T22:13:20.000042Z 504 GET api.payments.example/v1/items "
            "error=http_response_timeout error_phase=await_head "
            "error_limit=timeouts.response_header queue_ms=0.004 send_ms=0.036 wait_ms=12.345 "
            "receive_ms=0.005 exchange_ms=12.380 total_ms=12.500 status_source=proxy "
            "upstream=payments address=192.0.2.7:443 protocol=http/1.1 response_bytes=1234 "
            "conn_id=17 conn_requests=3 reused=true attempts=1 close_reason=timeout "
            "id=000000000000ab12 listener=127.0.0.1:3128 client=127.0.0.1:50412 form=absolute");
}

TEST(TextLine, HasADashWhereARequestWasNotEvenRead) {
  const Timeline timeline;
  EXPECT_EQ(line_of({.timeline = timeline, .error = ErrorCode::kClientAborted}, {.json = false}),
            "1970-01-01T00:00:00.000000Z - - - error=client_aborted status_source=none "
            "id=0000000000000000");
}

}  // namespace
}  // namespace penstock
