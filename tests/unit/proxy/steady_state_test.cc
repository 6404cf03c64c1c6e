// What a request costs once everything that it needs has been made: no memory is asked for.
#include <gtest/gtest.h>

#include <chrono>

#include "pool/registry.h"
#include "proxy/proxy.h"
#include "support/manual_clock.h"
#include "support/manual_executor.h"
#include "unit/telemetry/allocation_count.h"
#include "unit/telemetry/support.h"

namespace penstock {
namespace {

// A stream that allocates nothing: it reads from a text and counts what is written.
class QuietStream final : public Stream {
 public:
  explicit QuietStream(QuietStream** self) { *self = this; }

  void receive(std::string_view bytes) {
    incoming_ = bytes;
    handler_->on_readable();
  }
  std::uint64_t written() const { return written_; }

  void set_handler(StreamHandler* handler) override { handler_ = handler; }
  IoResult read(std::span<char> into) override {
    if (incoming_.empty()) return {.status = IoStatus::kWouldBlock};
    const std::size_t bytes = incoming_.copy(into.data(), into.size());
    incoming_.remove_prefix(bytes);
    return {.status = IoStatus::kOk, .bytes = bytes};
  }
  using Stream::write;
  IoResult write(std::span<const std::string_view> pieces) override {
    std::size_t bytes = 0;
    for (const std::string_view piece : pieces) bytes += piece.size();
    written_ += bytes;
    return {.status = IoStatus::kOk, .bytes = bytes};
  }
  bool has_pending() const override { return false; }
  void pause_read(PauseReason) override {}
  void resume_read(PauseReason) override {}
  void rest(const std::shared_ptr<WatchGate>&) override {}
  void wake() override {}
  bool move_to(Loop&, WatchGate&) override { return true; }
  void abandon(WatchGate&) override {}
  void shutdown_write() override {}
  void abort() override {}
  Error last_error() const override { return {.code = ErrorCode::kConnectionTerminated}; }

 private:
  StreamHandler* handler_ = nullptr;
  std::string_view incoming_;
  std::uint64_t written_ = 0;
};

// Dials that the test completes.
class QuietDialer final : public Dialer {
 public:
  [[nodiscard]] Pending dial(std::shared_ptr<const DialTarget>, const DialLimits&,
                             DialHandler& handler) override {
    waiting = &handler;
    return std::make_unique<PendingDial>();
  }
  bool adopt(Stream&, WatchGate&) override { return true; }
  QuietStream* complete() {
    QuietStream* stream = nullptr;
    waiting->on_dialed({.stream = std::make_unique<QuietStream>(&stream),
                        .address = *SocketAddress::from_ip("192.0.2.100", 44300),
                        .times = {},
                        .tls_resumed = false});
    return stream;
  }
  DialHandler* waiting = nullptr;

 private:
  struct PendingDial final : PendingOperation {};
};

class SteadyStateTest : public testing::Test {
 protected:
  SteadyStateTest() {
    Config config;
    UpstreamSettings api;
    api.name = "api";
    api.hosts = {"api.payments.example"};
    api.policy.scheme = SchemeMode::kHttp;
    api.policy.tls.verify = false;
    api.policy.timeouts.total = std::chrono::seconds(30);
    config.upstreams.push_back(std::move(api));
    AccessLogSettings all;
    all.path = folder.file("log");
    all.only_errors = false;
    EXPECT_TRUE(access_log.configure(all).has_value());
    PoolPolicies policies;
    policies["api"].limits = host_limits(config.upstreams[0].policy.pool);
    auto table =
        RoutingTable::create(std::make_shared<const Config>(std::move(config)), trust, nullptr);
    EXPECT_TRUE(table.has_value());
    policies["api"].identity = (*table)->upstreams()[0].identity;
    registry.apply(std::move(policies));
    quota.set_limit(10);
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
                                    *table, "penstock-0badcafe", 0);
    const auto endpoint =
        std::make_shared<Endpoint>(Endpoint{.settings = {},
                                            .local = *SocketAddress::from_ip("127.0.0.1", 3128),
                                            .name = "127.0.0.1:3128",
                                            .metrics = &metrics.listener("127.0.0.1:3128")});
    proxy->accept(std::make_unique<QuietStream>(&client), endpoint,
                  *SocketAddress::from_ip("127.0.0.1", 50000));
  }
  ~SteadyStateTest() override {
    proxy->abort_sessions();
    executor.run_all();
    pool.shut_down();
    executor.run_all();
    proxy.reset();
  }

  // How much memory is asked for by the tenth exchange like this on kept connections.
  std::uint64_t allocations_of(std::string_view request, std::string_view response) {
    std::uint64_t before = 0;
    for (int i = 0; i < 10; ++i) {
      const std::uint64_t relayed = client->written();
      before = allocation_count();
      client->receive(request);
      if (upstream == nullptr) upstream = dialer.complete();
      upstream->receive(response);
      EXPECT_GT(client->written(), relayed);
      clock.advance(std::chrono::milliseconds(1));
    }
    return allocation_count() - before;
  }

  ManualClock clock;
  ManualExecutor executor;
  QuietDialer dialer;
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
  std::unique_ptr<Proxy> proxy;
  QuietStream* client = nullptr;
  QuietStream* upstream = nullptr;
};

TEST_F(SteadyStateTest, AGetAllocatesNothing) {
  EXPECT_EQ(allocations_of("GET http://api.payments.example/v1/items?page=2 HTTP/1.1\r\n"
                           "Host: api.payments.example\r\nUser-Agent: test/1.0\r\n"
                           "Accept: application/json\r\nAuthorization: Bearer 0123456789\r\n\r\n",
                           "HTTP/1.1 200 OK\r\nServer: test\r\nContent-Type: application/json\r\n"
                           "Content-Length: 10\r\n\r\n{\"a\":1234}"),
            0U);
}

TEST_F(SteadyStateTest, APostInChunksBothWaysAllocatesNothing) {
  EXPECT_EQ(allocations_of("POST http://api.payments.example/v1/items HTTP/1.1\r\n"
                           "Host: api.payments.example\r\nTransfer-Encoding: chunked\r\n\r\n"
                           "5\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n",
                           "HTTP/1.1 201 Created\r\nDate: d\r\nTransfer-Encoding: chunked\r\n\r\n"
                           "5\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n"),
            0U);
}

TEST_F(SteadyStateTest, AConnectionNominatedFieldAndAnInterimResponseAllocateNothing) {
  EXPECT_EQ(allocations_of("GET http://api.payments.example/ HTTP/1.1\r\n"
                           "Host: api.payments.example\r\nConnection: X-Hop\r\nX-Hop: 1\r\n\r\n",
                           "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
                           "HTTP/1.1 304 Not Modified\r\nConnection: X-Hop\r\nX-Hop: 1\r\n\r\n"),
            0U);
}

}  // namespace
}  // namespace penstock
