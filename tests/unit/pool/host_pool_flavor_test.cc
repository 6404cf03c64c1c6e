// Connections of different flavors under one limit.
#include <gtest/gtest.h>

#include "pool_world.h"

namespace penstock {
namespace {

TEST_F(HostPoolTest, PlaintextAndTlsNeverShareAConnection) {
  connect(make_flavor(kIdentity, true)).release();
  Client& plain = acquire(make_flavor(kIdentity, false));
  EXPECT_TRUE(plain.waiting());
  dialer().complete();
  EXPECT_EQ(books(), (Books{0, 1, 1, 0}));
  plain.release();
  EXPECT_EQ(acquire(make_flavor(kIdentity, true)).connection_id(), 1U);
}

TEST_F(HostPoolTest, ClientsOfTheNetworkGetNoConnectionThatThisMachineCaused) {
  const FlavorRef network = make_flavor(kIdentity, true, "api.test", ClientScope::kNetwork);
  connect().release();
  Client& stranger = acquire(network);
  EXPECT_TRUE(stranger.waiting());
  dialer().complete();
  stranger.release();
  EXPECT_EQ(acquire().connection_id(), 1U);
  EXPECT_EQ(acquire(network).connection_id(), 2U);
}

TEST_F(HostPoolTest, DialThatFailsSaysNothingToWaitersOfAnotherFlavor) {
  set_limits({.max_connections = 1, .max_idle = 1, .max_waiting = 9, .idle_timeout = {}});
  const FlavorRef network = make_flavor(kIdentity, true, "api.test", ClientScope::kNetwork);
  Client& busy = connect();
  Client& dialling = acquire(network);
  Client& own = acquire();
  Client& alike = acquire(network);
  Client& elsewhere = acquire(make_flavor(), 1);
  clock_.advance(std::chrono::milliseconds(1));
  busy.close();
  dialer().fail({.code = ErrorCode::kDestinationIpProhibited, .phase = Phase::kConnect});
  run_workers();
  EXPECT_TRUE(dialling.failed());
  EXPECT_TRUE(alike.failed());
  EXPECT_EQ(own.phases(), (std::vector{Phase::kQueue, Phase::kResolve}));
  EXPECT_TRUE(elsewhere.waiting());
}

TEST_F(HostPoolTest, IdleConnectionOfAnotherFlavorGivesWayAtTheCap) {
  fill_idle(2);
  Client& plain = acquire(make_flavor(kIdentity, false));
  EXPECT_EQ(plain.phases(), (std::vector{Phase::kResolve}));
  EXPECT_EQ(closed(CloseReason::kEvicted), 1U);
  EXPECT_FALSE(dialer().peer(0).open()) << "the one that was idle longest";
  EXPECT_TRUE(dialer().peer(1).open());
}

TEST_F(HostPoolTest, ReturnedConnectionGivesWayToAWaiterOfAnotherFlavor) {
  Client& one = connect();
  connect();
  Client& plain = acquire(make_flavor(kIdentity, false));
  one.release();
  EXPECT_EQ(plain.phases(), (std::vector{Phase::kQueue, Phase::kResolve}));
  EXPECT_EQ(closed(CloseReason::kEvicted), 1U);
}

TEST_F(HostPoolTest, DialThatNobodyWaitsForPassesOverWaitersOfAnotherFlavor) {
  Client& busy = connect();
  acquire();
  Client& plain = acquire(make_flavor(kIdentity, false));
  Client& fitting = acquire();
  busy.release();  // serves the first one, whose dial is left
  EXPECT_EQ(plain.phases(), (std::vector{Phase::kQueue}));
  EXPECT_EQ(fitting.phases(), (std::vector{Phase::kQueue, Phase::kResolve}));
}

TEST_F(HostPoolTest, FinishedDialOfAnotherFlavorGivesWayToAWaiter) {
  set_limits({.max_connections = 1, .max_idle = 1, .max_waiting = 9, .idle_timeout = {}});
  acquire().cancel();
  Client& plain = acquire(make_flavor(kIdentity, false));
  EXPECT_EQ(plain.phases(), (std::vector{Phase::kQueue}));
  dialer().complete();
  EXPECT_EQ(plain.phases(), (std::vector{Phase::kQueue, Phase::kResolve}));
  dialer().complete();
  EXPECT_TRUE(plain.leasing());
}

}  // namespace
}  // namespace penstock
