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
  return lease_->reused() && !may_repeat() &&
         proxy_.now() - lease_->idle_since() > kTrustedIdleTime;
}

// True when the exchange goes on with a new dial, which has the permit of the dead connection.
bool Exchange::try_again(CloseReason reason) {
  const bool nothing_written = timeline_.first_byte_sent == kNever;
  const bool body_is_kept = replayable_ || request_bytes_ == 0;
  if (!lease_ || !lease_->reused() || response_begun_ || response_state_ != ResponseState::kAwaited)
    return false;
  if (attempts_ > retry().attempts || !body_is_kept || !(nothing_written || may_repeat()))
    return false;
  if (!upstream_state().retry_budget.take(retry(), proxy_.now())) {
    upstream_state().metrics.retries[RetryResult::kOverBudget].add();
    return false;
  }
  retried_ = true;
  bound_ = false;  // nobody has authenticated the new one
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
  if (first) {
    replayable_ =
        lease_->reused() && retry().attempts > 0 && !proxy_.buffer_gate().holds_requests();
    replay_.set_max_bytes(retry().buffer);
  }
  if (!replayable_) return;
  if (piece.size() > replay_.room()) {
    replayable_ = false;
  } else {
    replay_.append(piece);
  }
}

// Gathered whole: once the client has sent all, what was written would pass for the whole request
// before its last chunk.
void Exchange::replay_body() {
  ChunkLine line;
  if (!replay_.empty()) gather(frame_piece(replay_.readable(), upstream_framing_.kind, line));
  if (request_state_ == RequestState::kDone) forward_request_end();
}

}  // namespace penstock
