// CaresResolver against a DNS server of our own: answers, refusals, silence, shared lookups, and
// endings from inside callbacks.
#include <gtest/gtest.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstdlib>
#include <functional>
#include <memory>
#include <optional>
#include <ostream>
#include <set>
#include <string>
#include <variant>
#include <vector>

#include "net/cares_resolver.h"
#include "support/fake_dns.h"
#include "support/loop_runner.h"

namespace penstock {
namespace {

using namespace std::chrono_literals;

constexpr int kA = 1;
constexpr int kAaaa = 28;

// One resolve() and its end.
struct Asker final : ResolveHandler {
  void ask(Resolver& resolver, const std::string& host) {
    auto start = resolver.resolve(host, *this);
    if (auto* known = std::get_if<AddressList>(&start)) {
      at_once = true;
      take(std::move(*known));
    } else if (auto* failed = std::get_if<Error>(&start)) {
      at_once = true;
      error = std::move(*failed);
      ++ends;
    } else {
      pending = std::get<Pending>(std::move(start));
    }
  }
  void on_resolved(const AddressList& found, bool complete) override {
    EXPECT_TRUE(complete);
    take(found);
    const auto action = then;
    if (action) action();
  }
  void on_resolve_failed(Error failed) override {
    error = std::move(failed);
    ++ends;
    const auto action = then;
    if (action) action();
  }
  void take(AddressList found) {
    ++ends;
    for (const SocketAddress& address : found) {
      EXPECT_EQ(address.port(), 0);
      ips.insert(address.ip());
    }
  }

  Pending pending;
  bool at_once = false;
  int ends = 0;
  std::set<std::string> ips;
  std::optional<Error> error;
  std::function<void()> then;
};

using Ips = std::set<std::string>;

class ResolverTest : public testing::Test {
 protected:
  ResolverTest() { restart(); }

  void restart(ResolverOptions options = {}) {
    options.servers = {dns_.address()};
    auto created = CaresResolver::create(loop_, options);
    ASSERT_TRUE(created.has_value());
    resolver_ = *std::move(created);
  }
  [[nodiscard]] bool ends(const Asker& asker, int times = 1) {
    return runner_.until([&] { return asker.ends >= times; });
  }

