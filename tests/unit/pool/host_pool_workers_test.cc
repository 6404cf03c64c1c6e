// HostPool between two workers: permissions to dial and failures cross by post.
#include <gtest/gtest.h>

#include "pool_world.h"

namespace penstock {
namespace {

using std::chrono::milliseconds;

constexpr HostLimits kOne{
    .max_connections = 1, .max_idle = 1, .max_waiting = 10, .idle_timeout = {}};

TEST_F(HostPoolTest, CapHoldsOverAllWorkers) {
  connect(make_flavor(), 0);
  connect(make_flavor(), 1);
  EXPECT_EQ(acquire(make_flavor(), 0).phases(), (std::vector{Phase::kQueue}));
  EXPECT_EQ(acquire(make_flavor(), 1).phases(), (std::vector{Phase::kQueue}));
}

TEST_F(HostPoolTest, ClosedConnectionLetsAWaiterOfAnotherWorkerDial) {
  set_limits(kOne);
  Client& busy = connect(make_flavor(), 0);
  Client& elsewhere = acquire(make_flavor(), 1);
  busy.close();
  EXPECT_EQ(elsewhere.phases(), (std::vector{Phase::kQueue})) << "the post is on its way";
  run_workers();
  EXPECT_EQ(elsewhere.phases(), (std::vector{Phase::kQueue, Phase::kResolve}));
  workers_[1].dialer.complete();
  EXPECT_TRUE(elsewhere.leasing());
}

TEST_F(HostPoolTest, PlaceOfAConnectionIsFreeForOtherWorkersOnceItIsClosed) {
  set_limits(kOne);
  Client& busy = connect(make_flavor(), 0);
  Client& elsewhere = client();
  dialer().peer(0).before_close = [&] {
    acquire(elsewhere, make_flavor(), 1);
    EXPECT_EQ(workers_[1].dialer.started(), 0U);
  };
  busy.close();
  EXPECT_EQ(elsewhere.phases(), (std::vector{Phase::kQueue}));
  run_workers();
  EXPECT_EQ(elsewhere.phases(), (std::vector{Phase::kQueue, Phase::kResolve}));
}

TEST_F(HostPoolTest, ConnectionThatIsNotYetClosedLeavesNoRoomBesideAFullQueue) {
  HostLimits no_queue = kOne;
  no_queue.max_waiting = 0;
  set_limits(no_queue);
  Client& busy = connect(make_flavor(), 0);
  Client& elsewhere = client();
  dialer().peer(0).before_close = [&] { acquire(elsewhere, make_flavor(), 1); };
  busy.close();
  ASSERT_TRUE(elsewhere.failed());
  EXPECT_EQ(elsewhere.error().code, ErrorCode::kConnectionLimitReached);
  EXPECT_EQ(acquire(make_flavor(), 1).phases(), (std::vector{Phase::kResolve}));
}

TEST_F(HostPoolTest, PlaceThatARedialHasTakenIsCountedOnce) {
  set_limits({.max_connections = 2, .max_idle = 2, .max_waiting = 0, .idle_timeout = {}});
  Client& busy = connect(make_flavor(), 0);
  Client& elsewhere = client();
  dialer().peer(0).before_close = [&] { acquire(elsewhere, make_flavor(), 1); };
  busy.redial();
  EXPECT_EQ(elsewhere.phases(), (std::vector{Phase::kResolve}));
}

TEST_F(HostPoolTest, WorkerThatIsDetachedLetsOthersInOnceItsConnectionsAreClosed) {
  set_limits(kOne);
  connect(make_flavor(), 0).release();
  Client& elsewhere = client();
  dialer().peer(0).before_close = [&] { acquire(elsewhere, make_flavor(), 1); };
  host_.detach(workers_[0].pool);
  run_workers();
  EXPECT_EQ(elsewhere.phases(), (std::vector{Phase::kQueue, Phase::kResolve}));
}

TEST_F(HostPoolTest, PermitOnItsWayIsNobodyElses) {
  set_limits(kOne);
  Client& busy = connect(make_flavor(), 0);
  acquire(make_flavor(), 1);
  busy.close();
  clock_.advance(milliseconds(1));
  EXPECT_EQ(acquire(make_flavor(), 0).phases(), (std::vector{Phase::kQueue}));
  EXPECT_EQ(dialer().in_flight(), 0U);
  run_workers();
  EXPECT_EQ(workers_[1].dialer.in_flight(), 1U);
  EXPECT_EQ(dialer().in_flight(), 0U);
}

TEST_F(HostPoolTest, OldestWaiterOfAllWorkersIsGrantedThePermit) {
  set_limits(kOne);
  Client& busy = connect(make_flavor(), 0);
  Client& older = acquire(make_flavor(), 1);
  clock_.advance(milliseconds(1));
  Client& younger = acquire(make_flavor(), 0);
  busy.close();
  run_workers();
  EXPECT_EQ(older.phases().size(), 2U);
  EXPECT_EQ(younger.phases().size(), 1U);
}

TEST_F(HostPoolTest, GrantWhoseWaiterHasLeftGoesToTheNext) {
  set_limits(kOne);
  Client& busy = connect(make_flavor(), 0);
  Client& quitter = acquire(make_flavor(), 1);
  clock_.advance(milliseconds(1));
  Client& next = acquire(make_flavor(), 0);
  busy.close();
  quitter.cancel();
  run_workers();
  EXPECT_EQ(next.phases(), (std::vector{Phase::kQueue, Phase::kResolve}));
}

TEST_F(HostPoolTest, GrantThatNobodyNeedsGivesItsPermitBack) {
  set_limits(kOne);
  Client& busy = connect(make_flavor(), 0);
  Client& quitter = acquire(make_flavor(), 1);
  busy.close();
  quitter.cancel();
  run_workers();
  EXPECT_EQ(workers_[1].dialer.started(), 0U);
  EXPECT_EQ(acquire().phases(), (std::vector{Phase::kResolve}));
}

TEST_F(HostPoolTest, WaiterWithAGrantOnItsWayTakesAConnectionThatComesMeanwhile) {
  Client& first = connect(make_flavor(), 0);
  Client& second = connect(make_flavor(), 0);
  Client& elsewhere = acquire(make_flavor(), 1);
  first.close();  // the grant
  second.release();
  run_workers();
  EXPECT_TRUE(elsewhere.leasing());
  EXPECT_EQ(workers_[1].dialer.started(), 0U) << "the permission was not needed any more";
  EXPECT_EQ(books(), (Books{0, 0, 1, 0}));
}

TEST_F(HostPoolTest, RaisedCapGrantsPermitsToAllWorkers) {
  set_limits(kOne);
  connect(make_flavor(), 0);
  acquire(make_flavor(), 0);
  acquire(make_flavor(), 1);
  acquire(make_flavor(), 1);
  set_limits({.max_connections = 9, .max_idle = 9, .max_waiting = 9, .idle_timeout = {}});
  trim();
  run_workers();
  EXPECT_EQ(workers_[0].dialer.in_flight(), 1U);
  EXPECT_EQ(workers_[1].dialer.in_flight(), 2U);
}

TEST_F(HostPoolTest, FailedDialFailsThoseThatWaitedBeforeItOnAllWorkers) {
  set_limits(kOne);
  Client& busy = connect(make_flavor(), 0);
  Client& dialling = acquire(make_flavor(), 0);
  clock_.advance(milliseconds(1));
  Client& elsewhere = acquire(make_flavor(), 1);
  clock_.advance(milliseconds(1));
  busy.close();
  clock_.advance(milliseconds(1));
  Client& after = acquire(make_flavor(), 1);
  dialer().fail();
  EXPECT_TRUE(dialling.failed());
  EXPECT_TRUE(elsewhere.waiting()) << "the post is on its way";
  run_workers();
  EXPECT_TRUE(elsewhere.failed());
  EXPECT_TRUE(after.waiting());
  EXPECT_EQ(workers_[1].dialer.in_flight(), 1U);
}

TEST_F(HostPoolTest, WaiterWithADialOfItsOwnDoesNotFailForAnotherWorkersDial) {
  Client& early = acquire(make_flavor(), 1);
  clock_.advance(milliseconds(1));
  acquire(make_flavor(), 0);
  clock_.advance(milliseconds(1));
  Client& late = acquire(make_flavor(), 1);
  dialer().fail();
  workers_[1].executor.run_one();  // the permit goes to the late one ...
  run_workers();
  EXPECT_TRUE(early.waiting());
  EXPECT_EQ(late.phases(), (std::vector{Phase::kQueue, Phase::kResolve}));
  EXPECT_EQ(workers_[1].dialer.started(), 2U);
}

TEST_F(HostPoolTest, RequestBehindOneWithAGrantIsCountedAsQueued) {
  set_limits(kOne);
  Client& busy = connect(make_flavor(), 0);
  Client& granted = acquire(make_flavor(), 1);
  busy.close();
  HostLimits two = kOne;
  two.max_connections = 2;
  set_limits(two);
  Client& behind = acquire(make_flavor(), 1);  // the free permit is the older one's
  EXPECT_EQ(granted.phases(), (std::vector{Phase::kQueue, Phase::kResolve}));
  EXPECT_EQ(behind.phases(), (std::vector{Phase::kQueue}));
  EXPECT_EQ(snapshot().acquired_dialed, 1U);
  EXPECT_EQ(snapshot().acquired_queued, 2U);
}

// The waiter before it leaves as it is told its phase, inside this one's acquire().
TEST_F(HostPoolTest, DialInheritedWhileAcquiringIsToldByTheResult) {
  set_limits(kOne);
  Client& busy = connect(make_flavor(), 0);
  Client& leaving = acquire(make_flavor(), 1);
  busy.close();
  HostLimits two = kOne;
  two.max_connections = 2;
  set_limits(two);
  leaving.then_phase = [&] { leaving.cancel(); };
  EXPECT_EQ(acquire(make_flavor(), 1).phases(), (std::vector{Phase::kResolve}));
}

TEST_F(HostPoolTest, WaiterThatLeavesBeforeTheFailureArrivesIsNotTold) {
  set_limits(kOne);
  Client& busy = connect(make_flavor(), 0);
  acquire(make_flavor(), 0);
  Client& quitter = acquire(make_flavor(), 1);
  clock_.advance(milliseconds(1));
  busy.close();
  dialer().fail();
  quitter.cancel();
  run_workers();
  EXPECT_FALSE(quitter.failed());
}

TEST_F(HostPoolTest, ConnectionIdsDifferBetweenWorkers) {
  Client& here = connect(make_flavor(), 0);
  Client& there = connect(make_flavor(), 1);
  EXPECT_NE(here.connection_id(), there.connection_id());
}

TEST_F(HostPoolTest, WorkersCountTheirOwnConnections) {
  connect(make_flavor(), 0);
  connect(make_flavor(), 1).close(CloseReason::kServerClose);
  EXPECT_EQ(workers_[0].counts().connections_opened.value(), 1U);
  EXPECT_EQ(workers_[1].counts().connections_opened.value(), 1U);
  EXPECT_EQ(workers_[0].counts().connections_closed[CloseReason::kServerClose].value(), 0U);
  EXPECT_EQ(workers_[1].counts().connections_closed[CloseReason::kServerClose].value(), 1U);
  EXPECT_EQ(snapshot().opened, 2U);
}

TEST_F(HostPoolTest, PermissionThatNeverArrivesGivesItsPermitBack) {
  set_limits({.max_connections = 1, .max_idle = 1, .max_waiting = 9, .idle_timeout = {}});
  Client& busy = connect();
  Client& waiting = acquire(make_flavor(), 1);
  busy.close();
  waiting.cancel();
  workers_[1].executor.drop_posted();
  EXPECT_TRUE(acquire().waiting());
  EXPECT_EQ(books(), (Books{1, 0, 0, 0}));
}

TEST_F(HostPoolTest, PermissionThatArrivesAfterItsWorkerLeftGivesItsPermitBack) {
  set_limits({.max_connections = 1, .max_idle = 1, .max_waiting = 9, .idle_timeout = {}});
  Client& busy = connect();
  Client& waiting = acquire(make_flavor(), 1);
  busy.close();
  waiting.cancel();
  host_.detach(workers_[1].pool);
  run_workers();
  EXPECT_TRUE(acquire().waiting());
  EXPECT_EQ(books(), (Books{1, 0, 0, 0}));
}

TEST_F(HostPoolTest, WhatIsPostedKeepsThePoolAlive) {
  auto host = std::make_shared<HostPool>(
      HostKey{"payments", "other.test", 443},
      HostLimits{.max_connections = 1, .max_idle = 1, .max_waiting = 9, .idle_timeout = {}},
      kIdentity, 2, registry_.bounds());
  Client first;
  Client second;
  first.acquire([&](AcquireHandler& handler) {
    return host->acquire(workers_[0].pool, make_flavor(), DialLimits{}, handler);
  });
  dialer().complete();
  second.acquire([&](AcquireHandler& handler) {
    return host->acquire(workers_[1].pool, make_flavor(), DialLimits{}, handler);
  });
  first.close();
  second.cancel();
  for (TestWorker& worker : workers_) host->detach(worker.pool);
  const std::weak_ptr<HostPool> watched = host;
  host.reset();
  EXPECT_FALSE(watched.expired());
  run_workers();
  EXPECT_TRUE(watched.expired());
}

}  // namespace
}  // namespace penstock
