// How DnsService asks: against a DNS server of our own, both families, refusals, silence, the
// search list, and how answers that come one after the other are told.
#include <cerrno>
#include <optional>
#include <ostream>
#include <string>
#include <vector>

#include "dns_fixture.h"
#include "support/no_descriptors.h"

namespace penstock {
namespace {

using namespace std::chrono_literals;

class DnsQueryTest : public DnsServiceTest {};

TEST_F(DnsQueryTest, FindsAddressesOfBothFamiliesAfterResolveHasReturned) {
  dns_["api.example.test"].addresses = {"192.0.2.1", "192.0.2.2", "2001:db8::1"};
  Asker asker;
  asker.ask(*client_, "api.example.test");
  EXPECT_EQ(asker.ends, 0);
  ASSERT_TRUE(ends(asker));
  EXPECT_EQ(asker.ips, (Ips{"192.0.2.1", "192.0.2.2", "2001:db8::1"}));
}

TEST_F(DnsQueryTest, KeepsTheOrderOfTheAnswerIpv6First) {
  dns_["api.example.test"].addresses = {"192.0.2.9", "192.0.2.1", "2001:db8::9", "2001:db8::1"};
  resolve("api.example.test");
  Asker unused;
  const auto known = client_->resolve("api.example.test", unused);
  std::vector<std::string> ips;
  for (const SocketAddress& address : std::get<AddressList>(known)) ips.push_back(address.ip());
  EXPECT_EQ(ips,
            (std::vector<std::string>{"2001:db8::9", "2001:db8::1", "192.0.2.9", "192.0.2.1"}));
}

TEST_F(DnsQueryTest, IsContentWithOneFamily) {
  dns_["four.example.test"].addresses = {"192.0.2.1"};
  dns_["six.example.test"].addresses = {"2001:db8::1"};
  EXPECT_EQ(resolve("four.example.test").ips, Ips{"192.0.2.1"});
  EXPECT_EQ(resolve("six.example.test").ips, Ips{"2001:db8::1"});
}

TEST_F(DnsQueryTest, FollowsACname) {
  dns_["www.example.test"] = {.addresses = {"192.0.2.7"}, .cname = "edge.cdn.test"};
  EXPECT_EQ(resolve("www.example.test").ips, Ips{"192.0.2.7"});
}

TEST_F(DnsQueryTest, AsksByTcpWhenTheAnswerWasCut) {
  FakeDns::Zone& zone = dns_["many.example.test"];
  zone.truncated = true;
  for (int i = 1; i <= 100; ++i) zone.addresses.push_back("192.0.2." + std::to_string(i));
  EXPECT_EQ(resolve("many.example.test").ips.size(), 100u);
}

TEST_F(DnsQueryTest, IgnoresAnswersToOtherQuestionsAndWhatIsNoResponse) {
  dns_["api.example.test"] = {.addresses = {"192.0.2.1"}, .garbage_first = true};
  EXPECT_EQ(resolve("api.example.test").ips, Ips{"192.0.2.1"});
}

TEST_F(DnsQueryTest, KnowsLiteralsAtOnce) {
  for (const char* literal : {"192.0.2.1", "::1", "2001:db8::1"}) {
    const Asker asker = resolve(literal);
    EXPECT_TRUE(asker.at_once);
    EXPECT_EQ(asker.ips, Ips{literal});
  }
  EXPECT_EQ(dns_.count(), 0);
}

TEST_F(DnsQueryTest, ServesManyNamesAtATime) {
  std::vector<Asker> askers(60);
  for (std::size_t i = 0; i < askers.size(); ++i) {
    const std::string name = "n" + std::to_string(i) + ".example.test";
    dns_[name].addresses = {"198.51.100." + std::to_string(i)};
    askers[i].ask(*client_, name);
  }
  for (std::size_t i = 0; i < askers.size(); ++i) {
    ASSERT_TRUE(ends(askers[i]));
    EXPECT_EQ(askers[i].ips, Ips{"198.51.100." + std::to_string(i)});
  }
}

struct Failure {
  const char* what;
  FakeDns::Zone zone;
  const char* reason;
};

void PrintTo(const Failure& failure, std::ostream* out) { *out << failure.what; }

class DnsFailureTest : public DnsServiceTest, public testing::WithParamInterface<Failure> {};

TEST_P(DnsFailureTest, IsADnsErrorWithTheNameAndTheReason) {
  dns_["bad.example.test"] = GetParam().zone;
  const Asker asker = resolve("bad.example.test");
  ASSERT_TRUE(asker.error);
  EXPECT_EQ(asker.error->code, ErrorCode::kDnsError);
  EXPECT_EQ(asker.error->phase, Phase::kResolve);
  EXPECT_EQ(asker.error->limit_key, "");
  EXPECT_NE(asker.error->detail.find("bad.example.test"), std::string::npos);
  EXPECT_NE(asker.error->detail.find(GetParam().reason), std::string::npos) << asker.error->detail;
}

INSTANTIATE_TEST_SUITE_P(Dns, DnsFailureTest,
                         testing::Values(Failure{"NoSuchName", {.rcode = 3}, "NXDOMAIN"},
                                         Failure{"NoAddress", {}, "no addresses"},
                                         Failure{"ServerFailure", {.rcode = 2}, "SERVFAIL"},
                                         Failure{"Refused", {.rcode = 5}, "REFUSED"}),
                         [](const auto& test) { return test.param.what; });

class DnsAttemptsTest : public DnsServiceTest {
 protected:
  DnsAttemptsTest() {
    options_.servers.attempt_timeout = 40ms;
    restart();
  }
  // Real time passes as on a loop.
  [[nodiscard]] bool ends_in_real_time(const Asker& asker) {
    const MonotonicTime start = loop_.now();
    const MonotonicTime clock_start = clock_.now();
    return runner_.until([&] {
      clock_.advance_to(std::max(clock_.now(), clock_start + (loop_.now() - start)));
      return asker.ends == 1;
    });
  }
};

TEST_F(DnsAttemptsTest, AsksTheServersInTurnUntilOneAnswers) {
  FakeDns other(loop_);
  dns_["api.example.test"].rcode = 2;
  other["api.example.test"].addresses = {"192.0.2.2"};
  options_.servers.servers = {dns_.address(), other.address()};
  restart();
  EXPECT_EQ(resolve("api.example.test").ips, Ips{"192.0.2.2"});
  EXPECT_EQ(queries("api.example.test"), 1);
  client_.reset();
  service_.reset();
}

TEST_F(DnsAttemptsTest, AsksTheThirdServerWhenTwoAreDeadAndBeginsWithItFromThenOn) {
  FakeDns dead(loop_), good(loop_);
  for (const char* name : {"api.example.test", "next.example.test"}) {
    dns_[name].ignored = dead[name].ignored = 100;
    good[name].addresses = {"192.0.2.2"};
  }
  options_.servers.servers = {dns_.address(), dead.address(), good.address()};
  ASSERT_EQ(options_.servers.attempts, 2u);
  restart();
  Asker asker;
  asker.ask(*client_, "api.example.test");
  ASSERT_TRUE(ends_in_real_time(asker));
  EXPECT_EQ(asker.ips, Ips{"192.0.2.2"});
  EXPECT_EQ(resolve("next.example.test").ips, Ips{"192.0.2.2"});
  EXPECT_EQ(queries("next.example.test"), 0);
  client_.reset();
  service_.reset();
}

TEST_F(DnsAttemptsTest, TakesTheAnswerToASecondAttempt) {
  dns_["slow.example.test"] = {.addresses = {"192.0.2.1"}, .ignored = 2};
  EXPECT_EQ(resolve("slow.example.test").ips, Ips{"192.0.2.1"});
  EXPECT_EQ(queries("slow.example.test"), 2);
}

TEST_F(DnsAttemptsTest, GivesEachAttemptTheSameTime) {
  options_.servers.attempt_timeout = 20ms;
  options_.servers.attempts = 5;
  restart();
  dns_["silent.example.test"].ignored = 100;
  Asker asker;
  const MonotonicTime start = loop_.now();
  asker.ask(*client_, "silent.example.test");
  ASSERT_TRUE(ends_in_real_time(asker));
  EXPECT_GE(loop_.now() - start, 5 * 20ms);
  EXPECT_LT(loop_.now() - start, 31 * 20ms) << "c-ares has doubled: 1 + 2 + 4 + 8 + 16";
  EXPECT_EQ(queries("silent.example.test"), 5);
  ASSERT_TRUE(asker.error);
  EXPECT_EQ(asker.error->code, ErrorCode::kDnsTimeout);
  EXPECT_EQ(asker.error->limit_key, "dns.attempt_timeout");
  EXPECT_EQ(asker.error->phase, Phase::kResolve);
}

TEST_F(DnsAttemptsTest, EndsWithTheAttemptsTogetherWhateverTheServersDo) {
  options_.servers.attempt_timeout = 1h;  // c-ares would wait
  restart();
  dns_["silent.example.test"].ignored = 100;
  Asker asker;
  asker.ask(*client_, "silent.example.test");
  ASSERT_TRUE(runner_.until([&] { return dns_.count() == 2; }));
  clock_.advance(2h);
  runner_.turn(2);
  EXPECT_EQ(asker.ends, 0);
  clock_.advance(3 * TimerWheel::kTick);
  ASSERT_TRUE(ends(asker));
  EXPECT_EQ(asker.error->code, ErrorCode::kDnsTimeout);
}

TEST_F(DnsAttemptsTest, TimesOutWhenOneFamilyIsSilentAndTheOtherHasNothing) {
  dns_["half.example.test"].silent_type = kA;
  Asker asker;
  asker.ask(*client_, "half.example.test");
  ASSERT_TRUE(ends_in_real_time(asker));
  EXPECT_EQ(asker.error->code, ErrorCode::kDnsTimeout);
}

TEST_F(DnsAttemptsTest, TakesTheWordOfOneFamilyThatTheNameDoesNotExist) {
  dns_["half.example.test"] = {.rcode = 3, .silent_type = kAaaa};
  Asker asker;
  asker.ask(*client_, "half.example.test");
  ASSERT_TRUE(ends_in_real_time(asker));
  EXPECT_EQ(asker.error->code, ErrorCode::kDnsError);
  EXPECT_TRUE(resolve("half.example.test").at_once) << "a negative answer";
}

TEST_F(DnsAttemptsTest, FailsWhenNobodyListens) {
  {
    FakeDns gone(loop_);
    options_.servers.servers = {gone.address()};  // a port that was ours a moment ago
  }
  restart();
  const Asker asker = resolve("api.example.test");
  ASSERT_TRUE(asker.error);
  EXPECT_EQ(asker.error->phase, Phase::kResolve);
}

TEST_F(DnsQueryTest, SaysWhatPassesWhereNoDescriptorIsLeftAndDoesNotKeepIt) {
  dns_["api.example.test"].addresses = {"192.0.2.1"};
  dns_["first.example.test"].addresses = {"192.0.2.1"};
  resolve("first.example.test");
  std::optional<NoDescriptorsLeft> none;
  none.emplace();
  const Asker failed = resolve("api.example.test");
  none.reset();
  ASSERT_TRUE(failed.error);
  EXPECT_EQ(failed.error->sys, EMFILE);
  EXPECT_NE(failed.error->detail.find("Too many open files"), std::string::npos)
      << failed.error->detail;
  EXPECT_EQ(resolve("api.example.test").ips, Ips{"192.0.2.1"});
}

TEST_F(DnsQueryTest, RefusesServersThatMakeNoSense) {
  options_.servers.servers = {"not an address"};
  const auto created = DnsService::create({loop_, clock_, clock_.timers(), log_}, options_);
  ASSERT_FALSE(created.has_value());
  EXPECT_NE(created.error().detail.find("dns.servers"), std::string::npos);
}

// RFC 8305 section 3.
class DnsFamiliesTest : public DnsServiceTest {
 protected:
  DnsFamiliesTest() {
    options_.servers.attempt_timeout = 30ms;
    options_.servers.attempts = 10;
    restart();
    zone().addresses = {"192.0.2.1", "2001:db8::1"};
  }
  FakeDns::Zone& zone() { return dns_["api.example.test"]; }
  void ask() { asker_.ask(*client_, "api.example.test"); }
  [[nodiscard]] bool is_asked(int type) {
    return runner_.until([&] { return dns_.count("api.example.test", type) >= 2; });
  }
  Asker asker_;
};

TEST_F(DnsFamiliesTest, TellsIpv6AtOnceAndIpv4WhenItComes) {
  zone().silent_type = kA;
  ask();
  ASSERT_TRUE(runner_.until([&] { return asker_.partials == 1; }));
  EXPECT_EQ(asker_.ips, Ips{"2001:db8::1"});
  zone().silent_type = 0;
  ASSERT_TRUE(ends(asker_));
  EXPECT_EQ(asker_.ips, (Ips{"192.0.2.1", "2001:db8::1"}));
  EXPECT_EQ(asker_.partials, 1);
}

TEST_F(DnsFamiliesTest, TellsIpv4FiftyMillisecondsLaterUnlessIpv6Comes) {
  zone().silent_type = kAaaa;
  ask();
  ASSERT_TRUE(is_asked(kAaaa));
  clock_.advance(49ms);
  runner_.turn(2);
  EXPECT_EQ(asker_.partials, 0);
  clock_.advance(2 * TimerWheel::kTick);
  ASSERT_TRUE(runner_.until([&] { return asker_.partials == 1; }));
  EXPECT_EQ(asker_.ips, Ips{"192.0.2.1"});
  zone().silent_type = 0;
  ASSERT_TRUE(ends(asker_));
  EXPECT_EQ(asker_.ips, (Ips{"192.0.2.1", "2001:db8::1"}));
}

TEST_F(DnsFamiliesTest, TellsBothOnceWhenIpv6ComesWithinTheDelay) {
  zone().silent_type = kAaaa;
  ask();
  ASSERT_TRUE(is_asked(kAaaa));
  zone().silent_type = 0;
  ASSERT_TRUE(ends(asker_));
  EXPECT_EQ(asker_.partials, 0);
  EXPECT_EQ(asker_.ips, (Ips{"192.0.2.1", "2001:db8::1"}));
}

TEST_F(DnsFamiliesTest, EndsWithOneFamilyWhenTheOtherNeverAnswers) {
  zone().silent_type = kAaaa;
  ask();
  ASSERT_TRUE(is_asked(kAaaa));
  clock_.advance(60ms);
  ASSERT_TRUE(runner_.until([&] { return asker_.partials == 1; }));
  clock_.advance(300ms);  // the attempts together
  ASSERT_TRUE(ends(asker_));
  EXPECT_EQ(asker_.ips, Ips{"192.0.2.1"});
  EXPECT_TRUE(resolve("api.example.test").at_once);
}

TEST_F(DnsFamiliesTest, TellsALaterAskerWhatIsKnownSoFar) {
  zone().silent_type = kA;
  ask();
  ASSERT_TRUE(runner_.until([&] { return asker_.partials == 1; }));
  Asker late;
  late.ask(*client_, "api.example.test");
  EXPECT_FALSE(late.at_once);
  ASSERT_TRUE(runner_.until([&] { return late.partials == 1; }));
  zone().silent_type = 0;
  ASSERT_TRUE(ends(late) && ends(asker_));
  EXPECT_EQ(late.ips, asker_.ips);
}

TEST_F(DnsFamiliesTest, LetsAnAskerLeaveAfterThePartialAnswer) {
  zone().silent_type = kA;
  asker_.then = [&] { asker_.pending.reset(); };
  ask();
  ASSERT_TRUE(runner_.until([&] { return asker_.partials == 1; }));
  zone().silent_type = 0;
  EXPECT_EQ(resolve("api.example.test").ips.size(), 2u);
  settle();
  EXPECT_EQ(asker_.ends, 0);
}

// The system's resolver's rules: resolv.conf(5).
class DnsSearchTest : public DnsServiceTest {
 protected:
  DnsSearchTest() {
    write("resolv.conf", "search corp.test lab.test\noptions ndots:2\n");
    restart();
  }
};

TEST_F(DnsSearchTest, CompletesANameWithFewDotsFirst) {
  dns_["db.corp.test"].addresses = {"192.0.2.5"};
  EXPECT_EQ(resolve("db").ips, Ips{"192.0.2.5"});
  EXPECT_EQ(queries("db"), 0);
}

TEST_F(DnsSearchTest, GoesThroughTheListAndEndsWithTheNameAsItIs) {
  dns_["db.here"].addresses = {"192.0.2.6"};
  EXPECT_EQ(resolve("db.here").ips, Ips{"192.0.2.6"});
  EXPECT_EQ(queries("db.here.corp.test"), 1);
  EXPECT_EQ(queries("db.here.lab.test"), 1);
}

TEST_F(DnsSearchTest, CompletesANameWithManyDotsOnlyWhenItFailsAsItIs) {
  dns_["api.example.test"].addresses = {"192.0.2.7"};
  dns_["a.b.c.lab.test"].addresses = {"192.0.2.8"};
  EXPECT_EQ(resolve("api.example.test").ips, Ips{"192.0.2.7"});
  EXPECT_EQ(queries("api.example.test.corp.test"), 0);
  EXPECT_EQ(resolve("a.b.c").ips, Ips{"192.0.2.8"});
  EXPECT_EQ(queries("a.b.c"), 1);
  EXPECT_EQ(queries("a.b.c.corp.test"), 1);
}

// Or the AAAA of one host would be dialled for the A of another.
TEST_F(DnsSearchTest, NeverMixesTheFamiliesOfTwoNames) {
  dns_["api.example.test"].addresses = {"192.0.2.7"};
  dns_["api.example.test.corp.test"].addresses = {"2001:db8::66"};
  EXPECT_EQ(resolve("api.example.test").ips, Ips{"192.0.2.7"});
}

TEST_F(DnsSearchTest, StopsAtANameThatCouldNotBeLookedUp) {
  dns_["a.b.c"].rcode = 2;
  dns_["a.b.c.corp.test"].addresses = {"192.0.2.66"};
  EXPECT_TRUE(resolve("a.b.c").error);
  EXPECT_EQ(queries("a.b.c.corp.test"), 0);
}

TEST_F(DnsSearchTest, TakesAFinalDotAsTheEndOfTheName) {
  dns_["db.corp.test"].addresses = {"192.0.2.5"};
  EXPECT_TRUE(resolve("db.").error);
  EXPECT_EQ(queries("db.corp.test"), 0);
}

}  // namespace
}  // namespace penstock
