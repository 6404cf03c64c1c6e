#include "worker.h"

#include <algorithm>

#include "proxy/warm_hosts.h"

namespace penstock::sim {

namespace {

SocketAddress local_address(std::uint16_t port) {
  return *SocketAddress::from_ip("127.0.0.1", port);
}

}  // namespace

Worker::Worker(std::size_t index, const Shared& shared, SimDialer::OnConnected on_connected,
               std::shared_ptr<const RoutingTable> table)
    : index_(index),
      shared_(shared),
      stage_(shared.stage),
      timers_(stage_.now()),
      dialer_(stage_, index, std::move(on_connected)) {
  executor_.away = true;
  const auto seed = static_cast<std::uint32_t>(stage_.chance.between(1, 1'000'000));
  pool_ = std::make_unique<WorkerPool>(index, shared_.registry,
                                       WorkerPool::Outside{.executor = executor_,
                                                           .clock = stage_.clock,
                                                           .timers = timers_,
                                                           .dialer = dialer_,
                                                           .metrics = metrics_,
                                                           .seed = seed});
  access_log_ = std::make_unique<AccessLogWriter>(shared_.process.access_log, 1);
  endpoint_ = std::make_shared<Endpoint>(Endpoint{.settings = table->config().listeners[0],
                                                  .local = local_address(3128),
                                                  .name = "127.0.0.1:3128",
                                                  .metrics = &metrics_.listener("127.0.0.1:3128")});
  proxy_ = std::make_unique<Proxy>(Proxy::Outside{.worker = index,
                                                  .executor = executor_,
                                                  .clock = stage_.clock,
                                                  .timers = timers_,
                                                  .pool = *pool_,
                                                  .metrics = metrics_,
                                                  .access_log = *access_log_,
                                                  .clients = shared_.clients,
                                                  .hints = shared_.hints,
                                                  .retries = shared_.retries,
                                                  .buffers = shared_.buffers,
                                                  .log = shared_.process.log},
                                   table, "penstock-0badcafe", 0);
  const Turn turn(*this);
  keep_hosts_warm(*table, *pool_);
}

Worker::~Worker() = default;

Worker::Turn::Turn(Worker& worker) : worker_(worker), before_(worker.stage_.current) {
  ++worker_.on_stack_;
  if (before_ != kNobody) worker_.shared_.workers[before_]->executor_.away = true;
  worker_.executor_.away = false;
  worker_.stage_.current = worker_.index_;
}

Worker::Turn::~Turn() {
  --worker_.on_stack_;
  worker_.executor_.away = true;
  if (before_ != kNobody) worker_.shared_.workers[before_]->executor_.away = false;
  worker_.stage_.current = before_;
}

bool Worker::turn() {
  const std::size_t first = stage_.chance.below(3);
  for (std::size_t i = 0; i < 3; ++i) {
    switch ((first + i) % 3) {
      case 0:
        if (run_posted()) return true;
        break;
      case 1:
        if (run_timers()) return true;
        break;
      default:
        if (serve_socket()) return true;
        break;
    }
  }
  return false;
}

void Worker::turn_until_quiet() {
  constexpr int kSpinning = 20'000;
  for (int turns = 0; turn(); ++turns) {
    if (turns == kSpinning) stage_.finding("it spins: " + what_is_due());
  }
}

std::string Worker::what_is_due() const {
  for (const Socket* socket : shared_.sockets) {
    if (socket->due(index_)) return socket->name() + " is ready, and nothing is done about it";
  }
  return timers_.next_wakeup() <= stage_.now() ? "a timer" : "a task";
}

bool Worker::run_posted() {
  const Turn turn(*this);
  return executor_.run_one();
}

bool Worker::run_timers() {
  const Turn turn(*this);
  if (dialer_.limit_due()) {
    dialer_.fire_limit();
    return true;
  }
  if (timers_.next_wakeup() > stage_.now()) return false;
  timers_.advance(stage_.now());
  return true;
}

bool Worker::serve_socket() {
  std::vector<Socket*> due;
  for (Socket* socket : shared_.sockets) {
    if (socket->due(index_)) due.push_back(socket);
  }
  if (due.empty()) return false;
  const Turn turn(*this);
  stage_.chance.of(due)->serve(index_);
  return true;
}

void Worker::post(std::function<void()> work) { penstock::post(executor_, std::move(work)); }

void Worker::apply(std::shared_ptr<const RoutingTable> table, unsigned generation) {
  post([this, table = std::move(table), generation] {
    generation_ = generation;
    shared_.ledger.reroute(index_, generation);
    proxy_->reconfigure(table);
    keep_hosts_warm(*table, *pool_);
  });
}

void Worker::serve(Client& client) {
  shared_.sockets.push_back(&client.socket());
  proxy_->serve(client.connect(), endpoint_, local_address(50000));
}

void Worker::end() {
  const Turn turn(*this);
  proxy_->abort_sessions();
  pool_->shut_down();
  proxy_.reset();
  access_log_.reset();
  for (Socket* socket : shared_.sockets) socket->forget(index_);
}

// The pool has ended before what was posted to its worker.
void Worker::drop_posted() {
  const Turn turn(*this);
  pool_.reset();
  endpoint_.reset();
  executor_.drop_posted();
  executor_.run_one();  // what was deferred
}

}  // namespace penstock::sim
