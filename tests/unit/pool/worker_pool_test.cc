// WorkerPool: from a request's destination to its HostPool and flavor, reloads, forgetting, the
// end.
#include "pool/worker_pool.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "pool_world.h"

namespace penstock {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

class WorkerPoolTest : public testing::Test {
 protected:
  WorkerPoolTest() { apply(upstream_.policy.pool); }
  ~WorkerPoolTest() override {
    clients_.clear();
    for (TestWorker& worker : workers_) {
      worker.executor.run_all();
      worker.pool.shut_down();
      worker.executor.run_all();
      EXPECT_EQ(worker.dialer.open_streams(), 0U);
      EXPECT_EQ(worker.dialer.in_flight(), 0U);
    }
    EXPECT_TRUE(registry_.snapshot(clock_.now()).empty());
  }

  void apply(const PoolSettings& pool) {
    upstream_.policy.pool = pool;
    registry_.apply({{upstream_.name, {host_limits(pool), identity_}}});
    for (TestWorker& worker : workers_) worker.pool.on_reconfigured();
  }

  void keep_warm(const std::string& host = "api.test") {
    const Destination destination(upstream_);
    const Destination::Choice choice{.host = host, .port = 443, .tls = true};
    workers_[0].pool.keep_warm({.upstream = upstream_.name,
                                .destination = destination,
                                .choice = choice,
                                .identity = identity_,
                                .policy = upstream_.policy,
                                .timeouts = upstream_.policy.timeouts,
                                .tls = no_tls_});
  }

  Client& acquire(const std::string& host = "api.test", bool tls = true, std::size_t worker = 0) {
    Client& client = *clients_.emplace_back(std::make_unique<Client>());
    const Destination destination(upstream_);
    const Destination::Choice choice{.host = host, .port = 443, .tls = tls};
    client.acquire([&](AcquireHandler& handler) {
      return workers_[worker].pool.acquire({.upstream = upstream_.name,
                                            .destination = destination,
                                            .choice = choice,
                                            .identity = identity_,
                                            .policy = upstream_.policy,
                                            .timeouts = upstream_.policy.timeouts,
                                            .tls = no_tls_},
                                           handler);
    });
    return client;
  }
  FakeDialer& dialer(std::size_t worker = 0) { return workers_[worker].dialer; }
  std::size_t known_hosts() const { return registry_.snapshot(clock_.now()).size(); }

