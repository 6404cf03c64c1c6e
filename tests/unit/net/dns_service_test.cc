// DnsService and its clients on one loop with a turned clock: shared look-ups, cancelling in every
// state, refreshing, stale answers, files and settings that change, addresses that leave.
#include "net/dns_service.h"

#include <netinet/in.h>
#include <sys/socket.h>

#include <string>
#include <vector>

#include "dns_fixture.h"
#include "net/unique_fd.h"

namespace penstock {
namespace {

using namespace std::chrono_literals;

constexpr const char* kHost = "api.example.test";

class DnsCachingTest : public DnsServiceTest {
 protected:
  DnsCachingTest() { dns_[kHost].addresses = {"192.0.2.1"}; }
  [[nodiscard]] bool is_asked(int times, const std::string& name = kHost) {
    return runner_.until([&] { return queries(name) >= times; });
  }
};

TEST_F(DnsCachingTest, AsksOnceForManyWaiters) {
  std::vector<Asker> askers(50);
  for (Asker& asker : askers) asker.ask(*client_, kHost);
  for (Asker& asker : askers) {
    ASSERT_TRUE(ends(asker));
    EXPECT_EQ(asker.ips, Ips{"192.0.2.1"});
  }
  EXPECT_EQ(dns_.count(kHost, kA), 1);
  EXPECT_EQ(dns_.count(kHost, kAaaa), 1);
  EXPECT_EQ(service_->count(DnsResult::kMiss), 50u);
}

TEST_F(DnsCachingTest, AnswersAtOnceFromThenOn) {
  EXPECT_FALSE(resolve(kHost).at_once);
  const Asker again = resolve(kHost);
  EXPECT_TRUE(again.at_once);
  EXPECT_EQ(again.ips, Ips{"192.0.2.1"});
  EXPECT_EQ(queries(kHost), 1);
  EXPECT_EQ(service_->count(DnsResult::kHit), 1u);
}

TEST_F(DnsCachingTest, FollowsAChangeAfterTheTtl) {
  resolve(kHost);
  dns_[kHost].addresses = {"192.0.2.2"};
  clock_.advance(59s);
  EXPECT_EQ(resolve(kHost).ips, Ips{"192.0.2.1"});
  clock_.advance(1s);
  runner_.turn(2);
  const Asker asker = resolve(kHost);
  EXPECT_EQ(asker.ips, Ips{"192.0.2.2"});
}

TEST_F(DnsCachingTest, KeepsNegativeAnswers) {
  EXPECT_TRUE(resolve("gone.test").error);
  const Asker again = resolve("gone.test");
  EXPECT_TRUE(again.at_once);
  EXPECT_EQ(again.error->code, ErrorCode::kDnsError);
  EXPECT_EQ(queries("gone.test"), 1);
  EXPECT_EQ(service_->count(DnsResult::kNegative), 2u);
  clock_.advance(5s);
  dns_["gone.test"].addresses = {"192.0.2.3"};
  EXPECT_EQ(resolve("gone.test").ips, Ips{"192.0.2.3"});
}

TEST_F(DnsCachingTest, LetsNobodyWaitForANameInUse) {
  resolve(kHost);
  for (int i = 1; i <= 20; ++i) {
    EXPECT_TRUE(resolve(kHost).at_once) << "round " << i;
    clock_.advance(54s);
    ASSERT_TRUE(is_asked(i + 1)) << "refreshed by itself";
    settle();
  }
}

TEST_F(DnsCachingTest, StopsRefreshingWhenNobodyAsks) {
  resolve(kHost);
  resolve(kHost);
  clock_.advance(54s);
  ASSERT_TRUE(is_asked(2));
  settle();
  clock_.advance(10min);
  settle();
  EXPECT_EQ(queries(kHost), 2);
}

TEST_F(DnsCachingTest, KeepsFreshWhatHasConnections) {
  client_->keep_fresh(kHost);
  ASSERT_TRUE(is_asked(1));
  settle();
  EXPECT_TRUE(resolve(kHost).at_once);
}

class DnsStaleTest : public DnsCachingTest {
 protected:
  DnsStaleTest() {
    resolve(kHost);
    dns_[kHost].rcode = 2;
    clock_.advance(60s);
  }
};

TEST_F(DnsStaleTest, GivesTheLastAnswerWhenItsRefreshFails) {
  const Asker first = resolve(kHost);
  EXPECT_FALSE(first.at_once) << "nothing had failed before";
  EXPECT_EQ(first.ips, Ips{"192.0.2.1"});
  const Asker second = resolve(kHost);
  EXPECT_TRUE(second.at_once);
  EXPECT_EQ(second.ips, Ips{"192.0.2.1"});
  EXPECT_EQ(service_->count(DnsResult::kStale), 2u);
  EXPECT_EQ(service_->snapshot(clock_.now(), 1).front().state, DnsState::kStale);
}

TEST_F(DnsStaleTest, AsksAgainAfterAPauseAndTakesTheNewAnswer) {
  resolve(kHost);
  resolve(kHost);
  const int asked = queries(kHost);
  dns_[kHost] = {.addresses = {"192.0.2.2"}};
  settle();
  EXPECT_EQ(queries(kHost), asked);
  clock_.advance(1s + TimerWheel::kTick);
  ASSERT_TRUE(is_asked(asked + 1));
  settle();
  const Asker asker = resolve(kHost);
  EXPECT_TRUE(asker.at_once);
  EXPECT_EQ(asker.ips, Ips{"192.0.2.2"});
}

TEST_F(DnsStaleTest, GivesNoLastAnswerOfANameThatIsGone) {
  dns_[kHost] = {.rcode = 3};
  EXPECT_TRUE(resolve(kHost).error);
}

// Cancelling.

TEST_F(DnsCachingTest, CancelsOneWaiterAndServesTheOthers) {
  Asker cancelled;
  cancelled.ask(*client_, kHost);
  Asker other;
  other.ask(*client_, kHost);
  cancelled.pending.reset();
  ASSERT_TRUE(ends(other));
  EXPECT_EQ(cancelled.ends, 0);
}

TEST_F(DnsCachingTest, GoesOnWithALookupThatEverybodyLeft) {
  {
    Asker gone;
    gone.ask(*client_, kHost);
  }
  EXPECT_EQ(resolve(kHost).ips, Ips{"192.0.2.1"});
  EXPECT_EQ(queries(kHost), 1);
}

TEST_F(DnsCachingTest, CancelsWhatWasAnsweredButNotYetDelivered) {
  Asker first;
  Asker second;
  first.then = [&] { second.pending.reset(); };
  second.then = [&] { first.pending.reset(); };
  first.ask(*client_, kHost);
  second.ask(*client_, kHost);
  ASSERT_TRUE(runner_.until([&] { return first.ends + second.ends == 1; }));
  settle();
  EXPECT_EQ(first.ends + second.ends, 1);
}

TEST_F(DnsCachingTest, LetsAWaiterDropItsOwnHandleInItsCallback) {
  Asker asker;
  asker.then = [&] { asker.pending.reset(); };
  asker.ask(*client_, kHost);
  EXPECT_TRUE(ends(asker));
}

TEST_F(DnsCachingTest, AnswersAtOnceWhatIsAskedInTheCallback) {
  Asker asker;
  Asker again;
  asker.then = [&] { again.ask(*client_, kHost); };
  asker.ask(*client_, kHost);
  ASSERT_TRUE(ends(again));
  EXPECT_TRUE(again.at_once);
}

TEST_F(DnsCachingTest, TheClientMayEndInsideACallback) {
  dns_["silent.example.test"].ignored = 100;
  Asker other;
  other.ask(*client_, "silent.example.test");
  Asker asker;
  asker.then = [&] {
    other.pending.reset();
    client_.reset();
  };
  asker.ask(*client_, kHost);
  ASSERT_TRUE(ends(asker));
  runner_.turn(5);
  EXPECT_EQ(other.ends, 0);
}

TEST_F(DnsCachingTest, MayEndWithLookupsInFlight) {
  dns_["silent.example.test"].ignored = 100;
  {
    Asker gone;
    gone.ask(*client_, "silent.example.test");
    ASSERT_TRUE(is_asked(1, "silent.example.test"));
  }
  client_.reset();
  service_.reset();
  runner_.turn(3);
}

TEST_F(DnsCachingTest, RefusesMoreLookupsThanItHasNumbersFor) {
  // A server that reads nothing.
  const UniqueFd silent(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  sockaddr_in local{};
  local.sin_family = AF_INET;
  local.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof local;
  auto* address = reinterpret_cast<sockaddr*>(&local);
  ASSERT_EQ(::bind(silent.get(), address, length), 0);
  ASSERT_EQ(::getsockname(silent.get(), address, &length), 0);
  options_.servers = {.servers = {SocketAddress::from_sockaddr(address, length).to_string()},
                      .attempt_timeout = 1h};
  restart();
  std::vector<Asker> askers(DnsService::kMaxLookups + 1);
  for (std::size_t i = 0; i < askers.size(); ++i)
    askers[i].ask(*client_, "n" + std::to_string(i) + ".test");
  ASSERT_TRUE(ends(askers.back()));
  ASSERT_TRUE(askers.back().error);
  EXPECT_NE(askers.back().error->detail.find("being looked up"), std::string::npos);
  EXPECT_EQ(askers.front().ends, 0);
}

// Files and settings that change.

TEST_F(DnsCachingTest, TakesNamesFromTheHostsFileWithoutAQuery) {
  write("hosts", "192.0.2.77 db.test db\n2001:db8::77 db\n");
  restart();
  EXPECT_EQ(resolve("db").ips, (Ips{"192.0.2.77", "2001:db8::77"}));
  EXPECT_TRUE(resolve("db").at_once);
  EXPECT_EQ(resolve("db.test").ips, Ips{"192.0.2.77"});
  EXPECT_EQ(resolve("localhost").ips, (Ips{"127.0.0.1", "::1"}));
  EXPECT_EQ(dns_.count(), 0);
}

TEST_F(DnsCachingTest, SeesThatTheHostsFileHasChanged) {
  write("hosts", "192.0.2.77 db\n");
  restart();
  resolve("db");
  resolve(kHost);
  write("hosts", "192.0.2.78 db\n192.0.2.99 api.example.test\n");
  EXPECT_EQ(resolve("db").ips, Ips{"192.0.2.77"});
  clock_.advance(2 * DnsCache::kHostsFileTtl);
  EXPECT_EQ(resolve("db").ips, Ips{"192.0.2.78"});
  EXPECT_EQ(resolve(kHost).ips, Ips{"192.0.2.99"}) << "though DNS' answer had not expired";
}

TEST_F(DnsCachingTest, LooksAtTheFilesOnceASecondAtMost) {
  write("hosts", "192.0.2.77 db\n");
  clock_.advance(1s - 1ns);
  EXPECT_TRUE(resolve("db").error);
  clock_.advance(5s);
  EXPECT_EQ(resolve("db").ips, Ips{"192.0.2.77"});
}

class DnsServersTest : public DnsCachingTest {
 protected:
  DnsServersTest() { other_[kHost].addresses = {"192.0.2.2"}; }
  ~DnsServersTest() override {
    client_.reset();
    service_.reset();  // before its server
  }
  void use_other() {
    options_.servers.servers = {other_.address()};
    service_->reconfigure(options_);
    runner_.turn(2);
  }
  FakeDns other_{loop_};
};

TEST_F(DnsServersTest, ForgetsTheAnswersOfServersThatAReloadRemoved) {
  resolve(kHost);
  use_other();
  const Asker asker = resolve(kHost);
  EXPECT_FALSE(asker.at_once);
  EXPECT_EQ(asker.ips, Ips{"192.0.2.2"});
}

TEST_F(DnsServersTest, KeepsTheAnswersAcrossAReloadWithTheSameServers) {
  resolve(kHost);
  service_->reconfigure(options_);
  runner_.turn(2);
  EXPECT_TRUE(resolve(kHost).at_once);
}

TEST_F(DnsServersTest, KeepsTheServersWhenNewOnesMakeNoSense) {
  options_.servers.servers = {"not an address"};
  service_->reconfigure(options_);
  runner_.turn(2);
  EXPECT_EQ(resolve(kHost).ips, Ips{"192.0.2.1"});
}

TEST_F(DnsServersTest, EndsWhatIsInFlightOnTheOldServersAndDoesNotKeepIt) {
  options_.servers.attempt_timeout = 50ms;
  options_.servers.attempts = 10;
  restart();
  dns_[kHost].silent_type = kA;
  Asker old;
  old.ask(*client_, kHost);
  ASSERT_TRUE(is_asked(1));
  use_other();
  Asker next;
  next.ask(*client_, kHost);
  ASSERT_TRUE(ends(next));
  EXPECT_EQ(next.ips, Ips{"192.0.2.2"});
  dns_[kHost].silent_type = 0;
  ASSERT_TRUE(ends(old));
  EXPECT_EQ(old.ips, Ips{"192.0.2.1"});
  EXPECT_EQ(resolve(kHost).ips, Ips{"192.0.2.2"});
}

TEST_F(DnsServersTest, SeesThatResolvConfHasChanged) {
  dns_["db.corp.test"].addresses = {"192.0.2.5"};
  EXPECT_TRUE(resolve("db").error);
  write("resolv.conf", "search corp.test\n");
  EXPECT_TRUE(resolve("db").error) << "a negative answer that is kept";
  clock_.advance(1s);
  settle();  // a look-up: the file is looked at
  EXPECT_EQ(resolve("db").ips, Ips{"192.0.2.5"});
}

TEST_F(DnsServersTest, TakesTheServersOfResolvConf) {
  options_.servers.servers.clear();
  write("resolv.conf", "nameserver 127.0.0.1\n");
  auto first = NameServers::create(loop_, options_.servers, {});
  write("resolv.conf", "nameserver 127.0.0.1\nnameserver ::1\n");
  auto second = NameServers::create(loop_, options_.servers, {});
  ASSERT_TRUE(first.has_value() && second.has_value());
  EXPECT_NE((*first)->fingerprint(), (*second)->fingerprint());
  EXPECT_NE((*second)->fingerprint().find("[::1]"), std::string::npos);
}

TEST_F(DnsServersTest, StartsWithoutResolvConf) {
  std::filesystem::remove(folder_ / "resolv.conf");
  options_.servers.servers.clear();
  restart();
}

TEST_F(DnsCachingTest, AppliesNewTtls) {
  resolve(kHost);
  options_.cache.max_ttl = 2s;
  service_->reconfigure(options_);
  runner_.turn(2);
  clock_.advance(60s);
  resolve(kHost);
  clock_.advance(2s);
  EXPECT_FALSE(resolve(kHost).at_once);
}

// Addresses that leave.

struct Observer final : AddressObserver {
  void on_address_left(const std::string& host, const SocketAddress& address) override {
    told.push_back("-" + host + ' ' + address.ip());
  }
  void on_address_returned(const std::string& host, const SocketAddress& address) override {
    told.push_back("+" + host + ' ' + address.ip());
  }
  std::vector<std::string> told;
};

TEST_F(DnsCachingTest, TellsEachClientThatAnAddressHasLeftAndReturned) {
  Observer observer;
  Observer gone;
  auto watching = std::make_unique<DnsClient>(*service_, loop_, clock_, &observer);
  std::make_unique<DnsClient>(*service_, loop_, clock_, &gone).reset();
  resolve(kHost);
  dns_[kHost].addresses = {"192.0.2.2"};
  for (int i = 0; i < 12; ++i) {
    clock_.advance(61s);
    resolve(kHost);
    EXPECT_EQ(observer.told.size(), i < 10 ? 0u : 1u) << "minute " << i;
  }
  dns_[kHost].addresses = {"192.0.2.1"};
  clock_.advance(61s);
  resolve(kHost);
  EXPECT_EQ(observer.told, (std::vector<std::string>{"-api.example.test 192.0.2.1",
                                                     "+api.example.test 192.0.2.1"}));
  EXPECT_TRUE(gone.told.empty());
  watching.reset();
}

}  // namespace
}  // namespace penstock
