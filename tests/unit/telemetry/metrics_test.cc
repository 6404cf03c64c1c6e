// One exchange is counted once, in the right places; the workers' counts add up.
#include "telemetry/metrics.h"

#include <gtest/gtest.h>

#include "support.h"

namespace penstock {
namespace {

TEST(Histogram, PutsAValueOnABoundBelowIt) {
  struct Case {
    Duration value;
    int bucket;
  };
  const Case cases[] = {
      {Duration::zero(), 0},
      {std::chrono::milliseconds(1), 0},
      {std::chrono::nanoseconds(1'000'001), 1},
      {std::chrono::milliseconds(5), 1},
      {std::chrono::milliseconds(24), 2},
      {std::chrono::milliseconds(100), 3},
      {std::chrono::milliseconds(101), 4},
      {std::chrono::milliseconds(2500), 5},
      {std::chrono::seconds(10), 6},
      {std::chrono::seconds(60), 7},
      {std::chrono::seconds(61), 8},
  };
  for (const Case& each : cases) {
    Histogram histogram;
    histogram.observe(each.value);
    EXPECT_EQ(histogram.bucket(each.bucket), 1u) << each.value.count();
    EXPECT_EQ(histogram.sum(), each.value);
  }
}

TEST(Record, CountsTheStatusByClassAndSource) {
  struct Case {
    std::uint16_t status;
    StatusSource source;
    CodeClass expected;
  };
  const Case cases[] = {{101, StatusSource::kUpstream, CodeClass::k1xx},
                        {204, StatusSource::kUpstream, CodeClass::k2xx},
                        {304, StatusSource::kUpstream, CodeClass::k3xx},
                        {403, StatusSource::kProxy, CodeClass::k4xx},
                        {504, StatusSource::kProxy, CodeClass::k5xx},
                        {499, StatusSource::kNone, CodeClass::kNone},
                        {0, StatusSource::kNone, CodeClass::kNone},
                        {99, StatusSource::kUpstream, CodeClass::k5xx},
                        {600, StatusSource::kUpstream, CodeClass::k5xx},
                        {999, StatusSource::kUpstream, CodeClass::k5xx}};
  const Timeline timeline;
  for (const Case& each : cases) {
    UpstreamMetrics metrics;
    record(metrics, {.timeline = timeline, .status = each.status, .status_source = each.source});
    for (int i = 0; i < kCodeClassCount; ++i) {
      for (int j = 0; j < kStatusSourceCount; ++j) {
        const auto code_class = static_cast<CodeClass>(i);
        const auto source = static_cast<StatusSource>(j);
        const bool here = code_class == each.expected && source == each.source;
        EXPECT_EQ(metrics.requests[code_class][source].value(), here ? 1u : 0u) << each.status;
      }
    }
  }
}

std::uint64_t count(const Histogram& histogram) {
  std::uint64_t total = 0;
  for (int i = 0; i <= Histogram::kBoundCount; ++i) total += histogram.bucket(i);
  return total;
}

TEST(Record, ObservesTheTimesThatHappenedAndNoOthers) {
  const Timeline timeline = reused_timeline();
  UpstreamMetrics metrics;
  record(metrics, answered(timeline));
  EXPECT_EQ(metrics.request_duration.bucket(2), 1u);
  EXPECT_EQ(metrics.request_duration.sum(), std::chrono::microseconds(12'500));
  EXPECT_EQ(metrics.exchange_duration.sum(), std::chrono::microseconds(12'380));
  for (int i = 0; i < kPhaseCount; ++i) {
    const auto phase = static_cast<Phase>(i);
    EXPECT_EQ(count(metrics.phase_duration[phase]), timeline.happened(phase) ? 1u : 0u);
  }
  EXPECT_EQ(metrics.phase_duration[Phase::kAwaitHead].sum(), std::chrono::microseconds(12'345));
}

TEST(Record, ObservesNoTimesOfAnExchangeThatWasNotTimed) {
  const Timeline timeline;
  UpstreamMetrics metrics;
  record(metrics, {.timeline = timeline});
  EXPECT_EQ(count(metrics.request_duration), 0u);
  EXPECT_EQ(count(metrics.exchange_duration), 0u);
}

TEST(Record, CountsAnErrorUnderItsPhaseOrNone) {
  const Timeline timeline;
  UpstreamMetrics metrics;
  record(metrics, timed_out(timeline));
  record(metrics, {.timeline = timeline, .error = ErrorCode::kHttpRequestError});
  record(metrics, answered(timeline));
  const auto at = [&](ErrorCode code, std::size_t phase) {
    return metrics.errors[code][phase].value();
  };
  EXPECT_EQ(at(ErrorCode::kHttpResponseTimeout, static_cast<std::size_t>(Phase::kAwaitHead)), 1u);
  EXPECT_EQ(at(ErrorCode::kHttpRequestError, kPhaseCount), 1u);
  std::uint64_t all = 0;
  for (int i = 0; i < kErrorCodeCount; ++i) {
    for (std::size_t j = 0; j <= kPhaseCount; ++j) all += at(static_cast<ErrorCode>(i), j);
  }
  EXPECT_EQ(all, 2u);
}

TEST(WorkerMetrics, KeepsAddressesWhileOthersComeAndGo) {
  WorkerMetrics worker;
  UpstreamMetrics* const upstream = &worker.upstream("m");
  ListenerMetrics* const listener = &worker.listener("m");
  for (int i = 0; i < 1000; ++i) {
    worker.upstream(std::to_string(i));
    worker.listener(std::to_string(i));
  }
  EXPECT_EQ(&worker.upstream("m"), upstream);
  EXPECT_EQ(&worker.listener("m"), listener);
}

// Each kind of value gets a number of its own, so that one that is forgotten or swapped shows.
TEST(UpstreamMetrics, AddsEveryKindOfValue) {
  UpstreamMetrics part;
  part.requests[CodeClass::k2xx][StatusSource::kUpstream].add(2);
  part.request_duration.observe(std::chrono::milliseconds(3));
  part.exchange_duration.observe(std::chrono::milliseconds(4));
  part.phase_duration[Phase::kReceive].observe(std::chrono::milliseconds(5));
  part.count_error(ErrorCode::kClientWriteTimeout, std::nullopt);
  part.acquires[AcquireResult::kQueued].add(7);
  part.connections_opened.add(8);
  part.connections_closed[CloseReason::kShutdown].add(9);
  part.tls_full_handshakes.add(10);
  part.tls_resumed_handshakes.add(11);
  UpstreamMetrics total;
  total.add(part);
  total.add(part);
  EXPECT_EQ(total.requests[CodeClass::k2xx][StatusSource::kUpstream].value(), 4u);
  EXPECT_EQ(total.request_duration.sum(), std::chrono::milliseconds(6));
  EXPECT_EQ(count(total.request_duration), 2u);
  EXPECT_EQ(total.exchange_duration.sum(), std::chrono::milliseconds(8));
  EXPECT_EQ(total.phase_duration[Phase::kReceive].sum(), std::chrono::milliseconds(10));
  EXPECT_EQ(total.errors[ErrorCode::kClientWriteTimeout][kPhaseCount].value(), 2u);
  EXPECT_EQ(total.acquires[AcquireResult::kQueued].value(), 14u);
  EXPECT_EQ(total.connections_opened.value(), 16u);
  EXPECT_EQ(total.connections_closed[CloseReason::kShutdown].value(), 18u);
  EXPECT_EQ(total.tls_full_handshakes.value(), 20u);
  EXPECT_EQ(total.tls_resumed_handshakes.value(), 22u);
}

}  // namespace
}  // namespace penstock
