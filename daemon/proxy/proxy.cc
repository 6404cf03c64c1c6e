#include "proxy/proxy.h"

#include <algorithm>
#include <array>
#include <cassert>
#include <chrono>
#include <ctime>
#include <functional>

namespace penstock {

namespace {

constexpr std::size_t kMaxSpareExchanges = 1024;

constexpr std::string_view kTooManyClients =
    "HTTP/1.1 503 Service Unavailable\r\n"
    "Proxy-Status: penstock; error=connection_limit_reached; "
    "details=\"limit=client.max_connections\"\r\n"
    "Content-Type: text/plain; charset=utf-8\r\n"
    "Content-Length: 96\r\n"
    "Retry-After: 1\r\n"
    "Connection: close\r\n"
    "\r\n"
    "penstock: connection_limit_reached\ntoo many clients are connected: raise "
    "client.max_connections\n";

}  // namespace

Proxy::Proxy(const Outside& outside, std::shared_ptr<const RoutingTable> table,
             std::string pseudonym, std::uint64_t first_request_id)
    : outside_(outside),
      pseudonym_(std::move(pseudonym)),
      blocks_(&outside.buffers),
      buffer_gate_(outside.buffers, outside.clock, outside.timers),
      table_(std::move(table)),
      all_upstream_states_(outside.metrics, outside.retries),
      upstream_states_(all_upstream_states_.of(*table_)),
      flush_(outside.timers, Delegate<void()>::to<&Proxy::on_flush_due>(*this)),
      last_request_id_(first_request_id) {}

Proxy::~Proxy() { assert(sessions_.empty() && drains_.empty()); }

void Proxy::refuse(const Endpoint& endpoint, const Peer& peer) {
  endpoint.metrics->rejected[RejectReason::kNotAllowed].add();
  const bool is_user = peer.address().family() == AF_UNIX;
  outside_.log.write_limited(
      LogLevel::kWarning, endpoint.name,
      "a client that the listener does not allow was disconnected", now(),
      {{"listener", endpoint.name},
       {"client", is_user ? "user " + (peer.uid() ? std::to_string(*peer.uid()) : "unknown")
                          : peer.address().ip()},
       {"key", is_user ? "allow_uids" : "allow_clients"}});
}

void Proxy::accept(std::unique_ptr<Stream> stream, EndpointRef endpoint, const Peer& peer) {
  if (!admits(*endpoint, peer)) return;
  if (place(*endpoint)) {
    serve(std::move(stream), std::move(endpoint), peer);
  } else {
    turn_away(*stream);
  }
}

bool Proxy::admits(const Endpoint& endpoint, const Peer& peer) {
  const bool admitted = endpoint.filter.admits(peer);
  if (!admitted) refuse(endpoint, peer);
  return admitted;
}

std::optional<std::size_t> Proxy::place(const Endpoint& endpoint) {
  const auto worker = outside_.clients.enter(outside_.worker);
  if (!worker) {
    endpoint.metrics->rejected[RejectReason::kMaxConnections].add();
    outside_.log.write_limited(LogLevel::kWarning, endpoint.name,
                               "too many client connections: one was turned away", now(),
                               {{"listener", endpoint.name}, {"key", "client.max_connections"}});
  }
  return worker;
}

void Proxy::turn_away(Stream& stream) {
  stream.write(kTooManyClients);
  stream.shutdown_write();
  // A close with unread input is a reset, which may overtake the answer.
  std::array<char, 16 * 1024> discarded;
  stream.read(discarded);
}

void Proxy::serve(std::unique_ptr<Stream> stream, EndpointRef endpoint, const Peer& peer) {
  auto* session = new ClientSession(*this, std::move(stream), std::move(endpoint), peer);
  sessions_.push_back(*session);
  ++session_count_;
}

// Each may end in what is done to it.
template <typename Do>
void Proxy::for_each_session(Do what) {
  for (auto it = sessions_.begin(); it != sessions_.end();) {
    ClientSession& session = *it;
    ++it;
    what(session);
  }
}

void Proxy::on_filter_changed(const Endpoint& endpoint) {
  for_each_session([&](ClientSession& session) {
    if (&session.endpoint() == &endpoint && !endpoint.filter.admits(session.peer()))
      session.dismiss();
  });
}

void Proxy::on_removed(Endpoint& endpoint) {
  endpoint.removed = true;
  for_each_session([&](ClientSession& session) {
    if (&session.endpoint() == &endpoint) session.begin_drain();
  });
}

void Proxy::session_ended(ClientSession& session) {
  session.unlink();
  --session_count_;
  outside_.clients.leave(outside_.worker);
  outside_.executor.defer_delete(std::unique_ptr<DeferredDeletable>(&session));
  tell_if_empty();
}

void Proxy::forget_origins() { spare_exchanges_.clear(); }

// Who waits leaves its place before the pools begin dials for it, the youngest first so that no
// dial goes to one that is about to leave as well; and comes back by age.
TrimmedByUpstream Proxy::reconfigure(std::shared_ptr<const RoutingTable> table) {
  table_ = std::move(table);
  upstream_states_ = all_upstream_states_.of(*table_);
  spare_exchanges_.clear();  // they hold on to the old table and its sizes
  std::vector<Exchange*> moving = waiting_exchanges();
  std::erase_if(moving, [](Exchange* exchange) { return !exchange->reroute(); });
  TrimmedByUpstream trimmed = outside_.pool.on_reconfigured();
  std::ranges::reverse(moving);
  for (Exchange* exchange : moving) exchange->resume();
  return trimmed;
}

// The youngest first; of one turn of the loop, too.
std::vector<Exchange*> Proxy::waiting_exchanges() {
  std::vector<Exchange*> waiting;
  for (ClientSession& session : sessions_) {
    Exchange* exchange = session.exchange();
    if (exchange != nullptr && exchange->waiting_number()) waiting.push_back(exchange);
  }
  std::ranges::sort(waiting, std::greater(), &Exchange::waiting_number);
  return waiting;
}

void Proxy::begin_drain(Delegate<void()> on_empty) {
  draining_ = true;
  on_empty_ = on_empty;
  for_each_session([](ClientSession& session) { session.begin_drain(); });
  tell_if_empty();
}

void Proxy::tell_if_empty() {
  if (!draining_ || session_count_ > 0 || !on_empty_) return;
  post(outside_.executor, [on_empty = std::exchange(on_empty_, {})] { on_empty(); });
}

void Proxy::abort_sessions() {
  for_each_session([](ClientSession& session) { session.abort(); });
  while (!drains_.empty()) drains_.front().close(CloseReason::kShutdown);
}

std::unique_ptr<Exchange> Proxy::take_exchange() {
  if (spare_exchanges_.empty()) return std::make_unique<Exchange>(*this);
  std::unique_ptr<Exchange> exchange = std::move(spare_exchanges_.back());
  spare_exchanges_.pop_back();
  return exchange;
}

// Called as an exchange's last act: when it is not kept, it goes on a later turn.
void Proxy::give_back(std::unique_ptr<Exchange> exchange) {
  if (spare_exchanges_.size() < kMaxSpareExchanges && exchange->made_for(*table_)) {
    spare_exchanges_.push_back(std::move(exchange));
  } else {
    outside_.executor.defer_delete(std::move(exchange));
  }
}

void Proxy::write_record(const ExchangeRecord& record, UpstreamMetrics* metrics) {
  penstock::record(metrics != nullptr ? *metrics : outside_.metrics.upstream({}), record);
  if (is_error(record)) outside_.metrics.failures().add(record);
  outside_.access_log.write(record);
  if (outside_.access_log.has_unflushed() && !flush_.armed())
    flush_.arm(now() + AccessLogWriter::kFlushAfter);
}

void Proxy::drain(Lease lease, ResponseParser parser, bool interim, std::string_view received,
                  const DrainSettings& limits) {
  auto* drain = new ResponseDrain(*this, std::move(lease), std::move(parser), interim, received);
  drains_.push_back(*drain);
  drain->start(limits);
}

void Proxy::drain_ended(ResponseDrain& drain) {
  outside_.executor.defer_delete(std::unique_ptr<DeferredDeletable>(&drain));
}

void Proxy::warn_of_full_buffers() {
  outside_.log.write_limited(
      LogLevel::kWarning, "process.max_buffers",
      "the buffers are nearly full: bodies wait, then new requests are refused", now(),
      {{"key", "process.max_buffers"},
       {"bytes", outside_.buffers.used()},
       {"limit", outside_.buffers.limit()}});
}

void Proxy::hint_at_pooling(const Upstream& upstream, const Authority& asked) {
  const std::string& name = upstream.settings->name;
  if (!outside_.hints.is_due(name, now())) return;
  outside_.log.info(
      "a tunnel cannot be pooled: let the app ask for http:// instead, penstock speaks TLS itself",
      {{"upstream", name}, {"url", "http://" + asked.to_string(443) + "/"}});
}

void Proxy::on_flush_due() {
  outside_.access_log.flush();
  if (outside_.access_log.has_unflushed()) flush_.arm(now() + AccessLogWriter::kFlushAfter);
}

std::string_view Proxy::http_date() {
  const auto wall = std::chrono::floor<std::chrono::seconds>(wall_now());
  const std::int64_t second = wall.time_since_epoch().count();
  if (second != http_date_second_) {
    http_date_second_ = second;
    const std::time_t time = second;
    std::tm utc{};
    gmtime_r(&time, &utc);
    char text[40];
    const std::size_t length = std::strftime(text, sizeof text, "%a, %d %b %Y %H:%M:%S GMT", &utc);
    http_date_.assign(text, length);
  }
  return http_date_;
}

}  // namespace penstock
