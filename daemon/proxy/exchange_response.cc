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
constexpr std::size_t kMaxCopiedPiece = 4 * 1024;
constexpr std::size_t kMaxGatheredBytes = 16 * 1024;

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

// Reads and relays until the kernel has no more, the client takes no more, or it is others' turn.
// No read is made only to find nothing: a short one ends the round unless TLS still holds bytes.
void Exchange::receive() {
  std::size_t received = 0;
  while (lease_ && !finished_ && response_state_ != ResponseState::kDone &&
         !session_->output_blocked()) {
    Stream& stream = lease_->stream();
    const std::span<char> space = upstream_input_.prepare();
    assert(!space.empty());
    const IoResult result = stream.read(space);
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
    upstream_input_.commit(result.bytes);
    response_begun_ = true;
    received += result.bytes;
    if (response_state_ == ResponseState::kBody) start_clock(LimitKind::kBodyStall);
    pump_response();
    if (!lease_ || finished_) return;
    const bool drained = result.bytes < space.size() && !lease_->stream().has_pending();
    if (drained) return;
    // What the kernel holds is announced again; what TLS holds is not.
    if (received >= kMaxBytesPerTurn && !lease_->stream().has_pending()) return;
  }
}

// Parses and relays what upstream_input_ holds, until it is used up or the client takes no more.
void Exchange::pump_response() {
  while (!finished_ && response_state_ != ResponseState::kDone && !session_->output_blocked()) {
    const ParseStep step = response_parser_.next(upstream_input_.readable(), response_);
    upstream_input_.consume(step.consumed);  // what is parsed is not for a drain to read
    if (step.event == ParseEvent::kBody) add_response_body(step.body);
    if (finished_) return;
    switch (step.event) {
      case ParseEvent::kBody:
        break;
      case ParseEvent::kNeedMore:
        send_downstream({});
        return;
      case ParseEvent::kHead:
        on_response_head();
        break;
      case ParseEvent::kEnd:
        if (!response_.informational()) on_response_end();
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
  send_downstream({});
}

void Exchange::on_final_head() {
  const MonotonicTime now = proxy_.now();
  stop_awaiting_continue();
  timeline_.leave(Phase::kAwaitHead, now);
  timeline_.enter(Phase::kReceive, now);
  clocks_.stop(LimitKind::kResponseHeader);
  start_receiving();
  response_state_ = ResponseState::kBody;
  status_ = response_.status;
  status_source_ = StatusSource::kUpstream;
  downstream_framing_ = downstream_framing();
  // While the request is still coming nobody knows whether its end will: then the client's
  // connection serves no other.
  keep_client_ = keep_client_ && request_state_ == RequestState::kDone && !proxy_.draining() &&
                 downstream_framing_.kind != FramingKind::kUntilClose;
  ResponseRewrite rewrite{
      .client_version = request_.version,
      .framing = downstream_framing_,
      .keep_length_field = request_.method == Method::kHead || response_.status == 304,
      .keep_alive = keep_client_,
      .via = policy().via ? proxy_.pseudonym() : std::string_view(),
      .date = proxy_.http_date()};
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

void Exchange::add_response_body(std::string_view piece) {
  response_bytes_ += piece.size();
  rate_bytes_ += piece.size();
  char line_space[18];
  const bool chunked = downstream_framing_.kind == FramingKind::kChunked;
  const std::string_view line =
      chunked ? format_chunk_line(piece.size(), line_space) : std::string_view();
  const std::string_view end = chunked ? kChunkEnd : std::string_view();
  if (piece.size() > kMaxCopiedPiece) {
    const std::array<std::string_view, 3> pieces = {line, piece, end};
    send_downstream(pieces);
    return;
  }
  Buffer& output = session_->output();
  output.append(line);
  output.append(piece);
  output.append(end);
  if (output.size() > kMaxGatheredBytes) send_downstream({});
}

void Exchange::on_response_end() {
  timeline_.last_byte_received = proxy_.now();
  timeline_.leave(Phase::kReceive, proxy_.now());
  stop_receiving();
  response_state_ = ResponseState::kDone;
  if (downstream_framing_.kind == FramingKind::kChunked) {
    Buffer& output = session_->output();
    output.set_max_bytes(output.size() + last_chunk_bound(response_));
    write_last_chunk(response_, true, output);
  }
  give_connection_back();
  if (send_downstream({})) finish_if_delivered();
}

// Used again only when both messages ended, nobody asked for a close and not a byte is left over.
void Exchange::give_connection_back() {
  Stream& stream = lease_->stream();
  std::optional<CloseReason> reason;
  if (!upstream_input_.empty() || stream.has_pending()) {
    reason = CloseReason::kUnexpectedData;
  } else if (!request_sent_) {
    reason = CloseReason::kError;  // the answer came before the upload's end
  } else if (!leaves_connection_usable(response_)) {
    reason = CloseReason::kServerClose;
  }
  if (reason) {
    drop_connection(*reason);
    return;
  }
  stream.resume_read(PauseReason::kBackpressure);
  if (is_bound()) {
    session_->pinned().hold(std::move(lease_), route_);
  } else {
    lease_.release(reuse_hints(response_));
  }
}

void Exchange::on_upstream_eof() {
  // What came before the end and waits for the client was relayed: receive() reads only then.
  const ParseStep step = response_parser_.finish(response_);
  if (step.event == ParseEvent::kEnd) {
    on_response_end();
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
