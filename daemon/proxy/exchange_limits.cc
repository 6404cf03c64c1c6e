// The time limits of an exchange: which of them run, what their end means, what an app sets itself.

#include "config/key_table.h"
#include "config/values.h"
#include "proxy/app_deadline.h"
#include "proxy/exchange.h"
#include "proxy/proxy.h"

namespace penstock {

namespace {

// Bodies that are silent by design.
bool is_paced_by_events(const ResponseHead& response) {
  const Field* type = response.fields.find("content-type");
  if (type == nullptr) return false;
  const auto begins_with = [&](std::string_view prefix) {
    return equals_ignoring_case(type->value.substr(0, prefix.size()), prefix);
  };
  return begins_with("text/event-stream") || begins_with("application/grpc");
}

}  // namespace

std::optional<Phase> Exchange::current_phase() const {
  if (!routed_) return std::nullopt;
  if (acquire_ != nullptr) return acquire_phase_;
  if (response_state_ != ResponseState::kAwaited) return Phase::kReceive;
  if (!lease_) return std::nullopt;
  if (awaiting_continue_) return Phase::kAwaitContinue;
  return request_sent_ ? Phase::kAwaitHead : Phase::kSend;
}

const Limit& Exchange::limit_value(LimitKind kind) const {
  const ClientSettings& client = table_->config().client;
  switch (kind) {
    case LimitKind::kHeader:
      return client.header_timeout;
    case LimitKind::kClientBodyStall:
      return client.body_stall;
    case LimitKind::kClientWriteStall:
      return client.write_stall;
    case LimitKind::kQueue:
      return timeouts().queue;
    case LimitKind::kWriteStall:
      return timeouts().write_stall;
    case LimitKind::kResponseHeader:
      return timeouts().response_header;
    case LimitKind::kBodyStall:
      return timeouts().body_stall;
    case LimitKind::kMinRate:
      return min_rate_window_;
    case LimitKind::kExchange:
      return timeouts().exchange;
    case LimitKind::kTotal:
      return timeouts().total;
    case LimitKind::kAppDeadline:
      return app_deadline_;
    case LimitKind::kGrpcTimeout:
      return grpc_timeout_;
    case LimitKind::kExpectContinue:
      return timeouts().expect_continue;
  }
  return client.header_timeout;
}

void Exchange::start_clock(LimitKind kind) { clocks_.start(kind, proxy_.now(), limit_value(kind)); }

// Nothing else says so where nobody looks at the admin address.
Error Exchange::error_of(LimitKind kind) const {
  Error error = limit_error(kind, current_phase().value_or(Phase::kQueue));
  if (kind == LimitKind::kQueue && proxy_.pool().is_paused(route_.upstream->settings->name)) {
    error.code = ErrorCode::kDestinationUnavailable;
    error.detail = "the upstream is paused and was not resumed in time";
  }
  return error;
}

void Exchange::on_deadline() {
  if (session_ == nullptr) return;  // left armed by the request before
  fired_limit_ = clocks_.expired(proxy_.now());
  if (fired_limit_ == LimitKind::kExpectContinue) {
    fired_limit_.reset();
    send_continue();
  } else if (fired_limit_ == LimitKind::kMinRate && rate_bytes_ >= timeouts().min_rate_size) {
    fired_limit_.reset();
    start_rate_window();
  } else if (const auto kind = fired_limit_) {
    fail(error_of(*kind));
  }
  settle();
}

// What the app gives its request shortens `total`, and never makes it longer: both run.
Result<void> Exchange::start_request_clocks() {
  start_clock(LimitKind::kTotal);
  auto deadline = read_deadline(request_.fields, table_->config().client.deadline_header);
  if (!deadline) {
    return Unexpected{Error{.code = ErrorCode::kHttpRequestError,
                            .source = ErrorSource::kDownstream,
                            .limit_key = "client.deadline_header",
                            .detail = "malformed " + deadline.error()}};
  }
  app_deadline_ = *deadline;
  if (app_deadline_) clocks_.start(LimitKind::kAppDeadline, timeline_.head_read, app_deadline_);
  if (const Field* field = request_.fields.find(FieldId::kGrpcTimeout)) {
    grpc_timeout_ = parse_grpc_timeout(field->value);
    if (grpc_timeout_) clocks_.start(LimitKind::kGrpcTimeout, timeline_.head_read, grpc_timeout_);
  }
  return {};
}

// A call's time is for the whole way: the next hop gets what is left of it.
std::string Exchange::left_of_grpc_timeout() const {
  if (!grpc_timeout_) return {};
  return format_grpc_timeout(timeline_.head_read + *grpc_timeout_ - proxy_.now());
}

void Exchange::start_receiving() {
  start_clock(LimitKind::kBodyStall);
  if (timeouts().min_rate_size > 0 && !is_paced_by_events(response_)) {
    min_rate_window_ = timeouts().min_rate_window;
    start_rate_window();
  }
}

void Exchange::start_rate_window() {
  rate_bytes_ = 0;
  start_clock(LimitKind::kMinRate);
}

void Exchange::await_client_body() {
  if (response_state_ == ResponseState::kAwaited) start_clock(LimitKind::kClientBodyStall);
  if (session_->waits_for_buffers()) on_client_held();
}

// The client takes nothing: the time until it does is not the upstream's.
void Exchange::rest_from_receiving() {
  clocks_.stop(LimitKind::kBodyStall);
  clocks_.rest(LimitKind::kMinRate, proxy_.now());
}

void Exchange::go_on_receiving() {
  start_clock(LimitKind::kBodyStall);
  clocks_.resume(LimitKind::kMinRate, proxy_.now());
}

void Exchange::stop_receiving() {
  for (const LimitKind kind : {LimitKind::kBodyStall, LimitKind::kMinRate, LimitKind::kExchange})
    clocks_.stop(kind);
}

// The value of the limit that ended this request: ours, or one of a dial's phases.
std::string Exchange::limit_text() const {
  const Limit* limit = nullptr;
  if (fired_limit_) {
    limit = &limit_value(*fired_limit_);
  } else if (routed_) {
    const TimeoutSettings& timeouts = this->timeouts();
    if (error_->limit_key == "timeouts.queue") limit = &timeouts.queue;
    if (error_->limit_key == "timeouts.resolve") limit = &timeouts.resolve;
    if (error_->limit_key == "timeouts.connect") limit = &timeouts.connect;
    if (error_->limit_key == "timeouts.tls_handshake") limit = &timeouts.tls_handshake;
    if (error_->limit_key == "dns.attempt_timeout")
      return format_duration(table_->config().dns.attempt_timeout);
  }
  return limit != nullptr && *limit ? format_duration(**limit) : std::string();
}

Duration Exchange::spent_on_limit() const {
  if (fired_limit_) return proxy_.now() - clocks_.started(*fired_limit_);
  return error_->phase ? timeline_.spent(*error_->phase, proxy_.now()) : Duration::zero();
}

// A limit that nobody chose ended a request: the operator should know its name.
void Exchange::warn_of_default_limit() {
  const std::string_view key = error_->limit_key;
  if (!routed_ || !key.starts_with("timeouts.") || is_timeout_set(*route_.policy, key)) return;
  const std::string& name = route_.upstream->settings->name;
  proxy_.log().write_limited(LogLevel::kWarning, name + ' ' + std::string(key),
                             "a default time limit ended a request: set it for this upstream",
                             proxy_.now(), {{"upstream", name}, {"key", key}});
}

}  // namespace penstock
