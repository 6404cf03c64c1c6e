// The real proxy, pools and parsers between fake clients and fake upstreams, on a turned clock.
//
// A test changes `config` before the first connect(); settle() turns every stream until nothing is
// due any more, so that a handler that leaves its input lying shows as a spin.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <thread>

#include "config/identity.h"
#include "pool/registry.h"
#include "proxy/proxy.h"
#include "support/fake_dialer.h"
#include "support/fake_stream.h"
#include "support/manual_clock.h"
#include "support/manual_executor.h"
#include "unit/telemetry/support.h"

namespace penstock {

using namespace std::chrono_literals;

inline constexpr std::string_view kPseudonym = "penstock-0badcafe";
// What the proxy adds to each request, and to each response of an HTTP/1.1 upstream.
inline constexpr std::string_view kVia = "Via: 1.1 penstock-0badcafe\r\n";
inline constexpr std::string_view kKeepAlive =
    "Connection: keep-alive\r\nKeep-Alive: timeout=600\r\n";
inline constexpr std::string_view kClose = "Connection: close\r\n";

inline std::string join(std::initializer_list<std::string_view> parts) {
  std::string all;
  for (const std::string_view part : parts) all.append(part);
  return all;
}

inline SocketAddress address(std::string_view ip, std::uint16_t port) {
  return *SocketAddress::from_ip(ip, port);
}

// An upstream without TLS whose requests go where they say.
inline UpstreamSettings plain_upstream(std::string name, std::vector<std::string> hosts) {
  UpstreamSettings upstream;
  upstream.name = std::move(name);
  upstream.hosts = std::move(hosts);
  upstream.policy.scheme = SchemeMode::kHttp;
  upstream.policy.tls.verify = false;  // no trust store is loaded
  return upstream;
}

class ProxyTest : public testing::Test {
 protected:
  ProxyTest() {
    config.upstreams.push_back(plain_upstream("api", {"api.test"}));
    config.listeners.emplace_back();
    quota.set_limit(1000);
  }
  ~ProxyTest() override {
    if (proxy != nullptr) proxy->abort_sessions();
    executor.run_all();
    pool.shut_down();
    executor.run_all();
    proxy.reset();
  }

  UpstreamPolicy& policy() { return config.upstreams[0].policy; }
  TimeoutSettings& timeouts() { return policy().timeouts; }

  void start() {
    if (proxy != nullptr) return;
    apply_pool_policies();
    proxy = std::make_unique<Proxy>(Proxy::Outside{.executor = executor,
                                                   .clock = clock,
                                                   .timers = clock.timers(),
                                                   .pool = pool,
                                                   .metrics = metrics,
                                                   .access_log = writer,
                                                   .clients = quota,
                                                   .hints = hints,
                                                   .retries = retries,
                                                   .buffers = buffers,
                                                   .log = log},
                                    make_table(), std::string(kPseudonym), 0);
    endpoint = std::make_shared<Endpoint>(Endpoint{.settings = config.listeners[0],
                                                   .local = address("127.0.0.1", 3128),
                                                   .name = "127.0.0.1:3128",
                                                   .metrics = &metrics.listener("127.0.0.1:3128")});
  }
  void reload() {
    apply_pool_policies();
    proxy->reconfigure(make_table());
  }

