// The bounds of the whole process: how many connections it has, how many of them idle, and which
// one goes for another host's request.
#include <gtest/gtest.h>

#include "pool_world.h"

namespace penstock {
namespace {

using std::chrono::seconds;

class ProcessBoundsTest : public HostPoolTest {
 protected:
  ~ProcessBoundsTest() override {
    clients_.clear();
    run_workers();
    for (TestWorker& worker : workers_) other_->detach(worker.pool);
    run_workers();
    EXPECT_TRUE(other_->retire_if_unused(clock_.now(), Duration(0))) << "a permit was lost";
  }

  ProcessBounds& bounds() { return registry_.bounds(); }
  HostSnapshot other() const { return other_->snapshot(clock_.now()); }
  std::uint64_t evicted(const HostSnapshot& of) const {
    return of.closed[static_cast<std::size_t>(CloseReason::kEvicted)];
  }

  Client& acquire_of(HostPool& host, std::size_t worker = 0) {
    Client& one = client();
    one.acquire([&](AcquireHandler& handler) {
      return host.acquire(workers_[worker].pool, make_flavor(), DialLimits{}, handler);
    });
    return one;
  }
  Client& acquire_other(std::size_t worker = 0) { return acquire_of(*other_, worker); }
  Client& connect_other(std::size_t worker = 0) {
    Client& one = acquire_other(worker);
    workers_[worker].dialer.complete(workers_[worker].dialer.in_flight() - 1);
    EXPECT_TRUE(one.leasing());
    return one;
  }

  // Both connections of the process are this host's and busy, and nobody waits any more though the
  // host has its place in the bank's queue. Who holds one of them.
  Client& fill_process_and_serve_the_queue() {
    set_limits({.max_connections = 9, .max_idle = 9, .max_waiting = 9, .idle_timeout = {}});
    bounds().set_limits({.max_connections = 2});
    Client& first = connect();
    Client& second = connect();
    Client& third = acquire();
    first.release();
    EXPECT_TRUE(third.leasing());
    return second;
  }

