// What is counted: counters and histograms that each worker writes alone and one scraper adds up.
//
// A value has one writing thread, so counting is a relaxed load and store, without a lock prefix.
// WorkerMetrics. Owner: the MetricsRegistry, which outlives the workers; their counts stay after
// them, since a counter never goes back. Thread: a worker counts on its own thread, render() runs
// on any.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/time.h"
#include "telemetry/close_reason.h"
#include "telemetry/exchange_record.h"
#include "telemetry/failure_ring.h"

namespace penstock {

class Counter {
 public:
  void add(std::uint64_t amount = 1) {
    value_.store(value_.load(std::memory_order_relaxed) + amount, std::memory_order_relaxed);
  }
  std::uint64_t value() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<std::uint64_t> value_{0};
};

class Gauge {
 public:
  void add(std::int64_t amount) {
    value_.store(value_.load(std::memory_order_relaxed) + amount, std::memory_order_relaxed);
  }
  std::int64_t value() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<std::int64_t> value_{0};
};

class Histogram {
 public:
  static constexpr int kBoundCount = 8;
  static constexpr std::array<Duration, kBoundCount> kBounds = {
      std::chrono::milliseconds(1),     std::chrono::milliseconds(5),
      std::chrono::milliseconds(25),    std::chrono::milliseconds(100),
      std::chrono::milliseconds(500),   std::chrono::milliseconds(2500),
      std::chrono::milliseconds(10000), std::chrono::milliseconds(60000)};

  void observe(Duration value) {
    std::size_t bucket = 0;
    while (bucket < kBounds.size() && value > kBounds[bucket]) ++bucket;
    buckets_[bucket].add();
    sum_ns_.add(static_cast<std::uint64_t>(value.count()));
  }
  void add(const Histogram& other);

  // Observations above the bound before and up to this one; the last has no upper bound.
  std::uint64_t bucket(int index) const {
    return buckets_[static_cast<std::size_t>(index)].value();
  }
  Duration sum() const { return Duration(static_cast<Duration::rep>(sum_ns_.value())); }

 private:
  std::array<Counter, kBoundCount + 1> buckets_;
  Counter sum_ns_;
};

// The class of the status that the client got; kNone when it got none.
enum class CodeClass : std::uint8_t { k1xx, k2xx, k3xx, k4xx, k5xx, kNone };
inline constexpr int kCodeClassCount = 6;
std::string_view to_string(CodeClass code_class);

// How a request came by its connection.
enum class AcquireResult : std::uint8_t { kIdle, kTakeover, kDialed, kQueued };
inline constexpr int kAcquireResultCount = 4;
std::string_view to_string(AcquireResult result);

// What became of a further try on a new connection.
enum class RetryResult : std::uint8_t { kSuccess, kFailure, kOverBudget };
inline constexpr int kRetryResultCount = 3;
std::string_view to_string(RetryResult result);

// Why a client was turned away.
enum class RejectReason : std::uint8_t { kMaxConnections, kFileDescriptors, kWebPage, kNotAllowed };
inline constexpr int kRejectReasonCount = 4;
std::string_view to_string(RejectReason reason);

// One value of T for each value of the enum.
template <typename Enum, int kCount, typename T>
class PerEnum {
 public:
  T& operator[](Enum which) { return values_[static_cast<std::size_t>(which)]; }
  const T& operator[](Enum which) const { return values_[static_cast<std::size_t>(which)]; }

 private:
  std::array<T, kCount> values_{};
};

struct UpstreamMetrics {
  // The phase of an error, or none.
  static constexpr int kErrorPhaseCount = kPhaseCount + 1;

  PerEnum<CodeClass, kCodeClassCount, PerEnum<StatusSource, kStatusSourceCount, Counter>> requests;
  Histogram request_duration;
  Histogram exchange_duration;
  PerEnum<Phase, kPhaseCount, Histogram> phase_duration;
  PerEnum<ErrorCode, kErrorCodeCount, std::array<Counter, kErrorPhaseCount>> errors;
  PerEnum<AcquireResult, kAcquireResultCount, Counter> acquires;
  PerEnum<RetryResult, kRetryResultCount, Counter> retries;
  Counter connections_opened;
  PerEnum<CloseReason, kCloseReasonCount, Counter> connections_closed;
  Counter tls_full_handshakes;
  Counter tls_resumed_handshakes;

