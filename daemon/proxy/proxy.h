// The proxy on one worker: its client sessions, its spare exchanges, and what they work with.
//
// Owner: the Worker. Thread: its loop's. Ends when its sessions have: begin_drain() asks them to,
// abort_sessions() makes them.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/buffer.h"
#include "base/intrusive_list.h"
#include "base/log.h"
#include "event/clock.h"
#include "event/executor.h"
#include "event/timer_wheel.h"
#include "net/pipe_pool.h"
#include "net/stream.h"
#include "pool/worker_pool.h"
#include "proxy/buffer_gate.h"
#include "proxy/client_quota.h"
#include "proxy/client_session.h"
#include "proxy/endpoint.h"
#include "proxy/exchange.h"
#include "proxy/pooling_hints.h"
#include "proxy/response_drain.h"
#include "proxy/routing_table.h"
#include "proxy/upstream_states.h"
#include "telemetry/access_log.h"
#include "telemetry/metrics.h"

namespace penstock {

class Proxy {
 public:
  struct Outside {
    std::size_t worker = 0;  // which one this is
    Executor& executor;
    const Clock& clock;
    TimerWheel& timers;
    WorkerPool& pool;
    WorkerMetrics& metrics;
    AccessLogWriter& access_log;
    ClientQuota& clients;
    PoolingHints& hints;
    RetryAllowances& retries;
    BufferBudget& buffers;
    Log& log;
  };
  // `pseudonym`: ours in Via, the same for all workers. `first_request_id`: ids count up from it.
  Proxy(const Outside& outside, std::shared_ptr<const RoutingTable> table, std::string pseudonym,
        std::uint64_t first_request_id);
  Proxy(const Proxy&) = delete;
  Proxy& operator=(const Proxy&) = delete;
  ~Proxy();

  // Serves a client; or turns it away, with a 503 when there are too many, without a word when the
  // endpoint does not admit it.
  void accept(std::unique_ptr<Stream> stream, EndpointRef endpoint, const Peer& peer);
  // The steps of it, where several workers share the clients. The endpoint's own rules:
  bool admits(const Endpoint& endpoint, const Peer& peer);
  // Which worker is to serve a client that this one accepted; none when there are too many.
  std::optional<std::size_t> place(const Endpoint& endpoint);
  static void turn_away(Stream& stream);
  void serve(std::unique_ptr<Stream> stream, EndpointRef endpoint, const Peer& peer);

  // The endpoint admits others than before: clients that it does not any more are dismissed.
  void on_filter_changed(const Endpoint& endpoint);
  // Its listener is not configured any more: its sessions end as begin_drain() says.
  void on_removed(Endpoint& endpoint);

  // A listener is about to come: it may lie where one lay that exchanges remember (Route::Origin).
  void forget_origins();

  // New requests are routed by this table, those that wait for a connection are routed again, those
  // under way keep theirs. The registry has applied the configuration; our side of the pools does
  // so here: how much that closed.
  TrimmedByUpstream reconfigure(std::shared_ptr<const RoutingTable> table);

  // Sessions end after their next response, or without one when no request comes. `on_empty` is
  // called once, on a later turn, when the last one has gone.
  void begin_drain(Delegate<void()> on_empty);
  bool draining() const { return draining_; }
  // Cuts what is left, responses that are drained too.
  void abort_sessions();
  std::size_t session_count() const { return session_count_; }

  // For sessions and exchanges.
  MonotonicTime now() const { return outside_.clock.now(); }
  WallTime wall_now() const { return outside_.clock.wall_now(); }
  TimerWheel& timers() { return outside_.timers; }
  BlockPool& blocks() { return blocks_; }
  BufferGate& buffer_gate() { return buffer_gate_; }
  PipePool& pipes() { return pipes_; }
  WorkerPool& pool() { return outside_.pool; }
  WorkerMetrics& metrics() { return outside_.metrics; }
  Log& log() { return outside_.log; }
  const std::shared_ptr<const RoutingTable>& table() const { return table_; }
  const UpstreamStateList& upstream_states() const { return upstream_states_; }
  const ClientSettings& client_settings() const { return table_->config().client; }
  std::string_view pseudonym() const { return pseudonym_; }
  std::uint64_t next_request_id() { return ++last_request_id_; }
  std::uint64_t next_waiting_number() { return ++last_waiting_number_; }
  // The value of a Date field (RFC 9110 section 5.6.7), formatted once a second.
  std::string_view http_date();

  std::unique_ptr<Exchange> take_exchange();
  void give_back(std::unique_ptr<Exchange> exchange);
  // `metrics`: of the upstream that the request was routed to, null when to none.
  void write_record(const ExchangeRecord& record, UpstreamMetrics* metrics);
  // Reads the rest of a response that nobody waits for any more.
  void drain(Lease lease, ResponseParser parser, bool interim, std::string_view received,
             const DrainSettings& limits);
  void drain_ended(ResponseDrain& drain);
  void session_ended(ClientSession& session);

  // A request was not served, or one that is waits: process.max_buffers.
  void warn_of_full_buffers();
  // An app asked for a tunnel to a host that could be pooled: says so, once an hour per upstream.
  void hint_at_pooling(const Upstream& upstream, const Authority& asked);
  const Clock& clock() const { return outside_.clock; }

 private:
  void refuse(const Endpoint& endpoint, const Peer& peer);
  template <typename Do>
  void for_each_session(Do what);
  std::vector<Exchange*> waiting_exchanges();
  void on_flush_due();
  void tell_if_empty();

  Outside outside_;
  const std::string pseudonym_;
  BlockPool blocks_;
  BufferGate buffer_gate_;
  PipePool pipes_;
  std::shared_ptr<const RoutingTable> table_;
  std::vector<std::unique_ptr<Exchange>> spare_exchanges_;
  UpstreamStates all_upstream_states_;
  UpstreamStateList upstream_states_;  // of table_
  IntrusiveList<ClientSession> sessions_;
  std::size_t session_count_ = 0;
  IntrusiveList<ResponseDrain> drains_;
  Deadline flush_;  // of the access log
  std::uint64_t last_request_id_;
  std::uint64_t last_waiting_number_ = 0;
  bool draining_ = false;
  Delegate<void()> on_empty_;
  std::string http_date_;
  std::int64_t http_date_second_ = -1;
};

}  // namespace penstock
