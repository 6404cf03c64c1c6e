// The response's way to the client: its head written anew, its body as the upstream sends it.

#include <algorithm>
#include <array>
#include <cassert>
#include <chrono>

#include "http/keep_alive.h"
#include "http/writer.h"
#include "proxy/exchange.h"
#include "proxy/proxy.h"
#include "proxy/redirects.h"
#include "proxy/response_drain.h"

namespace penstock {

namespace {

// As for the request: small pieces gather behind the head, larger ones are sent from where they
// lie.
constexpr std::size_t kMaxGatheredBytes = 16 * 1024;

// What has come, up to here and the record in which that is, goes to the client in one write.
constexpr std::size_t kMaxRecordBytes = 16 * 1024;
constexpr std::size_t kMaxGatheredInputBytes = BlockPool::kLargeBlockBytes - kMaxRecordBytes;

// Fairness: one stream does not keep the loop longer than this.
constexpr std::size_t kMaxBytesPerTurn = 256 * 1024;

Error to_error(const ParseFault& fault) {
  return {.code = fault.code,
          .limit_key = fault.kind == FaultKind::kHeadTooLarge ? "max_response_header_size"
                                                              : std::string_view(),
          .detail = std::string(fault.reason)};
}

ReuseHints reuse_hints(const ResponseHead& response) {
  const KeepAlive told = read_keep_alive(response.fields);
  ReuseHints hints{.timeout = {}, .more_requests = told.max_requests};
  if (told.timeout_seconds) hints.timeout = std::chrono::seconds(*told.timeout_seconds);
  return hints;
}

}  // namespace

void Exchange::on_readable() {
  receive();
  settle();
}

void Exchange::receive() {
  relay_what_comes();
  upstream_input_.release_if_empty();
  session_->output().release_if_empty();
}

// The tunnel of a 101 reads for itself.
bool Exchange::takes_response() const {
  return !finished_ && !tunnel_ && response_state_ != ResponseState::kDone &&
         !session_->output_blocked();
}

// Reads and relays until there is no more, the client takes no more, or it is others' turn.
void Exchange::relay_what_comes() {
  std::size_t received = 0;
  while (lease_ && takes_response() && !held_by_full_buffers()) {
    const IoResult result =
        upstream_end_ == IoStatus::kOk ? gather_input() : IoResult{upstream_end_};
    switch (result.status) {
      case IoStatus::kWouldBlock:
        return;
      case IoStatus::kEof:
        on_upstream_eof();
        return;
      case IoStatus::kError:
        on_upstream_error();
        return;
      case IoStatus::kOk:
        break;
    }
    if (is_unasked()) {
      on_unasked_answer();
      return;
    }
    response_begun_ = true;
    received += result.bytes;
    if (response_state_ == ResponseState::kBody) start_clock(LimitKind::kBodyStall);
    pump_response();
    if (!lease_ || finished_ || tunnel_ || !result.more) return;
    // What the kernel holds is announced again; what was read already is not.
    const bool turn_over = received >= kMaxBytesPerTurn && upstream_end_ == IoStatus::kOk;
    if (turn_over && lease_->stream().is_announced()) return;
  }
}

// Nothing of this request was written yet: what a kept connection says answers something else.
bool Exchange::is_unasked() const {
  return lease_->reused() && timeline_.first_byte_sent == kNever;
}

// A 408 from an upstream that gave the idle connection up, or worse.
void Exchange::on_unasked_answer() {
  upstream_input_.clear();
  if (try_again(CloseReason::kUnexpectedData)) return;
  fail({.code = ErrorCode::kHttpProtocolError,
        .detail = "the upstream answered on a kept connection before it was asked"});
}

// Reads what there is for one write to the client. No read is made only to find nothing. An end
// behind some bytes waits in upstream_end_ until they are relayed. What is behind a 101 is for the
// tunnel to read.
IoResult Exchange::gather_input() {
  const bool in_body = response_state_ == ResponseState::kBody;
  IoResult gathered = read_upstream(in_body ? bytes_to_gather() : 1);
  const bool gathers = in_body || upgrade_offer_.empty();
  while (gathers && gathered.more && upstream_input_.size() < bytes_to_gather()) {
    const IoResult result = read_upstream(kMaxRecordBytes);
    if (result.status == IoStatus::kEof || result.status == IoStatus::kError)
      upstream_end_ = result.status;
    gathered.more = result.more || upstream_end_ != IoStatus::kOk;
    gathered.bytes += result.bytes;
    if (result.status != IoStatus::kOk) break;
  }
  return gathered;
}

// Where memory is scarce, what one read takes is enough.
std::size_t Exchange::bytes_to_gather() const {
  return proxy_.buffer_gate().holds_requests() ? 1 : kMaxGatheredInputBytes;
}

IoResult Exchange::read_upstream(std::size_t least_space) {
  const std::span<char> space = upstream_input_.prepare(least_space);
  assert(!space.empty());
  const IoResult result = lease_->stream().read(space);
  upstream_input_.commit(result.bytes);
  return result;
}

// A head is read to its end, a body waits for room; that time is not the upstream's.
bool Exchange::held_by_full_buffers() {
  if (response_state_ != ResponseState::kBody || !proxy_.buffer_gate().holds_responses()) {
    stop_waiting_for_buffers();
    return false;
  }
  rest_from_receiving();
  upstream_input_.release_if_empty();
  session_->output().release_if_empty();
  if (!buffer_wait_.waits()) {
    lease_->stream().pause_read(PauseReason::kNoBuffers);
    proxy_.buffer_gate().wait_with_response(buffer_wait_);
    proxy_.warn_of_full_buffers();
  }
  return true;
}

void Exchange::on_buffers_free() {
  lease_->stream().resume_read(PauseReason::kNoBuffers);
  if (!session_->output_blocked()) {
    go_on_receiving();
    receive();
  }
  settle();
}

void Exchange::stop_waiting_for_buffers() {
  if (!buffer_wait_.waits()) return;
  buffer_wait_.cancel();
  lease_->stream().resume_read(PauseReason::kNoBuffers);
}

// Parses and relays what upstream_input_ holds, until it is used up or the client takes no more.
void Exchange::pump_response() {
  relay_response();
  // What the client has yet to take; where the exchange has ended nobody does.
  finished_ ? response_chunks_.clear() : response_chunks_.write_to(session_->output());
}

void Exchange::relay_response() {
  while (takes_response()) {
    const ParseStep step = response_parser_.next(upstream_input_.readable(), response_);
    upstream_input_.consume(step.consumed);  // what is parsed is not for a drain to read
    if (step.event == ParseEvent::kBody) {
      if (is_large_last_piece(step.body)) {
        end_response_with(step.body);
        return;
      }
      add_response_body(step.body);
    }
    if (finished_) return;
    switch (step.event) {
      case ParseEvent::kBody:
        break;
      case ParseEvent::kNeedMore:
        response_chunks_.write_to(session_->output());
        send_downstream({});
        return;
      case ParseEvent::kHead:
        on_response_head();
        break;
      case ParseEvent::kEnd:
        if (!response_.informational()) on_response_end({});
        break;
      case ParseEvent::kFault:
        fail(to_error(response_parser_.fault()));
        return;
    }
  }
}

void Exchange::on_response_head() {
  if (response_.informational()) {
    on_informational_head();
  } else {
    on_final_head();
  }
}

void Exchange::on_informational_head() {
  if (response_.status == 101) {
    on_switched_protocols();
    return;
  }
  // A 100 is the word that the client waits for, or it comes too late.
  if (response_.status == 100) {
    if (awaiting_continue_) send_continue();
    return;
  }
  if (request_.version == HttpVersion::k10) return;  // knows no 1xx, RFC 9110 section 15.2
  ResponseRewrite rewrite;
  if (policy().via) rewrite.via = proxy_.pseudonym();
  Buffer& output = session_->output();
  output.set_max_bytes(output.size() + response_head_bound(response_, rewrite) +
                       Buffer::kDefaultMaxBytes);
  write_response_head(response_, rewrite, output);
  // Those that came together leave together, at the end of what was read.
  if (output.size() > kMaxGatheredBytes) send_downstream({});
}

void Exchange::on_final_head() {
  const MonotonicTime now = proxy_.now();
  stop_awaiting_continue();
  timeline_.leave(Phase::kAwaitHead, now);
  timeline_.enter(Phase::kReceive, now);
  clocks_.stop(LimitKind::kResponseHeader);
  // The answer came before the upload's end, or behind it: from here on the response is what is
  // waited for, and a client may well stop sending (RFC 9112 section 9.3).
  clocks_.stop(LimitKind::kClientBodyStall);
  clocks_.stop(LimitKind::kWriteStall);
  start_receiving();
  response_state_ = ResponseState::kBody;
  status_ = response_.status;
  status_source_ = StatusSource::kUpstream;
  downstream_framing_ = downstream_framing();
  keep_client_ = client_may_stay() && downstream_framing_.kind != FramingKind::kUntilClose;
  ResponseRewrite rewrite{
      .client_version = request_.version,
      .framing = downstream_framing_,
      .keep_length_field = request_.method == Method::kHead || response_.status == 304,
      .keep_alive = keep_client_,
      .via = policy().via ? proxy_.pseudonym() : std::string_view(),
      .date = response_.fields.contains(FieldId::kDate) ? std::string_view() : proxy_.http_date()};
  if (app_side_is_plain(route_)) {
    if (policy().redirects == RedirectMode::kRewrite) {
      if (const Field* location = response_.fields.find(FieldId::kLocation))
        rewrite_location(location->value, route_, location_);
      rewrite.location = location_;
    }
    rewrite.strip_secure = policy().cookies == CookieMode::kStripSecure;
  }
  const std::string timing = server_timing();
  rewrite.server_timing = timing;
  if (const Limit& idle = proxy_.client_settings().idle_timeout) {
    rewrite.keep_alive_seconds =
        static_cast<std::uint32_t>(std::chrono::duration_cast<std::chrono::seconds>(*idle).count());
  }
  Buffer& output = session_->output();
  output.set_max_bytes(output.size() + response_head_bound(response_, rewrite) + kMaxGatheredBytes +
                       upstream_input_.max_bytes());
  response_unsent_ = output.empty();
  write_response_head(response_, rewrite, output);
}

BodyFraming Exchange::downstream_framing() const {
  switch (response_.framing.kind) {
    case FramingKind::kNone:
    case FramingKind::kLength:
      return response_.framing;
    case FramingKind::kChunked:
    case FramingKind::kUntilClose:
      break;
  }
  return {.kind = request_.version == HttpVersion::k11 ? FramingKind::kChunked
                                                       : FramingKind::kUntilClose};
}

// A small one waits behind the head for the end in any case, and chunks for their last one.
bool Exchange::is_large_last_piece(std::string_view piece) const {
  return piece.size() > ChunkBatch::kMaxPieceBytes &&
         response_.framing.kind == FramingKind::kLength &&
         response_bytes_ + piece.size() == response_.framing.length;
}

void Exchange::end_response_with(std::string_view piece) {
  response_bytes_ += piece.size();
  rate_bytes_ += piece.size();
  [[maybe_unused]] const ParseStep end = response_parser_.next({}, response_);
  assert(end.event == ParseEvent::kEnd);
  on_response_end(piece);
}

void Exchange::add_response_body(std::string_view piece) {
  response_bytes_ += piece.size();
  rate_bytes_ += piece.size();
  if (piece.size() <= ChunkBatch::kMaxPieceBytes) {
    add_small_piece(piece, downstream_framing_.kind == FramingKind::kChunked);
    return;
  }
  response_chunks_.write_to(session_->output());
  ChunkLine line;
  send_downstream(frame_piece(piece, downstream_framing_.kind, line));
}

void Exchange::add_small_piece(std::string_view piece, bool chunked) {
  Buffer& output = session_->output();
  if (!chunked) {
    output.append(piece);
  } else if (!response_chunks_.has_room_for(piece)) {
    response_chunks_.write_to(output);
  }
  if (output.size() > kMaxGatheredBytes && !send_downstream({})) return;
  if (chunked) response_chunks_.add(piece);
}

// The connection is back before the client has the last byte, or another request of its might find
// none, and dial.
void Exchange::on_response_end(std::string_view last_piece) {
  timeline_.last_byte_received = proxy_.now();
  timeline_.leave(Phase::kReceive, proxy_.now());
  stop_receiving();
  response_state_ = ResponseState::kDone;
  if (downstream_framing_.kind == FramingKind::kChunked) {
    Buffer& output = session_->output();
    response_chunks_.write_to(output);
    output.set_max_bytes(output.size() + last_chunk_bound(response_));
    write_last_chunk(response_, true, output);
  }
  give_connection_back();
  const std::span<const std::string_view> rest(&last_piece, last_piece.empty() ? 0 : 1);
  if (send_downstream(rest)) finish_if_delivered();
}

// Used again only when both messages ended, nobody asked for a close and not a byte is left over.
void Exchange::give_connection_back() {
  stop_waiting_for_buffers();
  Stream& stream = lease_->stream();
  std::optional<CloseReason> reason;
  if (!upstream_input_.empty() || stream.has_pending()) {
    reason = CloseReason::kUnexpectedData;
  } else if (!request_sent_) {
    reason = CloseReason::kError;  // the answer came before the upload's end
  } else if (!leaves_connection_usable(response_) || upstream_end_ != IoStatus::kOk) {
    reason = CloseReason::kServerClose;
  }
  if (reason) {
    drop_connection(*reason);
    return;
  }
  stream.resume_read(PauseReason::kBackpressure);
  if (is_bound()) {
    session_->pin(std::move(lease_), route_);
  } else {
    lease_.release(reuse_hints(response_));
  }
}

void Exchange::on_upstream_eof() {
  // What came before the end and waits for the client was relayed: receive() reads only then.
  const ParseStep step = response_parser_.finish(response_);
  if (step.event == ParseEvent::kEnd) {
    on_response_end({});
    return;
  }
  if (try_again(CloseReason::kError)) return;
  fail(to_error(response_parser_.fault()));
}

void Exchange::on_upstream_error() {
  if (try_again(CloseReason::kError)) return;
  Error error = lease_->stream().last_error();
  error.phase.reset();
  if (response_state_ == ResponseState::kBody) error.code = ErrorCode::kHttpResponseIncomplete;
  fail(std::move(error));
}

// To the client

// Sends what waits and then the pieces. While the client takes less than there is, the upstream is
// not read. False when the exchange has ended over it.
bool Exchange::send_downstream(std::span<const std::string_view> pieces) {
  response_unsent_ = false;
  if (!session_->send(pieces)) {
    fail({.code = ErrorCode::kClientAborted,
          .source = ErrorSource::kDownstream,
          .phase = current_phase(),
          .detail = "the client's connection broke"});
    return false;
  }
  if (session_->output_blocked()) {
    start_clock(LimitKind::kClientWriteStall);
    rest_from_receiving();
    if (lease_) lease_->stream().pause_read(PauseReason::kBackpressure);
  }
  return true;
}

void Exchange::on_client_writable() {
  on_downstream_progress();
  settle();
}

void Exchange::on_downstream_progress() {
  if (session_->output_blocked()) {
    start_clock(LimitKind::kClientWriteStall);  // some of it was taken
    return;
  }
  clocks_.stop(LimitKind::kClientWriteStall);
  if (response_state_ == ResponseState::kDone) {
    finish_if_delivered();
    return;
  }
  if (!lease_) return;
  lease_->stream().resume_read(PauseReason::kBackpressure);
  if (response_state_ == ResponseState::kBody) go_on_receiving();
  pump_response();
  receive();
}

void Exchange::finish_if_delivered() {
  if (session_->output_blocked()) return;
  finish(keep_client_ ? ClientSession::After::kNextRequest : ClientSession::After::kLinger);
}

}  // namespace penstock
