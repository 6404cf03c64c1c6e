#include "proxy/exchange.h"

#include <cassert>

#include "http/trace_context.h"
#include "proxy/local_reply.h"
#include "proxy/own_answer.h"
#include "proxy/proxy.h"

namespace penstock {

namespace {

ParseLimits request_limits(const ClientSettings& settings) {
  return {.max_head_bytes = settings.max_header_size, .max_fields = settings.max_header_fields};
}

std::string_view exceeded_limit(FaultKind kind) {
  switch (kind) {
    case FaultKind::kHeadTooLarge:
      return "client.max_header_size";
    case FaultKind::kTooManyFields:
      return "client.max_header_fields";
    case FaultKind::kMalformed:
    case FaultKind::kForeignProtocol:
      return {};
  }
  return {};
}

Error to_error(const ParseFault& fault) {
  return {.code = fault.code,
          .source = ErrorSource::kDownstream,
          .limit_key = exceeded_limit(fault.kind),
          .status = fault.status,
          .detail = std::string(fault.reason)};
}

// None for the forms that are refused.
std::optional<Form> form_of(TargetForm form) {
  switch (form) {
    case TargetForm::kAbsolute:
      return Form::kAbsolute;
    case TargetForm::kOrigin:
      return Form::kOrigin;
    case TargetForm::kAuthority:
    case TargetForm::kAsterisk:
      return std::nullopt;
  }
  return std::nullopt;
}

// Of a target that led nowhere: "/p" in "/p" and in "http://h/p", and nothing in "h:443".
std::string_view path_of(std::string_view target) {
  constexpr std::string_view kSchemeEnd = "://";
  if (target.starts_with('/')) return target;
  const std::size_t scheme_end = target.find(kSchemeEnd);
  if (scheme_end == std::string_view::npos) return {};
  const std::size_t path = target.find_first_of("/?", scheme_end + kSchemeEnd.size());
  return path == std::string_view::npos ? std::string_view() : target.substr(path);
}

}  // namespace

Exchange::Exchange(Proxy& proxy)
    : proxy_(proxy),
      table_(proxy.table()),
      upstream_states_(proxy.upstream_states()),
      request_parser_(request_limits(proxy.client_settings())),
      response_parser_(ParseLimits{}),
      upstream_output_(proxy.blocks()),
      upstream_input_(proxy.blocks()),
      replay_(proxy.blocks()),
      buffer_wait_(Delegate<void()>::to<&Exchange::on_buffers_free>(*this)),
      deadline_(proxy.timers(), Delegate<void()>::to<&Exchange::on_deadline>(*this)) {}

Exchange::~Exchange() { assert(session_ == nullptr); }

// The head

void Exchange::begin(ClientSession& session) {
  session_ = &session;
  id_ = proxy_.next_request_id();
  started_ = proxy_.wall_now();
  if (session.empty_line_seen()) request_parser_.reset(true);
}

void Exchange::on_client_held() {
  clocks_.rest(LimitKind::kClientBodyStall, proxy_.now());
  release_request_buffers();
}

void Exchange::on_client_let_go() {
  clocks_.resume(LimitKind::kClientBodyStall, proxy_.now());
  settle();
}

void Exchange::on_client_input() {
  switch (request_state_) {
    case RequestState::kHead:
      // Else it was refused already, and the client does not take the answer.
      if (response_state_ == ResponseState::kAwaited) read_head();
      break;
    case RequestState::kBody:
      if (lease_) {
        pump_request();
      } else if (acquire_ != nullptr && request_cut_short()) {
        fail_for_client_that_left();
      }
      break;
    case RequestState::kDone:
      break;  // the next request waits in the session's input
  }
  settle();
}

// Before any of the body was taken: a part of it is missing that will not come. Of a chunked body
// that shows only when it is read.
bool Exchange::request_cut_short() const {
  return session_->input_ended() && request_.framing.kind == FramingKind::kLength &&
         request_bytes_ + session_->input().size() < request_.framing.length;
}

void Exchange::read_head() {
  Buffer& input = session_->input();
  const ParseStep step = request_parser_.next(input.readable(), request_);
  input.consume(step.consumed);
  switch (step.event) {
    case ParseEvent::kNeedMore:
      if (proxy_.buffer_gate().refuses_requests()) {
        refuse_for_full_buffers();
      } else if (request_parser_.idle() && input.empty()) {  // an empty line before the request
        session_->note_empty_line(true);
        finish(ClientSession::After::kNextRequest);
      } else if (session_->input_ended()) {
        fail_for_client_that_left();
      } else if (!clocks_.running(LimitKind::kHeader)) {
        start_clock(LimitKind::kHeader);
      }
      return;
    case ParseEvent::kFault:
      refuse_malformed(request_parser_.fault());
      return;
    case ParseEvent::kHead:
      session_->note_empty_line(false);
      clocks_.stop(LimitKind::kHeader);
      timeline_.head_read = proxy_.now();
      serve_head();
      return;
    case ParseEvent::kBody:
    case ParseEvent::kEnd:
      assert(false);
      return;
  }
}

void Exchange::serve_head() {
  use_present_table();
  keep_client_ = request_.keep_alive && request_.version == HttpVersion::k11;
  request_state_ = RequestState::kBody;
  const bool no_body =
      request_.framing.kind == FramingKind::kNone ||
      (request_.framing.kind == FramingKind::kLength && request_.framing.length == 0);
  if (no_body) {
    const ParseStep end = request_parser_.next({}, request_);
    assert(end.event == ParseEvent::kEnd);
    if (end.event == ParseEvent::kEnd) request_state_ = RequestState::kDone;
  } else if (session_->input().empty()) {
    session_->await_more();
  }
  if (!route()) return;
  if (route_.for_us) {
    answer_for_us();
    return;
  }
  routed_ = true;
  if (proxy_.buffer_gate().refuses_requests()) {
    refuse_for_full_buffers();
    return;
  }
  if (route_.connect && !route_.unwrap && !route_.catch_all)
    proxy_.hint_at_pooling(*route_.upstream, route_.authority);
  if (route_.unwrap) {
    answer_connect();
    return;
  }
  if (auto started = start_request_clocks(); !started) {
    fail(std::move(started).error());
    return;
  }
  upstream_state().retry_budget.on_request(retry());
  read_upgrade_offer();
  acquire();
}

bool Exchange::route() {
  const Endpoint& endpoint = session_->endpoint();
  auto routed = route_request(*table_, {endpoint.settings, endpoint.local, session_->unwrapped()},
                              request_, proxy_.pseudonym(), route_);
  if (routed) return true;
  if (route_.web_page) endpoint.metrics->rejected[RejectReason::kWebPage].add();
  fail(std::move(routed).error());
  return false;
}

// A connection

void Exchange::acquire() {
  if (Lease pinned = route_.connect ? Lease() : session_->take_pinned(route_)) {
    bound_ = true;
    use(std::move(pinned));
    return;
  }
  const Upstream& upstream = *route_.upstream;
  const AcquireRequest request{.upstream = upstream.settings->name,
                               .destination = upstream.destination,
                               .choice = route_.choice,
                               .identity = upstream.identity,
                               .policy = policy(),
                               .timeouts = timeouts(),
                               .tls = upstream.tls,
                               .scope = scope_of_listener(session_->endpoint().local),
                               .prefers_recent = !may_repeat(),
                               .waiting_since = waiting_since_};
  AcquireOutcome outcome = proxy_.pool().acquire(request, *this);
  if (auto* lease = std::get_if<Lease>(&outcome)) {
    use(std::move(*lease));
  } else if (auto* waiting = std::get_if<Waiting>(&outcome)) {
    wait(std::move(*waiting));
  } else {
    fail(std::move(std::get<Error>(outcome)));
  }
}

void Exchange::wait(Waiting waiting) {
  acquire_ = std::move(waiting.pending);
  release_request_buffers();
  if (!waiting_since_) {
    waiting_since_ = proxy_.now();
    waiting_number_ = proxy_.next_waiting_number();
  }
  enter_acquire_phase(waiting.phase);
}

void Exchange::on_dial_phase(Phase phase) {
  leave_acquire_phase();
  enter_acquire_phase(phase);
  settle();
}

void Exchange::on_acquired(Lease lease) {
  leave_acquire_phase();
  acquire_.reset();
  if (session_->has_left_unseen()) {
    lease.release();  // nothing was written to it
    fail_for_client_that_left();
  } else {
    use(std::move(lease));
  }
  settle();
}

void Exchange::on_acquire_failed(Error error) {
  leave_acquire_phase();
  acquire_.reset();
  fail(std::move(error));
  settle();
}

void Exchange::enter_acquire_phase(Phase phase) {
  acquire_phase_ = phase;
  timeline_.enter(phase, proxy_.now());
  if (phase == Phase::kQueue) start_clock(LimitKind::kQueue);
}

void Exchange::leave_acquire_phase() {
  timeline_.leave(acquire_phase_, proxy_.now());
  clocks_.stop(LimitKind::kQueue);
}

void Exchange::use(Lease lease) {
  lease_ = std::move(lease);
  ++attempts_;
  connection_id_ = lease_->id();
  connection_requests_ = lease_->requests();
  upstream_address_ = lease_->address();
  if (route_.connect) {
    answer_connect();
    return;
  }
  if (worth_a_look() && !lease_->looks_alive()) {
    if (!try_again(CloseReason::kPeerClosedIdle)) {
      fail({.code = ErrorCode::kConnectionTerminated,
            .detail = "the idle connection turned out dead"});
    }
    return;
  }
  lease_->stream().set_handler(this);
  start_request();
}

// Ends

// The last statement of every entry. Nothing of this exchange may be touched after it.
void Exchange::settle() {
  if (!finished_) {
    deadline_.arm(clocks_.earliest());
    return;
  }
  ClientSession& session = *session_;
  const ClientSession::After after = *finished_;
  write_record();
  reset();
  session.exchange_finished(after);
}

void Exchange::on_client_left() {
  fail_for_client_that_left();
  settle();
}

void Exchange::fail_for_client_that_left() {
  fail({.code = ErrorCode::kClientAborted,
        .source = ErrorSource::kDownstream,
        .phase = current_phase(),
        .detail = "the client closed its connection"});
}

void Exchange::on_shutdown() {
  keep_client_ = false;
  fail({.code = ErrorCode::kProxyInternalResponse,
        .source = ErrorSource::kInternal,
        .phase = current_phase(),
        .detail = "the proxy is shutting down"});
  if (!finished_) finish(ClientSession::After::kAbort);
  settle();
}

void Exchange::fail(Error error) {
  if (finished_) return;
  if (!error.phase) error.phase = current_phase();
  error_ = std::move(error);
  acquire_.reset();
  tunnel_.reset();
  give_up_connection();
  warn_of_default_limit();
  const bool head_sent = response_state_ != ResponseState::kAwaited;
  if (client_gone() || (head_sent && !take_back_response())) {
    finish(ClientSession::After::kAbort);  // a response that is cut short must look cut short
    return;
  }
  reply_locally();
}

// What came in the same read as its head turned out bad: the client can still be told.
bool Exchange::take_back_response() {
  if (!response_unsent_) return false;
  session_->output().clear();
  response_chunks_.clear();
  return true;
}

// It left, or does not read: nothing can be told to it.
bool Exchange::client_gone() const {
  return error_ && (error_->code == ErrorCode::kClientAborted ||
                    error_->code == ErrorCode::kClientWriteTimeout);
}

void Exchange::refuse_for_full_buffers() {
  proxy_.warn_of_full_buffers();
  fail({.code = ErrorCode::kProxyInternalError,
        .source = ErrorSource::kInternal,
        .phase = {},
        .limit_key = "process.max_buffers",
        .status = 503,
        .detail = "the buffers of the process are full"});
}

void Exchange::refuse_malformed(const ParseFault& fault) {
  if (fault.kind == FaultKind::kForeignProtocol) {
    const std::string& listener = session_->endpoint().name;
    proxy_.log().write_limited(LogLevel::kWarning, listener, fault.reason, proxy_.now(),
                               {{"listener", listener}, {"client", session_->client_address()}});
    error_ = to_error(fault);
    finish(ClientSession::After::kAbort);
    return;
  }
  fail(to_error(fault));
}

// While the request is still coming nobody knows whether its end will: then the client's connection
// serves no other.
bool Exchange::client_may_stay() const {
  return keep_client_ && request_state_ == RequestState::kDone && !session_->draining();
}

void Exchange::reply_locally() {
  const bool http_fault = error_->code == ErrorCode::kHttpRequestError;
  keep_client_ = client_may_stay() && !http_fault;
  status_ = status_of(*error_);
  status_source_ = StatusSource::kProxy;
  const std::string timing = server_timing();
  const LocalReply reply{.error = *error_,
                         .timeline = timeline_,
                         .now = proxy_.now(),
                         .request_id = id_,
                         .limit_value = limit_text(),
                         .spent = spent_on_limit(),
                         .json = prefers_json(request_),
                         .head_only = request_.method == Method::kHead,
                         .keep_alive = keep_client_,
                         .date = proxy_.http_date(),
                         .server_timing = timing};
  this->reply(format_local_reply(reply));
}

// The request ends here: OPTIONS * or the last hop of Max-Forwards.
void Exchange::answer_for_us() {
  keep_client_ = client_may_stay();
  status_ = 200;
  status_source_ = StatusSource::kProxy;
  reply(format_own_answer(request_, keep_client_, proxy_.http_date()));
}

void Exchange::reply(const std::string& bytes) {
  clocks_.stop_all();
  session_->output().set_max_bytes(session_->output().size() + bytes.size() +
                                   Buffer::kDefaultMaxBytes);
  response_state_ = ResponseState::kDone;
  const std::string_view piece = bytes;
  if (send_downstream(std::span(&piece, 1))) finish_if_delivered();
}

// NTLM or Negotiate: the connection is this client's.
bool Exchange::is_bound() const {
  return bound_ || request_.binds_connection || response_.binds_connection;
}

// The client is not there any more, or no time is left for it: nothing is wrong with the upstream,
// whose answer is known to end soon for all we know.
bool Exchange::may_drain() const {
  const bool no_fault_of_it = client_gone() || fired_limit_ == LimitKind::kTotal ||
                              fired_limit_ == LimitKind::kAppDeadline ||
                              fired_limit_ == LimitKind::kGrpcTimeout;
  const DrainSettings& limits = policy().drain;
  const bool tunnelled = route_.connect || status_ == 101;
  const bool goes_on = request_sent_ && upstream_end_ == IoStatus::kOk;
  if (!no_fault_of_it || !goes_on || tunnelled || is_bound() || limits.size == 0) return false;
  if (response_state_ == ResponseState::kAwaited) return upgrade_offer_.empty();
  const BodyFraming& framing = response_.framing;
  const bool too_long = framing.kind == FramingKind::kLength &&
                        framing.length - response_bytes_ > limits.size + upstream_input_.size();
  return leaves_connection_usable(response_) && !too_long;
}

CloseReason Exchange::reason_to_drop() const {
  if (client_gone()) return CloseReason::kClientAbort;
  if (fired_limit_) return CloseReason::kTimeout;
  const bool stopping = error_ && error_->code == ErrorCode::kProxyInternalResponse;
  return stopping ? CloseReason::kShutdown : CloseReason::kError;
}

void Exchange::give_up_connection() {
  if (!lease_) return;
  stop_waiting_for_buffers();
  if (!may_drain()) {
    drop_connection(reason_to_drop());
    return;
  }
  proxy_.drain(std::move(lease_), std::move(response_parser_), response_.informational(),
               upstream_input_.readable(), policy().drain);
  response_parser_ = ResponseParser(ParseLimits{});
  upstream_input_.clear();
}

// For an app of this machine that asks for it; the field is for us alone.
std::string Exchange::server_timing() const {
  const Field* field = request_.fields.find(FieldId::kXPenstockDebug);
  if (field == nullptr || field->value != "1" || !session_->peer().address().is_local()) return {};
  return format_server_timing(timeline_, proxy_.now());
}

void Exchange::drop_connection(CloseReason reason) {
  if (!lease_) return;
  close_reason_ = reason;
  lease_.close(reason);
}

void Exchange::finish(ClientSession::After after) {
  const MonotonicTime now = proxy_.now();
  timeline_.leave_all(now);
  timeline_.finished = now;
  finished_ = after;
}

void Exchange::write_record() {
  if (retried_) {
    const RetryResult result =
        status_source_ == StatusSource::kUpstream ? RetryResult::kSuccess : RetryResult::kFailure;
    upstream_state().metrics.retries[result].add();
  }
  if (timeline_.head_read == kNever && !error_) return;  // no request came
  ExchangeRecord record{.timeline = timeline_};
  record.ts = started_;
  record.id = id_;
  record.listener = session_->endpoint().name;
  record.client = session_->client_address();
  record.client_uid = session_->peer().uid();
  record.method = request_.method_name;
  const bool head_read = timeline_.head_read != kNever;
  if (head_read) {
    const bool unwrapped = session_->unwrapped() != nullptr && !route_.connect;
    record.form = unwrapped ? Form::kUnwrapped : form_of(route_.form);
    if (request_.method == Method::kConnect) record.form = Form::kConnect;
    record.protocol = request_.version == HttpVersion::k11 ? "HTTP/1.1" : "HTTP/1.0";
    record.request_bytes = request_bytes_;
    // Of a tunnel that was refused the port may be the reason.
    record.host = request_.method == Method::kConnect ? route_.host_field : route_.authority.host;
  }
  if (routed_) {
    record.host = route_.host_field;
    record.path = route_.path.empty() && !route_.connect ? "/" : route_.path;
    record.upstream = route_.upstream->settings->name;
  } else if (head_read) {
    record.path = path_of(request_.target);
  }
  record.status = client_gone() ? 499 : status_;
  record.status_source = client_gone() ? StatusSource::kNone : status_source_;
  if (error_) {
    record.error = error_->code;
    record.error_phase = error_->phase;
    record.error_limit = error_->limit_key;
  }
  if (status_source_ == StatusSource::kUpstream || route_.connect)
    record.response_bytes = response_bytes_;
  record.address = upstream_address_;
  record.conn_id = connection_id_;
  record.conn_requests = static_cast<std::uint32_t>(connection_requests_);
  record.reused = connection_requests_ > 1;
  record.attempts = attempts_;
  record.close_reason = close_reason_;
  record.traceparent = trace_parent(request_.fields);
  proxy_.write_record(record, routed_ ? &upstream_state().metrics : nullptr);
}

void Exchange::reset() {
  session_ = nullptr;
  request_parser_.reset();
  request_.clear();
  response_.clear();
  upstream_output_.clear();
  upstream_output_.release_if_empty();
  upstream_input_.clear();
  upstream_input_.release_if_empty();
  replay_.clear();
  replay_.release_if_empty();
  buffer_wait_.cancel();
  request_state_ = RequestState::kHead;
  response_state_ = ResponseState::kAwaited;
  routed_ = bound_ = request_sent_ = upstream_blocked_ = upstream_write_failed_ = keep_client_ =
      false;
  awaiting_continue_ = continued_ = response_begun_ = response_unsent_ = retried_ = replayable_ =
      false;
  location_.clear();
  app_deadline_.reset();
  grpc_timeout_.reset();
  rate_bytes_ = 0;
  upgrade_offer_.clear();
  waiting_since_.reset();
  tunnel_.reset();
  finished_.reset();
  timeline_ = {};
  clocks_.stop_all();
  error_.reset();
  fired_limit_.reset();
  status_ = 0;
  status_source_ = StatusSource::kNone;
  request_bytes_ = response_bytes_ = 0;
  attempts_ = 0;
  connection_id_ = connection_requests_ = 0;
  upstream_address_.clear();
  close_reason_.reset();
}

}  // namespace penstock
