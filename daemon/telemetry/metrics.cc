#include "telemetry/metrics.h"

#include <algorithm>
#include <functional>
#include <tuple>
#include <utility>

namespace penstock {
namespace {

void add_to(Counter& total, const Counter& part) { total.add(part.value()); }
void add_to(Histogram& total, const Histogram& part) { total.add(part); }

template <typename Enum, int kCount, typename T>
void add_to(PerEnum<Enum, kCount, T>& total, const PerEnum<Enum, kCount, T>& part);

template <typename T, std::size_t kCount>
void add_to(std::array<T, kCount>& total, const std::array<T, kCount>& part) {
  for (std::size_t i = 0; i < kCount; ++i) add_to(total[i], part[i]);
}

template <typename Enum, int kCount, typename T>
void add_to(PerEnum<Enum, kCount, T>& total, const PerEnum<Enum, kCount, T>& part) {
  for (int i = 0; i < kCount; ++i) add_to(total[static_cast<Enum>(i)], part[static_cast<Enum>(i)]);
}

// RFC 9110 section 15: a status outside 100 to 599 is treated as a 5xx.
CodeClass class_of(const ExchangeRecord& record) {
  if (record.status_source == StatusSource::kNone) return CodeClass::kNone;
  const int hundreds = record.status / 100;
  return hundreds >= 1 && hundreds <= 5 ? static_cast<CodeClass>(hundreds - 1) : CodeClass::k5xx;
}

}  // namespace

std::string_view to_string(CodeClass code_class) {
  switch (code_class) {
    case CodeClass::k1xx:
      return "1xx";
    case CodeClass::k2xx:
      return "2xx";
    case CodeClass::k3xx:
      return "3xx";
    case CodeClass::k4xx:
      return "4xx";
    case CodeClass::k5xx:
      return "5xx";
    case CodeClass::kNone:
      return "none";
  }
  return "";
}

std::string_view to_string(RetryResult result) {
  switch (result) {
    case RetryResult::kSuccess:
      return "success";
    case RetryResult::kFailure:
      return "failure";
    case RetryResult::kOverBudget:
      return "over_budget";
  }
  return "";
}

std::string_view to_string(AcquireResult result) {
  switch (result) {
    case AcquireResult::kIdle:
      return "idle";
    case AcquireResult::kTakeover:
      return "takeover";
    case AcquireResult::kDialed:
      return "dialed";
    case AcquireResult::kQueued:
      return "queued";
  }
  return "";
}

std::string_view to_string(RejectReason reason) {
  switch (reason) {
    case RejectReason::kMaxConnections:
      return "max_connections";
    case RejectReason::kFileDescriptors:
      return "file_descriptors";
    case RejectReason::kWebPage:
      return "web_page";
    case RejectReason::kNotAllowed:
      return "not_allowed";
  }
  return "";
}

void Histogram::add(const Histogram& other) {
  add_to(buckets_, other.buckets_);
  add_to(sum_ns_, other.sum_ns_);
}

void UpstreamMetrics::count_error(ErrorCode code, std::optional<Phase> phase) {
  errors[code][phase ? static_cast<std::size_t>(*phase) : kPhaseCount].add();
}

void UpstreamMetrics::add(const UpstreamMetrics& other) {
  add_to(requests, other.requests);
  add_to(request_duration, other.request_duration);
  add_to(exchange_duration, other.exchange_duration);
  add_to(phase_duration, other.phase_duration);
  add_to(errors, other.errors);
  add_to(acquires, other.acquires);
  add_to(retries, other.retries);
  add_to(connections_opened, other.connections_opened);
  add_to(connections_closed, other.connections_closed);
  add_to(tls_full_handshakes, other.tls_full_handshakes);
  add_to(tls_resumed_handshakes, other.tls_resumed_handshakes);
}

void ListenerMetrics::add(const ListenerMetrics& other) {
  client_connections.add(other.client_connections.value());
  add_to(rejected, other.rejected);
}

UpstreamMetrics& WorkerMetrics::upstream(std::string_view name) {
  return find_or_create(upstreams_, name);
}

ListenerMetrics& WorkerMetrics::listener(std::string_view name) {
  return find_or_create(listeners_, name);
}

template <typename T>
T& WorkerMetrics::find_or_create(ByName<T>& by_name, std::string_view name) {
  if (const auto found = by_name.find(name); found != by_name.end()) return found->second;
  const std::lock_guard lock(mutex_);
  return by_name.try_emplace(std::string(name)).first->second;
}

void record(UpstreamMetrics& metrics, const ExchangeRecord& record) {
  metrics.requests[class_of(record)][record.status_source].add();
  if (const auto spent = total_time(record)) metrics.request_duration.observe(*spent);
  if (const auto spent = exchange_time(record)) metrics.exchange_duration.observe(*spent);
  record.timeline.for_each_phase(
      [&](Phase phase) { metrics.phase_duration[phase].observe(*phase_time(record, phase)); });
  if (record.error) metrics.count_error(*record.error, record.error_phase);
}

WorkerMetrics& MetricsRegistry::add_worker() {
  const std::lock_guard lock(mutex_);
  return *workers_.emplace_back(std::make_unique<WorkerMetrics>());
}

MetricsRegistry::Upstreams MetricsRegistry::upstreams() const {
  Upstreams totals;
  const std::lock_guard lock(mutex_);
  for (const auto& worker : workers_) {
    const std::lock_guard worker_lock(worker->mutex_);
    for (const auto& [name, part] : worker->upstreams_) totals[name].add(part);
  }
  return totals;
}

Failures MetricsRegistry::recent_failures() const {
  Failures failures;
  {
    const std::lock_guard lock(mutex_);
    for (const auto& worker : workers_) worker->failures_.append_to(failures);
  }
  std::ranges::sort(failures, std::ranges::greater(), &Failure::time);
  if (failures.size() > FailureRing::kMaxKept) failures.resize(FailureRing::kMaxKept);
  return failures;
}

}  // namespace penstock
