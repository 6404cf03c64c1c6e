#include "server/traffic_history.h"

#include <algorithm>
#include <numeric>
#include <utility>

namespace penstock {

namespace {

void add_phases(PhaseTimes& phases, const UpstreamMetrics& metrics) {
  for (int i = 0; i < kPhaseCount; ++i) {
    phases[static_cast<std::size_t>(i)] += metrics.phase_duration[static_cast<Phase>(i)].sum();
  }
}

UpstreamTraffic difference(const UpstreamTraffic& now, const UpstreamTraffic& before) {
  UpstreamTraffic traffic{.requests = now.requests - before.requests};
  for (std::size_t i = 0; i < traffic.durations.size(); ++i) {
    traffic.durations[i] = now.durations[i] - before.durations[i];
  }
  return traffic;
}

UpstreamTraffic traffic_at(const TrafficSample& sample, std::string_view upstream) {
  const auto found = sample.upstreams.find(upstream);
  return found == sample.upstreams.end() ? UpstreamTraffic{} : found->second;
}

}  // namespace

std::uint64_t request_count(const UpstreamMetrics& metrics) {
  std::uint64_t count = 0;
  for (int i = 0; i < kCodeClassCount; ++i) {
    for (int j = 0; j < kStatusSourceCount; ++j) {
      count += metrics.requests[static_cast<CodeClass>(i)][static_cast<StatusSource>(j)].value();
    }
  }
  return count;
}

TrafficSample traffic_of(const MetricsRegistry::Upstreams& totals, MonotonicTime now,
                         WallTime wall) {
  TrafficSample sample{.at = now, .wall = wall, .upstreams = {}};
  for (const auto& [name, metrics] : totals) {
    const UpstreamTraffic traffic{.requests = request_count(metrics),
                                  .durations = bucket_counts(metrics.request_duration)};
    sample.requests += traffic.requests;
    add_phases(sample.phases, metrics);
    sample.upstreams.emplace(name, traffic);
  }
  return sample;
}

TrafficStep step_between(const TrafficSample& from, const TrafficSample& to) {
  TrafficStep step{
      .end = to.wall, .span = to.at - from.at, .requests = to.requests - from.requests};
  if (step.requests == 0) return step;
  for (std::size_t i = 0; i < step.means.size(); ++i) {
    step.means[i] = (to.phases[i] - from.phases[i]) / static_cast<Duration::rep>(step.requests);
  }
  step.total = std::accumulate(step.means.begin(), step.means.end(), Duration::zero());
  return step;
}

void TrafficHistory::add(TrafficSample sample) {
  const MonotonicTime now = sample.at;
  samples_.push_back(std::move(sample));
  while (now - samples_.front().at > kSpan) samples_.pop_front();
  for (TrafficSample& old : samples_) {
    if (now - old.at <= kRecent) break;
    old.upstreams.clear();
  }
}

std::vector<TrafficStep> TrafficHistory::steps(const TrafficSample& now) const {
  std::vector<TrafficStep> steps;
  for (std::size_t i = 0; i < samples_.size(); ++i) {
    steps.push_back(step_between(samples_[i], i + 1 < samples_.size() ? samples_[i + 1] : now));
  }
  return steps;
}

// An upstream that a sample does not name had no request then.
TrafficHistory::Recent TrafficHistory::recent(std::string_view upstream,
                                              const TrafficSample& now) const {
  const TrafficSample* const start = recent_start(now.at);
  if (start == nullptr) return {};
  return {now.at - start->at, difference(traffic_at(now, upstream), traffic_at(*start, upstream))};
}

// Samples whose upstreams were forgotten lie before it: those are more than kRecent older than the
// last one.
const TrafficSample* TrafficHistory::recent_start(MonotonicTime now) const {
  const auto found = std::ranges::find_if(
      samples_, [&](const TrafficSample& sample) { return now - sample.at <= kRecent; });
  if (found != samples_.end()) return &*found;
  return samples_.empty() ? nullptr : &samples_.back();
}

}  // namespace penstock
