// What the telemetry tests share: a record with everything in it.
#pragma once

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <string>
#include <vector>

#include "support/temporary_folder.h"
#include "telemetry/exchange_record.h"

namespace penstock {

inline MonotonicTime at_micros(std::int64_t micros) {
  return MonotonicTime(std::chrono::seconds(1000) + std::chrono::microseconds(micros));
}

inline WallTime wall_micros(std::int64_t micros) {
  return WallTime(std::chrono::microseconds(micros));
}

// A GET that reused a connection: no resolve, connect or tls.
inline Timeline reused_timeline() {
  Timeline timeline;
  timeline.head_read = at_micros(0);
  timeline.enter(Phase::kQueue, at_micros(10));
  timeline.leave(Phase::kQueue, at_micros(14));
  timeline.enter(Phase::kSend, at_micros(14));
  timeline.first_byte_sent = at_micros(20);
  timeline.leave(Phase::kSend, at_micros(50));
  timeline.enter(Phase::kAwaitHead, at_micros(50));
  timeline.leave(Phase::kAwaitHead, at_micros(12'395));
  timeline.enter(Phase::kReceive, at_micros(12'395));
  timeline.last_byte_received = at_micros(12'400);
  timeline.leave(Phase::kReceive, at_micros(12'400));
  timeline.finished = at_micros(12'500);
  return timeline;
}

inline ExchangeRecord answered(const Timeline& timeline) {
  return {.timeline = timeline,
          .ts = wall_micros(1'700'000'000'000'042),
          .id = 0xab12,
          .listener = "127.0.0.1:3128",
          .client = "127.0.0.1:50412",
          .form = Form::kAbsolute,
          .method = "GET",
          .host = "api.payments.example",
          .path = "/v1/items?token=secret",
          .upstream = "payments",
          .address = "192.0.2.7:443",
          .protocol = "http/1.1",
          .status = 200,
          .status_source = StatusSource::kUpstream,
          .response_bytes = 1234,
          .conn_id = 17,
          .conn_requests = 3,
          .reused = true,
          .attempts = 1};
}

inline ExchangeRecord timed_out(const Timeline& timeline) {
  ExchangeRecord record = answered(timeline);
  record.status = 504;
  record.status_source = StatusSource::kProxy;
  record.error = ErrorCode::kHttpResponseTimeout;
  record.error_phase = Phase::kAwaitHead;
  record.error_limit = "timeouts.response_header";
  record.close_reason = CloseReason::kTimeout;
  return record;
}

}  // namespace penstock
