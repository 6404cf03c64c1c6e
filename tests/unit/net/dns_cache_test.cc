// DnsCache on a turned clock: how long what is kept, what is to be asked anew when, and that it
// stays small.
#include "net/dns_cache.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace penstock {
namespace {

using namespace std::chrono_literals;
using Names = std::vector<std::string>;

constexpr const char* kHost = "api.example.test";

class DnsCacheTest : public testing::Test {
 protected:
  static DnsAnswer good(Duration ttl, const std::string& ip = "192.0.2.1") {
    return {.addresses = {*SocketAddress::from_ip(ip, 0)},
            .ttl = ttl,
            .ipv4_answered = true,
            .ipv6_answered = true};
  }
  static DnsAnswer negative() {
    return {.error = Error{.code = ErrorCode::kDnsError, .detail = "gone"}, .negative = true};
  }
  static DnsAnswer failure(ErrorCode code = ErrorCode::kDnsError) {
    return {.error = Error{.code = code, .detail = "down"}};
  }

  std::vector<AddressChange> store(const DnsAnswer& answer) {
    return cache_.store(kHost, answer, now_);
  }
  DnsState state() { return cache_.find(kHost, now_).state; }
  // The state just before and at the end of `time`.
  void expect_lasts(DnsState expected, Duration time) {
    now_ += time - 1ns;
    EXPECT_EQ(state(), expected);
    now_ += 1ns;
    EXPECT_NE(state(), expected);
  }
  // A name in use whose answer expired and whose look-ups fail.
  void become_stale() {
    store(good(60s));
    state();
    now_ += 60s;
    store(failure());
  }

