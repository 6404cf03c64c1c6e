// One request and its response, from the first byte of the request to the record in the log.
//
// The steps, in the order in which a request meets them, and the files that hold them:
//   exchange.cc           begin, the head, the route, a connection; the end
//   exchange_limits.cc    the time limits
//   exchange_reload.cc    another configuration while it waits for a connection
//   exchange_request.cc   the request to the upstream
//   exchange_response.cc  the response to the client
//   exchange_retry.cc     another try, when a reused connection turned out dead
//   exchange_tunnel.cc    CONNECT and Upgrade: from then on a Tunnel moves bytes
//
// Request and response move independently: a response may be over before its request is. Each has a
// small state of its own, and a connection is used again only when both are done.
//
// Every entry (a readable stream, a pool's callback, the deadline) ends with settle(): there, and
// nowhere else, the one deadline is armed or a finished exchange hands itself back.
//
// Owner: the ClientSession while it serves a request, else the Proxy's spare ones. Thread: the
// worker's. Reused: what it holds keeps its capacity, so that a request allocates nothing.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/buffer.h"
#include "base/error.h"
#include "event/timer_wheel.h"
#include "http/head.h"
#include "http/parser.h"
#include "net/stream.h"
#include "pool/waiter.h"
#include "pool/worker_pool.h"
#include "proxy/chunk_batch.h"
#include "proxy/client_session.h"
#include "proxy/limit_clocks.h"
#include "proxy/router.h"
#include "proxy/tunnel.h"
#include "proxy/upstream_states.h"
#include "telemetry/close_reason.h"
#include "telemetry/exchange_record.h"
#include "telemetry/timeline.h"

namespace penstock {

class Proxy;

class Exchange final : public DeferredDeletable, private AcquireHandler, private StreamHandler {
 public:
  explicit Exchange(Proxy& proxy);
  ~Exchange() override;

  // Whether its sizes are those of this configuration.
  bool made_for(const RoutingTable& table) const { return table_.get() == &table && !rerouted_; }

  // Entries from the session.
  void begin(ClientSession& session);
  void on_client_input();  // there is more in session.input()
  bool has_head() const { return request_state_ != RequestState::kHead; }
  bool awaits_body() const { return request_state_ == RequestState::kBody; }
  // We do not read from the client, and do again: that time is not the client's.
  void on_client_held();
  void on_client_let_go();
  void on_client_writable();  // the client took some of session.output()
  void on_client_left();      // it closed or reset its connection
  void on_shutdown();         // the grace is over

  // Entries from the proxy, when it has another configuration.
  // Which request it is of those of the worker that had to wait for their first connection, when it
  // does; nothing when not: then it keeps the policy that it began with.
  std::optional<std::uint64_t> waiting_number() const;
  // Routes the waiting request again. True when it has left its place in the queue: resume() must
  // follow, once the pools have the new configuration too.
  [[nodiscard]] bool reroute();
  void resume();

 private:
  enum class RequestState : std::uint8_t { kHead, kBody, kDone };
  enum class ResponseState : std::uint8_t { kAwaited, kBody, kDone };

  // Entries from the pool, the upstream's stream and the deadline.
  void on_acquired(Lease lease) override;
  void on_acquire_failed(Error error) override;
  void on_dial_phase(Phase phase) override;
  void on_readable() override;
  void on_writable() override;
  void on_deadline();
  void settle();

  // exchange.cc
  void read_head();
  bool request_cut_short() const;
  void fail_for_client_that_left();
  void serve_head();
  bool route();
  void acquire();
  void wait(Waiting waiting);
  void use(Lease lease);
  void enter_acquire_phase(Phase phase);
  void leave_acquire_phase();
  std::optional<Phase> current_phase() const;
  Error error_of(LimitKind kind) const;
  const UpstreamPolicy& policy() const { return route_.upstream->settings->policy; }
  const TimeoutSettings& timeouts() const { return route_.policy->timeouts; }
  const RetrySettings& retry() const { return route_.policy->retry; }
  UpstreamState& upstream_state() {
    return *(*upstream_states_)[table_->index_of(*route_.upstream)];
  }
  void fail(Error error);
  bool client_gone() const;
  bool take_back_response();
  void refuse_for_full_buffers();
  void refuse_malformed(const ParseFault& fault);
  void reply_locally();
  void answer_for_us();
  std::string server_timing() const;
  void reply(const std::string& bytes);
  bool is_bound() const;
  bool may_drain() const;
  bool client_may_stay() const;
  CloseReason reason_to_drop() const;
  void give_up_connection();
  void drop_connection(CloseReason reason);
  void finish(ClientSession::After after);
  void write_record();
  void reset();

  // exchange_limits.cc
  const Limit& limit_value(LimitKind kind) const;
  std::string limit_text() const;
  Duration spent_on_limit() const;
  void start_clock(LimitKind kind);
  Result<void> start_request_clocks();
  std::string left_of_grpc_timeout() const;
  void start_receiving();
  void start_rate_window();
  void rest_from_receiving();
  void go_on_receiving();
  void await_client_body();
  void release_request_buffers();
  void stop_receiving();
  void warn_of_default_limit();

  // exchange_reload.cc
  void use_present_table();
  struct Place;
  Place place() const;

