// HostPool on one worker: who gets which connection, in which order, and how many there are.
#include "pool/host_pool.h"

#include <gtest/gtest.h>

#include "pool_world.h"

namespace penstock {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

TEST_F(HostPoolTest, FirstRequestDialsAndIsServedByItsDial) {
  Client& client = acquire();
  EXPECT_TRUE(client.waiting());
  EXPECT_EQ(books(), (Books{1, 0, 0, 0}));
  dialer().complete();
  ASSERT_TRUE(client.leasing());
  EXPECT_EQ(client.connection().requests(), 1U);
  EXPECT_EQ(client.connection().address(), "192.0.2.1:443");
  EXPECT_EQ(books(), (Books{0, 0, 1, 0}));
}

TEST_F(HostPoolTest, ReturnedConnectionServesTheNextRequestAtOnce) {
  Client& first = connect();
  const std::uint64_t id = first.connection_id();
  first.release();
  EXPECT_EQ(books(), (Books{0, 1, 0, 0}));
  Client& second = acquire();
  ASSERT_TRUE(second.leasing());
  EXPECT_EQ(second.connection_id(), id);
  EXPECT_EQ(second.connection().requests(), 2U);
  EXPECT_EQ(dialer().started(), 1U);
}

TEST_F(HostPoolTest, ConnectionThatCameBackLastIsUsedFirst) {
  Client& one = connect();
  Client& other = connect();
  const std::uint64_t last = one.connection_id();
  other.release();
  one.release();
  EXPECT_EQ(acquire().connection_id(), last);
}

TEST_F(HostPoolTest, DialsCountAgainstTheCap) {
  Client& first = acquire();
  acquire();
  Client& third = acquire();
  EXPECT_EQ(dialer().in_flight(), 2U);
  EXPECT_EQ(third.phases(), (std::vector{Phase::kQueue}));
  EXPECT_EQ(first.phases(), (std::vector{Phase::kResolve}));
  EXPECT_EQ(books(), (Books{2, 0, 0, 1}));
}

TEST_F(HostPoolTest, CapHoldsWhileConnectionsComeAndGo) {
  for (int i = 0; i < 8; ++i) acquire();
  for (int round = 0; round < 8; ++round) {
    if (dialer().in_flight() > 0) dialer().complete();
    EXPECT_LE(dialer().in_flight() + dialer().open_streams(), 2U);
    for (auto& client : clients_) {
      if (client->leasing()) client->close();
      EXPECT_LE(dialer().in_flight() + dialer().open_streams(), 2U);
    }
  }
  EXPECT_EQ(dialer().started(), 8U);
}

TEST_F(HostPoolTest, ClosedConnectionLetsTheNextWaiterDial) {
  Client& first = connect();
  connect();
  Client& waiter = acquire();
  EXPECT_EQ(dialer().in_flight(), 0U);
  first.close();
  EXPECT_EQ(dialer().in_flight(), 1U);
  EXPECT_EQ(waiter.phases(), (std::vector{Phase::kQueue, Phase::kResolve}));
}

TEST_F(HostPoolTest, WaitersAreServedInOrderOfArrival) {
  Client& busy = connect();
  connect();
  Client& first = acquire();
  Client& second = acquire();
  busy.release();
  ASSERT_TRUE(first.leasing());
  EXPECT_TRUE(second.waiting());
  first.release();
  EXPECT_TRUE(second.leasing());
}

TEST_F(HostPoolTest, OlderWaiterTakesTheDialThatWasForAYoungerOne) {
  Client& older = acquire();
  Client& younger = acquire();
  dialer().enter_phase(Phase::kTlsHandshake, 0);
  dialer().complete(1);
  EXPECT_TRUE(older.leasing());
  ASSERT_TRUE(younger.waiting());
  EXPECT_EQ(younger.phases(), (std::vector{Phase::kResolve, Phase::kTlsHandshake}));
  dialer().complete();
  EXPECT_TRUE(younger.leasing());
  EXPECT_EQ(dialer().started(), 2U);
}

TEST_F(HostPoolTest, FullQueueRefusesAtOnce) {
  set_limits({.max_connections = 1, .max_idle = 1, .max_waiting = 2, .idle_timeout = {}});
  acquire();
  acquire();
  acquire();
  Client& refused = acquire();
  ASSERT_TRUE(refused.failed());
  EXPECT_EQ(refused.error().code, ErrorCode::kConnectionLimitReached);
  EXPECT_EQ(refused.error().limit_key, "pool.max_waiting");
  EXPECT_EQ(refused.error().phase, Phase::kQueue);
  EXPECT_EQ(books(), (Books{1, 0, 0, 2}));
}

TEST_F(HostPoolTest, NobodyQueuesWhereNoneMayButDialsGoOn) {
  set_limits({.max_connections = 1, .max_idle = 1, .max_waiting = 0, .idle_timeout = {}});
  Client& dialling = acquire();
  EXPECT_TRUE(dialling.waiting());
  EXPECT_TRUE(acquire().failed());
  dialer().complete();
  EXPECT_TRUE(dialling.leasing());
  EXPECT_TRUE(acquire().failed());
}

TEST_F(HostPoolTest, WaiterWithADialTakesNoPlaceInTheQueue) {
  set_limits({.max_connections = 1, .max_idle = 1, .max_waiting = 1, .idle_timeout = {}});
  acquire();
  Client& second = acquire();
  EXPECT_TRUE(second.waiting());
  clients_.front()->cancel();  // its dial is the second one's now
  EXPECT_TRUE(acquire().waiting());
  EXPECT_TRUE(acquire().failed());
}

// Late binding

TEST_F(HostPoolTest, WaiterTakesAReturnedConnectionBeforeItsOwnDial) {
  Client& busy = connect();
  const std::uint64_t id = busy.connection_id();
  Client& waiter = acquire();
  busy.release();
  EXPECT_EQ(waiter.connection_id(), id);
  EXPECT_EQ(dialer().in_flight(), 1U) << "its dial goes on";
}

TEST_F(HostPoolTest, DialThatNobodyWaitsForJoinsThePool) {
  Client& busy = connect();
  Client& waiter = acquire();
  busy.release();
  dialer().complete();
  EXPECT_EQ(books(), (Books{0, 1, 1, 0}));
  Client& next = acquire();
  ASSERT_TRUE(next.leasing());
  EXPECT_NE(next.connection_id(), waiter.connection_id());
  EXPECT_EQ(next.connection().requests(), 1U);
}

TEST_F(HostPoolTest, DialThatNobodyWaitsForServesTheNextRequest) {
  Client& busy = connect();
  acquire();
  busy.release();
  dialer().enter_phase(Phase::kConnect);
  Client& next = acquire();
  EXPECT_EQ(next.phases(), (std::vector{Phase::kConnect}));
  EXPECT_EQ(dialer().started(), 2U);
  dialer().complete();
  EXPECT_TRUE(next.leasing());
}

TEST_F(HostPoolTest, DialThatNobodyWaitsForServesTheOldestInTheQueue) {
  Client& busy = connect();
  Client& paired = acquire();
  Client& queued = acquire();
  EXPECT_EQ(queued.phases(), (std::vector{Phase::kQueue}));
  dialer().enter_phase(Phase::kConnect);
  busy.release();
  EXPECT_TRUE(paired.leasing());
  EXPECT_EQ(queued.phases(), (std::vector{Phase::kQueue, Phase::kConnect}));
  EXPECT_EQ(books(), (Books{1, 0, 1, 0}));
}

TEST_F(HostPoolTest, NoMoreConnectionsAreOpenedThanThereAreClients) {
  set_limits({.max_connections = 100, .max_idle = 100, .max_waiting = 100, .idle_timeout = {}});
  constexpr int kClients = 8;
  for (int round = 0; round < 50; ++round) {
    std::vector<Client*> all;
    for (int i = 0; i < kClients; ++i) all.push_back(&acquire());
    while (dialer().in_flight() > 0) {
      dialer().complete(static_cast<std::size_t>(round) % dialer().in_flight());
      // Whoever is served leaves at once, so that others take his connection before their dial.
      for (Client* one : all) {
        if (one->leasing()) one->release();
      }
    }
    for (Client* one : all) {
      if (one->leasing()) one->release();
    }
  }
  EXPECT_LE(dialer().started(), static_cast<std::uint64_t>(kClients));
}

// Giving up

TEST_F(HostPoolTest, CancelledWaiterFreesItsPlaceInTheQueue) {
  set_limits({.max_connections = 1, .max_idle = 1, .max_waiting = 1, .idle_timeout = {}});
  Client& busy = connect();
  Client& quitter = acquire();
  EXPECT_TRUE(acquire().failed());
  quitter.cancel();
  Client& next = acquire();
  EXPECT_TRUE(next.waiting());
  busy.release();
  EXPECT_TRUE(next.leasing());
}

TEST_F(HostPoolTest, CancelledWaiterLeavesItsDialToThePool) {
  acquire().cancel();
  EXPECT_EQ(dialer().cancelled(), 0U);
  EXPECT_EQ(books(), (Books{1, 0, 0, 0}));
  dialer().complete();
  EXPECT_EQ(books(), (Books{0, 1, 0, 0}));
  EXPECT_TRUE(acquire().leasing());
}

TEST_F(HostPoolTest, CancelledWaiterInTheMiddleOfTheQueueKeepsTheOthersInOrder) {
  set_limits({.max_connections = 1, .max_idle = 1, .max_waiting = 9, .idle_timeout = {}});
  Client& busy = connect();
  Client& first = acquire();
  Client& quitter = acquire();
  Client& last = acquire();
  quitter.cancel();
  busy.release();
  ASSERT_TRUE(first.leasing());
  first.release();
  EXPECT_TRUE(last.leasing());
}

TEST_F(HostPoolTest, DroppedLeaseClosesItsConnection) {
  Client& client = connect();
  client.drop();
  EXPECT_FALSE(dialer().peer(0).open());
  EXPECT_EQ(closed(CloseReason::kError), 1U);
  EXPECT_EQ(books(), (Books{0, 0, 0, 0}));
}

// Handlers that do something

TEST_F(HostPoolTest, HandlerMayGiveItsConnectionBackAtOnce) {
  set_limits({.max_connections = 1, .max_idle = 1, .max_waiting = 100, .idle_timeout = {}});
  Client& busy = connect();
  for (int i = 0; i < 50; ++i) {
    Client& one = acquire();
    one.then_acquired = [&one] { one.release(); };
  }
  busy.release();
  EXPECT_EQ(books(), (Books{0, 1, 0, 0}));
  EXPECT_EQ(acquire().connection().requests(), 52U);
}

TEST_F(HostPoolTest, HandlerMayCancelTheWaiterBehindIt) {
  set_limits({.max_connections = 1, .max_idle = 1, .max_waiting = 9, .idle_timeout = {}});
  Client& busy = connect();
  Client& first = acquire();
  Client& second = acquire();
  first.then_acquired = [&] {
    second.cancel();
    first.release();
  };
  busy.release();
  EXPECT_FALSE(second.leasing());
  EXPECT_EQ(books(), (Books{0, 1, 0, 0}));
}

TEST_F(HostPoolTest, HandlerMayAcquireAgain) {
  set_limits({.max_connections = 1, .max_idle = 1, .max_waiting = 9, .idle_timeout = {}});
  Client& busy = connect();
  Client& first = acquire();
  Client& again = client();
  first.then_acquired = [&] {
    acquire(again);
    first.close();
  };
  busy.release();
  EXPECT_EQ(again.phases(), (std::vector{Phase::kQueue, Phase::kResolve}));
}

TEST_F(HostPoolTest, WaiterMayLeaveWhenItIsToldItsPhase) {
  set_limits({.max_connections = 1, .max_idle = 1, .max_waiting = 9, .idle_timeout = {}});
  Client& busy = connect();
  Client& leaving = acquire();
  Client& staying = acquire();
  leaving.then_phase = [&] { leaving.cancel(); };
  busy.close();
  EXPECT_FALSE(leaving.waiting());
  EXPECT_EQ(staying.phases(), (std::vector{Phase::kQueue, Phase::kResolve}));
  dialer().complete();
  EXPECT_TRUE(staying.leasing());
}

// What it tells

TEST_F(HostPoolTest, CountsHowRequestsCameByTheirConnections) {
  connect().release();
  Client& idle = acquire();
  connect();
  Client& queued = acquire();
  idle.release();
  EXPECT_TRUE(queued.leasing());
  const HostSnapshot now = snapshot();
  EXPECT_EQ(now.acquired_dialed, 2U);
  EXPECT_EQ(now.acquired_idle, 1U);
  EXPECT_EQ(now.acquired_queued, 1U);
  EXPECT_EQ(counts().acquires[AcquireResult::kDialed].value(), 2U);
  EXPECT_EQ(counts().acquires[AcquireResult::kIdle].value(), 1U);
  EXPECT_EQ(counts().acquires[AcquireResult::kQueued].value(), 1U);
}

TEST_F(HostPoolTest, CountsConnectionsOpenedAndClosed) {
  Client& resumed = acquire();
  dialer().complete(0, true);
  connect().release();
  connect(make_flavor(kIdentity, false)).close(CloseReason::kServerClose);
  resumed.close(CloseReason::kTimeout);
  EXPECT_EQ(snapshot().opened, 3U);
  EXPECT_EQ(closed(CloseReason::kEvicted), 1U);
  EXPECT_EQ(closed(CloseReason::kServerClose), 1U);
  EXPECT_EQ(closed(CloseReason::kTimeout), 1U);
  EXPECT_EQ(counts().connections_opened.value(), 3U);
  EXPECT_EQ(counts().connections_closed[CloseReason::kEvicted].value(), 1U);
  EXPECT_EQ(counts().connections_closed[CloseReason::kServerClose].value(), 1U);
  EXPECT_EQ(counts().connections_closed[CloseReason::kTimeout].value(), 1U);
  EXPECT_EQ(counts().tls_resumed_handshakes.value(), 1U);
  EXPECT_EQ(counts().tls_full_handshakes.value(), 1U) << "the third one was plaintext";
}

TEST_F(HostPoolTest, SnapshotTellsTheOldestWait) {
  set_limits({.max_connections = 1, .max_idle = 1, .max_waiting = 9, .idle_timeout = {}});
  connect();
  acquire();
  clock_.advance(seconds(2));
  acquire();
  clock_.advance(milliseconds(500));
  EXPECT_EQ(snapshot().oldest_wait, milliseconds(2500));
  EXPECT_EQ(snapshot().waiting, 2U);
  clients_[1]->cancel();
  EXPECT_EQ(snapshot().oldest_wait, milliseconds(500));
}

TEST_F(HostPoolTest, LiteralAddressBeginsByConnecting) {
  EXPECT_EQ(acquire(make_flavor(kIdentity, true, "192.0.2.7")).phases(),
            (std::vector{Phase::kConnect}));
  EXPECT_EQ(acquire(make_flavor(kIdentity, true, "2001:db8::7")).phases(),
            (std::vector{Phase::kConnect}));
}

TEST_F(HostPoolTest, PhasesOfADialAreToldOnce) {
  Client& client = acquire();
  dialer().enter_phase(Phase::kResolve);
  dialer().enter_phase(Phase::kConnect);
  dialer().enter_phase(Phase::kTlsHandshake);
  EXPECT_EQ(client.phases(), (std::vector{Phase::kResolve, Phase::kConnect, Phase::kTlsHandshake}));
}

}  // namespace
}  // namespace penstock
