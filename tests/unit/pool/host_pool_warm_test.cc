// pool.min_idle: opened before anybody asks, kept, replaced before it goes, and left alone while
// the upstream is down.
#include <gtest/gtest.h>

#include "pool_world.h"

namespace penstock {
namespace {

using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;

constexpr Duration kCheck = milliseconds(100) + TimerWheel::kTick;

// Two workers: four are two for each.
constexpr HostLimits kFour{
    .max_connections = 8, .max_idle = 8, .max_waiting = 9, .idle_timeout = {}, .min_idle = 4};

class WarmTest : public HostPoolTest {
 protected:
  void keep_warm(const HostLimits& limits, std::size_t worker = 0) {
    set_limits(limits);
    ASSERT_TRUE(host_.keep_warm(workers_[worker].pool, make_flavor(), DialLimits{}));
  }
  void complete_all() {
    while (dialer().in_flight() > 0) dialer().complete();
  }
};

TEST_F(WarmTest, OpensItsShareAtOnce) {
  keep_warm(kFour);
  EXPECT_EQ(books(), (Books{2, 0, 0, 0}));
  complete_all();
  EXPECT_EQ(books(), (Books{0, 2, 0, 0}));
  keep_warm(kFour, 1);
  EXPECT_EQ(workers_[1].dialer.in_flight(), 2U);
}

TEST_F(WarmTest, SharesAddUpToAnOddNumber) {
  HostLimits limits = kFour;
  limits.min_idle = 5;
  keep_warm(limits);
  keep_warm(limits, 1);
  EXPECT_EQ(workers_[0].dialer.in_flight(), 3U);
  EXPECT_EQ(workers_[1].dialer.in_flight(), 2U);
}

TEST_F(WarmTest, RequestTakesADialThatIsUnderWay) {
  keep_warm(kFour);
  Client& client = acquire();
  EXPECT_EQ(dialer().started(), 2U);
  dialer().complete();
  EXPECT_TRUE(client.leasing());
}

TEST_F(WarmTest, ShortUseCostsNoDial) {
  keep_warm(kFour);
  complete_all();
  for (int i = 0; i < 50; ++i) {
    Client& client = acquire();
    clock_.advance(milliseconds(90));
    client.release();
    clock_.advance(milliseconds(20));
  }
  EXPECT_EQ(dialer().started(), 2U);
}

TEST_F(WarmTest, LongUseIsMadeUpFor) {
  keep_warm(kFour);
  complete_all();
  Client& client = acquire();
  clock_.advance(kCheck);
  EXPECT_EQ(books(), (Books{1, 1, 1, 0}));
  complete_all();
  client.release();
  EXPECT_EQ(books(), (Books{0, 3, 0, 0}));
}

TEST_F(WarmTest, ClosedOneIsMadeUpFor) {
  keep_warm(kFour);
  complete_all();
  clock_.advance(seconds(30));
  dialer().peer(0).send_eof();
  dialer().peer(0).turn();
  EXPECT_EQ(books(), (Books{0, 1, 0, 0}));
  clock_.advance(kCheck);
  EXPECT_EQ(books(), (Books{1, 1, 0, 0}));
}

TEST_F(WarmTest, IsReplacedBeforeItGoes) {
  HostLimits limits = kFour;
  limits.idle_timeout = seconds(50);
  keep_warm(limits);
  complete_all();
  clock_.advance(seconds(49) + TimerWheel::kTick);
  EXPECT_EQ(books(), (Books{2, 2, 0, 0}));
  complete_all();
  EXPECT_EQ(books(), (Books{0, 4, 0, 0}));
  clock_.advance(seconds(1));
  EXPECT_EQ(books(), (Books{0, 2, 0, 0}));
  EXPECT_EQ(closed(CloseReason::kIdleTimeout), 2U);
}

TEST_F(WarmTest, IsReplacedBeforeItsLifetimeEnds) {
  HostLimits limits = kFour;
  limits.max_lifetime = minutes(10);
  keep_warm(limits);
  complete_all();
  std::uint32_t fewest = 9;
  for (int second = 0; second < 700; ++second) {
    clock_.advance(seconds(1));
    complete_all();
    fewest = std::min(fewest, snapshot().idle);
  }
  EXPECT_EQ(fewest, 2U);
  EXPECT_EQ(closed(CloseReason::kMaxLifetime), 2U);
  EXPECT_EQ(dialer().started(), 4U);
}

TEST_F(WarmTest, WithoutAPermitItIsReplacedAfterwards) {
  HostLimits limits = kFour;
  limits.max_connections = limits.max_idle = 2;
  limits.idle_timeout = seconds(50);
  keep_warm(limits);
  complete_all();
  clock_.advance(seconds(50) - milliseconds(1));
  EXPECT_EQ(books(), (Books{0, 2, 0, 0}));
  clock_.advance(milliseconds(1) + TimerWheel::kTick);
  EXPECT_EQ(books(), (Books{2, 0, 0, 0}));
}

TEST_F(WarmTest, FailuresAreFollowedByLongerAndLongerPauses) {
  HostLimits limits = kFour;
  limits.min_idle = 2;  // one each
  keep_warm(limits);
  Duration longest{};
  Duration waited{};
  for (int failures = 0; failures < 12; ++failures) {
    ASSERT_EQ(dialer().in_flight(), 1U);
    dialer().fail();
    EXPECT_EQ(dialer().in_flight(), 0U);
    for (waited = {}; dialer().in_flight() == 0 && waited < seconds(20); waited += milliseconds(10))
      clock_.advance(milliseconds(10));
    if (failures == 0) {
      EXPECT_LE(waited, milliseconds(120));
      EXPECT_GE(waited, milliseconds(50));
    }
    longest = std::max(longest, waited);
  }
  EXPECT_LE(longest, seconds(10) + milliseconds(20));
  EXPECT_GE(waited, seconds(5)) << "the last ones";
}

TEST_F(WarmTest, PauseDoesNotHoldUpARequest) {
  keep_warm(kFour);
  dialer().fail();
  dialer().fail();
  EXPECT_EQ(books(), (Books{0, 0, 0, 0}));
  acquire();
  EXPECT_EQ(books(), (Books{1, 0, 0, 0}));
}

TEST_F(WarmTest, UpstreamThatClosesWhatNobodyUsedIsLeftAlone) {
  HostLimits limits = kFour;
  limits.min_idle = 2;
  keep_warm(limits);
  for (int seconds_passed = 0; seconds_passed < 60; ++seconds_passed) {
    if (dialer().in_flight() > 0) {
      FakePeer& peer = dialer().complete();
      peer.send_eof();
      peer.turn();
    }
    clock_.advance(seconds(1));
  }
  EXPECT_LT(dialer().started(), 20U);
}

TEST_F(WarmTest, NoMoreAreDialledThanTheProcessMayHaveIdle) {
  registry_.bounds().set_limits({.max_idle = 1});
  keep_warm(kFour);
  for (int i = 0; i < 100; ++i) {
    complete_all();
    clock_.advance(milliseconds(100));
  }
  EXPECT_EQ(books(), (Books{0, 1, 0, 0}));
  EXPECT_EQ(dialer().started(), 1U);
  registry_.bounds().set_limits({.max_idle = 9});
  clock_.advance(seconds(1) + TimerWheel::kTick);
  EXPECT_EQ(books(), (Books{1, 1, 0, 0})) << "once there is room";
}

// By either worker, its own and another that takes it over for this.
TEST_F(WarmTest, EvictedBeforeItWasUsedIsDialledAfterLongerAndLongerPauses) {
  HostLimits limits = kFour;
  limits.min_idle = 2;  // one each
  keep_warm(limits);
  for (int i = 0; i < 600; ++i) {
    complete_all();
    if (snapshot().idle > 0) {
      EXPECT_TRUE(registry_.bounds().idle.evict_coldest(workers_[i % 2].pool));
    }
    clock_.advance(milliseconds(100));
  }
  EXPECT_LT(dialer().started(), 20U);
}

TEST_F(WarmTest, SweptAtOnceItIsDialledAfterLongerAndLongerPauses) {
  HostLimits limits = kFour;
  limits.min_idle = 2;
  limits.idle_timeout = milliseconds(50);
  keep_warm(limits);
  for (int i = 0; i < 6000; ++i) {
    complete_all();
    clock_.advance(milliseconds(10));
  }
  EXPECT_LT(dialer().started(), 50U);
}

TEST_F(WarmTest, ShortIdleTimeoutIsNoReasonForAPause) {
  HostLimits limits = kFour;
  limits.min_idle = 2;
  limits.idle_timeout = seconds(5);
  keep_warm(limits);
  std::uint32_t fewest = 9;
  for (int i = 0; i < 600; ++i) {
    complete_all();
    fewest = std::min(fewest, snapshot().idle);
    clock_.advance(milliseconds(100));
  }
  EXPECT_EQ(fewest, 1U);
}

TEST_F(WarmTest, WhoWaitsComesFirst) {
  HostLimits limits = kFour;
  limits.max_connecting = 1;
  set_limits(limits);
  acquire(make_flavor(kIdentity, false));
  acquire(make_flavor(kIdentity, false));
  keep_warm(limits);
  dialer().complete();
  EXPECT_EQ(dialer().target().port, 80) << "the second request's";
}

TEST_F(WarmTest, StaysWithinMaxConnecting) {
  HostLimits limits = kFour;
  limits.min_idle = 8;
  limits.max_connecting = 1;
  keep_warm(limits);
  for (std::uint32_t have = 1; have <= 4; ++have) {
    EXPECT_EQ(dialer().in_flight(), 1U);
    dialer().complete();
    EXPECT_EQ(snapshot().idle, have);
  }
  EXPECT_EQ(dialer().in_flight(), 0U);
}

TEST_F(WarmTest, IdleOnesOfAnotherFlavorDoNotCount) {
  set_limits(kFour);
  connect(make_flavor(kIdentity, false)).release();
  keep_warm(kFour);
  EXPECT_EQ(dialer().in_flight(), 2U);
}

TEST_F(WarmTest, PoolThatKeepsSomethingWarmIsInUse) {
  keep_warm(kFour);
  dialer().fail();
  dialer().fail();
  EXPECT_FALSE(host_.retire_if_unused(clock_.now(), Duration(0)));
  EXPECT_FALSE(host_.retire_if_unused(clock_.now(), Duration(0)));
}

}  // namespace
}  // namespace penstock
