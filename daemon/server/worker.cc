#include "server/worker.h"

#include <algorithm>
#include <cassert>
#include <optional>
#include <random>

#include "config/addresses.h"
#include "net/tcp_stream.h"
#include "proxy/warm_hosts.h"

namespace penstock {

struct Worker::Door {
  Door(Worker& owner, UniqueFd fd, const SocketAddress& local, const ListenerSettings& settings)
      : worker(owner),
        endpoint(std::make_shared<Endpoint>(
            Endpoint{.settings = settings,
                     .local = local,
                     .name = settings.address,
                     .metrics = &owner.metrics_.listener(settings.address),
                     .filter = filter_of(settings)})) {
    if (!fd) return;
    listener.emplace(owner.loop_, fd.release(), Listener::OnAccepted::to<&Door::on_accepted>(*this),
                     Listener::OnError::to<&Door::on_accept_error>(*this));
  }

  static ClientFilter filter_of(const ListenerSettings& settings) {
    return {settings.allow_uids, settings.allow_clients};
  }

  void on_accepted(int fd, const SocketAddress& address) {
    UniqueFd client(fd);
    Proxy& proxy = *worker.proxy_;
    const Peer peer = identify_peer(fd, address);
    if (!proxy.admits(*endpoint, peer)) return;
    const auto place = proxy.place(*endpoint);
    if (!place) {
      TcpStream stream(worker.loop_, client.release());
      Proxy::turn_away(stream);
    } else if (*place == worker.index_) {
      serve(std::move(client), peer);
    } else {
      worker.shared_.workers[*place]->take_client(std::move(client), endpoint->local, peer);
    }
  }
  void serve(UniqueFd client, const Peer& peer) {
    worker.proxy_->serve(std::make_unique<TcpStream>(worker.loop_, client.release()), endpoint,
                         peer);
  }
  // Open connections share the endpoint.
  void update(const ListenerSettings& settings) {
    endpoint->settings = settings;
    endpoint->filter = filter_of(settings);
    worker.proxy_->on_filter_changed(*endpoint);
  }
  void on_accept_error(int sys) {
    endpoint->metrics->rejected[RejectReason::kFileDescriptors].add();
    worker.shared_.log.write_limited(
        LogLevel::kWarning, endpoint->name, "accepting pauses: out of descriptors or memory",
        worker.loop_.now(), {{"listener", endpoint->name}, {"errno", sys}});
  }
  void refuse_new() {
    if (listener && listener_kind(endpoint->name) == ListenerKind::kTcp) listener->refuse_new();
  }
  // It stays for the clients that others accepted here and that are on their way.
  void close() {
    if (listener) listener->drain_and_close();
    listener.reset();
    closed = true;
  }
  void remove() {
    close();
    worker.proxy_->on_removed(*endpoint);
  }
  void release() {
    if (listener) listener->release();
    close();
  }