  Loop loop_;
  LoopRunner runner_{loop_};
  FakeDns dns_{loop_};
  std::unique_ptr<CaresResolver> resolver_;
  Asker asker_;
};

TEST_F(ResolverTest, FindsAddressesOfBothFamilies) {
  dns_["api.example.test"].addresses = {"192.0.2.1", "192.0.2.2", "2001:db8::1"};
  asker_.ask(*resolver_, "api.example.test");
  EXPECT_EQ(asker_.ends, 0);
  ASSERT_TRUE(ends(asker_));
  EXPECT_EQ(asker_.ips, (Ips{"192.0.2.1", "192.0.2.2", "2001:db8::1"}));
  EXPECT_EQ(asker_.ends, 1);
}

TEST_F(ResolverTest, IsContentWithOneFamily) {
  dns_["four.example.test"].addresses = {"192.0.2.1"};
  dns_["six.example.test"].addresses = {"2001:db8::1"};
  Asker six;
  asker_.ask(*resolver_, "four.example.test");
  six.ask(*resolver_, "six.example.test");
  ASSERT_TRUE(ends(asker_) && ends(six));
  EXPECT_EQ(asker_.ips, Ips{"192.0.2.1"});
  EXPECT_EQ(six.ips, Ips{"2001:db8::1"});
}

TEST_F(ResolverTest, FollowsACname) {
  dns_["www.example.test"] = {.addresses = {"192.0.2.7"}, .cname = "edge.cdn.test"};
  asker_.ask(*resolver_, "www.example.test");
  ASSERT_TRUE(ends(asker_));
  EXPECT_EQ(asker_.ips, Ips{"192.0.2.7"});
}

TEST_F(ResolverTest, AsksByTcpWhenTheAnswerWasCut) {
  FakeDns::Zone& zone = dns_["many.example.test"];
  zone.truncated = true;
  for (int i = 1; i <= 100; ++i) zone.addresses.push_back("192.0.2." + std::to_string(i));
  asker_.ask(*resolver_, "many.example.test");
  ASSERT_TRUE(ends(asker_));
  EXPECT_EQ(asker_.ips.size(), 100u);
}

TEST_F(ResolverTest, IgnoresAnswersToOtherQuestions) {
  dns_["api.example.test"] = {.addresses = {"192.0.2.1"}, .garbage_first = true};
  asker_.ask(*resolver_, "api.example.test");
  ASSERT_TRUE(ends(asker_));
  EXPECT_EQ(asker_.ips, Ips{"192.0.2.1"});
}

struct Failure {
  const char* what;
  FakeDns::Zone zone;
  const char* reason;
};

void PrintTo(const Failure& failure, std::ostream* out) { *out << failure.what; }

class FailureTest : public ResolverTest, public testing::WithParamInterface<Failure> {};

TEST_P(FailureTest, IsADnsErrorWithTheNameAndTheReason) {
  dns_["bad.example.test"] = GetParam().zone;
  asker_.ask(*resolver_, "bad.example.test");
  ASSERT_TRUE(ends(asker_));
  ASSERT_TRUE(asker_.error);
  EXPECT_EQ(asker_.error->code, ErrorCode::kDnsError);
  EXPECT_EQ(asker_.error->phase, Phase::kResolve);
  EXPECT_EQ(asker_.error->limit_key, "");
  EXPECT_NE(asker_.error->detail.find("bad.example.test"), std::string::npos);
  EXPECT_NE(asker_.error->detail.find(GetParam().reason), std::string::npos)
      << asker_.error->detail;
}

INSTANTIATE_TEST_SUITE_P(Resolver, FailureTest,
                         testing::Values(Failure{"NoSuchName", {.rcode = 3}, "not found"},
                                         Failure{"NoAddress", {}, "no data"},
                                         Failure{"ServerFailure", {.rcode = 2}, "failed"},
                                         Failure{"Refused", {.rcode = 5}, "refused"}),
                         [](const auto& test) { return test.param.what; });

TEST_F(ResolverTest, TimesOutAfterItsAttemptsWhenNobodyAnswers) {
  restart({.attempt_timeout = 40ms, .attempts = 2});
  dns_["silent.example.test"].ignored = 100;
  const MonotonicTime start = loop_.now();
  asker_.ask(*resolver_, "silent.example.test");
  ASSERT_TRUE(ends(asker_));
  ASSERT_TRUE(asker_.error);
  EXPECT_EQ(asker_.error->code, ErrorCode::kDnsTimeout);
  EXPECT_EQ(asker_.error->limit_key, "dns.attempt_timeout");
  EXPECT_EQ(asker_.error->phase, Phase::kResolve);
  EXPECT_GE(loop_.now() - start, 80ms);
  EXPECT_EQ(dns_.count("silent.example.test", kA), 2);
}

TEST_F(ResolverTest, TakesTheAnswerToASecondAttempt) {
  restart({.attempt_timeout = 40ms, .attempts = 3});
  dns_["slow.example.test"] = {.addresses = {"192.0.2.1"}, .ignored = 2};
  asker_.ask(*resolver_, "slow.example.test");
  ASSERT_TRUE(ends(asker_));
  EXPECT_EQ(asker_.ips, Ips{"192.0.2.1"});
}

TEST_F(ResolverTest, KnowsLiteralsAtOnce) {
  for (const char* literal : {"192.0.2.1", "::1", "2001:db8::1"}) {
    Asker asker;
    asker.ask(*resolver_, literal);
    EXPECT_TRUE(asker.at_once);
    EXPECT_EQ(asker.ips, Ips{literal});
  }
  EXPECT_EQ(dns_.count(), 0);
}

TEST_F(ResolverTest, FindsLocalhostWithoutAServer) {
  asker_.ask(*resolver_, "localhost");
  ASSERT_TRUE(ends(asker_));
  EXPECT_TRUE(asker_.ips.contains("127.0.0.1") || asker_.ips.contains("::1"));
  EXPECT_EQ(dns_.count(), 0);
}

TEST_F(ResolverTest, AsksOnceForManyWaiters) {
  dns_["api.example.test"].addresses = {"192.0.2.1"};
  std::vector<Asker> askers(20);
  for (Asker& asker : askers) asker.ask(*resolver_, "api.example.test");
  for (Asker& asker : askers) {
    ASSERT_TRUE(ends(asker));
    EXPECT_EQ(asker.ips, Ips{"192.0.2.1"});
    EXPECT_EQ(asker.ends, 1);
  }
  EXPECT_EQ(dns_.count("api.example.test", kA), 1);
  EXPECT_EQ(dns_.count("api.example.test", kAaaa), 1);
}

TEST_F(ResolverTest, CancelsOneWaiterAndServesTheOthers) {
  dns_["api.example.test"].addresses = {"192.0.2.1"};
  Asker cancelled;
  cancelled.ask(*resolver_, "api.example.test");
  asker_.ask(*resolver_, "api.example.test");
  cancelled.pending.reset();
  ASSERT_TRUE(ends(asker_));
  EXPECT_EQ(cancelled.ends, 0);
}

TEST_F(ResolverTest, GoesOnWithALookupThatEverybodyLeft) {
  dns_["api.example.test"].addresses = {"192.0.2.1"};
  {
    Asker gone;
    gone.ask(*resolver_, "api.example.test");
  }
  asker_.ask(*resolver_, "api.example.test");
  ASSERT_TRUE(ends(asker_));
  EXPECT_EQ(asker_.ips, Ips{"192.0.2.1"});
  EXPECT_EQ(dns_.count("api.example.test", kA), 1);
}

TEST_F(ResolverTest, ForgetsALookupThatEndedWithoutWaiters) {
  dns_["api.example.test"].addresses = {"192.0.2.1"};
  {
    Asker gone;
    gone.ask(*resolver_, "api.example.test");
  }
  dns_["other.example.test"].addresses = {"192.0.2.9"};
  Asker other;
  ASSERT_TRUE(runner_.until([&] { return dns_.count("api.example.test", kAaaa) == 1; }));
  other.ask(*resolver_, "other.example.test");
  ASSERT_TRUE(ends(other));
  dns_["api.example.test"].addresses = {"192.0.2.2"};
  asker_.ask(*resolver_, "api.example.test");
  ASSERT_TRUE(ends(asker_));
  EXPECT_EQ(asker_.ips, Ips{"192.0.2.2"});
}

TEST_F(ResolverTest, LetsAWaiterCancelAnotherInItsCallback) {
  dns_["api.example.test"].addresses = {"192.0.2.1"};
  Asker first;
  Asker second;
  first.then = [&] { second.pending.reset(); };
  second.then = [&] { first.pending.reset(); };
  first.ask(*resolver_, "api.example.test");
  second.ask(*resolver_, "api.example.test");
  ASSERT_TRUE(ends(first));
  runner_.turn(5);
  EXPECT_EQ(second.ends, 0);
}

TEST_F(ResolverTest, LetsAWaiterDropItsOwnHandleInItsCallback) {
  dns_["api.example.test"].addresses = {"192.0.2.1"};
  asker_.then = [&] { asker_.pending.reset(); };
  asker_.ask(*resolver_, "api.example.test");
  EXPECT_TRUE(ends(asker_));
}

TEST_F(ResolverTest, LooksUpAnewWhatIsAskedInTheCallback) {
  dns_["api.example.test"].addresses = {"192.0.2.1"};
  Asker again;
  asker_.then = [&] { again.ask(*resolver_, "api.example.test"); };
  asker_.ask(*resolver_, "api.example.test");
  ASSERT_TRUE(ends(again));
  EXPECT_EQ(again.ips, Ips{"192.0.2.1"});
  EXPECT_EQ(dns_.count("api.example.test", kA), 2);
}

TEST_F(ResolverTest, MayEndInsideACallback) {
  dns_["api.example.test"].addresses = {"192.0.2.1"};
  dns_["silent.example.test"].ignored = 100;
  Asker other;
  other.ask(*resolver_, "silent.example.test");
  asker_.then = [&] {
    other.pending.reset();
    resolver_.reset();
  };
  asker_.ask(*resolver_, "api.example.test");
  ASSERT_TRUE(ends(asker_));
  runner_.turn(5);
  EXPECT_EQ(other.ends, 0);
}

TEST_F(ResolverTest, MayEndInsideATimeout) {
  restart({.attempt_timeout = 20ms, .attempts = 1});
  dns_["silent.example.test"].ignored = 100;
  asker_.then = [&] { resolver_.reset(); };
  asker_.ask(*resolver_, "silent.example.test");
  EXPECT_TRUE(ends(asker_));
}

TEST_F(ResolverTest, MayEndWithLookupsInFlight) {
  dns_["silent.example.test"].ignored = 100;
  for (int i = 0; i < 10; ++i) {
    Asker gone;
    gone.ask(*resolver_, "a" + std::to_string(i) + ".silent.example.test");
  }
  runner_.turn();
  resolver_.reset();
  runner_.turn(3);
}

TEST_F(ResolverTest, ServesManyNamesAtATime) {
  std::vector<Asker> askers(60);
  for (std::size_t i = 0; i < askers.size(); ++i) {
    const std::string name = "n" + std::to_string(i) + ".example.test";
    dns_[name].addresses = {"198.51.100." + std::to_string(i)};
    askers[i].ask(*resolver_, name);
  }
  for (std::size_t i = 0; i < askers.size(); ++i) {
    ASSERT_TRUE(ends(askers[i]));
    EXPECT_EQ(askers[i].ips, Ips{"198.51.100." + std::to_string(i)});
  }
}

// c-ares reads the search list from this variable as well as from the system's configuration.
class SearchTest : public ResolverTest {
 protected:
  SearchTest() {
    ::setenv("LOCALDOMAIN", "corp.test", 1);
    restart();
  }
  ~SearchTest() override { ::unsetenv("LOCALDOMAIN"); }
};

TEST_F(SearchTest, CompletesANameWithoutADot) {
  dns_["db.corp.test"].addresses = {"192.0.2.5"};
  asker_.ask(*resolver_, "db");
  ASSERT_TRUE(ends(asker_));
  EXPECT_EQ(asker_.ips, Ips{"192.0.2.5"});
}

TEST_F(SearchTest, LeavesANameWithADotAsItIs) {
  dns_["api.example.test.corp.test"].addresses = {"192.0.2.5"};
  asker_.ask(*resolver_, "api.example.test");
  ASSERT_TRUE(ends(asker_));
  EXPECT_TRUE(asker_.error);
  EXPECT_EQ(dns_.count("api.example.test.corp.test", kA), 0);
}

TEST(CaresResolver, RefusesServersThatMakeNoSense) {
  Loop loop;
  const auto created = CaresResolver::create(loop, {.servers = {"not an address"}});
  ASSERT_FALSE(created.has_value());
  EXPECT_NE(created.error().detail.find("dns.servers"), std::string::npos);
}

TEST(CaresResolver, FailsWhenNoServerListens) {
  Loop loop;
  // A port that was ours a moment ago.
  std::string dead;
  {
    FakeDns dns(loop);
    dead = dns.address();
  }
  auto resolver = CaresResolver::create(loop, {.servers = {dead}, .attempt_timeout = 50ms});
  ASSERT_TRUE(resolver.has_value());
  Asker asker;
  asker.ask(**resolver, "api.example.test");
  ASSERT_TRUE(LoopRunner(loop).until([&] { return asker.ends == 1; }));
  ASSERT_TRUE(asker.error);
  EXPECT_EQ(asker.error->phase, Phase::kResolve);
}

}  // namespace
}  // namespace penstock
