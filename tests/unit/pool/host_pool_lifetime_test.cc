// How old a connection becomes, how many requests it serves, and which idle one serves next.
#include <gtest/gtest.h>

#include <set>

#include "pool_world.h"

namespace penstock {
namespace {

using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;

constexpr HostLimits kTenMinutes{.max_connections = 40,
                                 .max_idle = 40,
                                 .max_waiting = 9,
                                 .idle_timeout = {},
                                 .max_lifetime = minutes(10)};

TEST_F(HostPoolTest, IdleConnectionEndsWithItsLifetime) {
  set_limits(kTenMinutes);
  fill_idle(1);
  clock_.advance(minutes(9) - milliseconds(1));
  EXPECT_TRUE(dialer().peer(0).open()) << "jitter takes a tenth at most";
  clock_.advance(minutes(1) + milliseconds(1) + TimerWheel::kTick);
  EXPECT_FALSE(dialer().peer(0).open());
  EXPECT_EQ(closed(CloseReason::kMaxLifetime), 1U);
}

TEST_F(HostPoolTest, LifetimesOfOneMomentEndOneAfterAnother) {
  set_limits(kTenMinutes);
  fill_idle(40);
  clock_.advance(minutes(9));
  std::set<std::uint32_t> counts;
  for (int i = 0; i < 60; ++i) {
    counts.insert(snapshot().idle);
    clock_.advance(seconds(1));
  }
  clock_.advance(TimerWheel::kTick);
  EXPECT_EQ(snapshot().idle, 0U);
  EXPECT_GT(counts.size(), 15U);
}

TEST_F(HostPoolTest, LifetimeNeverEndsARequest) {
  set_limits(kTenMinutes);
  Client& client = connect();
  clock_.advance(minutes(30));
  EXPECT_TRUE(dialer().peer(0).open());
  client.release();
  EXPECT_FALSE(dialer().peer(0).open());
  EXPECT_EQ(closed(CloseReason::kMaxLifetime), 1U);
}

TEST_F(HostPoolTest, ConnectionPastItsLifetimeServesNobodyThatWaits) {
  set_limits({.max_connections = 1,
              .max_idle = 1,
              .max_waiting = 9,
              .idle_timeout = {},
              .max_lifetime = minutes(10)});
  Client& busy = connect();
  Client& waiting = acquire();
  clock_.advance(minutes(10));
  busy.release();
  EXPECT_TRUE(waiting.waiting());
  EXPECT_EQ(books(), (Books{1, 0, 0, 0})) << "it gets a new one";
}

TEST_F(HostPoolTest, SweepServesBothClocks) {
  HostLimits limits = kTenMinutes;
  limits.idle_timeout = minutes(4);
  set_limits(limits);
  Client& old = connect();
  clock_.advance(minutes(8));
  connect().release();
  old.release();
  EXPECT_EQ(snapshot().idle, 2U);
  clock_.advance(minutes(2) + TimerWheel::kTick);
  EXPECT_EQ(closed(CloseReason::kMaxLifetime), 1U) << "though it was idle for two minutes only";
  EXPECT_EQ(snapshot().idle, 1U);
  clock_.advance(minutes(2) + TimerWheel::kTick);
  EXPECT_EQ(closed(CloseReason::kIdleTimeout), 1U);
}

TEST_F(HostPoolTest, LoweredLifetimeHoldsForOldConnections) {
  set_limits(kTenMinutes);
  fill_idle(2);
  clock_.advance(minutes(3));
  HostLimits limits = kTenMinutes;
  limits.max_lifetime = minutes(2);
  set_limits(limits);
  trim();
  EXPECT_EQ(closed(CloseReason::kMaxLifetime), 2U);
}

TEST_F(HostPoolTest, MaxRequestsEndsAConnectionAfterItsLast) {
  set_limits({.max_connections = 1,
              .max_idle = 1,
              .max_waiting = 9,
              .idle_timeout = {},
              .max_requests = 3});
  connect().release();
  for (int i = 0; i < 2; ++i) {
    EXPECT_EQ(closed(CloseReason::kMaxRequests), 0U);
    Client& again = acquire();
    ASSERT_TRUE(again.leasing());
    again.release();
  }
  EXPECT_EQ(closed(CloseReason::kMaxRequests), 1U);
  EXPECT_EQ(books(), (Books{0, 0, 0, 0}));
}

TEST_F(HostPoolTest, MaxRequestsOfOneStillKeepsAnUnusedConnection) {
  set_limits({.max_connections = 1,
              .max_idle = 1,
              .max_waiting = 9,
              .idle_timeout = {},
              .max_requests = 1});
  acquire().cancel();
  dialer().complete();
  EXPECT_EQ(books(), (Books{0, 1, 0, 0}));
  EXPECT_TRUE(acquire().leasing());
}

TEST_F(HostPoolTest, FifoServesTheOneIdleLongest) {
  HostLimits limits = kTenMinutes;
  limits.order = PoolOrder::kFifo;
  set_limits(limits);
  fill_idle(3);
  for (const std::uint64_t id : {1U, 2U, 3U, 1U}) {
    Client& client = acquire();
    EXPECT_EQ(client.connection_id(), id);
    client.release();
  }
}

TEST_F(HostPoolTest, FifoPassesOverAnotherFlavor) {
  HostLimits limits = kTenMinutes;
  limits.order = PoolOrder::kFifo;
  set_limits(limits);
  connect(make_flavor(kIdentity, false)).release();
  fill_idle(2);
  EXPECT_EQ(acquire().connection_id(), 2U);
}

}  // namespace
}  // namespace penstock