  Worker& worker;
  const EndpointRef endpoint;
  std::optional<Listener> listener;
  bool closed = false;
};

namespace {

// How long a drain waits for who is in the middle of connecting.
constexpr Duration kHandshakesEnd = std::chrono::milliseconds(10);

std::uint64_t random_number() {
  std::random_device device;
  return static_cast<std::uint64_t>(device()) << 32U | device();
}

}  // namespace

Worker::Worker(std::size_t index, Loop& control, const Shared& shared, WorkerMetrics& metrics,
               const WorkerConfig& config)
    : index_(index), control_(control), shared_(shared), metrics_(metrics) {
  resolver_ =
      std::make_unique<DnsClient>(shared_.dns, loop_, loop_, static_cast<AddressObserver*>(this));
  dialer_ = std::make_unique<NetDialer>(loop_, *resolver_, config.egress, random_number());
  pool_ = std::make_unique<WorkerPool>(index, shared_.registry,
                                       WorkerPool::Outside{.executor = loop_,
                                                           .clock = loop_,
                                                           .timers = loop_.timers(),
                                                           .dialer = *dialer_,
                                                           .metrics = metrics_,
                                                           .seed = std::random_device()()});
  dialer_->set_relief(DescriptorQueue::Relief::to<&Worker::on_descriptors_short>(*this));
  access_log_ = std::make_unique<AccessLogWriter>(shared_.access_log, random_number());
  proxy_ = std::make_unique<Proxy>(Proxy::Outside{.worker = index,
                                                  .executor = loop_,
                                                  .clock = loop_,
                                                  .timers = loop_.timers(),
                                                  .pool = *pool_,
                                                  .metrics = metrics_,
                                                  .access_log = *access_log_,
                                                  .clients = shared_.clients,
                                                  .hints = shared_.hints,
                                                  .retries = shared_.retries,
                                                  .buffers = shared_.buffers,
                                                  .log = shared_.log},
                                   config.table, shared_.pseudonym, random_number());
  keep_hosts_warm(*config.table, *pool_);
}

Worker::~Worker() {
  assert(!thread_.joinable());
  shut_down();
}

void Worker::start() {
  thread_ = std::thread([this] { run(); });
}

void Worker::run() {
  loop_.run();
  shut_down();  // here: what lives on the loop ends on its thread
}

void Worker::stop() {
  if (!thread_.joinable()) return;
  loop_.stop();
  thread_.join();
}

void Worker::shut_down() {
  if (proxy_ == nullptr) return;
  doors_.clear();
  loop_.refresh_time();  // it has stood still since the loop's last event
  proxy_->abort_sessions();
  pool_->shut_down();
  proxy_.reset();
  access_log_.reset();
  // The pool stays until all workers have stopped: others may be about to post to it.
  dialer_.reset();
  resolver_.reset();
}

void Worker::on_control(Done done) {
  post(control_, [done = std::move(done)] { done(); });
}

void Worker::open_listener(UniqueFd fd, const SocketAddress& local,
                           const ListenerSettings& settings) {
  post(loop_, [this, fd = std::move(fd), local, settings]() mutable {
    std::erase_if(doors_, [](const auto& entry) { return entry.second->closed; });
    proxy_->forget_origins();
    doors_.emplace(settings.address, std::make_unique<Door>(*this, std::move(fd), local, settings));
  });
}

void Worker::take_client(UniqueFd fd, const SocketAddress& local, const Peer& peer) {
  post(loop_,
       [this, fd = std::move(fd), local, peer]() mutable { serve(std::move(fd), local, peer); });
}

// The listener may be gone by now, for a reload or the end.
void Worker::serve(UniqueFd fd, const SocketAddress& local, const Peer& peer) {
  const auto door = std::ranges::find_if(
      doors_, [&](const auto& entry) { return entry.second->endpoint->local == local; });
  // Its rules may have changed since, too.
  if (door != doors_.end() && proxy_->admits(*door->second->endpoint, peer)) {
    door->second->serve(std::move(fd), peer);
  } else {
    shared_.clients.leave(index_);
  }
}

void Worker::update_doors(const ListenerSettings& settings) {
  const auto [begin, end] = doors_.equal_range(settings.address);
  for (auto it = begin; it != end; ++it) it->second->update(settings);
}

void Worker::close_doors(const std::string& address) {
  const auto [begin, end] = doors_.equal_range(address);
  for (auto it = begin; it != end; ++it) it->second->remove();
}

void Worker::release_listener(const std::string& address) {
  post(loop_, [this, address] {
    const auto [begin, end] = doors_.equal_range(address);
    for (auto it = begin; it != end; ++it) it->second->release();
  });
}

void Worker::duplicate_listeners(std::function<void(std::vector<OpenListener>)> done) {
  post(loop_, [this, done = std::move(done)] {
    post(control_, [done, open = duplicate_doors()]() mutable { done(std::move(open)); });
  });
}

std::vector<Worker::OpenListener> Worker::duplicate_doors() const {
  std::vector<OpenListener> open;
  for (const auto& [address, door] : doors_) {
    if (!door->listener) continue;
    open.push_back({address, door->endpoint->local, door->listener->duplicate()});
  }
  return open;
}

void Worker::reconfigure(const WorkerConfig& config, const std::vector<std::string>& vanished,
                         Reconfigured done) {
  post(loop_, [this, config, vanished, done = std::move(done)] {
    for (const ListenerSettings& listener : config.table->config().listeners)
      update_doors(listener);
    for (const std::string& address : vanished) close_doors(address);
    on_control([done, trimmed = apply(config)] { done(trimmed); });
  });
}

TrimmedByUpstream Worker::apply(const WorkerConfig& config) {
  dialer_->set_egress(config.egress);
  TrimmedByUpstream trimmed = proxy_->reconfigure(config.table);
  keep_hosts_warm(*config.table, *pool_);
  return trimmed;
}

void Worker::begin_drain(Done done) {
  post(loop_, [this, done = std::move(done)] {
    drained_ = done;
    for (auto& [address, door] : doors_) door->refuse_new();
    handshakes_.arm(loop_.now() + kHandshakesEnd);
  });
}

void Worker::drain_sessions() {
  for (auto& [address, door] : doors_) door->close();
  proxy_->begin_drain(Delegate<void()>::to<&Worker::on_drained>(*this));
}

void Worker::on_address_left(const std::string& host, const SocketAddress& address) {
  shared_.log.write_limited(LogLevel::kInfo, "dns", "an address has left its name", loop_.now(),
                            {{"host", host}, {"address", address.ip()}});
  pool_->on_address_left(host, address);
}

void Worker::on_address_returned(const std::string& host, const SocketAddress& address) {
  shared_.log.write_limited(LogLevel::kInfo, "dns", "an address has returned to its name",
                            loop_.now(), {{"host", host}, {"address", address.ip()}});
  pool_->on_address_returned(host, address);
}

bool Worker::on_descriptors_short() {
  const bool evicted = pool_->evict_idle();
  shared_.log.write_limited(
      LogLevel::kWarning, "descriptors",
      "no file descriptor is left: connections to upstreams wait, idle ones are closed for them",
      loop_.now(), {{"idle_closed", evicted ? "yes" : "none was idle"}});
  return evicted;
}

void Worker::on_drained() { on_control(std::move(drained_)); }

void Worker::with_pool(PoolWork work, Done done) {
  post(loop_, [this, work = std::move(work), done = std::move(done)] {
    work(*pool_);
    on_control(done);
  });
}

void Worker::ping(Done done) {
  post(loop_, [this, done = std::move(done)] { on_control(done); });
}

}  // namespace penstock
