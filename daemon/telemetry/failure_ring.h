// The last requests that failed, with their phases: what /failures and the dashboard show.
//
// A request that succeeds touches nothing of it. Texts are clipped and an entry's memory is used
// again, so that a storm of failures neither grows nor, after the first round, allocates.
#pragma once

#include <cstddef>
#include <cstdint>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "telemetry/exchange_record.h"

namespace penstock {

// An ExchangeRecord that owns its texts.
class Failure {
 public:
  static constexpr std::size_t kMaxTextBytes = 256;  // of each; a longer one ends in an ellipsis

  // The path without its query, which may hold secrets.
  void assign(const ExchangeRecord& record);
  // Its texts live as long as this.
  ExchangeRecord record() const;
  WallTime time() const { return ts_; }

 private:
  Timeline timeline_;
  WallTime ts_{};
  std::uint64_t id_ = 0;
  std::optional<std::uint32_t> client_uid_;
  std::optional<Form> form_;
  std::uint16_t status_ = 0;
  StatusSource status_source_ = StatusSource::kNone;
  std::optional<ErrorCode> error_;
  std::optional<Phase> error_phase_;
  std::optional<std::uint64_t> request_bytes_;
  std::optional<std::uint64_t> response_bytes_;
  std::uint64_t conn_id_ = 0;
  std::uint32_t conn_requests_ = 0;
  bool reused_ = false;
  std::uint32_t attempts_ = 0;
  std::optional<CloseReason> close_reason_;
  std::string listener_, client_, method_, host_, path_, upstream_, address_, protocol_, limit_,
      traceparent_;
};
using Failures = std::vector<Failure>;

// Owner: a WorkerMetrics. Thread: its worker adds, any reads; the mutex is theirs alone.
class FailureRing {
 public:
  static constexpr std::size_t kMaxKept = 50;

  void add(const ExchangeRecord& record);
  void append_to(Failures& failures) const;  // in no order

 private:
  mutable std::mutex mutex_;
  Failures kept_;         // guarded by mutex_, as is:
  std::size_t next_ = 0;  // which gives way, once all places are taken
};

}  // namespace penstock
