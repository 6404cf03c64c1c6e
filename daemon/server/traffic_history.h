// What the requests of the last minutes did, from the counters as they stood every few seconds: for
// rates, quantiles and means over a time that is recent.
//
// Owner: the Dashboard. Thread: the control loop's.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/time.h"
#include "telemetry/metrics.h"
#include "telemetry/quantile.h"

namespace penstock {

using PhaseTimes = std::array<Duration, kPhaseCount>;

// Counters at one moment; they never go back.
struct UpstreamTraffic {
  std::uint64_t requests = 0;
  BucketCounts durations{};
};
struct TrafficSample {
  MonotonicTime at{};
  WallTime wall{};
  std::uint64_t requests = 0;  // of all upstreams, as are the phases
  PhaseTimes phases{};
  std::map<std::string, UpstreamTraffic, std::less<>> upstreams;
};
TrafficSample traffic_of(const MetricsRegistry::Upstreams& totals, MonotonicTime now,
                         WallTime wall);
std::uint64_t request_count(const UpstreamMetrics& metrics);

// What lies between two samples.
struct TrafficStep {
  WallTime end{};
  Duration span{};
  std::uint64_t requests = 0;
  PhaseTimes means{};  // each phase's part in the time of the mean request
  Duration total{};    // of the means
};
TrafficStep step_between(const TrafficSample& from, const TrafficSample& to);

class TrafficHistory {
 public:
  static constexpr Duration kStep = std::chrono::seconds(5);
  static constexpr Duration kSpan = std::chrono::minutes(5);
  static constexpr Duration kRecent = std::chrono::minutes(1);  // what upstreams are remembered for

  void add(TrafficSample sample);

  // One step for each sample but the first, and one from the last to `now`.
  std::vector<TrafficStep> steps(const TrafficSample& now) const;

  struct Recent {
    Duration span{};
    UpstreamTraffic traffic;
  };
  // From about kRecent, or the first sample, to `now`.
  Recent recent(std::string_view upstream, const TrafficSample& now) const;

 private:
  const TrafficSample* recent_start(MonotonicTime now) const;

  std::deque<TrafficSample> samples_;  // the oldest first
};

}  // namespace penstock
