// A new configuration, and the end: what becomes of the connections that there are.
#include <gtest/gtest.h>

#include "pool_world.h"

namespace penstock {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr HostLimits kFour{
    .max_connections = 4, .max_idle = 4, .max_waiting = 10, .idle_timeout = seconds(55)};

HostLimits with_max_connections(std::uint32_t count) {
  HostLimits limits = kFour;
  limits.max_connections = count;
  return limits;
}

TEST_F(HostPoolTest, LoweredMaxIdleTrimsTheLongestIdleAtOnce) {
  set_limits(kFour);
  fill_idle(4);
  HostLimits fewer = kFour;
  fewer.max_idle = 1;
  set_limits(fewer);
  trim();
  EXPECT_EQ(books(), (Books{0, 1, 0, 0}));
  EXPECT_EQ(closed(CloseReason::kTrimmed), 3U);
  EXPECT_EQ(acquire().connection_id(), 4U);
}

TEST_F(HostPoolTest, TrimmingKeepsTheOrderOfWhatStays) {
  set_limits(kFour);
  fill_idle(4);
  HostLimits fewer = kFour;
  fewer.max_idle = 3;
  set_limits(fewer);
  trim();
  EXPECT_EQ(acquire().connection_id(), 4U);
  EXPECT_EQ(acquire().connection_id(), 3U);
  EXPECT_EQ(acquire().connection_id(), 2U);
}

TEST_F(HostPoolTest, LoweredCapTrimsIdleAtOnceAndBusyOnTheirReturn) {
  set_limits(kFour);
  Client& one = connect();
  Client& two = connect();
  Client& three = connect();
  connect().release();
  set_limits(with_max_connections(2));
  trim();
  EXPECT_EQ(books(), (Books{0, 0, 3, 0}));
  one.release();
  EXPECT_EQ(books(), (Books{0, 0, 2, 0})) << "it was one too many";
  two.release();
  three.release();
  EXPECT_EQ(books(), (Books{0, 2, 0, 0}));
  EXPECT_EQ(closed(CloseReason::kTrimmed), 2U);
}

TEST_F(HostPoolTest, LoweredCapStartsNothingBeforeItIsKept) {
  set_limits(kFour);
  for (int i = 0; i < 4; ++i) connect();
  Client& waiter = acquire();
  set_limits(with_max_connections(2));
  trim();
  clients_[0]->close();
  clients_[1]->close();
  EXPECT_TRUE(waiter.waiting());
  EXPECT_EQ(dialer().in_flight(), 0U);
  clients_[2]->close();
  EXPECT_EQ(dialer().in_flight(), 1U);
}

TEST_F(HostPoolTest, DialsBegunUnderAHigherCapStillServeTheirWaiters) {
  set_limits(kFour);
  for (int i = 0; i < 4; ++i) acquire();
  set_limits(with_max_connections(1));
  trim();
  for (int i = 0; i < 4; ++i) dialer().complete();
  EXPECT_EQ(books(), (Books{0, 0, 4, 0}));
  for (auto& client : clients_) client->release();
  EXPECT_EQ(books(), (Books{0, 1, 0, 0}));
}

// Between the registry's apply() and the worker's trim().
TEST_F(HostPoolTest, RefusalBeforeTheTrimLosesNoConnection) {
  set_limits(kFour);
  fill_idle(4);
  set_limits({.max_connections = 1, .max_idle = 1, .max_waiting = 0, .idle_timeout = {}});
  EXPECT_TRUE(acquire(make_flavor(kIdentity, false)).failed());
  const HostSnapshot now = snapshot();
  EXPECT_EQ(dialer().open_streams(), now.idle + now.busy) << "closed in the books only";
  trim();
  EXPECT_EQ(dialer().open_streams(), 1U);
}

TEST_F(HostPoolTest, RaisedCapStartsDialsForThoseWhoWait) {
  set_limits(with_max_connections(1));
  connect();
  for (int i = 0; i < 4; ++i) acquire();
  set_limits(kFour);
  trim();
  EXPECT_EQ(books(), (Books{3, 0, 1, 1}));
  EXPECT_EQ(clients_[3]->phases(), (std::vector{Phase::kQueue, Phase::kResolve}));
  EXPECT_EQ(clients_[4]->phases(), (std::vector{Phase::kQueue}));
}

TEST_F(HostPoolTest, ChangedIdentityRetiresIdleAtOnceAndBusyOnTheirReturn) {
  Client& busy = connect();
  connect().release();
  set_limits(limits_, kIdentity + 1);
  trim();
  EXPECT_EQ(books(), (Books{0, 0, 1, 0}));
  EXPECT_EQ(closed(CloseReason::kRetiredReload), 1U);
  busy.release();
  EXPECT_EQ(books(), (Books{0, 0, 0, 0}));
  EXPECT_EQ(closed(CloseReason::kRetiredReload), 2U);
}

TEST_F(HostPoolTest, RetiredConnectionServesNoMoreWaitersOfItsOwnFlavor) {
  set_limits(with_max_connections(1));
  Client& busy = connect();
  Client& old_one = acquire();
  set_limits(limits_, kIdentity + 1);
  trim();
  busy.release();
  EXPECT_EQ(old_one.phases(), (std::vector{Phase::kQueue, Phase::kResolve}));
  dialer().complete();
  EXPECT_TRUE(old_one.leasing()) << "it began under the old settings and ends under them";
}

TEST_F(HostPoolTest, OldDialThatSomebodyWaitsForIsNotGivenToNewRequests) {
  set_limits(with_max_connections(1));
  Client& old_one = acquire();
  set_limits(limits_, kIdentity + 1);
  trim();
  Client& fresh = acquire(make_flavor(kIdentity + 1));
  EXPECT_EQ(fresh.phases(), (std::vector{Phase::kQueue}));
  old_one.cancel();
  dialer().complete();
  EXPECT_EQ(closed(CloseReason::kRetiredReload), 1U);
  EXPECT_EQ(fresh.phases(), (std::vector{Phase::kQueue, Phase::kResolve}));
}

TEST_F(HostPoolTest, OldDialThatNobodyWaitsForEndsAtOnce) {
  set_limits(with_max_connections(1));
  acquire().cancel();
  Client& waiter = acquire(make_flavor(kIdentity + 1));
  EXPECT_EQ(dialer().in_flight(), 1U) << "of the old identity";
  set_limits(limits_, kIdentity + 1);
  trim();
  EXPECT_EQ(dialer().in_flight(), 1U) << "of the new one";
  EXPECT_EQ(waiter.phases(), (std::vector{Phase::kQueue, Phase::kResolve}));
}

TEST_F(HostPoolTest, TrimSaysHowManyItClosed) {
  set_limits(kFour);
  fill_idle(4);
  set_limits(with_max_connections(1));
  const Trimmed fewer = host_.trim(workers_[0].pool);
  EXPECT_EQ(fewer.surplus, 3U);
  EXPECT_EQ(fewer.retired, 0U);
  set_limits(limits_, kIdentity + 1);
  const Trimmed none = host_.trim(workers_[0].pool);
  EXPECT_EQ(none.surplus, 0U);
  EXPECT_EQ(none.retired, 1U);
}

// A request that a reload leads here

TEST_F(HostPoolTest, ArrivalStandsByItsAge) {
  set_limits(with_max_connections(1));
  Client& busy = connect();
  const MonotonicTime before = clock_.now();
  clock_.advance(seconds(1));
  Client& younger = acquire();
  clock_.advance(seconds(1));
  Client& arrival = arrive(before);
  Client& between = arrive(before + milliseconds(500));
  busy.release();
  EXPECT_TRUE(arrival.leasing());
  arrival.release();
  EXPECT_TRUE(between.leasing());
  between.release();
  EXPECT_TRUE(younger.leasing());
}

TEST_F(HostPoolTest, ArrivalIsNotRefusedForAFullQueue) {
  set_limits({.max_connections = 1, .max_idle = 1, .max_waiting = 0, .idle_timeout = {}});
  connect();
  EXPECT_TRUE(acquire().failed());
  EXPECT_TRUE(arrive(clock_.now()).waiting());
}

TEST_F(HostPoolTest, ArrivalTakesTheDialOfTheYoungestThatCameLater) {
  set_limits(with_max_connections(2));
  const MonotonicTime before = clock_.now();
  clock_.advance(seconds(1));
  Client& one = acquire();
  clock_.advance(seconds(1));
  Client& two = acquire();
  Client& arrival = arrive(before);
  EXPECT_EQ(arrival.phases(), (std::vector{Phase::kResolve}));
  EXPECT_EQ(two.phases(), (std::vector{Phase::kResolve, Phase::kQueue}));
  EXPECT_EQ(books(), (Books{2, 0, 0, 1}));
  dialer().complete();
  EXPECT_TRUE(arrival.leasing()) << "the oldest has the first connection";
  dialer().complete();
  EXPECT_TRUE(one.leasing());
  arrival.release();
  EXPECT_TRUE(two.leasing());
}

TEST_F(HostPoolTest, ArrivalLeavesDialsOfOlderRequestsAndOfOtherFlavorsAlone) {
  set_limits(with_max_connections(2));
  Client& older = acquire();
  clock_.advance(seconds(1));
  const MonotonicTime since = clock_.now();
  clock_.advance(seconds(1));
  Client& other = acquire(make_flavor(kIdentity, false));
  Client& arrival = arrive(since);
  EXPECT_EQ(arrival.phases(), (std::vector{Phase::kQueue}));
  EXPECT_EQ(older.phases(), (std::vector{Phase::kResolve}));
  EXPECT_EQ(other.phases(), (std::vector{Phase::kResolve}));
}

TEST_F(HostPoolTest, ArrivalIsNotCountedAsAnotherRequest) {
  set_limits(with_max_connections(1));
  connect();
  arrive(clock_.now());
  EXPECT_EQ(snapshot().acquired_queued, 0U);
}

TEST_F(HostPoolTest, LimitsStayExactAcrossAChangeOfIdentity) {
  connect();
  connect();
  set_limits(limits_, kIdentity + 1);
  trim();
  EXPECT_EQ(acquire(make_flavor(kIdentity + 1)).phases(), (std::vector{Phase::kQueue}));
}

TEST_F(HostPoolTest, SwitchingReuseOffClosesWhatIsIdle) {
  fill_idle(2);
  HostLimits once = limits_;
  once.reuse = false;
  set_limits(once);
  trim();
  EXPECT_EQ(books(), (Books{0, 0, 0, 0}));
  EXPECT_EQ(dialer().open_streams(), 0U);
}

TEST_F(HostPoolTest, ShortenedIdleTimeoutHoldsForWhatIsIdle) {
  fill_idle(1);
  clock_.advance(seconds(5));
  HostLimits shorter = limits_;
  shorter.idle_timeout = seconds(10);
  set_limits(shorter);
  trim();
  clock_.advance(seconds(5) - milliseconds(1));
  EXPECT_TRUE(dialer().peer(0).open());
  clock_.advance(milliseconds(1) + TimerWheel::kTick);
  EXPECT_FALSE(dialer().peer(0).open());
}

TEST_F(HostPoolTest, LengthenedIdleTimeoutHoldsForWhatIsIdle) {
  fill_idle(1);
  HostLimits longer = limits_;
  longer.idle_timeout = seconds(100);
  set_limits(longer);
  trim();
  clock_.advance(seconds(99));
  EXPECT_TRUE(dialer().peer(0).open());
  clock_.advance(seconds(1) + TimerWheel::kTick);
  EXPECT_FALSE(dialer().peer(0).open());
}

TEST_F(HostPoolTest, IdleTimeoutSwitchedOnHoldsForWhatIsIdle) {
  HostLimits none = limits_;
  none.idle_timeout.reset();
  set_limits(none);
  fill_idle(1);
  clock_.advance(seconds(100));
  none.idle_timeout = seconds(55);
  set_limits(none);
  trim();
  clock_.advance(2 * TimerWheel::kTick);
  EXPECT_FALSE(dialer().peer(0).open());
}

// The end

TEST_F(HostPoolTest, DetachClosesIdleConnectionsAndCancelsDials) {
  fill_idle(1);
  Client& busy = acquire();
  acquire().cancel();
  busy.release();
  host_.detach(workers_[0].pool);
  EXPECT_EQ(books(), (Books{0, 0, 0, 0}));
  EXPECT_EQ(dialer().cancelled(), 1U);
  EXPECT_EQ(dialer().open_streams(), 0U);
  EXPECT_EQ(closed(CloseReason::kShutdown), 1U) << "the dial was never open";
}

TEST_F(HostPoolTest, DetachLeavesWhatOtherWorkersHave) {
  fill_idle(1, 0);
  fill_idle(1, 1);
  host_.detach(workers_[0].pool);
  EXPECT_EQ(books(), (Books{0, 1, 0, 0}));
  EXPECT_TRUE(acquire(make_flavor(), 1).leasing());
}

TEST_F(HostPoolTest, DetachedWorkersPermitsServeTheOthers) {
  acquire(make_flavor(), 0).cancel();
  acquire(make_flavor(), 0).cancel();  // two dials that nobody waits for
  Client& first = acquire(make_flavor(kIdentity, false), 0);
  first.cancel();
  Client& elsewhere = acquire(make_flavor(kIdentity, false), 1);
  host_.detach(workers_[0].pool);
  run_workers();
  EXPECT_EQ(elsewhere.phases(), (std::vector{Phase::kQueue, Phase::kResolve}));
}

TEST_F(HostPoolTest, PoolRetiresOnlyAfterItWasUnusedForLongEnough) {
  EXPECT_FALSE(host_.retire_if_unused(clock_.now(), seconds(60)));
  clock_.advance(seconds(59));
  EXPECT_FALSE(host_.retire_if_unused(clock_.now(), seconds(60)));
  clock_.advance(seconds(1));
  EXPECT_TRUE(host_.retire_if_unused(clock_.now(), seconds(60)));
}

TEST_F(HostPoolTest, UseBetweenTwoLooksBeginsTheTimeAnew) {
  EXPECT_FALSE(host_.retire_if_unused(clock_.now(), seconds(60)));
  clock_.advance(seconds(50));
  connect().close();
  clock_.advance(seconds(10));
  EXPECT_FALSE(host_.retire_if_unused(clock_.now(), seconds(60)));
}

TEST_F(HostPoolTest, PoolWithAConnectionOrADialDoesNotRetire) {
  Client& client = acquire();
  for (int i = 0; i < 2; ++i) {
    EXPECT_FALSE(host_.retire_if_unused(clock_.now(), seconds(60)));
    clock_.advance(seconds(100));
  }
  dialer().complete();
  EXPECT_FALSE(host_.retire_if_unused(clock_.now(), seconds(60)));
  client.close();
}

TEST_F(HostPoolTest, RetiredPoolTellsEveryAcquireSo) {
  host_.retire_if_unused(clock_.now(), seconds(0));
  ASSERT_TRUE(host_.retire_if_unused(clock_.now(), seconds(0)));
  Client& client = this->client();
  const AcquireOutcome outcome =
      host_.acquire(workers_[0].pool, make_flavor(), DialLimits{}, client);
  EXPECT_TRUE(std::holds_alternative<Retired>(outcome));
  EXPECT_EQ(dialer().started(), 0U);
}

}  // namespace
}  // namespace penstock
