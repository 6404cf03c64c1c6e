// Which exchanges are errors, which times they have, and that every word is there once.
#include "telemetry/exchange_record.h"

#include <gtest/gtest.h>

#include <set>
#include <string>

#include "support.h"

namespace penstock {
namespace {

TEST(ExchangeRecord, IsAnErrorWhenItFailedOrGotNoStatusOrAServerError) {
  struct Case {
    std::uint16_t status;
    StatusSource source;
    std::optional<ErrorCode> error;
    bool expected;
  };
  const Case cases[] = {
      {200, StatusSource::kUpstream, {}, false},
      {304, StatusSource::kUpstream, {}, false},
      {404, StatusSource::kUpstream, {}, false},
      {499, StatusSource::kUpstream, {}, false},
      {500, StatusSource::kUpstream, {}, true},
      {503, StatusSource::kUpstream, {}, true},
      {403, StatusSource::kProxy, ErrorCode::kHttpRequestDenied, true},
      {200, StatusSource::kUpstream, ErrorCode::kHttpResponseIncomplete, true},
      {499, StatusSource::kNone, {}, true},
      {0, StatusSource::kNone, {}, true},
  };
  const Timeline timeline;
  for (const Case& each : cases) {
    const ExchangeRecord record{.timeline = timeline,
                                .status = each.status,
                                .status_source = each.source,
                                .error = each.error};
    EXPECT_EQ(is_error(record), each.expected) << each.status << to_string(each.source);
  }
}

TEST(ExchangeRecord, HasNoTimeForWhatDidNotHappen) {
  const Timeline timeline;
  const ExchangeRecord record{.timeline = timeline};
  EXPECT_EQ(total_time(record), std::nullopt);
  EXPECT_EQ(exchange_time(record), std::nullopt);
  for (int i = 0; i < kPhaseCount; ++i) {
    EXPECT_EQ(phase_time(record, static_cast<Phase>(i)), std::nullopt);
  }
}

TEST(ExchangeRecord, CountsAPhaseUnderWayUpToTheEnd) {
  Timeline timeline;
  timeline.enter(Phase::kAwaitHead, at_micros(100));
  timeline.finished = at_micros(350);
  EXPECT_EQ(phase_time({.timeline = timeline}, Phase::kAwaitHead), std::chrono::microseconds(250));
}

TEST(ExchangeRecord, NeverHasANegativeTime) {
  Timeline timeline;
  timeline.enter(Phase::kAwaitHead, at_micros(100));  // and finished was never stamped
  EXPECT_EQ(phase_time({.timeline = timeline}, Phase::kAwaitHead), Duration::zero());
  timeline.head_read = at_micros(9);
  timeline.finished = at_micros(8);
  EXPECT_EQ(total_time({.timeline = timeline}), Duration::zero());
}

template <typename Enum>
std::set<std::string_view> words_of(int count) {
  std::set<std::string_view> words;
  for (int i = 0; i < count; ++i) words.insert(to_string(static_cast<Enum>(i)));
  return words;
}

TEST(CloseReason, HasTheFifteenWordsThatAreFixed) {
  const std::set<std::string_view> expected = {
      "idle_timeout",    "max_lifetime",   "max_requests", "server_close", "peer_closed_idle",
      "unexpected_data", "error",          "timeout",      "client_abort", "trimmed",
      "evicted",         "retired_reload", "retired_dns",  "admin",        "shutdown"};
  EXPECT_EQ(words_of<CloseReason>(kCloseReasonCount), expected);
}

TEST(StatusSource, HasTheThreeWordsThatAreFixed) {
  EXPECT_EQ(words_of<StatusSource>(kStatusSourceCount),
            (std::set<std::string_view>{"upstream", "proxy", "none"}));
}

}  // namespace
}  // namespace penstock
