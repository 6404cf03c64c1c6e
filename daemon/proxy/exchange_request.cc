// The request's way to the upstream: its head written anew, its body as the client sends it.

#include <algorithm>
#include <array>
#include <cassert>

#include "http/writer.h"
#include "proxy/exchange.h"
#include "proxy/proxy.h"

namespace penstock {

namespace {

// Pieces up to this size are copied behind what waits already, so that a head and a small body
// leave in one write (and one TLS record); larger ones are written from where they lie.
constexpr std::size_t kMaxGatheredBytes = 16 * 1024;

constexpr std::string_view kContinue = "HTTP/1.1 100 Continue\r\n\r\n";

}  // namespace

void Exchange::start_request() {
  response_parser_.start(request_.method,
                         {.max_head_bytes = policy().max_response_header_size, .max_fields = 1000});
  upstream_framing_ = request_.framing;
  const Limit& expect = timeouts().expect_continue;
  // A client that sends its body without waiting, sent it already, or sends no more needs no 100.
  const bool expects = request_.expects_continue && request_state_ == RequestState::kBody &&
                       session_->input().empty() && !session_->input_ended() && !continued_ &&
                       request_bytes_ == 0;
  const bool asks_upstream = expects && expect != Duration::zero();
  const std::string grpc_timeout = left_of_grpc_timeout();
  const RequestRewrite rewrite{
      .path_and_query = route_.path,
      .add_slash = route_.add_slash,
      .host = route_.host_field,
      .via = policy().via ? proxy_.pseudonym() : std::string_view(),
      .framing = upstream_framing_,
      .close = !policy().pool.reuse,
      .upgrade = upgrade_offer_,
      .expect_continue = asks_upstream,
      .max_forwards = route_.max_forwards,
      .grpc_timeout = grpc_timeout,
      .left_out = app_deadline_ ? table_->config().client.deadline_header : std::string_view()};
  upstream_output_.set_max_bytes(session_->input().max_bytes() + replay_.size() +
                                 kMaxGatheredBytes + request_head_bound(request_, rewrite));
  upstream_input_.set_max_bytes(
      std::max(BlockPool::kLargeBlockBytes, policy().max_response_header_size + 1));
  upstream_end_ = IoStatus::kOk;
  write_request_head(request_, rewrite, upstream_output_);
  timeline_.enter(Phase::kSend, proxy_.now());
  if (retried_) replay_body();
  if (asks_upstream) {
    if (write_upstream({})) await_continue();
    return;
  }
  if (expects) send_continue();
  if (lease_ && !finished_) pump_request();
}

// RFC 9110 section 10.1.1: the body waits until the upstream says 100 or gives its answer; after
// `expect_continue` we say 100 ourselves.
void Exchange::await_continue() {
  if (finished_ || upstream_write_failed_ || response_state_ != ResponseState::kAwaited) return;
  awaiting_continue_ = true;
  timeline_.leave(Phase::kSend, proxy_.now());
  timeline_.enter(Phase::kAwaitContinue, proxy_.now());
  start_clock(LimitKind::kExpectContinue);
}

void Exchange::stop_awaiting_continue() {
  if (!awaiting_continue_) return;
  awaiting_continue_ = false;
  clocks_.stop(LimitKind::kExpectContinue);
  timeline_.leave(Phase::kAwaitContinue, proxy_.now());
  timeline_.enter(Phase::kSend, proxy_.now());
}

void Exchange::send_continue() {
  stop_awaiting_continue();
  continued_ = true;
  Buffer& output = session_->output();
  output.set_max_bytes(output.size() + kContinue.size());
  if (send_downstream(std::span(&kContinue, 1))) await_client_body();
}

// Moves what there is of the request until it is sent, the client has no more, or the upstream
// takes no more. upstream_output_ is empty or holds what the upstream did not take.
void Exchange::pump_request() {
  relay_request();
  // What the upstream has yet to take; where there is none, another try has it of replay_.
  const bool goes_on = lease_ && !finished_ && !upstream_write_failed_;
  goes_on ? request_chunks_.write_to(upstream_output_) : request_chunks_.clear();
}

void Exchange::relay_request() {
  if (upstream_blocked_ || request_sent_ || upstream_write_failed_) return;
  if (awaiting_continue_) {
    if (session_->input().empty() && !session_->input_ended()) return;
    stop_awaiting_continue();  // the client does not wait, or sends no more
  }
  Buffer& input = session_->input();
  while (request_state_ == RequestState::kBody && !finished_) {
    const ParseStep step = request_parser_.next(input.readable(), request_);
    if (step.event == ParseEvent::kBody) {
      clocks_.stop(LimitKind::kClientBodyStall);
      add_request_body(step.body);
    }
    input.consume(step.consumed);  // also when the write failed: another try has what was taken
    if (finished_ || upstream_write_failed_ || !lease_) return;
    switch (step.event) {
      case ParseEvent::kBody:
        if (upstream_blocked_) {
          session_->input_consumed();
          return;
        }
        break;
      case ParseEvent::kNeedMore:
        if (session_->input_ended()) {
          fail_for_client_that_left();
          return;
        }
        request_chunks_.write_to(upstream_output_);
        if (!write_upstream({})) return;
        if (!upstream_blocked_) await_client_body();
        session_->input_consumed();
        return;
      case ParseEvent::kEnd:
        end_request_body();
        break;
      case ParseEvent::kFault:
        refuse_malformed(request_parser_.fault());
        return;
      case ParseEvent::kHead:
        assert(false);
        return;
    }
  }
  if (!finished_ && write_upstream({})) session_->input_consumed();
}

void Exchange::add_request_body(std::string_view piece) {
  request_bytes_ += piece.size();
  keep_for_replay(piece);
  forward_request_body(piece);
}

void Exchange::forward_request_body(std::string_view piece) {
  const bool chunked = upstream_framing_.kind == FramingKind::kChunked;
  if (chunked && piece.size() <= ChunkBatch::kMaxPieceBytes) {
    add_small_chunk(piece);
    return;
  }
  request_chunks_.write_to(upstream_output_);
  ChunkLine line;
  const FramedPiece framed = frame_piece(piece, upstream_framing_.kind, line);
  std::size_t size = upstream_output_.size();
  for (const std::string_view part : framed) size += part.size();
  if (size > kMaxGatheredBytes) {
    write_upstream(framed);
  } else {
    gather(framed);
  }
}

void Exchange::gather(const FramedPiece& framed) {
  for (const std::string_view part : framed) upstream_output_.append(part);
}

void Exchange::add_small_chunk(std::string_view piece) {
  if (!request_chunks_.has_room_for(piece)) {
    request_chunks_.write_to(upstream_output_);
    if (upstream_output_.size() > kMaxGatheredBytes && !write_upstream({})) return;
  }
  request_chunks_.add(piece);
}

void Exchange::end_request_body() {
  clocks_.stop(LimitKind::kClientBodyStall);
  request_state_ = RequestState::kDone;
  forward_request_end();
}

void Exchange::forward_request_end() {
  if (upstream_framing_.kind != FramingKind::kChunked) return;
  request_chunks_.write_to(upstream_output_);
  upstream_output_.set_max_bytes(upstream_output_.size() + last_chunk_bound(request_));
  write_last_chunk(request_, true, upstream_output_);
}

// Writes upstream_output_ and then the pieces; what the upstream does not take stays in
// upstream_output_. False when the stream is broken.
bool Exchange::write_upstream(std::span<const std::string_view> pieces) {
  std::array<std::string_view, 4> all;
  std::size_t count = 0;
  if (!upstream_output_.empty()) all[count++] = upstream_output_.readable();
  std::size_t offered = upstream_output_.size();
  for (const std::string_view piece : pieces) {
    if (piece.empty()) continue;
    all[count++] = piece;
    offered += piece.size();
  }
  if (count > 0) {
    const IoResult result =
        lease_->stream().write(std::span<const std::string_view>(all.data(), count));
    if (result.status == IoStatus::kError || result.status == IoStatus::kEof) {
      on_upstream_write_failed();
      return false;
    }
    std::size_t sent = result.status == IoStatus::kOk ? result.bytes : 0;
    if (sent > 0 && timeline_.first_byte_sent == kNever) {
      timeline_.first_byte_sent = proxy_.now();
      start_clock(LimitKind::kExchange);
    }
    if (sent > 0 && replayable_ && !may_repeat()) replayable_ = false;
    offered -= sent;
    const std::size_t from_output = std::min(sent, upstream_output_.size());
    upstream_output_.consume(from_output);
    sent -= from_output;
    for (const std::string_view piece : pieces) {
      const std::size_t from_piece = std::min(sent, piece.size());
      sent -= from_piece;
      upstream_output_.append(piece.substr(from_piece));
    }
  }
  upstream_blocked_ = offered > 0;
  if (upstream_blocked_) {
    // Anew with every byte that is taken.
    if (response_state_ == ResponseState::kAwaited) start_clock(LimitKind::kWriteStall);
  } else {
    clocks_.stop(LimitKind::kWriteStall);
    if (request_state_ == RequestState::kDone) on_request_sent();
  }
  return true;
}

void Exchange::on_writable() {
  if (!upstream_write_failed_ && write_upstream({})) pump_request();
  settle();
}

// Nothing is to come that soon, or nothing may come: what is empty goes back.
void Exchange::release_request_buffers() {
  upstream_output_.release_if_empty();
  session_->input().release_if_empty();
}

void Exchange::on_request_sent() {
  if (request_sent_) return;
  request_sent_ = true;
  release_request_buffers();
  timeline_.leave(Phase::kSend, proxy_.now());
  if (response_state_ != ResponseState::kAwaited) return;
  timeline_.enter(Phase::kAwaitHead, proxy_.now());
  start_clock(LimitKind::kResponseHeader);
}

// An upstream may answer early and close: its answer, when there is one, is worth more to the
// client than our failure to write. It is read until its head, its end or an error.
void Exchange::on_upstream_write_failed() {
  upstream_write_failed_ = true;
  upstream_output_.clear();
  clocks_.stop(LimitKind::kWriteStall);
  clocks_.stop(LimitKind::kClientBodyStall);
  timeline_.leave(Phase::kSend, proxy_.now());
  if (response_state_ != ResponseState::kAwaited) return;
  timeline_.enter(Phase::kAwaitHead, proxy_.now());
  start_clock(LimitKind::kResponseHeader);
  receive();
}

}  // namespace penstock