  UpstreamSettings upstream_ = [] {
    UpstreamSettings upstream;
    upstream.name = "payments";
    return upstream;
  }();
  std::uint64_t identity_ = kIdentity;
  const std::shared_ptr<const TlsClientContext> no_tls_;
  ManualClock clock_;
  PoolRegistry registry_{2};
  std::array<TestWorker, 2> workers_{TestWorker(0, registry_, clock_),
                                     TestWorker(1, registry_, clock_)};
  std::deque<std::unique_ptr<Client>> clients_;
};

TEST_F(WorkerPoolTest, DialsTheDestinationUnderTheUpstreamsLimits) {
  upstream_.policy.timeouts.resolve = seconds(1);
  upstream_.policy.timeouts.connect = seconds(2);
  upstream_.policy.timeouts.tls_handshake.reset();
  upstream_.policy.timeouts.queue = seconds(4);
  upstream_.policy.timeouts.write_stall = seconds(8);
  upstream_.policy.pool.tcp_keepalive = seconds(9);
  upstream_.policy.source_address = "192.0.2.7";
  acquire();
  EXPECT_EQ(dialer().target().host, "api.test");
  EXPECT_EQ(dialer().target().port, 443);
  EXPECT_EQ(dialer().target().server_name, "api.test");
  EXPECT_EQ(dialer().target().authority_port, 443);
  EXPECT_EQ(dialer().target().write_stall, seconds(8));
  EXPECT_EQ(dialer().target().tcp_keepalive, seconds(9));
  EXPECT_EQ(dialer().target().source_address, SocketAddress::from_ip("192.0.2.7", 0));
  EXPECT_EQ(dialer().limits().resolve, seconds(1));
  EXPECT_EQ(dialer().limits().connect, seconds(2));
  EXPECT_FALSE(dialer().limits().tls_handshake);
  EXPECT_EQ(dialer().limits().queue, seconds(4));
}

TEST_F(WorkerPoolTest, DialsWhereConnectToSaysAndVerifiesTheHost) {
  upstream_.policy.connect_to = "127.0.0.1:9443";
  EXPECT_EQ(acquire().phases(), (std::vector{Phase::kConnect})) << "nothing to resolve";
  EXPECT_EQ(dialer().target().host, "127.0.0.1");
  EXPECT_EQ(dialer().target().port, 9443);
  EXPECT_EQ(dialer().target().server_name, "api.test");
  EXPECT_EQ(dialer().target().authority_port, 443);
}

TEST_F(WorkerPoolTest, DialsAUnixSocketWithoutALookup) {
  upstream_.policy.connect_to = "unix:/run/origin.sock";
  EXPECT_EQ(acquire().phases(), (std::vector{Phase::kConnect}));
  EXPECT_EQ(dialer().target().unix_path, "/run/origin.sock");
}

TEST_F(WorkerPoolTest, GivesUpWhatWasIdleLongestOfAllHosts) {
  EXPECT_FALSE(workers_[0].pool.evict_idle()) << "nothing is idle";
  for (const char* host : {"a.test", "b.test", "c.test"}) {
    acquire(host);
    dialer().complete();
  }
  for (const std::size_t which : {1U, 0U}) {
    clients_[which]->release();
    clock_.advance(milliseconds(1));
  }
  ASSERT_TRUE(workers_[0].pool.evict_idle());
  EXPECT_FALSE(dialer().peer(1).open());
  ASSERT_TRUE(workers_[0].pool.evict_idle());
  EXPECT_FALSE(dialer().peer(0).open());
  EXPECT_FALSE(workers_[0].pool.evict_idle()) << "the last one is busy";
  EXPECT_TRUE(dialer().peer(2).open());
}

TEST_F(WorkerPoolTest, GivesUpWhatIsIdleOnAnotherWorker) {
  acquire("a.test", true, 1);
  dialer(1).complete();
  clients_[0]->release();
  ASSERT_TRUE(workers_[0].pool.evict_idle());
  workers_[1].executor.run_all();
  EXPECT_FALSE(dialer(1).peer(0).open());
  EXPECT_FALSE(workers_[0].pool.evict_idle());
}

TEST_F(WorkerPoolTest, KeepsConnectionsWhereARequestWouldGo) {
  apply({.min_idle = 4});  // of two workers
  keep_warm();
  EXPECT_EQ(dialer().in_flight(), 2U);
  dialer().complete();
  EXPECT_TRUE(acquire().leasing()) << "of the flavor that requests have";
  clock_.advance(seconds(3600));
  EXPECT_EQ(known_hosts(), 1U) << "what is kept warm is not forgotten";
}

TEST_F(WorkerPoolTest, HostsOfAPausedUpstreamWaitThoseMetLaterToo) {
  Client& before = acquire("first.test");
  registry_.set_paused("payments", true);
  for (TestWorker& worker : workers_) worker.pool.follow_pause("payments");
  EXPECT_EQ(before.phases().back(), Phase::kQueue);
  Client& later = acquire("second.test", true, 1);
  EXPECT_EQ(later.phases(), (std::vector{Phase::kQueue}));
  apply({.max_connections = 7});
  EXPECT_TRUE(before.waiting() && later.waiting()) << "a reload changes nothing";
  registry_.set_paused("payments", false);
  for (TestWorker& worker : workers_) worker.pool.follow_pause("payments");
  EXPECT_EQ(before.phases().back(), Phase::kResolve);
  EXPECT_EQ(later.phases().back(), Phase::kResolve);
}

TEST_F(WorkerPoolTest, WaitersOfAnUpstreamThatVanishesWhilePausedAreServed) {
  registry_.set_paused("payments", true);
  Client& waiter = acquire();
  registry_.apply({});
  for (TestWorker& worker : workers_) worker.pool.on_reconfigured();
  EXPECT_EQ(waiter.phases(), (std::vector{Phase::kQueue, Phase::kResolve}));
}

// Its handler asks for another host while the hosts are gone through.
TEST_F(WorkerPoolTest, WhoIsServedAtTheResumeMayMeetOtherHosts) {
  for (const char* host : {"a.test", "b.test", "c.test"}) {
    Client& client = acquire(host);
    dialer().complete();
    client.release();
  }
  registry_.set_paused("payments", true);
  for (const char* host : {"a.test", "b.test", "c.test"}) {
    acquire(host).then_acquired = [this] {
      for (int i = 0; i < 50; ++i) acquire("new" + std::to_string(i) + ".test");
    };
  }
  registry_.set_paused("payments", false);
  for (TestWorker& worker : workers_) worker.pool.follow_pause("payments");
  EXPECT_EQ(dialer().in_flight(), 150U);
}

TEST_F(WorkerPoolTest, ReconnectAndCloseIdleReachEveryHostOfTheUpstreamAlone) {
  for (const char* host : {"a.test", "b.test"}) {
    Client& client = acquire(host);
    dialer().complete();
    client.release();
  }
  const auto nobody = registry_.retire("others");
  EXPECT_EQ(nobody.hosts + nobody.connections, 0U);
  EXPECT_EQ(workers_[0].pool.close_idle("others", UINT64_MAX, 9), 0U);
  const auto retirement = registry_.retire("payments");
  EXPECT_EQ(retirement.hosts, 2U);
  EXPECT_EQ(retirement.connections, 2U);
  EXPECT_EQ(workers_[0].pool.close_idle("payments", retirement.below, 1), 1U) << "over all hosts";
  EXPECT_EQ(workers_[0].pool.close_idle("payments", retirement.below, 9), 1U);
  EXPECT_EQ(dialer().open_streams(), 0U);
}

TEST_F(WorkerPoolTest, RowsAreThoseOfTheUpstreamThatIsAskedFor) {
  acquire("a.test");
  acquire("b.test");
  EXPECT_EQ(registry_.connections(clock_.now(), "", 10).size(), 2U);
  EXPECT_EQ(registry_.connections(clock_.now(), "payments", 1).size(), 1U);
  EXPECT_TRUE(registry_.connections(clock_.now(), "others", 10).empty());
  EXPECT_EQ(registry_.waiting(clock_.now(), "payments", 10).size(), 2U);
  EXPECT_TRUE(registry_.waiting(clock_.now(), "others", 10).empty());
}

TEST_F(WorkerPoolTest, ReloadEndsWhatWasKeptWarm) {
  apply({.min_idle = 2});
  keep_warm();
  dialer().complete();
  apply({.min_idle = 0});
  dialer().peer(0).send_eof();
  dialer().peer(0).turn();
  clock_.advance(seconds(600));
  EXPECT_EQ(dialer().started(), 1U);
  EXPECT_EQ(known_hosts(), 0U);
}

TEST_F(WorkerPoolTest, NamesOfHostsWithConnectionsAreKeptFresh) {
  acquire("api.test");
  dialer().complete();
  acquire("gone.test").cancel();
  dialer().fail();
  acquire("192.0.2.7");
  dialer().complete();
  clock_.advance(seconds(11));
  EXPECT_EQ(dialer().take_kept_fresh(), (std::vector<std::string>{"api.test"}));
  clients_[0]->close();
  clock_.advance(seconds(10));
  EXPECT_EQ(dialer().take_kept_fresh(), std::vector<std::string>{});
}

TEST_F(WorkerPoolTest, AddressThatLeavesIsToldToEveryHostThatIsDialledThere) {
  acquire("api.test");
  acquire("other.test");
  upstream_.policy.connect_to = "api.test:9443";
  acquire("alias.test");
  while (dialer().in_flight() > 0) dialer().complete();
  for (const auto& client : clients_) client->release();
  const SocketAddress address = *SocketAddress::from_ip("192.0.2.1", 0);
  workers_[0].pool.on_address_left("api.test", address);
  EXPECT_FALSE(dialer().peer(0).open());
  EXPECT_TRUE(dialer().peer(1).open());
  EXPECT_FALSE(dialer().peer(2).open()) << "its own name does not matter, where it is dialled does";
  workers_[0].pool.on_address_returned("api.test", address);
}

TEST_F(WorkerPoolTest, PlaintextHasNoServerName) {
  acquire("api.test", false);
  EXPECT_EQ(dialer().target().server_name, "");
}

TEST_F(WorkerPoolTest, HostsHaveConnectionsAndLimitsOfTheirOwn) {
  apply({.max_connections = 1, .max_idle = 1});
  acquire("one.test");
  acquire("two.test");
  EXPECT_EQ(dialer().in_flight(), 2U);
  EXPECT_EQ(acquire("one.test").phases(), (std::vector{Phase::kQueue}));
  dialer().complete();
  dialer().complete();
  clients_[1]->release();
  EXPECT_TRUE(clients_[2]->waiting()) << "the other host's connection is not its";
}

TEST_F(WorkerPoolTest, PlaintextAndTlsToOneHostShareItsLimitButNoConnection) {
  apply({.max_connections = 1, .max_idle = 1});
  acquire("api.test", true);
  dialer().complete();
  Client& plain = acquire("api.test", false);
  EXPECT_EQ(plain.phases(), (std::vector{Phase::kQueue}));
  clients_[0]->release();
  EXPECT_EQ(plain.phases(), (std::vector{Phase::kQueue, Phase::kResolve}));
}

TEST_F(WorkerPoolTest, ReloadWithTheSameIdentityKeepsConnections) {
  acquire();
  dialer().complete();
  clients_[0]->release();
  apply(upstream_.policy.pool);
  EXPECT_TRUE(acquire().leasing());
}

TEST_F(WorkerPoolTest, ReloadWithAnotherIdentityDialsWithTheNewSettings) {
  acquire();
  dialer().complete();
  clients_[0]->release();
  identity_ = kIdentity + 1;
  upstream_.policy.connect_to = "other.test:8443";
  apply(upstream_.policy.pool);
  EXPECT_FALSE(dialer().peer(0).open());
  EXPECT_TRUE(acquire().waiting());
  EXPECT_EQ(dialer().target().host, "other.test");
}

TEST_F(WorkerPoolTest, ReloadThatChangesOnlyKeepaliveReachesTheNextDial) {
  acquire();
  PoolSettings settings = upstream_.policy.pool;
  settings.tcp_keepalive = seconds(3);
  apply(settings);
  acquire();
  EXPECT_EQ(dialer().target(1).tcp_keepalive, seconds(3));
}

TEST_F(WorkerPoolTest, RemovedUpstreamLosesItsIdleConnections) {
  acquire();
  dialer().complete();
  clients_[0]->release();
  registry_.apply({});
  workers_[0].pool.on_reconfigured();
  EXPECT_EQ(dialer().open_streams(), 0U);
}

TEST_F(WorkerPoolTest, RequestsOfARemovedUpstreamAreStillServed) {
  acquire();
  registry_.apply({});
  workers_[0].pool.on_reconfigured();
  Client& second = acquire();
  dialer().complete();
  ASSERT_TRUE(clients_[0]->leasing());
  clients_[0]->release();
  EXPECT_EQ(dialer().open_streams(), 0U);
  dialer().complete();
  EXPECT_TRUE(second.leasing());
}

// Forgetting

TEST_F(WorkerPoolTest, HostUnusedForAMinuteIsForgotten) {
  acquire();
  dialer().fail();
  clock_.advance(seconds(60));
  EXPECT_EQ(known_hosts(), 1U);
  clock_.advance(seconds(25));
  EXPECT_EQ(known_hosts(), 0U);
  EXPECT_EQ(clock_.timers().next_wakeup(), kForever) << "nothing ticks for nothing";
}

TEST_F(WorkerPoolTest, HostWithAnIdleConnectionIsRemembered) {
  PoolSettings settings;
  settings.idle_timeout.reset();
  apply(settings);
  acquire();
  dialer().complete();
  clients_[0]->release();
  clock_.advance(seconds(600));
  EXPECT_EQ(known_hosts(), 1U);
  EXPECT_TRUE(acquire().leasing());
}

TEST_F(WorkerPoolTest, HostInUseNowAndThenIsRemembered) {
  for (int i = 0; i < 10; ++i) {
    acquire();
    dialer().fail();
    clock_.advance(seconds(45));
    EXPECT_EQ(known_hosts(), 1U) << i;
  }
}

TEST_F(WorkerPoolTest, ForgottenHostIsMetAnew) {
  acquire();
  dialer().fail();
  clock_.advance(seconds(120));
  EXPECT_TRUE(acquire().waiting());
  dialer().complete();
  EXPECT_TRUE(clients_[1]->leasing());
  EXPECT_EQ(known_hosts(), 1U);
}

TEST_F(WorkerPoolTest, HundredThousandNamesAreForgotten) {
  for (int i = 0; i < 100'000; ++i) {
    acquire(std::to_string(i) + ".test");
    dialer().fail();
    clients_.clear();
    workers_[0].executor.run_all();
  }
  EXPECT_EQ(known_hosts(), 100'000U);
  clock_.advance(seconds(120));
  EXPECT_EQ(known_hosts(), 0U);
}

// The other worker has retired the pool; this one still holds it and must find another.
TEST_F(WorkerPoolTest, PoolThatAnotherWorkerRetiredIsReplaced) {
  acquire("api.test", true, 1);
  dialer(1).fail();
  const auto pool = registry_.find_or_create({"payments", "api.test", 443});
  pool->retire_if_unused(clock_.now(), Duration(0));
  ASSERT_TRUE(pool->retire_if_unused(clock_.now(), Duration(0)));
  registry_.remove(*pool);
  EXPECT_TRUE(acquire("api.test", true, 1).waiting());
  EXPECT_NE(registry_.find_or_create({"payments", "api.test", 443}), pool);
}

// The other worker is between retiring the pool and telling the registry: there is nothing to wait
// for it, and spinning until it goes on could take as long as it is not scheduled.
TEST_F(WorkerPoolTest, PoolThatIsRetiredButStillRegisteredIsReplacedAtOnce) {
  acquire();
  dialer().fail();
  const auto pool = registry_.find_or_create({"payments", "api.test", 443});
  pool->retire_if_unused(clock_.now(), Duration(0));
  ASSERT_TRUE(pool->retire_if_unused(clock_.now(), Duration(0)));
  std::atomic<bool> rescued = false;
  std::jthread rescuer([&](const std::stop_token& stop) {
    const auto deadline = std::chrono::steady_clock::now() + seconds(5);
    while (!stop.stop_requested() && std::chrono::steady_clock::now() < deadline) {
      std::this_thread::yield();
    }
    if (stop.stop_requested()) return;
    rescued = true;
    registry_.remove(*pool);
  });
  EXPECT_TRUE(acquire().waiting());
  rescuer.request_stop();
  rescuer.join();
  EXPECT_FALSE(rescued) << "acquire() span until the registry was told";
}

TEST_F(WorkerPoolTest, ShutDownClosesWhatIsIdleAndCancelsDials) {
  acquire("one.test");
  dialer().complete();
  clients_[0]->release();
  acquire("two.test").cancel();
  workers_[0].pool.shut_down();
  EXPECT_EQ(dialer().open_streams(), 0U);
  EXPECT_EQ(dialer().cancelled(), 1U);
}

TEST_F(WorkerPoolTest, PoolThatAnotherWorkerUsesOutlivesAWorkersEnd) {
  apply({.max_connections = 1, .max_idle = 1});
  acquire("api.test", true, 1);
  workers_[1].dialer.complete();
  acquire("api.test", true, 0).cancel();
  workers_[0].pool.shut_down();
  EXPECT_EQ(known_hosts(), 1U);
  EXPECT_EQ(registry_.snapshot(clock_.now())[0].busy, 1U) << "a look-up finds the same pool";
}

}  // namespace
}  // namespace penstock
