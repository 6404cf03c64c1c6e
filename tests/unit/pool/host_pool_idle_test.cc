// Idle connections: how many are kept, for how long, and what ends them.
#include <gtest/gtest.h>

#include "pool_world.h"

namespace penstock {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

TEST_F(HostPoolTest, IdleConnectionThatThePeerClosesIsClosed) {
  fill_idle(1);
  dialer().peer(0).send_eof();
  EXPECT_TRUE(dialer().peer(0).turn());
  EXPECT_FALSE(dialer().peer(0).open());
  EXPECT_EQ(closed(CloseReason::kPeerClosedIdle), 1U);
  EXPECT_EQ(books(), (Books{0, 0, 0, 0}));
}

TEST_F(HostPoolTest, IdleConnectionThatBreaksIsClosed) {
  fill_idle(1);
  dialer().peer(0).fail_reads(ECONNRESET);
  EXPECT_TRUE(dialer().peer(0).turn());
  EXPECT_FALSE(dialer().peer(0).open());
  EXPECT_EQ(closed(CloseReason::kPeerClosedIdle), 1U);
}

TEST_F(HostPoolTest, IdleConnectionThatSpeaksIsClosed) {
  fill_idle(1);
  dialer().peer(0).send("HTTP/1.1 408 Request Timeout\r\n\r\n");
  EXPECT_TRUE(dialer().peer(0).turn());
  EXPECT_FALSE(dialer().peer(0).open());
  EXPECT_EQ(closed(CloseReason::kUnexpectedData), 1U);
}

TEST_F(HostPoolTest, IdleConnectionThatWakesForNothingIsKept) {
  fill_idle(1);
  FakePeer& peer = dialer().peer(0);
  peer.handler()->on_readable();  // a TLS ticket: no byte for us
  EXPECT_TRUE(peer.open());
  EXPECT_TRUE(acquire().leasing());
}

TEST_F(HostPoolTest, FreshConnectionThatJoinsThePoolIsWatchedToo) {
  acquire().cancel();
  FakePeer& peer = dialer().complete();
  peer.send_eof();
  EXPECT_TRUE(peer.turn());
  EXPECT_FALSE(peer.open());
  EXPECT_EQ(closed(CloseReason::kPeerClosedIdle), 1U);
}

TEST_F(HostPoolTest, BusyConnectionIsItsClientsToRead) {
  Client& client = connect();
  dialer().peer(0).send("HTTP/1.1 200 OK\r\n");
  EXPECT_TRUE(dialer().peer(0).turn());
  EXPECT_EQ(client.unexpected_events(), 1);
  EXPECT_EQ(books(), (Books{0, 0, 1, 0}));
}

TEST_F(HostPoolTest, IdleTimeoutClosesAtItsTick) {
  fill_idle(1);
  clock_.advance(seconds(55) - milliseconds(1));
  EXPECT_TRUE(dialer().peer(0).open());
  clock_.advance(milliseconds(1) + TimerWheel::kTick);
  EXPECT_FALSE(dialer().peer(0).open());
  EXPECT_EQ(closed(CloseReason::kIdleTimeout), 1U);
  EXPECT_EQ(books(), (Books{0, 0, 0, 0}));
}

TEST_F(HostPoolTest, EachIdleConnectionHasItsOwnTime) {
  Client& one = connect();
  Client& other = connect();
  one.release();
  clock_.advance(seconds(30));
  other.release();
  clock_.advance(seconds(25) + TimerWheel::kTick);
  EXPECT_FALSE(dialer().peer(0).open());
  EXPECT_TRUE(dialer().peer(1).open());
  clock_.advance(seconds(30));
  EXPECT_FALSE(dialer().peer(1).open());
}

TEST_F(HostPoolTest, IdleTimeoutBeginsAnewWithEachUse) {
  fill_idle(1);
  for (int i = 0; i < 4; ++i) {
    clock_.advance(seconds(40));
    Client& client = acquire();
    ASSERT_TRUE(client.leasing()) << i;
    client.release();
  }
  EXPECT_EQ(dialer().started(), 1U);
}

TEST_F(HostPoolTest, BusyConnectionHasNoIdleTimeout) {
  fill_idle(1);
  Client& client = acquire();
  clock_.advance(seconds(600));
  EXPECT_TRUE(dialer().peer(0).open());
  client.release();
  EXPECT_EQ(books(), (Books{0, 1, 0, 0}));
}

TEST_F(HostPoolTest, WithoutIdleTimeoutAConnectionIsKept) {
  set_limits({.max_connections = 2, .max_idle = 2, .max_waiting = 2, .idle_timeout = {}});
  fill_idle(1);
  clock_.advance(std::chrono::hours(30));
  EXPECT_TRUE(acquire().leasing());
}

TEST_F(HostPoolTest, NoMoreThanMaxIdleAreKeptAndThoseTheFreshest) {
  set_limits({.max_connections = 4, .max_idle = 2, .max_waiting = 2, .idle_timeout = {}});
  fill_idle(4);
  EXPECT_EQ(books(), (Books{0, 2, 0, 0}));
  EXPECT_EQ(closed(CloseReason::kTrimmed), 2U);
  EXPECT_FALSE(dialer().peer(0).open());
  EXPECT_FALSE(dialer().peer(1).open());
  EXPECT_EQ(acquire().connection_id(), 4U);
}

TEST_F(HostPoolTest, MaxIdleNoneKeepsNoneButServesWhoWaits) {
  set_limits({.max_connections = 1, .max_idle = 0, .max_waiting = 2, .idle_timeout = {}});
  Client& first = connect();
  Client& second = acquire();
  first.release();
  ASSERT_TRUE(second.leasing());
  EXPECT_EQ(second.connection().requests(), 2U);
  second.release();
  EXPECT_EQ(books(), (Books{0, 0, 0, 0}));
  EXPECT_EQ(closed(CloseReason::kTrimmed), 1U);
}

TEST_F(HostPoolTest, WithoutReuseEachConnectionServesOneRequest) {
  set_limits(
      {.max_connections = 1, .max_idle = 1, .max_waiting = 2, .idle_timeout = {}, .reuse = false});
  Client& first = connect();
  Client& second = acquire();
  first.release();
  EXPECT_TRUE(second.waiting());
  EXPECT_EQ(closed(CloseReason::kMaxRequests), 1U);
  dialer().complete();
  ASSERT_TRUE(second.leasing());
  EXPECT_EQ(second.connection().requests(), 1U);
  second.release();
  EXPECT_EQ(books(), (Books{0, 0, 0, 0}));
}

TEST_F(HostPoolTest, WithoutReuseADialThatNobodyWaitsForIsNotKept) {
  set_limits(
      {.max_connections = 1, .max_idle = 1, .max_waiting = 2, .idle_timeout = {}, .reuse = false});
  acquire().cancel();
  dialer().complete();
  EXPECT_EQ(books(), (Books{0, 0, 0, 0}));
  EXPECT_EQ(dialer().open_streams(), 0U);
}

TEST_F(HostPoolTest, MemoryOfAClosedConnectionGoesATurnLater) {
  fill_idle(1);
  dialer().peer(0).send_eof();
  dialer().peer(0).turn();
  EXPECT_EQ(workers_[0].executor.deferred(), 1U);
}

}  // namespace
}  // namespace penstock
