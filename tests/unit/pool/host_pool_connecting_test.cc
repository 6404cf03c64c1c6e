// pool.max_connecting: how many dials are under way at once, over all workers.
#include <gtest/gtest.h>

#include "pool_world.h"

namespace penstock {
namespace {

using std::chrono::milliseconds;

constexpr HostLimits kTwoDials{.max_connections = 8,
                               .max_connecting = 2,
                               .max_idle = 8,
                               .max_waiting = 100,
                               .idle_timeout = {}};

TEST_F(HostPoolTest, NoMoreDialsAreUnderWayThanMaxConnecting) {
  set_limits(kTwoDials);
  for (int i = 0; i < 5; ++i) acquire();
  EXPECT_EQ(books(), (Books{2, 0, 0, 3}));
  EXPECT_EQ(clients_[2]->phases(), (std::vector{Phase::kQueue}));
}

TEST_F(HostPoolTest, DialThatSucceedsStartsTheNextForAWaiter) {
  set_limits(kTwoDials);
  for (int i = 0; i < 4; ++i) acquire();
  dialer().complete();
  EXPECT_TRUE(clients_[0]->leasing());
  EXPECT_EQ(books(), (Books{2, 0, 1, 1}));
  EXPECT_EQ(clients_[2]->phases(), (std::vector{Phase::kQueue, Phase::kResolve}));
}

TEST_F(HostPoolTest, DialThatFailsStartsTheNextForAWaiter) {
  set_limits(kTwoDials);
  for (int i = 0; i < 4; ++i) acquire();
  dialer().fail();
  EXPECT_TRUE(clients_[0]->failed());
  EXPECT_EQ(books(), (Books{2, 0, 0, 1}));
  EXPECT_EQ(clients_[2]->phases(), (std::vector{Phase::kQueue, Phase::kResolve}));
}

TEST_F(HostPoolTest, WaiterWithoutADialTakesWhatComesBack) {
  set_limits(kTwoDials);
  Client& busy = connect();
  for (int i = 0; i < 3; ++i) acquire();
  busy.release();
  EXPECT_TRUE(clients_[1]->leasing()) << "the oldest of those that wait";
  EXPECT_EQ(books(), (Books{2, 0, 1, 0})) << "its dial is the last one's now";
}

TEST_F(HostPoolTest, DialsOfAllWorkersCount) {
  set_limits(kTwoDials);
  acquire();
  acquire(make_flavor(), 1);
  Client& third = acquire(make_flavor(), 1);
  EXPECT_EQ(books(), (Books{2, 0, 0, 1}));
  dialer().complete();
  run_workers();  // the permission crosses to the other worker
  EXPECT_EQ(books(), (Books{2, 0, 1, 0}));
  EXPECT_EQ(third.phases(), (std::vector{Phase::kQueue, Phase::kResolve}));
}

TEST_F(HostPoolTest, PermissionOnItsWayCountsAsADial) {
  set_limits({.max_connections = 8,
              .max_connecting = 1,
              .max_idle = 8,
              .max_waiting = 100,
              .idle_timeout = {}});
  acquire();
  acquire(make_flavor(), 1);
  dialer().complete();
  clock_.advance(milliseconds(1));
  Client& later = acquire();
  EXPECT_EQ(books(), (Books{0, 0, 1, 2})) << "the other worker's dial is to begin";
  run_workers();
  EXPECT_EQ(books(), (Books{1, 0, 1, 1}));
  EXPECT_EQ(later.phases(), (std::vector{Phase::kQueue}));
}

TEST_F(HostPoolTest, RedialOfADeadConnectionIsNeverRefused) {
  set_limits(kTwoDials);
  Client& reused = connect();
  acquire();
  acquire();
  EXPECT_EQ(books(), (Books{2, 0, 1, 0}));
  reused.redial();
  EXPECT_EQ(books(), (Books{3, 0, 0, 0}));
  Client& later = acquire();
  dialer().complete();
  EXPECT_EQ(later.phases(), (std::vector{Phase::kQueue})) << "it counts among the dials";
}

TEST_F(HostPoolTest, AnUpstreamThatIsDownFailsAllThatWaited) {
  set_limits({.max_connections = 1000,
              .max_connecting = 16,
              .max_idle = 8,
              .max_waiting = 1000,
              .idle_timeout = {}});
  for (int i = 0; i < 1000; ++i) acquire();
  clock_.advance(milliseconds(1));
  int rounds = 0;
  while (dialer().in_flight() > 0) {
    ++rounds;
    EXPECT_LE(dialer().in_flight(), 16U);
    dialer().fail();
  }
  EXPECT_LE(rounds, 33) << "the first dial that began after they had come tells them all";
  for (const auto& client : clients_) EXPECT_TRUE(client->failed());
}

TEST_F(HostPoolTest, FullQueueTellsDialsFromConnections) {
  set_limits({.max_connections = 3,
              .max_connecting = 1,
              .max_idle = 3,
              .max_waiting = 0,
              .idle_timeout = {}});
  acquire();
  Client& refused = acquire();
  ASSERT_TRUE(refused.failed());
  EXPECT_EQ(refused.error().limit_key, "pool.max_waiting");
  EXPECT_EQ(refused.error().detail,
            "pool.max_connecting dials are under way and the queue is full");
}

TEST(HostLimitsOf, MaxConnectingGivesWayToMaxConnections) {
  EXPECT_EQ(host_limits({}).max_connecting, 16U);
  EXPECT_EQ(host_limits({.max_connections = 3}).max_connecting, 3U);
  EXPECT_EQ(host_limits({.max_connecting = 2}).max_connecting, 2U);
}

}  // namespace
}  // namespace penstock
