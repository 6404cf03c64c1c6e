// An address leaves its name: connections to it are retired, a few at a time; others stay.
#include <gtest/gtest.h>

#include "pool_world.h"

namespace penstock {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

// Where FakeDialer's dials end; the resolver names no port.
SocketAddress here() { return *SocketAddress::from_ip("192.0.2.1", 0); }

class DnsTest : public HostPoolTest {
 protected:
  DnsTest() {
    set_limits({.max_connections = 9,
                .max_connecting = 2,
                .max_idle = 9,
                .max_waiting = 9,
                .idle_timeout = {}});
  }
  void leave() { host_.on_address_left(workers_[0].pool, "api.test", here()); }
};

TEST_F(DnsTest, IdleConnectionsAreRetiredAtMostMaxConnectingASecond) {
  fill_idle(5);
  leave();
  EXPECT_EQ(books(), (Books{0, 3, 0, 0}));
  clock_.advance(seconds(1) - milliseconds(1));
  EXPECT_EQ(books(), (Books{0, 3, 0, 0}));
  clock_.advance(milliseconds(1) + TimerWheel::kTick);
  EXPECT_EQ(books(), (Books{0, 1, 0, 0}));
  clock_.advance(seconds(1) + TimerWheel::kTick);
  EXPECT_EQ(books(), (Books{0, 0, 0, 0}));
  EXPECT_EQ(closed(CloseReason::kRetiredDns), 5U);
}

TEST_F(DnsTest, BusyOneIsNotPooledAgainWhileAFreshOneIs) {
  Client& busy = connect();
  leave();
  EXPECT_TRUE(dialer().peer(0).open());
  busy.release();
  EXPECT_EQ(closed(CloseReason::kRetiredDns), 1U);
  connect().release();
  EXPECT_EQ(books(), (Books{0, 1, 0, 0})) << "dialled afterwards, it is taken for what it is";
}

TEST_F(DnsTest, OtherNamesAndAddressesKeepTheirs) {
  fill_idle(2);
  host_.on_address_left(workers_[0].pool, "other.test", here());
  host_.on_address_left(workers_[0].pool, "api.test", *SocketAddress::from_ip("192.0.2.2", 0));
  host_.on_address_left(workers_[0].pool, "api.test", *SocketAddress::from_ip("::1", 0));
  clock_.advance(seconds(5));
  EXPECT_EQ(books(), (Books{0, 2, 0, 0}));
}

TEST_F(DnsTest, WhatIsLeftStaysWhenTheAddressReturns) {
  Client& busy = connect();
  fill_idle(4);
  leave();
  host_.on_address_returned(workers_[0].pool, "api.test", here());
  clock_.advance(seconds(5));
  busy.release();
  EXPECT_EQ(books(), (Books{0, 3, 0, 0}));
}

TEST_F(DnsTest, EachWorkerRetiresItsOwn) {
  fill_idle(1);
  fill_idle(1, 1);
  leave();
  EXPECT_EQ(books(), (Books{0, 1, 0, 0}));
  host_.on_address_left(workers_[1].pool, "api.test", here());
  EXPECT_EQ(books(), (Books{0, 0, 0, 0}));
}

TEST_F(DnsTest, LeavingTwiceDoesNotHurry) {
  fill_idle(5);
  leave();
  leave();
  EXPECT_EQ(books(), (Books{0, 3, 0, 0}));
}

}  // namespace
}  // namespace penstock