  void count_error(ErrorCode code, std::optional<Phase> phase);
  void add(const UpstreamMetrics& other);
};

struct ListenerMetrics {
  Gauge client_connections;
  PerEnum<RejectReason, kRejectReasonCount, Counter> rejected;

  void add(const ListenerMetrics& other);
};

class WorkerMetrics {
 public:
  WorkerMetrics() = default;
  WorkerMetrics(const WorkerMetrics&) = delete;
  WorkerMetrics& operator=(const WorkerMetrics&) = delete;

  // The worker's thread only; made when there is none of that name yet. The reference stays valid
  // as long as the registry, so it may be kept beside the upstream or listener it belongs to.
  // What was never routed counts under "".
  UpstreamMetrics& upstream(std::string_view name);
  ListenerMetrics& listener(std::string_view name);
  FailureRing& failures() { return failures_; }

 private:
  friend class MetricsRegistry;
  template <typename T>
  using ByName = std::map<std::string, T, std::less<>>;
  template <typename T>
  T& find_or_create(ByName<T>& by_name, std::string_view name);

  // Held by the worker to insert and by the scraper to walk: the worker itself looks up without it,
  // because nobody else changes the maps.
  mutable std::mutex mutex_;
  ByName<UpstreamMetrics> upstreams_;
  ByName<ListenerMetrics> listeners_;
  FailureRing failures_;
};

// Counts one finished exchange.
void record(UpstreamMetrics& metrics, const ExchangeRecord& record);

// One upstream at this moment: its pools, summed over its hosts.
struct PoolGauge {
  std::string upstream;
  std::uint64_t hosts = 0;
  std::uint64_t dialing = 0;
  std::uint64_t idle = 0;
  std::uint64_t busy = 0;
  std::uint64_t draining = 0;  // a response that was given up is read to its end
  std::uint64_t upgraded = 0;  // tunnels
  double limit = 0;            // the sum of pool.max_connections over its hosts; may be infinite
  std::uint64_t waiting = 0;
  Duration oldest_wait{};  // of any host
  bool paused = false;
  std::optional<WallTime> certificate_not_after{};  // of tls.cert_file
};
using PoolGauges = std::vector<PoolGauge>;

struct ProcessStats {
  double cpu_seconds = 0;
  double start_time_seconds = 0;  // since the epoch
  std::uint64_t resident_bytes = 0;
  std::uint64_t virtual_bytes = 0;
  std::uint64_t open_fds = 0;
  std::uint64_t max_fds = 0;
};

struct ProcessInfo {
  // Of penstock_build_info: {"version", "0.1.0"}, {"openssl", "3.0.15"}, ...
  std::vector<std::pair<std::string, std::string>> build;
  bool last_reload_successful = true;
  WallTime last_reload{};
  // Lines that each log has dropped: {"access", 0}.
  std::vector<std::pair<std::string, std::uint64_t>> dropped_lines;
  // Requests for addresses, by how each ended: {"hit", 3}.
  std::vector<std::pair<std::string, std::uint64_t>> dns_lookups{};
  std::uint64_t buffer_bytes = 0;
  std::uint64_t buffer_limit = 0;
  std::vector<Duration> loop_lags{};  // of each worker: its longest turn since the last scrape
  ProcessStats stats;
};

class MetricsRegistry {
 public:
  MetricsRegistry() = default;
  MetricsRegistry(const MetricsRegistry&) = delete;
  MetricsRegistry& operator=(const MetricsRegistry&) = delete;

  WorkerMetrics& add_worker();

  // All series in the Prometheus text format 0.0.4.
  std::string render(const PoolGauges& pools, const ProcessInfo& process) const;

  // Summed over the workers, by name.
  using Upstreams = std::map<std::string, UpstreamMetrics>;
  Upstreams upstreams() const;
  // The last FailureRing::kMaxKept of all workers, newest first.
  Failures recent_failures() const;

 private:
  struct Totals;
  void sum(Totals& totals) const;

  mutable std::mutex mutex_;  // guards the list, not what is in it
  std::vector<std::unique_ptr<WorkerMetrics>> workers_;
};

}  // namespace penstock