  DnsCacheLimits limits_;
  DnsCache cache_{limits_};
  MonotonicTime now_{1h};
};

TEST_F(DnsCacheTest, KnowsNothingAtFirst) {
  EXPECT_EQ(state(), DnsState::kUnknown);
  EXPECT_EQ(cache_.size(), 0u) << "a question is no entry";
  EXPECT_EQ(cache_.next_due(), kForever);
}

TEST_F(DnsCacheTest, KeepsAnAnswerForItsTtl) {
  store(good(30s));
  EXPECT_EQ(cache_.find(kHost, now_).addresses->front().ip(), "192.0.2.1");
  expect_lasts(DnsState::kFresh, 30s);
}

TEST_F(DnsCacheTest, KeepsAShortAnswerForTheMinimum) {
  store(good(0s));
  expect_lasts(DnsState::kFresh, limits_.min_ttl);
}

TEST_F(DnsCacheTest, KeepsALongAnswerForTheMaximum) {
  store(good(24h));
  expect_lasts(DnsState::kFresh, limits_.max_ttl);
}

TEST_F(DnsCacheTest, LooksAtTheHostsFileOftenWhateverTheLimits) {
  limits_.min_ttl = 1min;
  cache_.set_limits(limits_);
  DnsAnswer answer = good(0s);
  answer.from_hosts_file = true;
  store(answer);
  expect_lasts(DnsState::kFresh, DnsCache::kHostsFileTtl);
}

TEST_F(DnsCacheTest, KeepsANegativeAnswerForItsTime) {
  store(negative());
  EXPECT_EQ(cache_.find(kHost, now_).error->detail, "gone");
  expect_lasts(DnsState::kNegative, *limits_.negative_ttl);
}

TEST_F(DnsCacheTest, DoesNotKeepNegativeAnswersWhenThatIsOff) {
  limits_.negative_ttl.reset();
  cache_.set_limits(limits_);
  store(negative());
  EXPECT_EQ(state(), DnsState::kUnknown);
  store(failure());
  EXPECT_EQ(state(), DnsState::kUnknown);
}

TEST_F(DnsCacheTest, HoldsAFailureThatCameAtOnceForASecondAndATimeoutNot) {
  store(failure());
  expect_lasts(DnsState::kFailed, DnsCache::kFailureHold);
  store(failure(ErrorCode::kDnsTimeout));
  EXPECT_EQ(state(), DnsState::kUnknown);
}

TEST_F(DnsCacheTest, RefreshesANameInUseBeforeItsEnd) {
  store(good(100s));
  EXPECT_EQ(state(), DnsState::kFresh);
  EXPECT_EQ(cache_.next_due(), now_ + 90s);
  now_ += 90s - 1ns;
  EXPECT_EQ(cache_.take_due(now_), Names{});
  now_ += 1ns;
  EXPECT_EQ(cache_.take_due(now_), Names{kHost});
  EXPECT_FALSE(cache_.find(kHost, now_).refresh) << "it is being looked up";
  EXPECT_EQ(cache_.next_due(), kForever);
  store(good(100s));
  EXPECT_EQ(cache_.next_due(), now_ + 90s);
}

TEST_F(DnsCacheTest, LeavesAShortAnswerHalfOfItsLifeToRefresh) {
  store(good(1s));
  EXPECT_EQ(cache_.next_due(), now_ + 500ms);
  store(good(5s));
  EXPECT_EQ(cache_.next_due(), now_ + 4s);
}

TEST_F(DnsCacheTest, DoesNotRefreshANameThatNobodyAskedForSince) {
  store(good(100s));
  state();
  now_ += 90s;
  EXPECT_EQ(cache_.take_due(now_), Names{kHost});
  store(good(100s));
  now_ += 90s;
  EXPECT_EQ(cache_.take_due(now_), Names{});
}

TEST_F(DnsCacheTest, RefreshesForWhoeverAsksShortlyBeforeTheEndAndTellsOneOnly) {
  store(good(100s));
  now_ += 95s;
  EXPECT_EQ(cache_.take_due(now_), Names{});
  EXPECT_TRUE(cache_.find(kHost, now_).refresh);
  EXPECT_FALSE(cache_.find(kHost, now_).refresh);
  store(good(100s));
  EXPECT_FALSE(cache_.find(kHost, now_).refresh);
}

TEST_F(DnsCacheTest, KeepsANameFreshThatIsUsedOtherwise) {
  EXPECT_TRUE(cache_.keep_fresh(kHost, now_)) << "it is not known";
  store(good(100s));
  EXPECT_FALSE(cache_.keep_fresh(kHost, now_));
  now_ += 90s;
  EXPECT_EQ(cache_.take_due(now_), Names{kHost});
  store(good(10s));
  now_ += 20s;
  EXPECT_TRUE(cache_.keep_fresh(kHost, now_)) << "it has expired";
  store(good(100s));
  now_ += 95s;
  EXPECT_TRUE(cache_.keep_fresh(kHost, now_)) << "it expires soon";
}

TEST_F(DnsCacheTest, NeverServesAnAnswerThatMerelyExpired) {
  store(good(60s));
  state();
  now_ += 60s;
  EXPECT_EQ(state(), DnsState::kUnknown);
}

TEST_F(DnsCacheTest, ServesAnExpiredAnswerWhileRefreshesFailForSoLong) {
  become_stale();
  EXPECT_EQ(state(), DnsState::kStale);
  EXPECT_NE(cache_.find(kHost, now_).addresses, nullptr);
  expect_lasts(DnsState::kStale, *limits_.serve_stale);
}

TEST_F(DnsCacheTest, ServesNoExpiredAnswerWhenThatIsOff) {
  limits_.serve_stale.reset();
  cache_.set_limits(limits_);
  become_stale();
  EXPECT_EQ(state(), DnsState::kFailed);
}

TEST_F(DnsCacheTest, ServesNoExpiredAnswerOnceTheNameIsGone) {
  become_stale();
  store(negative());
  EXPECT_EQ(state(), DnsState::kNegative);
}

TEST_F(DnsCacheTest, EndsServingStaleWithTheNextGoodAnswer) {
  become_stale();
  store(good(60s, "192.0.2.2"));
  EXPECT_EQ(state(), DnsState::kFresh);
  now_ += 60s;
  EXPECT_EQ(state(), DnsState::kUnknown);
}

TEST_F(DnsCacheTest, RepeatsAFailedRefreshWithGrowingPauses) {
  store(good(60s));
  state();
  now_ += 54s;
  std::vector<Duration> pauses;
  for (int i = 0; i < 8; ++i) {
    ASSERT_EQ(cache_.take_due(now_), Names{kHost});
    store(failure(ErrorCode::kDnsTimeout));
    pauses.push_back(cache_.next_due() - now_);
    now_ = cache_.next_due();
  }
  EXPECT_EQ(pauses, (std::vector<Duration>{1s, 2s, 4s, 8s, 16s, 30s, 30s, 30s}));
}

TEST_F(DnsCacheTest, ForgetsNamesThatNobodyAsksFor) {
  store(good(60s));
  EXPECT_EQ(cache_.take_due(now_ + 54s), Names{});
  const MonotonicTime end = cache_.next_due();
  EXPECT_EQ(end, now_ + 60s + *limits_.serve_stale);
  EXPECT_EQ(cache_.take_due(end), Names{});
  EXPECT_EQ(cache_.size(), 0u);
  EXPECT_EQ(cache_.next_due(), kForever);
}

TEST_F(DnsCacheTest, ForgetsErrorsSoon) {
  store(negative());
  cache_.take_due(cache_.next_due());
  EXPECT_EQ(cache_.size(), 0u);
  store(failure(ErrorCode::kDnsTimeout));
  cache_.take_due(cache_.next_due());
  EXPECT_EQ(cache_.size(), 0u);
}

TEST_F(DnsCacheTest, HoldsSoManyNamesAndDropsTheOneAskedForLongestAgo) {
  cache_.store("popular.test", good(5min), now_);
  for (int i = 0; i < 100'000; ++i) {
    cache_.store("n" + std::to_string(i) + ".test", good(5min), now_);
    cache_.find("popular.test", now_);
  }
  EXPECT_EQ(cache_.size(), limits_.max_names);
  EXPECT_EQ(cache_.find("popular.test", now_).state, DnsState::kFresh);
  EXPECT_EQ(cache_.find("n99999.test", now_).state, DnsState::kFresh);
  EXPECT_EQ(cache_.find("n0.test", now_).state, DnsState::kUnknown);
}

TEST_F(DnsCacheTest, AsksAnewAfterTheServersHaveChanged) {
  store(good(60s));
  state();
  cache_.store("unused.test", good(60s), now_);
  cache_.invalidate_all(now_);
  EXPECT_EQ(state(), DnsState::kUnknown);
  EXPECT_EQ(cache_.take_due(now_), Names{kHost});
}

TEST_F(DnsCacheTest, ServesNoStaleAnswerOfOtherServers) {
  become_stale();
  cache_.invalidate_all(now_);
  store(failure());
  EXPECT_EQ(state(), DnsState::kFailed);
}

TEST_F(DnsCacheTest, TellsWhichAddressesHaveLeft) {
  store(good(1min, "192.0.2.1"));
  EXPECT_TRUE(store(good(1min, "192.0.2.2")).empty());
  now_ += *limits_.forget_after;
  const auto changes = store(good(1min, "192.0.2.2"));
  ASSERT_EQ(changes.size(), 1u);
  EXPECT_TRUE(changes[0].left);
  EXPECT_EQ(changes[0].address.ip(), "192.0.2.1");
}

TEST_F(DnsCacheTest, TellsNothingWhenForgettingIsOff) {
  limits_.forget_after.reset();
  cache_.set_limits(limits_);
  store(good(1min, "192.0.2.1"));
  store(good(1min, "192.0.2.2"));
  now_ += 24h;
  EXPECT_TRUE(store(good(1min, "192.0.2.2")).empty());
}

// A server that fails for a moment must not make an address that returns look like a new one.
TEST_F(DnsCacheTest, RemembersTheAddressesOfANameThatIsGoneForAWhile) {
  store(good(1min, "192.0.2.1"));
  store(good(1min, "192.0.2.2"));
  now_ += *limits_.forget_after;
  store(good(1min, "192.0.2.2"));
  state();
  store(negative());
  now_ += 1min;
  cache_.take_due(now_);
  const auto changes = store(good(1min, "192.0.2.1"));
  ASSERT_EQ(changes.size(), 1u);
  EXPECT_FALSE(changes[0].left);
}

TEST_F(DnsCacheTest, ShowsWhatItKnows) {
  become_stale();
  cache_.store("new.test", good(10s, "192.0.2.9"), now_);
  const auto rows = cache_.snapshot(now_, 10);
  ASSERT_EQ(rows.size(), 2u);
  EXPECT_EQ(rows[0].host, "new.test");
  EXPECT_EQ(rows[0].state, DnsState::kFresh);
  EXPECT_EQ(rows[0].addresses, Names{"192.0.2.9"});
  EXPECT_EQ(rows[0].expires_in, 10s);
  EXPECT_EQ(rows[1].state, DnsState::kStale);
  EXPECT_EQ(rows[1].last_error, "down");
  EXPECT_EQ(cache_.snapshot(now_, 1).size(), 1u);
}

}  // namespace
}  // namespace penstock
