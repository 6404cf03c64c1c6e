#include "proxy/limit_clocks.h"

#include <gtest/gtest.h>

#include <set>

#include "proxy/local_reply.h"

namespace penstock {
namespace {

using namespace std::chrono_literals;

constexpr MonotonicTime kStart{1000s};

std::vector<LimitKind> all_kinds() {
  std::vector<LimitKind> kinds;
  for (int i = 0; i < kLimitKindCount; ++i) kinds.push_back(static_cast<LimitKind>(i));
  return kinds;
}

TEST(LimitClocks, RunNoneAtFirst) {
  const LimitClocks clocks;
  EXPECT_EQ(clocks.earliest(), kForever);
  EXPECT_EQ(clocks.expired(kStart + 1000h), std::nullopt);
}

TEST(LimitClocks, ExpireAtTheirMomentAndNotBefore) {
  for (const LimitKind kind : all_kinds()) {
    LimitClocks clocks;
    clocks.start(kind, kStart, 5s);
    EXPECT_TRUE(clocks.running(kind));
    EXPECT_EQ(clocks.started(kind), kStart);
    EXPECT_EQ(clocks.earliest(), kStart + 5s);
    EXPECT_EQ(clocks.expired(kStart + 5s - 1ns), std::nullopt);
    EXPECT_EQ(clocks.expired(kStart + 5s), kind);
  }
}

TEST(LimitClocks, TheOneThatEndedFirstIsTheOneThatFired) {
  LimitClocks clocks;
  clocks.start(LimitKind::kTotal, kStart, 10s);
  clocks.start(LimitKind::kBodyStall, kStart + 1s, 3s);
  clocks.start(LimitKind::kHeader, kStart, 7s);
  EXPECT_EQ(clocks.earliest(), kStart + 4s);
  EXPECT_EQ(clocks.expired(kStart + 1h), LimitKind::kBodyStall);
  clocks.stop(LimitKind::kBodyStall);
  EXPECT_EQ(clocks.expired(kStart + 1h), LimitKind::kHeader);
}

TEST(LimitClocks, OfEachPairInBothOrdersTheEarlierFires) {
  for (const LimitKind first : all_kinds()) {
    for (const LimitKind second : all_kinds()) {
      if (first == second) continue;
      LimitClocks clocks;
      clocks.start(second, kStart, 5s);
      clocks.start(first, kStart + 1s, 4s - 1ns);
      EXPECT_EQ(clocks.earliest(), kStart + 5s - 1ns);
      EXPECT_EQ(clocks.expired(kStart + 5s - 2ns), std::nullopt);
      EXPECT_EQ(clocks.expired(kStart + 5s), first);
    }
  }
}

TEST(LimitClocks, ThatRestKeepWhatIsLeft) {
  LimitClocks clocks;
  clocks.rest(LimitKind::kMinRate, kStart);
  clocks.resume(LimitKind::kMinRate, kStart);
  EXPECT_FALSE(clocks.running(LimitKind::kMinRate)) << "what never ran does not begin";
  clocks.start(LimitKind::kMinRate, kStart, 5s);
  clocks.rest(LimitKind::kMinRate, kStart + 2s);
  clocks.rest(LimitKind::kMinRate, kStart + 3s);
  EXPECT_EQ(clocks.earliest(), kForever);
  clocks.resume(LimitKind::kMinRate, kStart + 10s);
  clocks.resume(LimitKind::kMinRate, kStart + 11s);
  EXPECT_EQ(clocks.earliest(), kStart + 13s);
  clocks.rest(LimitKind::kMinRate, kStart + 12s);
  clocks.stop(LimitKind::kMinRate);
  clocks.resume(LimitKind::kMinRate, kStart + 12s);
  EXPECT_FALSE(clocks.running(LimitKind::kMinRate)) << "stopped while it rested";
}

TEST(LimitClocks, StartedAnewCountFromThen) {
  LimitClocks clocks;
  clocks.start(LimitKind::kBodyStall, kStart, 5s);
  clocks.start(LimitKind::kBodyStall, kStart + 4s, 5s);
  EXPECT_EQ(clocks.expired(kStart + 8s), std::nullopt);
  EXPECT_EQ(clocks.earliest(), kStart + 9s);
}

TEST(LimitClocks, ALimitThatIsOffNeverEnds) {
  LimitClocks clocks;
  clocks.start(LimitKind::kTotal, kStart, std::nullopt);
  EXPECT_EQ(clocks.earliest(), kForever);
  EXPECT_EQ(clocks.expired(kForever - 1ns), std::nullopt);
}

TEST(LimitClocks, StopAllStopsEach) {
  LimitClocks clocks;
  for (const LimitKind kind : all_kinds()) clocks.start(kind, kStart, 1s);
  clocks.stop_all();
  for (const LimitKind kind : all_kinds()) EXPECT_FALSE(clocks.running(kind));
}

struct Meaning {
  LimitKind kind;
  std::string_view key;
  std::string_view token;
  std::uint16_t status;
  std::optional<Phase> phase;
};

TEST(LimitError, SaysKeyTokenStatusAndPhaseOfEachLimit) {
  const Meaning meanings[] = {
      {LimitKind::kHeader, "client.header_timeout", "http_request_error", 408, std::nullopt},
      {LimitKind::kClientBodyStall, "client.body_stall", "http_request_error", 408, Phase::kSend},
      {LimitKind::kClientWriteStall, "client.write_stall", "client_write_timeout", 499,
       Phase::kReceive},
      {LimitKind::kQueue, "timeouts.queue", "connection_limit_reached", 503, Phase::kQueue},
      {LimitKind::kWriteStall, "timeouts.write_stall", "connection_write_timeout", 504,
       Phase::kSend},
      {LimitKind::kResponseHeader, "timeouts.response_header", "http_response_timeout", 504,
       Phase::kAwaitHead},
      {LimitKind::kBodyStall, "timeouts.body_stall", "connection_read_timeout", 504,
       Phase::kReceive},
      {LimitKind::kMinRate, "timeouts.min_rate", "connection_read_timeout", 504, Phase::kReceive},
      {LimitKind::kExchange, "timeouts.exchange", "http_response_timeout", 504, Phase::kConnect},
      {LimitKind::kAppDeadline, "client.deadline_header", "http_response_timeout", 504,
       Phase::kConnect},
      {LimitKind::kGrpcTimeout, "grpc-timeout", "http_response_timeout", 504, Phase::kConnect},
      {LimitKind::kTotal, "timeouts.total", "http_response_timeout", 504, Phase::kConnect},
  };
  std::set<std::string_view> keys;
  for (const Meaning& meaning : meanings) {
    const Error error = limit_error(meaning.kind, Phase::kConnect);
    EXPECT_EQ(error.limit_key, meaning.key);
    EXPECT_EQ(token(error.code), meaning.token) << meaning.key;
    EXPECT_EQ(status_of(error), meaning.status) << meaning.key;
    EXPECT_EQ(error.phase, meaning.phase) << meaning.key;
    EXPECT_FALSE(error.detail.empty()) << meaning.key;
    keys.insert(error.limit_key);
  }
  EXPECT_EQ(keys.size(), std::size(meanings)) << "no key twice";
}

}  // namespace
}  // namespace penstock
