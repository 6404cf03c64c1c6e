// What is kept of requests that failed: the last ones, with texts of their own, within a bound.
#include "telemetry/failure_ring.h"

#include <gtest/gtest.h>

#include <string>

#include "support.h"
#include "telemetry/line_format.h"
#include "telemetry/metrics.h"

namespace penstock {
namespace {

ExchangeRecord failed_at(const Timeline& timeline, std::int64_t micros) {
  ExchangeRecord record = timed_out(timeline);
  record.ts = wall_micros(micros);
  return record;
}

std::string line_of(const ExchangeRecord& record) {
  std::string line(line_bound(record), '\0');
  LineFormatter formatter;
  line.resize(static_cast<std::size_t>(formatter.write(line.data(), record, {}) - line.data()));
  return line;
}

TEST(Failure, SaysWhatTheRecordSaid) {
  Timeline timeline = reused_timeline();
  ExchangeRecord record = timed_out(timeline);
  record.client_uid = 1000;
  record.request_bytes = 77;
  record.traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
  const std::string expected = line_of(record);
  Failure failure;
  failure.assign(record);
  timeline = {};  // it has stamps of its own
  EXPECT_EQ(line_of(failure.record()), expected);
}

TEST(Failure, OwnsItsTextsAndLeavesTheQueryOut) {
  const Timeline timeline;
  Failure failure;
  {
    std::string path = "/login?password=secret";
    failure.assign({.timeline = timeline, .path = path});
    path.assign(path.size(), 'x');
  }
  EXPECT_EQ(failure.record().path, "/login");
}

TEST(Failure, ClipsLongTexts) {
  const Timeline timeline;
  const std::string longest(Failure::kMaxTextBytes, 'a');
  Failure failure;
  failure.assign({.timeline = timeline, .host = longest, .path = longest + "b"});
  EXPECT_EQ(failure.record().host, longest);
  EXPECT_EQ(failure.record().path.size(), Failure::kMaxTextBytes);
  EXPECT_TRUE(failure.record().path.ends_with("a…"));
}

TEST(FailureRing, KeepsTheLast) {
  const Timeline timeline;
  FailureRing ring;
  const auto more = static_cast<std::int64_t>(FailureRing::kMaxKept) + 7;
  for (std::int64_t i = 1; i <= more; ++i) ring.add(failed_at(timeline, i));
  Failures failures;
  ring.append_to(failures);
  EXPECT_EQ(failures.size(), FailureRing::kMaxKept);
  for (const Failure& failure : failures) EXPECT_GT(failure.time(), wall_micros(7));
}

TEST(MetricsRegistry, ShowsTheLastFailuresOfAllWorkersNewestFirst) {
  const Timeline timeline;
  MetricsRegistry registry;
  FailureRing& first = registry.add_worker().failures();
  FailureRing& second = registry.add_worker().failures();
  const auto count = static_cast<std::int64_t>(FailureRing::kMaxKept);
  for (std::int64_t i = 1; i <= count; ++i)
    (i % 2 == 0 ? first : second).add(failed_at(timeline, i));
  for (std::int64_t i = count + 1; i <= count + 30; ++i) first.add(failed_at(timeline, i));
  const Failures failures = registry.recent_failures();
  ASSERT_EQ(failures.size(), FailureRing::kMaxKept);
  EXPECT_EQ(failures.front().time(), wall_micros(count + 30));
  EXPECT_EQ(failures.back().time(), wall_micros(31));
}

TEST(MetricsRegistry, AddsTheWorkersUpByUpstream) {
  MetricsRegistry registry;
  for (int i = 0; i < 2; ++i) registry.add_worker().upstream("api").connections_opened.add(3);
  registry.add_worker().upstream("other").connections_opened.add();
  const MetricsRegistry::Upstreams upstreams = registry.upstreams();
  ASSERT_EQ(upstreams.size(), 2u);
  EXPECT_EQ(upstreams.at("api").connections_opened.value(), 6u);
}

}  // namespace
}  // namespace penstock