  // exchange_retry.cc
  bool may_repeat() const;
  bool worth_a_look() const;
  bool try_again(CloseReason reason);
  void keep_for_replay(std::string_view piece);
  void replay_body();

  // exchange_tunnel.cc
  void answer_connect();
  void start_tunnel();
  void on_tunnel_ended(TunnelEnd end);
  void end_tunnel(TunnelEnd end);
  void read_upgrade_offer();
  bool is_offered(std::string_view protocols) const;
  void on_switched_protocols();

  // exchange_request.cc
  void start_request();
  void pump_request();
  void relay_request();
  void add_request_body(std::string_view piece);
  void forward_request_body(std::string_view piece);
  void gather(const FramedPiece& framed);
  void add_small_chunk(std::string_view piece);
  void forward_request_end();
  void await_continue();
  void send_continue();
  void stop_awaiting_continue();
  void end_request_body();
  bool write_upstream(std::span<const std::string_view> pieces);
  void on_upstream_write_failed();
  void on_request_sent();

  // exchange_response.cc
  void receive();
  bool takes_response() const;
  bool is_unasked() const;
  void on_unasked_answer();
  void relay_what_comes();
  IoResult gather_input();
  std::size_t bytes_to_gather() const;
  IoResult read_upstream(std::size_t least_space);
  bool held_by_full_buffers();
  void on_buffers_free();
  void stop_waiting_for_buffers();
  void pump_response();
  void relay_response();
  void on_response_head();
  void on_informational_head();
  void on_final_head();
  BodyFraming downstream_framing() const;
  bool is_large_last_piece(std::string_view piece) const;
  void end_response_with(std::string_view piece);
  void add_response_body(std::string_view piece);
  void add_small_piece(std::string_view piece, bool chunked);
  void on_response_end(std::string_view last_piece);
  void give_connection_back();
  void on_upstream_eof();
  void on_upstream_error();
  bool send_downstream(std::span<const std::string_view> pieces);
  void on_downstream_progress();
  void finish_if_delivered();

  // borrowed: outlive us
  Proxy& proxy_;
  ClientSession* session_ = nullptr;  // null while spare

  // owned, with what they keep from request to request
  std::shared_ptr<const RoutingTable> table_;
  UpstreamStateList upstream_states_;  // in the order of table_
  RequestParser request_parser_;
  ResponseParser response_parser_;
  RequestHead request_;
  ResponseHead response_;
  Route route_;
  Buffer upstream_output_;
  Buffer upstream_input_;
  Buffer replay_;
  BufferWait buffer_wait_;
  ChunkBatch request_chunks_, response_chunks_;  // empty but while input is pumped
  Deadline deadline_;

  // state of this request
  Pending acquire_;
  Phase acquire_phase_ = Phase::kQueue;  // while acquire_ is held
  std::optional<MonotonicTime> waiting_since_;
  std::uint64_t waiting_number_ = 0;
  bool rerouted_ = false;  // by a reload; of the exchange, not of the request
  Lease lease_;
  RequestState request_state_ = RequestState::kHead;
  ResponseState response_state_ = ResponseState::kAwaited;
  BodyFraming upstream_framing_;    // of the request as we send it
  BodyFraming downstream_framing_;  // of the response as we send it
  bool routed_ = false;
  bool bound_ = false;                     // the connection is this client's alone (NTLM)
  bool request_sent_ = false;              // the last byte of the request is with the kernel
  IoStatus upstream_end_ = IoStatus::kOk;  // or what a read said behind bytes yet to be relayed
  bool upstream_blocked_ = false;          // the last write came back short: on_writable() follows
  bool upstream_write_failed_ = false;
  bool keep_client_ = false;
  bool awaiting_continue_ = false;  // the body is held back until somebody says 100
  bool response_begun_ = false;     // a byte of it came, 1xx included: no more tries
  bool response_unsent_ = false;    // all that was written of it lies in the session's output
  bool retried_ = false;
  bool continued_ = false;     // we have told the client to send its body
  bool replayable_ = false;    // replay_ holds all of the body that was taken
  std::string location_;       // what Location becomes
  std::string upgrade_offer_;  // what the client offers in Upgrade and we pass on
  std::optional<Tunnel> tunnel_;
  Limit app_deadline_;            // by client.deadline_header
  Limit grpc_timeout_;            // by grpc-timeout
  Limit min_rate_window_;         // of timeouts.min_rate
  std::uint64_t rate_bytes_ = 0;  // of the body, in the present window
  std::optional<ClientSession::After> finished_;

  // for the record
  Timeline timeline_;
  LimitClocks clocks_;
  WallTime started_{};
  std::uint64_t id_ = 0;
  std::optional<Error> error_;
  std::optional<LimitKind> fired_limit_;
  std::uint16_t status_ = 0;
  StatusSource status_source_ = StatusSource::kNone;
  std::uint64_t request_bytes_ = 0;
  std::uint64_t response_bytes_ = 0;
  std::uint32_t attempts_ = 0;
  std::uint64_t connection_id_ = 0;
  std::uint64_t connection_requests_ = 0;
  std::string upstream_address_;
  std::optional<CloseReason> close_reason_;
};

}  // namespace penstock
