// Names with several addresses (RFC 8305): when the next one is tried, who wins, which error is
// told, the second part of an answer, what the next dials have learned, and that nothing is left
// open.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>

#include <chrono>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "net/connect_stage.h"
#include "support/test_ca.h"
#include "unit/net/dial_fixture.h"
#include "unit/net/dial_sites.h"
#include "unit/net/tls_test_client.h"

namespace penstock {
namespace {

using namespace std::chrono_literals;
using enum DialSites::Kind;
using testing::HasSubstr;
using testing::Not;

constexpr Duration kDelay = 250ms;
constexpr Duration kSlack = 200ms;  // less than a delay: one step more would show

std::size_t open_descriptors() {
  const std::filesystem::directory_iterator fds("/proc/self/fd");
  return static_cast<std::size_t>(std::distance(begin(fds), end(fds)));
}

class DialerRaceTest : public NetDialerTest {
 protected:
  static constexpr const char* kName = "origin.test";

  Recorder& dial_name(const DialSites& sites, const DialLimits& limits = {}) {
    recorder_.ends = 0;
    recorder_.dialed.reset();
    recorder_.error.reset();
    return dial(target(kName, sites.port()), limits);
  }
  // Begins a dial whose look-up has told the first part.
  void start_in_part(const DialSites& sites, std::vector<std::string> first,
                     const DialLimits& limits = {}) {
    resolver_.at_once = false;
    start(target(kName, sites.port()), limits);
    ASSERT_TRUE(runner_.until([&] { return resolver_.waiting != nullptr; }));
    resolver_.addresses = addresses(std::move(first));
    resolver_.answer_in_part();
  }
  void answer_rest(std::vector<std::string> all) {
    resolver_.addresses = addresses(std::move(all));
    resolver_.answer();
  }
  bool over_within(Duration limit) {
    return runner_.until([&] { return recorder_.over(); }, limit);
  }
  std::string winner() const { return recorder_.dialed ? recorder_.dialed->address.ip() : "none"; }
  Duration connecting() const { return recorder_.times.connected - recorder_.times.resolved; }
};

TEST_F(DialerRaceTest, TriesTheNextAddressWhenTheFirstHasNotAnsweredFor250Ms) {
  const struct {
    DialSites::Plan plan;
    std::vector<std::string> order;
    std::string winner;
    Duration after;
  } cases[] = {
      {{{"127.0.0.2", kAnswers}, {"127.0.0.3", kAnswers}},
       {"127.0.0.3", "127.0.0.2"},
       "127.0.0.3",
       0ms},
      {{{"127.0.0.2", kSilent}, {"127.0.0.3", kAnswers}},
       {"127.0.0.2", "127.0.0.3"},
       "127.0.0.3",
       kDelay},
      {{{"127.0.0.2", kSilent}, {"127.0.0.3", kSilent}, {"127.0.0.4", kAnswers}},
       {"127.0.0.2", "127.0.0.3", "127.0.0.4"},
       "127.0.0.4",
       2 * kDelay},
      {{{"127.0.0.2", kRefuses}, {"127.0.0.3", kAnswers}},
       {"127.0.0.2", "127.0.0.3"},
       "127.0.0.3",
       0ms},
      {{{"127.0.0.2", kSilent}, {"127.0.0.3", kRefuses}, {"127.0.0.4", kAnswers}},
       {"127.0.0.2", "127.0.0.3", "127.0.0.4"},
       "127.0.0.4",
       kDelay},
      {{{"::1", kSilent}, {"127.0.0.1", kAnswers}}, {"127.0.0.1", "::1"}, "127.0.0.1", kDelay},
      {{{"::1", kAnswers}, {"127.0.0.1", kAnswers}}, {"127.0.0.1", "::1"}, "::1", 0ms},
  };
  for (const auto& c : cases) {
    NetDialer dialer(loop_, resolver_, std::make_shared<const EgressPolicy>(), kSeed);
    const DialSites sites(c.plan);
    const std::size_t descriptors = open_descriptors();
    resolver_.addresses = tried_in_order(c.order);
    Recorder result(loop_);
    result.pending =
        dialer.dial(std::make_shared<const DialTarget>(target(kName, sites.port())), {}, result);
    ASSERT_TRUE(runner_.until([&] { return result.over(); }));
    ASSERT_TRUE(result.dialed) << result.error->detail;
    EXPECT_EQ(result.dialed->address.ip(), c.winner);
    const Duration took = result.times.connected - result.times.resolved;
    EXPECT_GE(took, c.after);
    EXPECT_LT(took, c.after + kSlack);
    EXPECT_EQ(open_descriptors(), descriptors + 1) << "the losers are closed";
  }
}

TEST_F(DialerRaceTest, LetsAnEarlierAttemptWinStill) {
  DialSites sites({{"127.0.0.2", kSilent}, {"127.0.0.3", kSilent}});
  resolver_.addresses = tried_in_order({"127.0.0.2", "127.0.0.3"});
  start(target(kName, sites.port()));
  EXPECT_FALSE(over_within(kDelay + 50ms));
  sites.wake("127.0.0.2");  // its SYN is repeated after a second
  ASSERT_TRUE(runner_.until([&] { return recorder_.over(); }));
  EXPECT_EQ(winner(), "127.0.0.2");
}

TEST_F(DialerRaceTest, TellsTheErrorOfWhoAnsweredRatherThanOfAMissingRoute) {
  const DialSites sites({{"127.0.0.2", kRefuses}});
  forbid({"127.0.0.9"});
  for (const auto& order : {std::vector<std::string>{"127.0.0.9", "224.0.0.1", "127.0.0.2"},
                            {"127.0.0.2", "224.0.0.1", "127.0.0.9"}}) {
    resolver_.addresses = addresses(order);
    EXPECT_EQ(dial_name(sites).code(), "connection_refused");
    EXPECT_THAT(recorder_.error->detail, HasSubstr("127.0.0.2:"));
    EXPECT_THAT(recorder_.error->detail, HasSubstr("tried "));
    EXPECT_THAT(recorder_.error->detail, HasSubstr("224.0.0.1"));
    EXPECT_THAT(recorder_.error->detail, Not(HasSubstr("127.0.0.9")));
  }
}

TEST_F(DialerRaceTest, CountsTheLimitOverAllAddressesAndNamesThoseItTried) {
  const DialSites sites({{"127.0.0.2", kSilent}, {"127.0.0.3", kSilent}, {"127.0.0.4", kSilent}});
  const std::size_t descriptors = open_descriptors();
  resolver_.addresses = tried_in_order({"127.0.0.2", "127.0.0.3", "127.0.0.4"});
  const auto before = loop_.now();
  EXPECT_EQ(dial_name(sites, {.connect = 400ms}).code(), "connection_timeout");
  EXPECT_GE(recorder_.ended_at - before, 400ms);
  EXPECT_LT(recorder_.ended_at - before, 400ms + kSlack);
  EXPECT_EQ(recorder_.error->limit_key, "timeouts.connect");
  EXPECT_THAT(recorder_.error->detail, HasSubstr("127.0.0.2:"));
  EXPECT_THAT(recorder_.error->detail, HasSubstr("127.0.0.3:"));
  EXPECT_THAT(recorder_.error->detail, Not(HasSubstr("127.0.0.4"))) << "it was not its turn yet";
  EXPECT_EQ(open_descriptors(), descriptors);
}

TEST_F(DialerRaceTest, LetsTheOldestOfManySilentAttemptsGiveWay) {
  const DialSites sites({{"127.0.0.2", kSilent},
                         {"127.0.0.3", kSilent},
                         {"127.0.0.4", kSilent},
                         {"127.0.0.5", kSilent},
                         {"127.0.0.6", kSilent}});
  resolver_.addresses =
      tried_in_order({"127.0.0.2", "127.0.0.3", "127.0.0.4", "127.0.0.5", "127.0.0.6"});
  resolver_.at_once = true;
  const std::size_t before = open_descriptors();
  std::size_t most = 0;
  start(target(kName, sites.port()), {.connect = 4 * kDelay + kSlack});
  ASSERT_TRUE(runner_.until([&] {
    most = std::max(most, open_descriptors() - before);
    return recorder_.over();
  }));
  EXPECT_EQ(most, ConnectStage::kMostAttempts);
  EXPECT_EQ(recorder_.code(), "connection_timeout");
  EXPECT_THAT(recorder_.error->detail, HasSubstr("127.0.0.2"));
  EXPECT_EQ(recorder_.error->limit_key, "timeouts.connect");
}

TEST_F(DialerRaceTest, PassesOverWhatFailsAtOnce) {
  const DialSites sites({{"127.0.0.2", kSilent}, {"127.0.0.3", kAnswers}});
  resolver_.addresses = tried_in_order({"127.0.0.2", "224.0.0.1", "224.0.0.2", "127.0.0.3"});
  EXPECT_TRUE(dial_name(sites).dialed) << "what fails at once takes nobody's place";
}

TEST_F(DialerRaceTest, TakesTheLateFamilyNextWhoseAddressesWaitTheirTurn) {
  const DialSites sites({{"127.0.0.2", kSilent}, {"127.0.0.3", kSilent}, {"::1", kAnswers}});
  start_in_part(sites, {"127.0.0.2", "127.0.0.3"});
  runner_.turn();
  answer_rest({"127.0.0.2", "127.0.0.3", "::1"});
  ASSERT_TRUE(runner_.until([&] { return recorder_.over(); }));
  EXPECT_EQ(winner(), "::1");
  EXPECT_GE(connecting(), kDelay);
  EXPECT_LT(connecting(), kDelay + kSlack);
}

TEST_F(DialerRaceTest, TriesALateAddressAtOnceWhenItsTurnHasCome) {
  const DialSites sites({{"127.0.0.2", kSilent}, {"::1", kAnswers}});
  start_in_part(sites, {"127.0.0.2"});
  EXPECT_FALSE(over_within(kDelay + 50ms));
  const auto before = loop_.now();
  answer_rest({"127.0.0.2", "::1"});
  ASSERT_TRUE(runner_.until([&] { return recorder_.over(); }));
  EXPECT_EQ(winner(), "::1");
  EXPECT_LT(recorder_.ended_at - before, kSlack);
}

TEST_F(DialerRaceTest, ConnectsWithoutTheLateFamily) {
  const DialSites sites({{"127.0.0.2", kAnswers}});
  start_in_part(sites, {"127.0.0.2"});
  ASSERT_TRUE(over_within(kSlack));
  EXPECT_EQ(winner(), "127.0.0.2");
}

TEST_F(DialerRaceTest, WaitsForTheLateFamilyWhenTheFirstHasFailed) {
  const DialSites sites({{"127.0.0.2", kRefuses}, {"::1", kAnswers}});
  for (const bool there_is_more : {true, false}) {
    recorder_.ends = 0;
    recorder_.dialed.reset();
    start_in_part(sites, {"127.0.0.2"});
    EXPECT_FALSE(over_within(50ms));
    there_is_more ? answer_rest({"127.0.0.2", "::1"}) : answer_rest({"127.0.0.2"});
    ASSERT_TRUE(over_within(kSlack));
    EXPECT_EQ(winner(), there_is_more ? "::1" : "none");
    EXPECT_EQ(recorder_.code(), there_is_more ? "none" : "connection_refused");
    if (there_is_more) continue;
    EXPECT_THAT(recorder_.error->detail, Not(HasSubstr("tried"))) << "the one address, once";
  }
}

// Neither limit makes a refusal a timeout.
TEST_F(DialerRaceTest, SaysWhatFailedWhenALimitEndsTheWaitForTheLateFamily) {
  const DialSites sites({{"127.0.0.2", kRefuses}});
  for (const DialLimits& limits : {DialLimits{.resolve = 60ms}, DialLimits{.connect = 60ms}}) {
    recorder_.ends = 0;
    const auto before = loop_.now();
    start_in_part(sites, {"127.0.0.2"}, limits);
    ASSERT_TRUE(over_within(60ms + kSlack));
    EXPECT_GE(recorder_.ended_at - before, 60ms);
    EXPECT_EQ(recorder_.code(), "connection_refused");
    EXPECT_EQ(recorder_.error->limit_key, "");
    EXPECT_EQ(resolver_.waiting, nullptr);
  }
}

TEST_F(DialerRaceTest, WaitsForTheLateFamilyWhereEgressForbidsTheFirst) {
  const DialSites sites({{"::1", kAnswers}});
  forbid({"127.0.0.0/8"});
  start_in_part(sites, {"127.0.0.2"});
  EXPECT_FALSE(over_within(20ms));
  answer_rest({"127.0.0.2", "::1"});
  ASSERT_TRUE(over_within(kSlack));
  EXPECT_EQ(winner(), "::1");
}

TEST_F(DialerRaceTest, ClosesEverySocketWhenItIsCancelled) {
  const DialSites sites({{"127.0.0.2", kSilent}, {"127.0.0.3", kSilent}, {"127.0.0.4", kRefuses}});
  const std::size_t descriptors = open_descriptors();
  const struct {
    std::vector<std::string> first;
    Duration after;
    std::size_t open;
  } points[] = {{{"127.0.0.2"}, 20ms, 1},
                {{"127.0.0.2", "127.0.0.3"}, kDelay + 50ms, 2},
                {{"127.0.0.4"}, 20ms, 0}};
  for (const auto& point : points) {
    recorder_.ends = 0;
    start_in_part(sites, point.first, {.resolve = 1s, .connect = 1s});
    EXPECT_FALSE(over_within(point.after));
    EXPECT_EQ(open_descriptors(), descriptors + point.open);
    recorder_.pending.reset();
    EXPECT_EQ(open_descriptors(), descriptors);
    EXPECT_EQ(resolver_.waiting, nullptr);
    EXPECT_FALSE(over_within(20ms));
  }
}

TEST_F(DialerRaceTest, DoesNotTryASilentAddressAgainFirst) {
  const DialSites sites({{"127.0.0.2", kSilent}, {"127.0.0.3", kAnswers}, {"127.0.0.4", kAnswers}});
  resolver_.addresses = tried_in_order({"127.0.0.2", "127.0.0.3", "127.0.0.4"});
  dial_name(sites);
  EXPECT_GE(connecting(), kDelay);
  for (int i = 0; i < 6; ++i) {
    dial_name(sites);
    EXPECT_LT(connecting(), kSlack) << i;
  }
}

TEST_F(DialerRaceTest, BeginsWithTheFamilyThatWonLast) {
  resolver_.addresses = addresses({"127.0.0.1", "::1"});
  const DialSites one({{"::1", kRefuses}, {"127.0.0.1", kAnswers}});
  dial_name(one);
  EXPECT_EQ(winner(), "127.0.0.1");
  const DialSites both({{"::1", kAnswers}, {"127.0.0.1", kAnswers}});
  dial_name(both);
  EXPECT_EQ(winner(), "127.0.0.1");
}

TEST_F(DialerRaceTest, SpreadsOverTheAddressesOfAName) {
  const std::vector<std::string> ips = {"127.0.0.2", "127.0.0.3", "127.0.0.4", "127.0.0.5"};
  const DialSites sites(
      {{ips[0], kAnswers}, {ips[1], kAnswers}, {ips[2], kAnswers}, {ips[3], kAnswers}});
  resolver_.addresses = addresses(ips);
  std::map<std::string, int> dials;
  for (int i = 0; i < 400; ++i) {
    ASSERT_TRUE(dial_name(sites).dialed);
    ++dials[winner()];
  }
  for (const std::string& ip : ips) EXPECT_EQ(dials[ip], 100) << ip;
}

TEST_F(DialerRaceTest, RemembersAnAddressOnWhichTheLimitCameFirst) {
  const DialSites sites({{"127.0.0.2", kSilent}, {"127.0.0.3", kAnswers}});
  resolver_.addresses = tried_in_order({"127.0.0.2", "127.0.0.3"});
  EXPECT_EQ(dial_name(sites, {.connect = 40ms}).code(), "connection_timeout");
  for (int i = 0; i < 4; ++i) {
    dial_name(sites, {.connect = kSlack});
    EXPECT_EQ(winner(), "127.0.0.3") << i;
  }
}

TEST_F(DialerRaceTest, RemembersAFailedHandshakeButEndsWithIt) {
  const DialSites sites({{"127.0.0.2", kAnswers}, {"127.0.0.3", kAnswers}});
  resolver_.addresses = tried_in_order({"127.0.0.2", "127.0.0.3"});
  DialTarget to = target(kName, sites.port());
  to.tls = make_context("", unverified());
  dial(to, {.tls_handshake = 40ms});
  EXPECT_EQ(recorder_.error->limit_key, "timeouts.tls_handshake");
  for (int i = 0; i < 4; ++i) {
    dial_name(sites);
    EXPECT_EQ(winner(), "127.0.0.3") << i;
  }
}

TEST_F(DialerRaceTest, LetsTheLookUpGoOnceItIsConnected) {
  const DialSites sites({{"127.0.0.2", kAnswers}});
  resolver_.at_once = false;
  DialTarget to = target(kName, sites.port());
  to.tls = make_context("", unverified());
  start(to);
  ASSERT_TRUE(runner_.until([&] { return resolver_.waiting != nullptr; }));
  resolver_.addresses = addresses({"127.0.0.2"});
  resolver_.answer_in_part();
  ASSERT_TRUE(runner_.until([&] { return recorder_.phases.back() == Phase::kTlsHandshake; }));
  EXPECT_EQ(resolver_.waiting, nullptr);
}

}  // namespace
}  // namespace penstock
