// What is told about one finished exchange: the value that the access log writes and the metrics
// count.
//
// The proxy fills it on the stack when an exchange ends. Its texts point into the exchange's own
// memory and need to live only as long as the call that is handed the record. An empty text, a zero
// id and a nullopt all mean "did not happen", and the log then has no such field.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string_view>

#include "base/error.h"
#include "base/time.h"
#include "telemetry/close_reason.h"
#include "telemetry/timeline.h"

namespace penstock {

// The form of the request target (RFC 9112 section 3.2).
// kUnwrapped: a plaintext request inside a CONNECT tunnel to port 80.
enum class Form : std::uint8_t { kAbsolute, kOrigin, kConnect, kUnwrapped };
std::string_view to_string(Form form);

// Who made the status that the client got; kNone when it got none.
enum class StatusSource : std::uint8_t { kUpstream, kProxy, kNone };
inline constexpr int kStatusSourceCount = 3;
std::string_view to_string(StatusSource source);

// From one stamp to another; nullopt when either was never made, and never below zero.
inline std::optional<Duration> time_between(MonotonicTime from, MonotonicTime to) {
  if (from == kNever || to == kNever) return std::nullopt;
  return std::max(to - from, Duration::zero());
}

struct ExchangeRecord {
  const Timeline& timeline;
  WallTime ts{};
  std::uint64_t id = 0;
  std::string_view listener{};
  std::string_view client{};
  std::optional<std::uint32_t> client_uid{};  // of a unix socket's client
  std::optional<Form> form{};
  std::string_view method{};
  std::string_view host{};
  std::string_view path{};  // with its query; the log cuts that off unless asked for it
  std::string_view upstream{};
  std::string_view address{};
  std::string_view protocol{};
  std::uint16_t status = 0;  // 499 with StatusSource::kNone when the client left first
  StatusSource status_source = StatusSource::kNone;
  std::optional<ErrorCode> error{};
  std::optional<Phase> error_phase{};
  std::string_view error_limit{};
  std::optional<std::uint64_t> request_bytes{};
  std::optional<std::uint64_t> response_bytes{};
  std::uint64_t conn_id = 0;  // 0: no connection was had, so nothing of conn_requests and reused
  std::uint32_t conn_requests = 0;
  bool reused = false;
  std::uint32_t attempts = 0;
  std::optional<CloseReason> close_reason{};
  std::string_view traceparent{};  // a valid one; `id` is then logged as the span's id too
};

// Request head read to last response byte delivered.
inline std::optional<Duration> total_time(const ExchangeRecord& record) {
  return time_between(record.timeline.head_read, record.timeline.finished);
}
// First request byte written to last response byte read.
inline std::optional<Duration> exchange_time(const ExchangeRecord& record) {
  return time_between(record.timeline.first_byte_sent, record.timeline.last_byte_received);
}
// Time in one phase, when it happened.
inline std::optional<Duration> phase_time(const ExchangeRecord& record, Phase phase) {
  const Timeline& timeline = record.timeline;
  if (!timeline.happened(phase)) return std::nullopt;
  return std::max(timeline.spent(phase, timeline.finished), Duration::zero());
}

// An error for `access_log.only: errors`: an error token, no status delivered, or a status of 500
// and more. A 4xx of the proxy carries a token and so is one; an upstream's 404 is not.
inline bool is_error(const ExchangeRecord& record) {
  return record.error.has_value() || record.status_source == StatusSource::kNone ||
         record.status >= 500;
}

}  // namespace penstock
