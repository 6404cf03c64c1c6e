// Connections that are likely dead: by what the server said or did before, after a suspend, or
// since another one died.
#include <gtest/gtest.h>

#include "pool_world.h"

namespace penstock {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr HostLimits kPlenty{
    .max_connections = 8, .max_idle = 8, .max_waiting = 9, .idle_timeout = seconds(55)};

TEST_F(HostPoolTest, ServersTimeoutLessASecondShortensIdling) {
  connect().release({.timeout = seconds(5)});
  clock_.advance(seconds(4) - milliseconds(1));
  EXPECT_TRUE(dialer().peer(0).open());
  clock_.advance(milliseconds(1) + TimerWheel::kTick);
  EXPECT_FALSE(dialer().peer(0).open());
  EXPECT_EQ(closed(CloseReason::kIdleTimeout), 1U);
}

TEST_F(HostPoolTest, ServersTimeoutNeverLengthensIdling) {
  connect().release({.timeout = hours(1)});
  clock_.advance(seconds(55) + TimerWheel::kTick);
  EXPECT_FALSE(dialer().peer(0).open());
}

TEST_F(HostPoolTest, ServersTimeoutOfASecondIsNotPooledButServesWhoWaits) {
  set_limits({.max_connections = 1, .max_idle = 1, .max_waiting = 9, .idle_timeout = {}});
  Client& first = connect();
  Client& second = acquire();
  first.release({.timeout = seconds(1)});
  ASSERT_TRUE(second.leasing());
  second.release();
  EXPECT_EQ(books(), (Books{0, 0, 0, 0})) << "what it said before still holds";
  EXPECT_EQ(closed(CloseReason::kServerClose), 1U);
}

TEST_F(HostPoolTest, ServersMaxIsHowManyMoreItServes) {
  connect().release({.more_requests = 2});
  acquire().release();
  EXPECT_EQ(books(), (Books{0, 1, 0, 0}));
  acquire().release();
  EXPECT_EQ(books(), (Books{0, 0, 0, 0}));
  EXPECT_EQ(closed(CloseReason::kServerClose), 1U);
}

TEST_F(HostPoolTest, ServersMaxIsRenewedByEachResponse) {
  connect().release({.more_requests = 1});
  for (int i = 0; i < 5; ++i) acquire().release({.more_requests = 1});
  EXPECT_EQ(books(), (Books{0, 1, 0, 0}));
  acquire().release({.more_requests = 0});
  EXPECT_EQ(books(), (Books{0, 0, 0, 0}));
}

TEST_F(HostPoolTest, ShorterTimeComesFirstThoughItsConnectionCameLast) {
  set_limits(kPlenty);
  Client& one = connect();
  Client& other = connect();
  one.release();
  other.release({.timeout = seconds(3)});
  clock_.advance(seconds(2) + TimerWheel::kTick);
  EXPECT_TRUE(dialer().peer(0).open());
  EXPECT_FALSE(dialer().peer(1).open());
}

TEST_F(HostPoolTest, ServersIdleLimitIsLearnedFromItsCloses) {
  for (std::size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(snapshot().learned_idle, std::nullopt);
    connect().release();
    clock_.advance(seconds(10));
    dialer().peer(i).send_eof();
    EXPECT_TRUE(dialer().peer(i).turn());
  }
  EXPECT_EQ(snapshot().learned_idle, seconds(10));
  connect().release();
  clock_.advance(seconds(9) + TimerWheel::kTick);
  EXPECT_FALSE(dialer().peer(3).open()) << "before the server does it";
  EXPECT_EQ(closed(CloseReason::kIdleTimeout), 1U);
}

TEST_F(HostPoolTest, LearnedLimitHoldsForWhatIsIdleAlready) {
  set_limits(kPlenty);
  for (std::size_t i = 0; i < 3; ++i) {
    connect().release();
    if (i == 2) connect().release();
    clock_.advance(seconds(10));
    dialer().peer(i).send_eof();
    if (i == 2) clock_.advance(milliseconds(1));
    dialer().peer(i).turn();
  }
  clock_.advance(TimerWheel::kTick);
  EXPECT_EQ(books(), (Books{0, 0, 0, 0}));
}

TEST_F(HostPoolTest, CloseOfAConnectionThatNobodyUsedTeachesNothing) {
  for (std::size_t i = 0; i < 3; ++i) {
    acquire().cancel();
    dialer().complete();
    clock_.advance(seconds(10));
    dialer().peer(i).send_eof();
    dialer().peer(i).turn();
  }
  EXPECT_EQ(closed(CloseReason::kPeerClosedIdle), 3U);
  EXPECT_EQ(snapshot().learned_idle, std::nullopt);
}

// Users: suspended laptop.
TEST_F(HostPoolTest, WhatWasSleptThroughIsNotUsed) {
  set_limits(kPlenty);
  fill_idle(3);
  clock_.advance(milliseconds(50));
  clock_.sleep(hours(8));
  Client& client = acquire();
  EXPECT_TRUE(client.waiting());
  EXPECT_EQ(books(), (Books{1, 0, 0, 0}));
  EXPECT_EQ(closed(CloseReason::kIdleTimeout), 3U);
  clock_.advance(milliseconds(1));
  dialer().complete();
  client.release();
  clock_.advance(seconds(1));
  EXPECT_TRUE(acquire().leasing()) << "what came after the sleep is trusted";
}

TEST_F(HostPoolTest, NapIsNoSleep) {
  fill_idle(1);
  clock_.advance(milliseconds(50));
  clock_.sleep(seconds(4));
  EXPECT_TRUE(acquire().leasing());
}

TEST_F(HostPoolTest, SweepEndsWhatWasSleptThrough) {
  set_limits(kPlenty);
  fill_idle(1);
  clock_.advance(seconds(30));
  fill_idle(2);
  clock_.sleep(hours(8));
  clock_.advance(seconds(25) + TimerWheel::kTick);
  EXPECT_EQ(books(), (Books{0, 0, 0, 0}));
}

TEST_F(HostPoolTest, OldOneThatWasSleptThroughIsPassedOverForAFreshOne) {
  HostLimits limits = kPlenty;
  limits.order = PoolOrder::kFifo;
  set_limits(limits);
  Client& busy = connect();
  fill_idle(2);
  clock_.advance(milliseconds(50));
  clock_.sleep(hours(1));
  EXPECT_EQ(workers_[0].pool.woke_at(), clock_.now()) << "another host has found it out";
  clock_.advance(milliseconds(50));
  busy.release();
  clock_.advance(milliseconds(50));
  EXPECT_EQ(acquire().connection_id(), 1U);
  EXPECT_EQ(books(), (Books{0, 0, 1, 0}));
}

TEST_F(HostPoolTest, WhoMayNotRepeatTakesTheFreshest) {
  HostLimits limits = kPlenty;
  limits.order = PoolOrder::kFifo;
  set_limits(limits);
  fill_idle(3);
  Client& careful = client();
  careful.acquire([&](AcquireHandler& handler) {
    return host_.acquire(workers_[0].pool, make_flavor(), DialLimits{}, handler,
                         {.prefers_recent = true});
  });
  EXPECT_EQ(careful.connection_id(), 3U);
}

TEST_F(HostPoolTest, ReusedConnectionThatDiedTakesOlderIdleOnesWithIt) {
  set_limits(kPlenty);
  fill_idle(2);
  Client& reused = acquire();
  clock_.advance(milliseconds(1));
  Client& other = acquire();
  connect().release();  // younger than both
  other.release();
  EXPECT_EQ(books(), (Books{0, 2, 1, 0}));
  dialer().peer(1).send_eof();
  reused.close(CloseReason::kError);
  EXPECT_EQ(books(), (Books{0, 1, 0, 0}));
  EXPECT_EQ(acquire().connection_id(), 3U);
}

TEST_F(HostPoolTest, FailureOfALivingConnectionIsItsOwn) {
  set_limits(kPlenty);
  fill_idle(2);
  acquire().close(CloseReason::kError);  // say a response that makes no sense
  EXPECT_EQ(books(), (Books{0, 1, 0, 0}));
}

TEST_F(HostPoolTest, FirstUseThatDiesIsItsOwn) {
  set_limits(kPlenty);
  fill_idle(1);
  Client& busy = acquire();
  Client& fresh = connect();
  busy.release();
  dialer().peer(1).send_eof();
  fresh.close(CloseReason::kError);
  EXPECT_EQ(books(), (Books{0, 1, 0, 0}));
}

}  // namespace
}  // namespace penstock