  const std::shared_ptr<HostPool> other_ = std::make_shared<HostPool>(
      HostKey{"orders", "other.test", 443}, limits_, kIdentity, 2, registry_.bounds());
};

TEST_F(ProcessBoundsTest, ARequestWaitsWhenTheProcessHasNoConnectionLeft) {
  bounds().set_limits({.max_connections = 1});
  Client& first = connect();
  Client& second = acquire_other();
  EXPECT_TRUE(second.waiting());
  EXPECT_EQ(second.phases(), std::vector{Phase::kQueue});
  EXPECT_EQ(dialer().in_flight(), 0U);
  EXPECT_EQ(bounds().connections.taken(), 1U);
  first.close();
  run_workers();
  EXPECT_EQ(dialer().in_flight(), 1U);
  dialer().complete();
  EXPECT_TRUE(second.leasing());
  EXPECT_EQ(bounds().connections.taken(), 1U);
}

TEST_F(ProcessBoundsTest, WhatComesFreeIsClosedForAnotherHostThatWaits) {
  bounds().set_limits({.max_connections = 1});
  Client& first = connect();
  Client& second = acquire_other();
  first.release();
  EXPECT_EQ(closed(CloseReason::kEvicted), 1U);
  run_workers();
  dialer().complete();
  EXPECT_TRUE(second.leasing());
}

TEST_F(ProcessBoundsTest, AnIdleConnectionGoesForAnotherHostsRequest) {
  bounds().set_limits({.max_connections = 1});
  connect().release();
  Client& second = acquire_other();
  run_workers();
  EXPECT_EQ(books(), (Books{0, 0, 0, 0}));
  ASSERT_EQ(dialer().in_flight(), 1U);
  dialer().complete();
  EXPECT_TRUE(second.leasing());
}

TEST_F(ProcessBoundsTest, AnotherWorkersIdleConnectionGoesAsWell) {
  bounds().set_limits({.max_connections = 1});
  connect(make_flavor(), 1).release();
  Client& second = acquire_other(0);
  EXPECT_EQ(closed(CloseReason::kEvicted), 1U);
  EXPECT_EQ(workers_[1].dialer.open_streams(), 0U);
  run_workers();
  dialer().complete();
  EXPECT_TRUE(second.leasing());
  EXPECT_EQ(counts().connections_closed[CloseReason::kEvicted].value(), 1U)
      << "counted by the worker that closed it";
}

// It came too late to be seen, and nobody else would look again.
TEST_F(ProcessBoundsTest, AConnectionThatIsLookedAtGoesForAnotherHostAfterwards) {
  bounds().set_limits({.max_connections = 1});
  connect().release();
  FakePeer& peer = dialer().peer(0);
  Client* other = nullptr;
  peer.send_nothing();
  peer.before_read = [&] { other = &acquire_other(1); };
  peer.turn();
  ASSERT_NE(other, nullptr);
  EXPECT_EQ(closed(CloseReason::kEvicted), 1U);
  run_workers();
  workers_[1].dialer.complete();
  EXPECT_TRUE(other->leasing());
}

TEST_F(ProcessBoundsTest, ANewerConnectionGoesWhileTheOldestIsLookedAt) {
  bounds().set_limits({.max_connections = 2});
  Client& first = connect();
  Client& second = connect();
  first.release();
  second.release();
  FakePeer& peer = dialer().peer(0);
  Client* other = nullptr;
  peer.send_eof();
  peer.before_read = [&] {
    other = &acquire_other(1);
    EXPECT_EQ(closed(CloseReason::kEvicted), 1U);
  };
  peer.turn();
  ASSERT_NE(other, nullptr);
  run_workers();
  workers_[1].dialer.complete();
  EXPECT_TRUE(other->leasing());
}

TEST_F(ProcessBoundsTest, HostsAreServedInTurn) {
  set_limits({.max_connections = 9, .max_idle = 0, .max_waiting = 9, .idle_timeout = {}});
  bounds().set_limits({.max_connections = 1});
  Client& holder = connect();
  Client& first = acquire();
  Client& second = acquire();
  Client& others = acquire_other();
  holder.close();
  run_workers();
  dialer().complete();
  ASSERT_TRUE(first.leasing());
  first.close();
  run_workers();
  dialer().complete();
  EXPECT_TRUE(others.leasing()) << "the other host has waited longer than the next of this one";
  others.close();
  run_workers();
  dialer().complete();
  EXPECT_TRUE(second.leasing());
}

TEST_F(ProcessBoundsTest, AHostWithMoreThanItsPartGivesWayThoughItsOwnRequestsWait) {
  set_limits({.max_connections = 9, .max_idle = 9, .max_waiting = 9, .idle_timeout = {}});
  bounds().set_limits({.max_connections = 4});
  std::vector<Client*> holders;
  for (int i = 0; i < 4; ++i) holders.push_back(&connect());
  for (int i = 0; i < 4; ++i) acquire();
  Client& others = acquire_other();
  acquire_other();
  acquire_other();
  for (Client* holder : holders) {
    holder->release();
    run_workers();
  }
  EXPECT_EQ(dialer().in_flight(), 2U) << "two of four are its part, and the others are kept";
  EXPECT_EQ(books(), (Books{0, 0, 2, 2}));
  dialer().complete();
  EXPECT_TRUE(others.leasing());
}

TEST_F(ProcessBoundsTest, APermitIsNotLostOnARequestThatHasLeft) {
  bounds().set_limits({.max_connections = 1});
  Client& holder = connect();
  Client& left = acquire_other(1);
  Client& stays = acquire();
  left.cancel();
  holder.close();
  run_workers();
  dialer().complete();
  EXPECT_TRUE(stays.leasing());
}

TEST_F(ProcessBoundsTest, PartsAreLargerOnceAHostHasLeftTheQueue) {
  set_limits({.max_connections = 9, .max_idle = 9, .max_waiting = 9, .idle_timeout = {}});
  other_->set_limits(limits_, kIdentity);
  const auto third = std::make_shared<HostPool>(HostKey{"orders", "third.test", 443}, limits_,
                                                kIdentity, 2, registry_.bounds());
  bounds().set_limits({.max_connections = 6});
  for (int i = 0; i < 3; ++i) connect();
  connect_other();
  connect_other();
  Client& closes = connect_other();
  acquire();
  Client& waits = acquire_other();
  acquire_of(*third).cancel();
  closes.close();  // of three hosts' parts, two of six, nobody lacks any
  run_workers();
  EXPECT_EQ(waits.phases().back(), Phase::kResolve);
  third->detach(workers_[0].pool);
}

TEST_F(ProcessBoundsTest, AGrantOnItsWayToARequestThatLeavesServesTheNextHost) {
  bounds().set_limits({.max_connections = 1});
  Client& holder = connect();
  Client& leaves = acquire_other(1);
  Client& stays = acquire();
  holder.close();  // the grant is posted
  leaves.cancel();
  run_workers();
  dialer().complete();
  EXPECT_TRUE(stays.leasing());
}

TEST_F(ProcessBoundsTest, ARaisedLimitServesWhoWaits) {
  bounds().set_limits({.max_connections = 1});
  connect();
  Client& waits = acquire_other();
  bounds().set_limits({.max_connections = 2});
  run_workers();
  dialer().complete();
  EXPECT_TRUE(waits.leasing());
}

TEST_F(ProcessBoundsTest, ALoweredLimitClosesWhatComesFree) {
  Client& first = connect();
  Client& second = connect();
  bounds().set_limits({.max_connections = 1});
  first.release();
  EXPECT_EQ(closed(CloseReason::kTrimmed), 1U);
  second.release();
  EXPECT_EQ(books(), (Books{0, 1, 0, 0}));
}

// Its permit would serve the next one else, and what is up would never become less.
TEST_F(ProcessBoundsTest, ALoweredLimitTakesHoldThoughRequestsWait) {
  set_limits({.max_connections = 4, .max_idle = 4, .max_waiting = 9, .idle_timeout = {}});
  std::vector<Client*> holders;
  for (int i = 0; i < 4; ++i) holders.push_back(&connect());
  Client& here = acquire();
  Client& there = acquire(make_flavor(), 1);
  bounds().set_limits({.max_connections = 2});
  for (std::size_t i = 0; i < 2; ++i) {
    holders[i]->release();
    run_workers();
    EXPECT_EQ(bounds().connections.taken(), 3 - i);
  }
  EXPECT_EQ(closed(CloseReason::kTrimmed), 2U);
  EXPECT_EQ(dialer().started() + workers_[1].dialer.started(), 4U) << "none was dialled for them";
  holders[2]->release();
  holders[3]->release();
  run_workers();
  EXPECT_TRUE(here.leasing());
  EXPECT_TRUE(there.leasing());
  EXPECT_EQ(dialer().started() + workers_[1].dialer.started(), 4U);
}

// The place that it has in the bank's queue was for a request that was served meanwhile.
TEST_F(ProcessBoundsTest, AHostAtTheLimitKeepsWhatComesBackOnceItsOwnRequestsAreServed) {
  Client& second = fill_process_and_serve_the_queue();
  second.release();
  EXPECT_EQ(books(), (Books{0, 1, 1, 0}));
  EXPECT_EQ(closed(CloseReason::kEvicted), 0U);
  Client& others = acquire_other();
  EXPECT_EQ(closed(CloseReason::kEvicted), 1U) << "another host's request has it";
  run_workers();
  dialer().complete();
  EXPECT_TRUE(others.leasing());
}

TEST_F(ProcessBoundsTest, AHostWhoseRequestsAreServedStillGivesWayToAnother) {
  Client& second = fill_process_and_serve_the_queue();
  Client& others = acquire_other();
  second.release();
  EXPECT_EQ(closed(CloseReason::kEvicted), 1U);
  run_workers();
  dialer().complete();
  EXPECT_TRUE(others.leasing());
}

TEST_F(ProcessBoundsTest, UnderALoweredLimitNothingStaysIdleWhileAHostWaits) {
  bounds().set_limits({.max_connections = 3});
  connect();
  Client& first = connect_other();
  Client& second = connect_other();
  first.release();
  second.release();
  bounds().set_limits({.max_connections = 1});
  EXPECT_TRUE(acquire().waiting());
  EXPECT_EQ(bounds().idle.taken(), 0U);
  EXPECT_EQ(bounds().connections.taken(), 1U);
}

TEST_F(ProcessBoundsTest, ALoweredLimitClosesTheIdleOnesThatWereUsedLeastRecently) {
  connect_other().release();
  clock_.advance(seconds(1));
  fill_idle(2, 1);
  bounds().set_limits({.max_idle = 1});
  workers_[0].pool.on_reconfigured();
  EXPECT_EQ(evicted(other()), 1U);
  EXPECT_EQ(books(), (Books{0, 1, 0, 0}));
}

TEST_F(ProcessBoundsTest, ARetryHasThePermitOfTheFailedConnection) {
  bounds().set_limits({.max_connections = 1});
  connect().release();
  Client& one = acquire();
  ASSERT_TRUE(one.leasing());
  Client& others = acquire_other();
  one.redial();
  EXPECT_EQ(dialer().in_flight(), 1U);
  dialer().complete();
  EXPECT_TRUE(one.leasing()) << "ahead of the other host";
  EXPECT_TRUE(others.waiting());
}

TEST_F(ProcessBoundsTest, AQueueThatIsFullIsNoReasonWhereAnIdleConnectionCanGo) {
  limits_.max_waiting = 0;
  other_->set_limits(limits_, kIdentity);
  bounds().set_limits({.max_connections = 1});
  connect().release();
  Client& one = acquire_other();
  EXPECT_TRUE(one.waiting());
  run_workers();
  dialer().complete();
  ASSERT_TRUE(one.leasing());
  Client& refused = acquire_other();
  ASSERT_TRUE(refused.failed());
  EXPECT_EQ(refused.error().code, ErrorCode::kConnectionLimitReached);
  EXPECT_EQ(refused.error().detail,
            "process.max_upstream_connections are busy and the queue is full");
}

TEST_F(ProcessBoundsTest, TheLeastRecentlyUsedIdleConnectionGoesForTheOneThatComesBack) {
  bounds().set_limits({.max_idle = 2});
  Client& third = connect();
  connect_other().release();
  clock_.advance(seconds(1));
  connect().release();
  clock_.advance(seconds(1));
  third.release();
  EXPECT_EQ(evicted(other()), 1U);
  EXPECT_EQ(books(), (Books{0, 2, 0, 0}));
  EXPECT_EQ(bounds().idle.taken(), 2U);
}

TEST_F(ProcessBoundsTest, WhatWasUsedAgainIsNotTheLeastRecent) {
  bounds().set_limits({.max_idle = 2});
  Client& third = connect_other(1);
  connect().release();
  clock_.advance(seconds(1));
  connect_other().release();
  clock_.advance(seconds(1));
  acquire().release();  // the host's first one is younger now than its rank says
  clock_.advance(seconds(1));
  third.release();
  EXPECT_EQ(evicted(other()), 1U);
  EXPECT_EQ(books(), (Books{0, 1, 0, 0}));
}

TEST_F(ProcessBoundsTest, NoRoomAtAllClosesWhatComesBack) {
  bounds().set_limits({.max_idle = 0});
  connect().release();
  EXPECT_EQ(books(), (Books{0, 0, 0, 0}));
  EXPECT_EQ(closed(CloseReason::kEvicted), 1U);
}

TEST_F(ProcessBoundsTest, AWarmConnectionIsDialledOnlyWhenThePermitIsFree) {
  limits_.min_idle = 1;
  set_limits(limits_);
  bounds().set_limits({.max_connections = 1});
  Client& others = connect_other();
  ASSERT_TRUE(host_.keep_warm(workers_[0].pool, make_flavor(), DialLimits{}));
  EXPECT_EQ(dialer().in_flight(), 0U);
  others.close();
  clock_.advance(seconds(2));
  EXPECT_EQ(dialer().in_flight(), 1U);
}

TEST_F(ProcessBoundsTest, AWarmConnectionThatWasEvictedIsReplacedOnceThereIsRoom) {
  limits_.min_idle = 2;  // one of each worker
  set_limits(limits_);
  bounds().set_limits({.max_connections = 1});
  ASSERT_TRUE(host_.keep_warm(workers_[1].pool, make_flavor(), DialLimits{}));
  workers_[1].dialer.complete();
  Client& others = acquire_other(0);
  run_workers();
  dialer().complete();
  ASSERT_TRUE(others.leasing());
  others.close();
  clock_.advance(seconds(2));
  EXPECT_EQ(workers_[1].dialer.in_flight(), 1U);
}

TEST_F(ProcessBoundsTest, AWorkerThatEndsLeavesNoPermitTaken) {
  bounds().set_limits({.max_connections = 3});
  fill_idle(2);
  Client& dials = acquire_other();
  dials.cancel();
  host_.detach(workers_[0].pool);
  other_->detach(workers_[0].pool);
  EXPECT_EQ(bounds().connections.taken(), 0U);
  EXPECT_EQ(bounds().idle.taken(), 0U);
}

// What a close lets in, where the process has bounds as well.

TEST_F(ProcessBoundsTest, APermitThatIsAboutToBeGivenBackCostsNobodysIdleConnection) {
  set_limits({.max_connections = 1, .max_idle = 1, .max_waiting = 9, .idle_timeout = {}});
  bounds().set_limits({.max_connections = 2});
  connect_other(0).release();
  Client& busy = connect(make_flavor(), 0);
  Client& elsewhere = client();
  dialer().peer(1).before_close = [&] { acquire(elsewhere, make_flavor(), 1); };
  busy.close();
  run_workers();
  EXPECT_EQ(elsewhere.phases(), (std::vector{Phase::kQueue, Phase::kResolve}));
  EXPECT_EQ(other().idle, 1U);
}

TEST_F(ProcessBoundsTest, AWorkerThatOnlyEvictedThereIsNotHeldInAPauseThatItNeverHeardOf) {
  set_limits({.max_connections = 1, .max_idle = 1, .max_waiting = 9, .idle_timeout = {}});
  bounds().set_limits({.max_connections = 1});
  connect(make_flavor(), 0).release();
  Client& late = client();
  dialer().peer(0).before_close = [&] { acquire(late, make_flavor(), 0); };
  acquire_other(1).cancel();  // which has evicted it
  late.cancel();
  bounds().set_limits({});
  for (const bool paused : {true, false}) {
    host_.set_paused(paused);
    host_.follow_pause(workers_[0].pool);
  }
  EXPECT_EQ(acquire(make_flavor(), 1).phases(), (std::vector{Phase::kResolve}));
}

TEST_F(ProcessBoundsTest, AWaiterThatLeavesWhenItIsToldOfItsDialIsToldOnce) {
  set_limits({.max_connections = 3, .max_idle = 9, .max_waiting = 9, .idle_timeout = {}});
  Client& one = connect_other(1);
  Client& two = connect_other(1);
  connect(make_flavor(), 1);
  connect(make_flavor(kIdentity, false), 0).release();
  FakePeer& surplus = dialer().peer(dialer().peer_count() - 1);
  const MonotonicTime before = clock_.now();
  clock_.advance(seconds(1));
  Client& younger = acquire(make_flavor(), 0);
  bounds().set_limits({.max_connections = 4});  // of the five that are there
  Client& turned_away = client();
  clock_.advance(seconds(1));
  surplus.before_close = [&] {
    acquire(turned_away, make_flavor(), 1);
    one.close();
    two.close();
  };
  younger.then_phase = [&] {
    if (younger.phases().back() == Phase::kResolve) younger.cancel();
  };
  arrive(before);  // takes the dial of the younger one, and the surplus goes
  EXPECT_FALSE(younger.waiting());
}

}  // namespace
}  // namespace penstock