  FakePeer& connect() {
    start();
    FakePeer& peer = *clients.emplace_back(std::make_unique<FakePeer>());
    proxy->accept(peer.connect(), endpoint, address("127.0.0.1", 50000));
    return peer;
  }
  // A client whose request is sent already.
  FakePeer& ask(std::string_view request) {
    FakePeer& client = connect();
    client.send(request);
    settle();
    return client;
  }
  FakePeer& get() { return ask("GET http://api.test/x HTTP/1.1\r\nHost: api.test\r\n\r\n"); }
  // Completes the one dial that is under way.
  FakePeer& open_upstream() {
    EXPECT_EQ(dialer.in_flight(), 1U);
    FakePeer& peer = dialer.complete();
    settle();
    return peer;
  }
  // A client whose request has come to the upstream, on a connection of its own.
  struct Parties {
    FakePeer& client;
    FakePeer& upstream;
  };
  Parties open(std::string_view request) {
    FakePeer& client = ask(request);
    return {client, open_upstream()};
  }
  Parties open() {
    FakePeer& client = get();
    return {client, open_upstream()};
  }
  // Every later request opens a connection of its own again.
  static void part(const Parties& parties) {
    parties.client.send_eof();
    parties.upstream.send_eof();
  }
  void answer(FakePeer& upstream, std::string_view response) {
    upstream.send(response);
    settle();
  }

  // Everything that is due, and nothing for ever.
  void settle() {
    constexpr int kSpinning = 1'000'000;
    for (int turns = 0; turn_all(); ++turns) {
      if (turns == kSpinning) FAIL() << "a stream is ready, and its handler does nothing about it";
    }
  }
  void advance(Duration by) {
    clock.advance(by);
    settle();
  }

  // Records go to a file from now on; call before start().
  void keep_records() {
    AccessLogSettings settings;
    settings.path = log_path();
    settings.only_errors = false;
    settings.query = true;
    ASSERT_TRUE(access_log.configure(settings).has_value());
  }
  // The lines of the access log, once there are `count` of them.
  std::string records(std::size_t count = 1) {
    const auto give_up = std::chrono::steady_clock::now() + 20s;
    for (;;) {
      writer.flush();
      std::string lines = contents(log_path());
      const auto found = static_cast<std::size_t>(std::count(lines.begin(), lines.end(), '\n'));
      if (found >= count || std::chrono::steady_clock::now() > give_up) return lines;
      std::this_thread::yield();
    }
  }
  UpstreamMetrics& upstream_metrics() { return metrics.upstream("api"); }
  HostSnapshot pool_state() {
    const auto hosts = registry.snapshot(clock.now());
    return hosts.empty() ? HostSnapshot{} : hosts[0];
  }

  Config config;
  ManualClock clock;
  ManualExecutor executor;
  FakeDialer dialer{clock};
  std::deque<std::unique_ptr<FakePeer>> clients;
  MetricsRegistry metrics_registry;
  WorkerMetrics& metrics = metrics_registry.add_worker();
  PoolRegistry registry{1};
  WorkerPool pool{0,
                  registry,
                  {.executor = executor,
                   .clock = clock,
                   .timers = clock.timers(),
                   .dialer = dialer,
                   .metrics = metrics}};
  TemporaryFolder folder;
  AccessLog access_log;
  AccessLogWriter writer{access_log, 1};
  ClientQuota quota;
  PoolingHints hints;
  RetryAllowances retries;
  BufferBudget buffers;
  Log log{LogLevel::kOff};
  TrustStores trust;
  EndpointRef endpoint;
  std::unique_ptr<Proxy> proxy;

 private:
  std::string log_path() const { return folder.file("access.log"); }

  std::shared_ptr<const RoutingTable> make_table() {
    auto table = RoutingTable::create(std::make_shared<const Config>(config), trust,
                                      proxy == nullptr ? nullptr : proxy->table().get());
    EXPECT_TRUE(table.has_value());
    return *table;
  }
  void apply_pool_policies() {
    PoolPolicies policies;
    for (const UpstreamSettings& upstream : config.upstreams) {
      policies[upstream.name] = {host_limits(upstream.policy.pool), identity_hash(upstream)};
    }
    registry.apply(std::move(policies));
  }
  bool turn_all() {
    bool any = false;
    for (const auto& client : clients) any = client->turn() || any;
    for (std::size_t i = 0; i < dialer.peer_count(); ++i) any = dialer.peer(i).turn() || any;
    return executor.run_one() || any;
  }
};

}  // namespace penstock
