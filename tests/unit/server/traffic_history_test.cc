// Rates and means of the last minutes, out of counters as they stood every few seconds.
#include "server/traffic_history.h"

#include <gtest/gtest.h>

namespace penstock {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

// `count` requests of 3 ms each, all in await_head.
TrafficSample sample_at(Duration since_start, std::uint64_t count) {
  TrafficSample sample{
      .at = MonotonicTime(seconds(1000) + since_start),
      .wall = WallTime(std::chrono::duration_cast<std::chrono::microseconds>(since_start)),
      .requests = count,
      .upstreams = {}};
  sample.phases[static_cast<std::size_t>(Phase::kAwaitHead)] = milliseconds(3) * count;
  UpstreamTraffic traffic{.requests = count};
  traffic.durations[1] = count;
  if (count > 0) sample.upstreams.emplace("api", traffic);
  return sample;
}

TEST(Step, DividesEachPhaseByAllRequests) {
  TrafficSample from = sample_at(seconds(0), 10);
  TrafficSample to = sample_at(seconds(5), 14);
  to.phases[static_cast<std::size_t>(Phase::kConnect)] = milliseconds(2);  // of one of the four
  const TrafficStep step = step_between(from, to);
  EXPECT_EQ(step.requests, 4u);
  EXPECT_EQ(step.span, seconds(5));
  EXPECT_EQ(step.means[static_cast<std::size_t>(Phase::kAwaitHead)], milliseconds(3));
  EXPECT_EQ(step.means[static_cast<std::size_t>(Phase::kConnect)], std::chrono::microseconds(500));
  EXPECT_EQ(step.total, std::chrono::microseconds(3500));
}

TEST(Step, WithoutRequestsIsEmpty) {
  const TrafficStep step = step_between(sample_at(seconds(0), 10), sample_at(seconds(5), 10));
  EXPECT_EQ(step.requests, 0u);
  EXPECT_EQ(step.total, Duration::zero());
}

TEST(History, EndsWithTheStepUnderWay) {
  TrafficHistory history;
  EXPECT_TRUE(history.steps(sample_at(seconds(0), 0)).empty());
  history.add(sample_at(seconds(0), 0));
  history.add(sample_at(seconds(5), 10));
  const auto steps = history.steps(sample_at(seconds(6), 13));
  ASSERT_EQ(steps.size(), 2u);
  EXPECT_EQ(steps[0].requests, 10u);
  EXPECT_EQ(steps[1].requests, 3u);
  EXPECT_EQ(steps[1].span, seconds(1));
}

TEST(History, ForgetsWhatIsOlderThanItsSpan) {
  TrafficHistory history;
  for (int i = 0; i <= 100; ++i)
    history.add(sample_at(TrafficHistory::kStep * i, static_cast<std::uint64_t>(i)));
  const auto steps = history.steps(sample_at(TrafficHistory::kStep * 100, 100));
  EXPECT_EQ(steps.size(), 61u);
  Duration whole{};
  for (const TrafficStep& step : steps) whole += step.span;
  EXPECT_EQ(whole, TrafficHistory::kSpan);
}

TEST(History, RecentIsAboutAMinute) {
  TrafficHistory history;
  for (int i = 0; i <= 100; ++i)
    history.add(sample_at(TrafficHistory::kStep * i, static_cast<std::uint64_t>(i) * 10));
  const auto now = sample_at(TrafficHistory::kStep * 100 + seconds(2), 1004);
  const auto recent = history.recent("api", now);
  EXPECT_EQ(recent.span, seconds(57));  // 62 s ago would be the next
  EXPECT_EQ(recent.traffic.requests, 114u);
  EXPECT_EQ(recent.traffic.durations[1], 114u);
  EXPECT_EQ(history.recent("nobody", now).traffic.requests, 0u);
}

TEST(History, AnUpstreamMetLaterBeganWithNothing) {
  TrafficHistory history;
  history.add(sample_at(seconds(0), 0));
  EXPECT_EQ(history.recent("api", sample_at(seconds(3), 6)).traffic.requests, 6u);
}

// A machine that slept: the last sample is all there is to compare with.
TEST(History, AfterALongPauseTheLastSampleCounts) {
  TrafficHistory history;
  history.add(sample_at(seconds(0), 0));
  history.add(sample_at(seconds(5), 10));
  const auto recent = history.recent("api", sample_at(seconds(3605), 30));
  EXPECT_EQ(recent.span, seconds(3600));
  EXPECT_EQ(recent.traffic.requests, 20u);
}

TEST(Traffic, IsReadFromTheCounters) {
  MetricsRegistry registry;
  UpstreamMetrics& metrics = registry.add_worker().upstream("api");
  metrics.requests[CodeClass::k2xx][StatusSource::kUpstream].add(2);
  metrics.requests[CodeClass::k5xx][StatusSource::kProxy].add();
  metrics.request_duration.observe(milliseconds(3));
  metrics.phase_duration[Phase::kSend].observe(milliseconds(1));
  const TrafficSample sample = traffic_of(registry.upstreams(), MonotonicTime(seconds(1)), {});
  EXPECT_EQ(sample.requests, 3u);
  EXPECT_EQ(sample.upstreams.at("api").durations[1], 1u);
  EXPECT_EQ(sample.phases[static_cast<std::size_t>(Phase::kSend)], milliseconds(1));
}

}  // namespace
}  // namespace penstock
