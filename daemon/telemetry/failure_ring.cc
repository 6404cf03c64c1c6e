#include "telemetry/failure_ring.h"

#include <string_view>

namespace penstock {
namespace {

constexpr std::string_view kEllipsis = "…";

void assign_clipped(std::string& to, std::string_view text) {
  if (text.size() <= Failure::kMaxTextBytes) {
    to.assign(text);
    return;
  }
  to.assign(text.substr(0, Failure::kMaxTextBytes - kEllipsis.size()));
  to += kEllipsis;
}

}  // namespace

void Failure::assign(const ExchangeRecord& record) {
  timeline_ = record.timeline;
  ts_ = record.ts;
  id_ = record.id;
  client_uid_ = record.client_uid;
  form_ = record.form;
  status_ = record.status;
  status_source_ = record.status_source;
  error_ = record.error;
  error_phase_ = record.error_phase;
  request_bytes_ = record.request_bytes;
  response_bytes_ = record.response_bytes;
  conn_id_ = record.conn_id;
  conn_requests_ = record.conn_requests;
  reused_ = record.reused;
  attempts_ = record.attempts;
  close_reason_ = record.close_reason;
  assign_clipped(listener_, record.listener);
  assign_clipped(client_, record.client);
  assign_clipped(method_, record.method);
  assign_clipped(host_, record.host);
  assign_clipped(path_, record.path.substr(0, record.path.find('?')));
  assign_clipped(upstream_, record.upstream);
  assign_clipped(address_, record.address);
  assign_clipped(protocol_, record.protocol);
  assign_clipped(limit_, record.error_limit);
  assign_clipped(traceparent_, record.traceparent);
}

ExchangeRecord Failure::record() const {
  return {.timeline = timeline_,
          .ts = ts_,
          .id = id_,
          .listener = listener_,
          .client = client_,
          .client_uid = client_uid_,
          .form = form_,
          .method = method_,
          .host = host_,
          .path = path_,
          .upstream = upstream_,
          .address = address_,
          .protocol = protocol_,
          .status = status_,
          .status_source = status_source_,
          .error = error_,
          .error_phase = error_phase_,
          .error_limit = limit_,
          .request_bytes = request_bytes_,
          .response_bytes = response_bytes_,
          .conn_id = conn_id_,
          .conn_requests = conn_requests_,
          .reused = reused_,
          .attempts = attempts_,
          .close_reason = close_reason_,
          .traceparent = traceparent_};
}

void FailureRing::add(const ExchangeRecord& record) {
  const std::lock_guard lock(mutex_);
  if (kept_.size() < kMaxKept) {
    kept_.emplace_back().assign(record);
    return;
  }
  kept_[next_].assign(record);
  next_ = (next_ + 1) % kMaxKept;
}

void FailureRing::append_to(Failures& failures) const {
  const std::lock_guard lock(mutex_);
  failures.insert(failures.end(), kept_.begin(), kept_.end());
}

}  // namespace penstock
