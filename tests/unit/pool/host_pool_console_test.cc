// HostPool in an operator's hands: pause and its end, reconnect, close-idle, on two workers.
#include <gtest/gtest.h>

#include "pool_world.h"

namespace penstock {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr HostLimits kOne{
    .max_connections = 1, .max_idle = 1, .max_waiting = 10, .idle_timeout = {}};
constexpr HostLimits kFour{
    .max_connections = 4, .max_idle = 4, .max_waiting = 10, .idle_timeout = {}};

class HostPoolConsoleTest : public HostPoolTest {
 protected:
  void follow() {
    for (TestWorker& worker : workers_) host_.follow_pause(worker.pool);
  }
  void pause() {
    host_.set_paused(true);
    follow();
  }
  void resume() {
    host_.set_paused(false);
    follow();
  }
  // As the console does it; how many close later and how many closed at once.
  std::pair<std::uint32_t, std::uint32_t> reconnect() {
    const std::uint64_t below = registry_.next_connection_id();
    const std::uint32_t retired = host_.retire_below(below);
    std::uint32_t closed = 0;
    for (TestWorker& worker : workers_) closed += host_.close_idle(worker.pool, below, 100);
    return {retired - closed, closed};
  }
  std::uint32_t close_idle() {
    std::uint32_t closed = 0;
    for (TestWorker& worker : workers_) closed += host_.close_idle(worker.pool, UINT64_MAX, 100);
    return closed;
  }
};

// Pause

TEST_F(HostPoolConsoleTest, PausedRequestWaitsThoughAConnectionIsIdle) {
  fill_idle(1, 0);
  pause();
  EXPECT_EQ(acquire(make_flavor(), 0).phases(), (std::vector{Phase::kQueue}));
  EXPECT_EQ(acquire(make_flavor(), 1).phases(), (std::vector{Phase::kQueue})) << "no take-over";
  EXPECT_EQ(books(), (Books{0, 1, 0, 2}));
  EXPECT_EQ(dialer().in_flight() + workers_[1].dialer.in_flight(), 0U);
}

TEST_F(HostPoolConsoleTest, PauseHoldsBeforeTheWorkersHaveFollowed) {
  fill_idle(1, 0);
  host_.set_paused(true);
  EXPECT_TRUE(acquire(make_flavor(), 0).waiting());
  EXPECT_TRUE(acquire(make_flavor(), 1).waiting());
  EXPECT_EQ(books(), (Books{0, 1, 0, 2}));
}

TEST_F(HostPoolConsoleTest, PausedRequestFitsTheQueueOrIsToldWhy) {
  set_limits({.max_connections = 4, .max_idle = 4, .max_waiting = 1, .idle_timeout = {}});
  fill_idle(1, 0);
  pause();
  EXPECT_TRUE(acquire().waiting());
  Client& refused = acquire();
  ASSERT_TRUE(refused.failed());
  EXPECT_EQ(refused.error().code, ErrorCode::kDestinationUnavailable);
  EXPECT_EQ(refused.error().limit_key, "pool.max_waiting");
  EXPECT_NE(refused.error().detail.find("paused"), std::string::npos);
}

TEST_F(HostPoolConsoleTest, WhatComesBackWhilePausedGoesIdleNotToAWaiter) {
  Client& busy = connect(make_flavor(), 0);
  pause();
  Client& waiter = acquire(make_flavor(), 0);
  Client& elsewhere = acquire(make_flavor(), 1);
  busy.release();
  run_workers();
  EXPECT_TRUE(waiter.waiting());
  EXPECT_TRUE(elsewhere.waiting());
  EXPECT_EQ(books(), (Books{0, 1, 0, 2}));
}

TEST_F(HostPoolConsoleTest, ConnectionAtTheLimitIsNotEvictedForAPausedWaiterOfAnotherWorker) {
  set_limits(kOne);
  Client& busy = connect(make_flavor(), 0);
  pause();
  acquire(make_flavor(), 1);
  busy.release();
  EXPECT_EQ(books(), (Books{0, 1, 0, 1}));
}

TEST_F(HostPoolConsoleTest, ConnectionThatClosesWhilePausedMakesRoomForNobody) {
  set_limits(kOne);
  Client& busy = connect(make_flavor(), 0);
  pause();
  acquire(make_flavor(), 0);
  acquire(make_flavor(), 1);
  busy.close();
  run_workers();
  EXPECT_EQ(books(), (Books{0, 0, 0, 2}));
}

TEST_F(HostPoolConsoleTest, DialUnderWayWhenPausedEndsIdleAndItsWaiterQueues) {
  Client& waiter = acquire();
  dialer().enter_phase(Phase::kConnect);
  pause();
  EXPECT_EQ(waiter.phases(), (std::vector{Phase::kResolve, Phase::kConnect, Phase::kQueue}));
  EXPECT_EQ(books(), (Books{1, 0, 0, 1}));
  dialer().complete();
  EXPECT_TRUE(waiter.waiting());
  EXPECT_EQ(books(), (Books{0, 1, 0, 1}));
}

TEST_F(HostPoolConsoleTest, DialThatFailsWhilePausedFailsNobody) {
  Client& waiter = acquire();
  clock_.advance(milliseconds(1));
  Client& elsewhere = acquire(make_flavor(), 1);
  pause();
  dialer().fail();
  workers_[1].dialer.fail();
  run_workers();
  EXPECT_TRUE(waiter.waiting());
  EXPECT_TRUE(elsewhere.waiting());
  EXPECT_EQ(books(), (Books{0, 0, 0, 2}));
}

TEST_F(HostPoolConsoleTest, FailureOnItsWayWhenPausedFailsNobody) {
  set_limits(kOne);
  Client& dialling = acquire(make_flavor(), 0);
  Client& elsewhere = acquire(make_flavor(), 1);
  clock_.advance(milliseconds(1));
  dialer().fail();
  EXPECT_TRUE(dialling.failed());
  host_.set_paused(true);
  run_workers();
  EXPECT_TRUE(elsewhere.waiting());
}

TEST_F(HostPoolConsoleTest, RetrysDialGoesOnWhilePaused) {
  fill_idle(1, 0);
  Client& retrying = acquire();
  pause();
  retrying.redial();
  EXPECT_EQ(dialer().in_flight(), 1U);
  follow();
  dialer().complete();
  EXPECT_TRUE(retrying.leasing());
}

TEST_F(HostPoolConsoleTest, RetrysDialThatBeganBeforeThePauseGoesOn) {
  set_limits(kFour);
  fill_idle(1, 0);
  Client& retrying = acquire();
  retrying.redial();
  Client& dialling = acquire();
  pause();
  EXPECT_EQ(dialling.phases().back(), Phase::kQueue);
  EXPECT_EQ(retrying.phases(), (std::vector{Phase::kResolve}));
  dialer().complete();
  EXPECT_TRUE(retrying.leasing());
  dialer().complete();
  EXPECT_TRUE(dialling.waiting());
}

TEST_F(HostPoolConsoleTest, GrantOnItsWayWhenPausedGivesItsPermitBack) {
  set_limits(kOne);
  Client& busy = connect(make_flavor(), 0);
  Client& elsewhere = acquire(make_flavor(), 1);
  busy.close();  // the grant
  pause();
  run_workers();
  EXPECT_EQ(workers_[1].dialer.started(), 0U);
  EXPECT_TRUE(elsewhere.waiting());
  resume();
  run_workers();
  EXPECT_EQ(workers_[1].dialer.in_flight(), 1U);
}

TEST_F(HostPoolConsoleTest, ConnectionOnItsWayWhenPausedGoesIdle) {
  set_limits(kOne);
  Client& busy = connect(make_flavor(), 0);
  Client& elsewhere = acquire(make_flavor(), 1);
  busy.release();  // handed over
  pause();
  run_workers();
  EXPECT_TRUE(elsewhere.waiting());
  EXPECT_EQ(books(), (Books{0, 1, 0, 1}));
  resume();
  EXPECT_TRUE(elsewhere.leasing());
}

TEST_F(HostPoolConsoleTest, WaiterThatLeavesWhilePausedIsForgotten) {
  Client& dialling = acquire();
  pause();
  Client& queued = acquire();
  dialling.cancel();
  queued.cancel();
  EXPECT_EQ(books(), (Books{1, 0, 0, 0}));
  dialer().complete();
  resume();
  EXPECT_EQ(books(), (Books{0, 1, 0, 0}));
}

TEST_F(HostPoolConsoleTest, WaiterThatLeavesAsItIsToldOfThePauseIsForgotten) {
  set_limits(kFour);
  Client& first = acquire();
  Client& second = acquire();
  first.then_phase = [&] { first.cancel(); };
  second.then_phase = [&] { second.cancel(); };
  pause();
  EXPECT_EQ(books(), (Books{2, 0, 0, 0}));
}

TEST_F(HostPoolConsoleTest, NothingIsKeptWarmWhilePaused) {
  set_limits(
      {.max_connections = 4, .max_idle = 4, .max_waiting = 10, .idle_timeout = {}, .min_idle = 2});
  pause();
  EXPECT_TRUE(host_.keep_warm(workers_[0].pool, make_flavor(), DialLimits{}));
  clock_.advance(seconds(5));
  EXPECT_EQ(dialer().started(), 0U);
  resume();
  EXPECT_EQ(dialer().in_flight(), 1U) << "its half of the two";
}

TEST_F(HostPoolConsoleTest, IdleConnectionThatIsLookedAtStaysIdleWhilePaused) {
  fill_idle(1, 0);
  pause();
  Client& waiter = acquire();
  dialer().peer(0).turn();
  EXPECT_TRUE(waiter.waiting());
  EXPECT_EQ(books(), (Books{0, 1, 0, 1}));
  dialer().peer(0).send_eof();
  dialer().peer(0).turn();
  EXPECT_EQ(books(), (Books{0, 0, 0, 1})) << "and is watched";
}

TEST_F(HostPoolConsoleTest, ReloadWhilePausedServesNobody) {
  set_limits(kOne);
  Client& busy = connect();
  Client& waiter = acquire();
  pause();
  set_limits(kFour);
  trim();
  follow();
  run_workers();
  EXPECT_TRUE(waiter.waiting());
  busy.release();
  EXPECT_EQ(books(), (Books{0, 1, 0, 1}));
}

TEST_F(HostPoolConsoleTest, HostThatIsFirstMetWhilePausedIsPaused) {
  const auto met = std::make_shared<HostPool>(HostKey{"payments", "new.test", 443}, limits_,
                                              kIdentity, 2, registry_.bounds(), true);
  Client& waiter = client();
  waiter.acquire([&](AcquireHandler& handler) {
    return met->acquire(workers_[1].pool, make_flavor(), DialLimits{}, handler);
  });
  EXPECT_EQ(waiter.phases(), (std::vector{Phase::kQueue}));
  met->set_paused(false);
  met->follow_pause(workers_[1].pool);
  EXPECT_EQ(waiter.phases().back(), Phase::kResolve);
  waiter.cancel();
  for (TestWorker& worker : workers_) met->detach(worker.pool);
}

TEST_F(HostPoolConsoleTest, WorkerThatComesAfterThePauseServesAtOnce) {
  host_.set_paused(true);
  host_.set_paused(false);  // no worker was here, none has to follow
  EXPECT_EQ(acquire(make_flavor(), 1).phases(), (std::vector{Phase::kResolve}));
}

// Resume

TEST_F(HostPoolConsoleTest, WaitersAreServedInOrderByWhatIsIdle) {
  set_limits(kFour);
  fill_idle(2, 0);
  pause();
  std::vector<int> order;
  Client& first = acquire();
  Client& second = acquire();
  first.then_acquired = [&] { order.push_back(1); };
  second.then_acquired = [&] { order.push_back(2); };
  resume();
  EXPECT_EQ(order, (std::vector{1, 2}));
  EXPECT_EQ(books(), (Books{0, 0, 2, 0}));
  EXPECT_EQ(first.connection().requests(), 2U);
  EXPECT_EQ(dialer().started(), 2U);
}

TEST_F(HostPoolConsoleTest, ConnectionThatServedAtTheResumeIsWhollyInUse) {
  fill_idle(1, 0);
  pause();
  Client& waiter = acquire();
  resume();
  dialer().peer(0).send("HTTP/1.1 200 OK\r\n\r\n");
  dialer().peer(0).turn();
  EXPECT_EQ(waiter.unexpected_events(), 1) << "its bytes come to who leases it";
  waiter.release();
  EXPECT_TRUE(acquire().leasing()) << "nobody looks at it";
}

TEST_F(HostPoolConsoleTest, RestIsServedByOtherWorkersAndByDials) {
  set_limits(kFour);
  fill_idle(1, 0);
  fill_idle(1, 0);
  Client& held = connect(make_flavor(), 0);
  connect(make_flavor(), 1).release();
  held.release();  // one idle on each worker
  pause();
  std::vector<Client*> waiters;
  for (int i = 0; i < 3; ++i) waiters.push_back(&acquire(make_flavor(), 0));
  resume();
  EXPECT_TRUE(waiters[0]->leasing());
  run_workers();
  EXPECT_TRUE(waiters[1]->leasing()) << "what worker 1 had";
  EXPECT_EQ(waiters[2]->phases().back(), Phase::kResolve);
  EXPECT_EQ(books(), (Books{1, 0, 2, 0}));
}

TEST_F(HostPoolConsoleTest, DialThatWasTakenFromAWaiterIsGivenBack) {
  Client& waiter = acquire();
  pause();
  resume();
  EXPECT_EQ(waiter.phases(), (std::vector{Phase::kResolve, Phase::kQueue, Phase::kResolve}));
  EXPECT_EQ(dialer().started(), 1U);
  dialer().complete();
  EXPECT_TRUE(waiter.leasing());
}

TEST_F(HostPoolConsoleTest, NobodyOvertakesThoseWhoWaitedOnAWorkerThatHasNotFollowedYet) {
  fill_idle(1, 0);
  pause();
  Client& first = acquire();
  host_.set_paused(false);
  Client& late = acquire();
  EXPECT_TRUE(late.waiting());
  follow();
  EXPECT_TRUE(first.leasing());
  EXPECT_TRUE(late.waiting());
}

TEST_F(HostPoolConsoleTest, HandlerMayEndEverythingWhileWaitersAreServed) {
  set_limits(kFour);
  fill_idle(3, 0);
  pause();
  Client& first = acquire();
  Client& second = acquire();
  Client& third = acquire();
  first.then_acquired = [&] {
    second.cancel();
    first.close();
    acquire();
  };
  third.then_acquired = [&] { third.release(); };
  resume();
  EXPECT_FALSE(second.leasing());
  EXPECT_FALSE(third.waiting());
  EXPECT_EQ(snapshot().waiting, 0U);
}

TEST_F(HostPoolConsoleTest, FlavorsAreServedEachByItsOwn) {
  set_limits(kFour);
  connect(make_flavor(kIdentity, true)).release();
  connect(make_flavor(kIdentity, false)).release();
  pause();
  Client& plain = acquire(make_flavor(kIdentity, false));
  Client& tls = acquire(make_flavor(kIdentity, true));
  Client& more = acquire(make_flavor(kIdentity, false));
  resume();
  EXPECT_TRUE(plain.leasing());
  EXPECT_TRUE(tls.leasing());
  EXPECT_EQ(more.phases().back(), Phase::kResolve);
}

TEST_F(HostPoolConsoleTest, PauseTakesTheDialOfAWaiterWhoIsThenBehindAnOlderOneOfAnotherFlavor) {
  set_limits(kOne);
  Client& left = acquire(make_flavor(kIdentity, false));
  Client& older = acquire(make_flavor(kIdentity, true));
  clock_.advance(seconds(1));
  left.cancel();
  Client& younger = acquire(make_flavor(kIdentity, false));
  EXPECT_EQ(younger.phases(), (std::vector{Phase::kResolve})) << "by the dial of who left";
  pause();
  dialer().fail();
  resume();
  EXPECT_EQ(older.phases().back(), Phase::kResolve);
  EXPECT_EQ(younger.phases().back(), Phase::kQueue);
}

TEST_F(HostPoolConsoleTest, PauseResumeAndPauseThatAWorkerSeesAtOnceIsAPause) {
  fill_idle(1, 0);
  for (const bool paused : {true, false, true}) host_.set_paused(paused);
  follow();
  EXPECT_TRUE(acquire().waiting());
  for (const bool paused : {false, true, false}) host_.set_paused(paused);
  follow();
  EXPECT_EQ(books(), (Books{0, 0, 1, 0}));
}

TEST_F(HostPoolConsoleTest, WhatWasIdleThroughASuspendServesNobodyAtTheResume) {
  fill_idle(1, 0);
  pause();
  Client& waiter = acquire();
  clock_.sleep(seconds(60));
  resume();
  EXPECT_TRUE(waiter.waiting());
  EXPECT_EQ(books(), (Books{1, 0, 0, 0}));
}

// Reconnect and close-idle

TEST_F(HostPoolConsoleTest, ReconnectClosesIdleConnectionsOfAllWorkersAtOnce) {
  set_limits(kFour);
  fill_idle(2, 0);
  Client& first = connect(make_flavor(), 1);
  (void)first;
  EXPECT_EQ(reconnect(), (std::pair{1U, 1U}));
  EXPECT_EQ(closed(CloseReason::kAdmin), 1U);
}

TEST_F(HostPoolConsoleTest, BusyConnectionClosesAsItComesBackAndItsWaiterDials) {
  set_limits(kOne);
  Client& busy = connect();
  Client& waiter = acquire();
  EXPECT_EQ(reconnect(), (std::pair{1U, 0U}));
  busy.release();
  EXPECT_EQ(closed(CloseReason::kAdmin), 1U);
  dialer().complete();
  EXPECT_TRUE(waiter.leasing());
  waiter.release();
  EXPECT_EQ(books(), (Books{0, 1, 0, 0})) << "the new one stays";
}

TEST_F(HostPoolConsoleTest, DrainingConnectionClosesAfterItsDrain) {
  Client& busy = connect();
  busy.drain();
  EXPECT_EQ(reconnect(), (std::pair{1U, 0U}));
  busy.release();
  EXPECT_EQ(closed(CloseReason::kAdmin), 1U);
}

TEST_F(HostPoolConsoleTest, DialUnderWayAtAReconnectServesItsWaiterAndThenCloses) {
  Client& waiter = acquire();
  EXPECT_EQ(reconnect(), (std::pair{1U, 0U}));
  dialer().complete();
  ASSERT_TRUE(waiter.leasing());
  waiter.release();
  EXPECT_EQ(closed(CloseReason::kAdmin), 1U);
}

TEST_F(HostPoolConsoleTest, SpareDialUnderWayAtAReconnectIsNotPooled) {
  acquire().cancel();
  reconnect();
  dialer().complete();
  EXPECT_EQ(books(), (Books{0, 0, 0, 0}));
  EXPECT_EQ(closed(CloseReason::kAdmin), 1U);
}

TEST_F(HostPoolConsoleTest, TunnelOutlivesAReconnect) {
  Client& tunnel = connect();
  tunnel.become_tunnel();
  EXPECT_EQ(reconnect(), (std::pair{0U, 0U}));
  EXPECT_TRUE(dialer().peer(0).open());
}

TEST_F(HostPoolConsoleTest, CloseIdleLeavesTheBusyOnesToBeUsedAgain) {
  set_limits(kFour);
  Client& busy = connect(make_flavor(), 0);
  fill_idle(2, 0);
  EXPECT_EQ(close_idle(), 2U);
  EXPECT_EQ(closed(CloseReason::kAdmin), 2U);
  busy.release();
  EXPECT_EQ(books(), (Books{0, 1, 0, 0}));
}

TEST_F(HostPoolConsoleTest, NoMoreAreClosedAtATimeThanAreAskedFor) {
  set_limits(kFour);
  fill_idle(4, 0);
  EXPECT_EQ(host_.close_idle(workers_[0].pool, UINT64_MAX, 3), 3U);
  EXPECT_EQ(host_.close_idle(workers_[0].pool, UINT64_MAX, 3), 1U);
  EXPECT_EQ(books(), (Books{0, 0, 0, 0}));
}

TEST_F(HostPoolConsoleTest, WarmConnectionsAreOpenedAnewAfterCloseIdle) {
  set_limits(
      {.max_connections = 4, .max_idle = 4, .max_waiting = 10, .idle_timeout = {}, .min_idle = 2});
  EXPECT_TRUE(host_.keep_warm(workers_[0].pool, make_flavor(), DialLimits{}));
  dialer().complete();
  EXPECT_EQ(close_idle(), 1U);
  EXPECT_EQ(dialer().in_flight(), 0U);
  clock_.advance(milliseconds(200));
  EXPECT_EQ(dialer().in_flight(), 1U);
}

TEST_F(HostPoolConsoleTest, PausedHostCanBeEmptied) {
  fill_idle(2, 0);
  pause();
  Client& waiter = acquire();
  EXPECT_EQ(close_idle(), 2U);
  EXPECT_EQ(books(), (Books{0, 0, 0, 1}));
  resume();
  dialer().complete();
  EXPECT_TRUE(waiter.leasing());
}

// Rows

TEST_F(HostPoolConsoleTest, RowsTellStateAgeAndUse) {
  set_limits(kFour);
  Client& busy = connect(make_flavor(), 0);
  clock_.advance(seconds(2));
  connect(make_flavor(), 1).release();
  clock_.advance(seconds(3));
  busy.release();
  acquire(busy, make_flavor(), 0);
  acquire(make_flavor(), 0);  // takes over what worker 1 has
  acquire(make_flavor(), 1);  // dials
  clock_.advance(milliseconds(7));
  ConnectionRows rows;
  host_.append_connections(clock_.now(), 100, rows);
  ASSERT_EQ(rows.size(), 3U);
  const ConnectionRow& first = rows[0];
  EXPECT_EQ(first.id, 1U);
  EXPECT_EQ(first.upstream + ' ' + first.host, "payments api.test");
  EXPECT_EQ(first.port, 443);
  EXPECT_EQ(first.address, "192.0.2.1:443");
  EXPECT_EQ(first.state, "busy");
  EXPECT_EQ(first.requests, 2U);
  EXPECT_EQ(first.age, milliseconds(5007));
  EXPECT_EQ(first.in_state, milliseconds(7));
  EXPECT_EQ(rows[1].worker, 0U) << "whose it is now";
  EXPECT_EQ(rows[2].state, "dialing");
  EXPECT_EQ(rows[2].worker, 1U);
  EXPECT_EQ(rows[2].address, "");
}

TEST_F(HostPoolConsoleTest, RowsOfWaitersTellTheirPhase) {
  set_limits(kOne);
  acquire(make_flavor(), 0);
  dialer().enter_phase(Phase::kConnect);
  clock_.advance(seconds(1));
  acquire(make_flavor(), 1);
  clock_.advance(milliseconds(5));
  WaitingRows rows;
  host_.append_waiting(clock_.now(), 100, rows);
  ASSERT_EQ(rows.size(), 2U);
  EXPECT_EQ(rows[0].phase, Phase::kConnect);
  EXPECT_EQ(rows[0].waiting, milliseconds(1005));
  EXPECT_EQ(rows[1].phase, Phase::kQueue);
  EXPECT_EQ(rows[1].worker, 1U);
  EXPECT_EQ(rows[1].waiting, milliseconds(5));
}

TEST_F(HostPoolConsoleTest, RowsStopAtTheirBound) {
  set_limits(kFour);
  fill_idle(4, 0);
  ConnectionRows rows(2);
  host_.append_connections(clock_.now(), 5, rows);
  EXPECT_EQ(rows.size(), 5U);
  pause();
  for (int i = 0; i < 3; ++i) acquire(make_flavor(), i % 2);
  WaitingRows waiting;
  host_.append_waiting(clock_.now(), 2, waiting);
  EXPECT_EQ(waiting.size(), 2U);
}

}  // namespace
}  // namespace penstock
