// Another try on a new connection, when the one that was used before turned out dead: before a byte
// of the response, within the limits of `retry` and the upstream's budget, and only what may be
// sent twice or was not sent at all (RFC 9110 section 9.2.2).

#include <chrono>

#include "proxy/exchange.h"
#include "proxy/proxy.h"

namespace penstock {

namespace {

// What was idle for less has hardly died unseen.
constexpr Duration kTrustedIdleTime = std::chrono::milliseconds(5);

}  // namespace

// Idempotent methods; a POST only when the app made it so with a key.
bool Exchange::may_repeat() const {
  switch (request_.method) {
    case Method::kGet:
    case Method::kHead:
    case Method::kOptions:
    case Method::kTrace:
    case Method::kPut:
    case Method::kDelete:
      return true;
    case Method::kPost:
    case Method::kPatch:
    case Method::kConnect:
    case Method::kOther:
      break;
  }
  return request_.fields.contains(FieldId::kIdempotencyKey);
}

// A request that may not be repeated is not written to a connection that has just been closed: the
// one case where a look before costs less than what it saves.
bool Exchange::worth_a_look() const {
  return connection_requests_ > 1 && !may_repeat() &&
         proxy_.now() - lease_->idle_since() > kTrustedIdleTime;
}

// True when the exchange goes on with a new dial, which has the permit of the dead connection.
bool Exchange::try_again(CloseReason reason) {
  const bool reused = connection_requests_ > 1;
  const bool nothing_written = timeline_.first_byte_sent == kNever;
  const bool body_is_kept = replayable_ || request_bytes_ == 0;
  if (!lease_ || !reused || response_begun_ || response_state_ != ResponseState::kAwaited)
    return false;
  if (attempts_ > retry().attempts || !body_is_kept || !(nothing_written || may_repeat()))
    return false;
  if (!proxy_.retry_budget(*route_.upstream).take(retry(), proxy_.now())) {
    proxy_.metrics()
        .upstream(route_.upstream->settings->name)
        .retries[RetryResult::kOverBudget]
        .add();
    return false;
  }
  retried_ = true;
  request_sent_ = upstream_blocked_ = upstream_write_failed_ = false;
  stop_awaiting_continue();
  for (const LimitKind kind : {LimitKind::kWriteStall, LimitKind::kResponseHeader,
                               LimitKind::kClientBodyStall, LimitKind::kExchange}) {
    clocks_.stop(kind);
  }
  timeline_.leave_all(proxy_.now());
  timeline_.first_byte_sent = kNever;
  upstream_output_.clear();
  wait(lease_.redial(reason, dial_limits(timeouts()), *this));
  return true;
}

// What is taken from a client for a reused connection is kept until it cannot be needed any more.
void Exchange::keep_for_replay(std::string_view piece) {
  const bool first = request_bytes_ == piece.size();
  if (first) replayable_ = connection_requests_ > 1 && retry().attempts > 0;
  if (!replayable_) return;
  if (replay_.size() + piece.size() > retry().buffer) {
    replayable_ = false;
  } else {
    replay_.append(piece);
  }
}

void Exchange::replay_body() {
  if (!replay_.empty()) forward_request_body(replay_);
  if (request_state_ == RequestState::kDone && !finished_ && !upstream_write_failed_)
    forward_request_end();
}

}  // namespace penstock
