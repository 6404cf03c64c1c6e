// What workers share: idle connections are taken over, returned ones go to who waited longest.
#include <gtest/gtest.h>

#include "pool_world.h"

namespace penstock {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr HostLimits kOne{
    .max_connections = 1, .max_idle = 1, .max_waiting = 10, .idle_timeout = {}};

// Taking

TEST_F(HostPoolTest, IdleConnectionOfAnotherWorkerIsTakenAtOnce) {
  fill_idle(1, 0);
  Client& taker = acquire(make_flavor(), 1);
  ASSERT_TRUE(taker.leasing());
  EXPECT_EQ(taker.connection_id(), 1U);
  EXPECT_EQ(taker.connection().requests(), 2U);
  EXPECT_EQ(books(), (Books{0, 0, 1, 0}));
  EXPECT_EQ(snapshot().acquired_takeover, 1U);
  EXPECT_EQ(workers_[1].counts().acquires[AcquireResult::kTakeover].value(), 1U);
  taker.release();
  EXPECT_EQ(acquire(make_flavor(), 0).connection_id(), 1U) << "and back";
  EXPECT_EQ(dialer().started() + workers_[1].dialer.started(), 1U);
}

TEST_F(HostPoolTest, OwnIdleConnectionsComeFirst) {
  fill_idle(1, 0);
  Client& taker = acquire(make_flavor(), 1);
  Client& other = connect(make_flavor(), 1);
  other.release();
  clock_.advance(seconds(1));
  taker.release();
  connect(make_flavor(), 0);
  EXPECT_EQ(snapshot().acquired_takeover, 2U);
  Client& own = acquire(make_flavor(), 1);
  EXPECT_TRUE(own.leasing());
  EXPECT_EQ(snapshot().acquired_takeover, 2U);
}

TEST_F(HostPoolTest, ConnectionThatWasTakenIsClosedByItsNewWorker) {
  fill_idle(1, 0);
  Client& taker = acquire(make_flavor(), 1);
  taker.close(CloseReason::kServerClose);
  EXPECT_EQ(workers_[1].counts().connections_closed[CloseReason::kServerClose].value(), 1U);
  EXPECT_EQ(workers_[0].counts().connections_closed[CloseReason::kServerClose].value(), 0U);
  EXPECT_FALSE(dialer().peer(0).open());
}

TEST_F(HostPoolTest, ConnectionThatItsWorkerLooksAtIsNotTaken) {
  fill_idle(1, 0);
  FakePeer& peer = dialer().peer(0);
  peer.send("HTTP/1.1 408 Late\r\n\r\n");
  // The event is let in, and another worker comes before the bytes are read.
  Client* other = nullptr;
  peer.before_read = [&] { other = &acquire(make_flavor(), 1); };
  peer.turn();
  ASSERT_NE(other, nullptr);
  EXPECT_TRUE(other->waiting());
  EXPECT_FALSE(peer.open());
  EXPECT_EQ(closed(CloseReason::kUnexpectedData), 1U);
}

TEST_F(HostPoolTest, ConnectionThatWasLookedAtInVainIsIdleAgain) {
  fill_idle(1, 0);
  FakePeer& peer = dialer().peer(0);
  peer.send_nothing();
  peer.turn();
  EXPECT_EQ(books(), (Books{0, 1, 0, 0}));
  EXPECT_TRUE(acquire(make_flavor(), 1).leasing());
}

TEST_F(HostPoolTest, WhoCameWhileItWasLookedAtIsServedAfterwards) {
  set_limits(kOne);
  fill_idle(1, 0);
  FakePeer& peer = dialer().peer(0);
  Client* other = nullptr;
  peer.send_nothing();
  peer.before_read = [&] { other = &acquire(make_flavor(), 1); };
  peer.turn();
  ASSERT_NE(other, nullptr);
  run_workers();
  EXPECT_EQ(other->connection_id(), 1U);
}

// It finds nothing that could give way, and nobody else would look again.
TEST_F(HostPoolTest, WhatWasLookedAtGivesWayToAnotherFlavorThatCameMeanwhile) {
  set_limits(kOne);
  fill_idle(1, 0);
  FakePeer& peer = dialer().peer(0);
  Client* other = nullptr;
  peer.send_nothing();
  peer.before_read = [&] { other = &acquire(make_flavor(kIdentity, false), 1); };
  peer.turn();
  ASSERT_NE(other, nullptr);
  EXPECT_EQ(closed(CloseReason::kEvicted), 1U);
  run_workers();
  ASSERT_EQ(workers_[1].dialer.in_flight(), 1U);
  workers_[1].dialer.complete();
  EXPECT_TRUE(other->leasing());
}

TEST_F(HostPoolTest, AddressThatLeftIsKnownOfAConnectionThatWasTakenBefore) {
  fill_idle(1, 0);
  Client& taker = acquire(make_flavor(), 1);
  host_.on_address_left(workers_[0].pool, "api.test", *SocketAddress::from_ip("192.0.2.1", 0));
  taker.release();
  EXPECT_EQ(closed(CloseReason::kRetiredDns), 1U);
}

TEST_F(HostPoolTest, WithoutADescriptorForItATakeoverBecomesADial) {
  fill_idle(2, 0);
  workers_[1].dialer.refuses_to_adopt = true;
  Client& taker = acquire(make_flavor(), 1);
  EXPECT_EQ(taker.phases(), (std::vector{Phase::kResolve}));
  EXPECT_EQ(books(), (Books{1, 0, 0, 0}));
  EXPECT_EQ(closed(CloseReason::kError), 2U);
}

TEST_F(HostPoolTest, WhatWasIdleBeforeASuspendIsNotTaken) {
  fill_idle(1, 0);
  clock_.advance(seconds(1));
  clock_.sleep(seconds(60));
  EXPECT_TRUE(acquire(make_flavor(), 1).waiting());
}

TEST_F(HostPoolTest, IdleConnectionOfAnotherWorkerAndFlavorGivesWayAtTheCap) {
  fill_idle(2, 0);
  Client& plain = acquire(make_flavor(kIdentity, false), 1);
  EXPECT_EQ(plain.phases(), (std::vector{Phase::kResolve}));
  EXPECT_EQ(closed(CloseReason::kEvicted), 1U);
  EXPECT_FALSE(dialer().peer(0).open()) << "the one that was idle longest";
  EXPECT_TRUE(dialer().peer(1).open());
}

TEST_F(HostPoolTest, ConnectionThatDiedTakesOlderIdleOnesOfAllWorkersWithIt) {
  set_limits({.max_connections = 9, .max_idle = 9, .max_waiting = 9, .idle_timeout = {}});
  Client& oldest = connect(make_flavor(), 0);
  clock_.advance(milliseconds(1));
  connect(make_flavor(), 1).release();
  Client& dying = acquire(make_flavor(), 1);
  clock_.advance(milliseconds(1));
  connect(make_flavor(), 0).release();
  oldest.release();
  EXPECT_EQ(books(), (Books{0, 2, 1, 0}));
  workers_[1].dialer.peer(0).send_eof();
  dying.close(CloseReason::kError);
  EXPECT_EQ(books(), (Books{0, 1, 0, 0})) << "the younger one stays";
  EXPECT_FALSE(dialer().peer(0).open());
  EXPECT_TRUE(dialer().peer(1).open());
}

TEST_F(HostPoolTest, WorkerThatLosesAWarmConnectionIsToldSo) {
  limits_.min_idle = 1;
  set_limits(limits_);
  ASSERT_TRUE(host_.keep_warm(workers_[0].pool, make_flavor(), DialLimits{}));
  dialer().complete();
  ASSERT_TRUE(acquire(make_flavor(), 1).leasing());
  EXPECT_EQ(dialer().in_flight(), 0U);
  run_workers();
  clock_.advance(seconds(1));
  run_workers();
  EXPECT_EQ(dialer().in_flight(), 1U);
  host_.trim(workers_[0].pool);
}

// Sending

TEST_F(HostPoolTest, ReturnedConnectionGoesToAWaiterOfAnotherWorker) {
  set_limits(kOne);
  Client& busy = connect(make_flavor(), 0);
  Client& elsewhere = acquire(make_flavor(), 1);
  busy.release();
  EXPECT_TRUE(elsewhere.waiting()) << "the post is on its way";
  EXPECT_EQ(books(), (Books{0, 0, 1, 1}));
  run_workers();
  EXPECT_EQ(elsewhere.connection_id(), 1U);
  EXPECT_EQ(closed(CloseReason::kEvicted), 0U);
  EXPECT_EQ(workers_[1].dialer.started(), 0U);
}

TEST_F(HostPoolTest, OwnWaitersComeFirstUnlessAnothersHasWaitedClearlyLonger) {
  set_limits(kOne);
  for (const bool clearly : {false, true}) {
    Client& busy = clients_.empty() ? connect(make_flavor(), 0) : acquire(make_flavor(), 0);
    ASSERT_TRUE(busy.leasing());
    Client& elsewhere = acquire(make_flavor(), 1);
    clock_.advance(clearly ? milliseconds(1) + microseconds(1) : milliseconds(1));
    Client& own = acquire(make_flavor(), 0);
    busy.release();
    run_workers();
    EXPECT_EQ(own.leasing(), !clearly);
    EXPECT_EQ(elsewhere.leasing(), clearly);
    (clearly ? elsewhere : own).release();
    run_workers();
    (clearly ? own : elsewhere).release();
    run_workers();
  }
}

TEST_F(HostPoolTest, OneWaiterIsSentOneConnection) {
  Client& first = connect(make_flavor(), 0);
  Client& second = connect(make_flavor(), 0);
  Client& elsewhere = acquire(make_flavor(), 1);
  first.release();
  second.release();
  EXPECT_EQ(snapshot().idle, 1U);
  run_workers();
  EXPECT_TRUE(elsewhere.leasing());
  EXPECT_EQ(books(), (Books{0, 1, 1, 0}));
}

TEST_F(HostPoolTest, WaiterWhoseDialIsSlowIsSentAConnectionThatComesBackElsewhere) {
  Client& busy = connect(make_flavor(), 0);
  Client& slow = acquire(make_flavor(), 1);
  busy.release();
  run_workers();
  EXPECT_EQ(slow.connection_id(), 1U);
  Client& next = acquire(make_flavor(), 0);
  EXPECT_TRUE(next.waiting());
  EXPECT_EQ(dialer().in_flight(), 0U) << "the dial that was left is for it";
  workers_[1].dialer.complete();
  run_workers();
  EXPECT_TRUE(next.leasing());
}

TEST_F(HostPoolTest, DialThatNobodyWaitsForServesAWaiterOfAnotherWorker) {
  set_limits(kOne);
  acquire(make_flavor(), 0).cancel();
  Client& elsewhere = acquire(make_flavor(), 1);
  dialer().complete();
  run_workers();
  EXPECT_TRUE(elsewhere.leasing());
}

TEST_F(HostPoolTest, ConnectionWhoseWaiterHasLeftIsIdleWhereItArrives) {
  set_limits(kOne);
  Client& busy = connect(make_flavor(), 0);
  Client& quitter = acquire(make_flavor(), 1);
  busy.release();
  quitter.cancel();
  run_workers();
  EXPECT_EQ(books(), (Books{0, 1, 0, 0}));
  EXPECT_TRUE(acquire(make_flavor(), 0).leasing());
  EXPECT_EQ(snapshot().acquired_takeover, 1U);
}

TEST_F(HostPoolTest, ConnectionThatNeverArrivesGivesItsPermitBack) {
  set_limits(kOne);
  Client& busy = connect(make_flavor(), 0);
  Client& waiting = acquire(make_flavor(), 1);
  busy.release();
  waiting.cancel();
  workers_[1].executor.drop_posted();
  EXPECT_FALSE(dialer().peer(0).open());
  EXPECT_EQ(closed(CloseReason::kShutdown), 1U);
  EXPECT_EQ(acquire().phases(), (std::vector{Phase::kResolve}));
}

TEST_F(HostPoolTest, WithoutADescriptorASentConnectionBecomesADial) {
  set_limits(kOne);
  Client& busy = connect(make_flavor(), 0);
  Client& elsewhere = acquire(make_flavor(), 1);
  workers_[1].dialer.refuses_to_adopt = true;
  busy.release();
  run_workers();
  EXPECT_EQ(elsewhere.phases(), (std::vector{Phase::kQueue, Phase::kResolve}));
  EXPECT_EQ(closed(CloseReason::kError), 1U);
}

TEST_F(HostPoolTest, WaiterForANewConnectionIsSentNone) {
  set_limits({.max_connections = 2, .max_idle = 2, .max_waiting = 9, .idle_timeout = {}});
  Client& dead = connect(make_flavor(), 1);
  Client& busy = connect(make_flavor(), 0);
  dead.redial();
  clock_.advance(seconds(1));
  busy.release();
  run_workers();
  EXPECT_TRUE(dead.waiting());
  EXPECT_EQ(books(), (Books{1, 1, 0, 0}));
}

}  // namespace
}  // namespace penstock
