// How long a stop waits for apps that still call out.
#include "server/client_wait.h"

#include <gtest/gtest.h>

#include <chrono>

#include "proxy/client_quota.h"
#include "support/manual_clock.h"

namespace penstock {
namespace {

using namespace std::chrono_literals;

class ClientWaitTest : public testing::Test {
 protected:
  ClientWaitTest() { clients_.set_limit(10); }

  void on_over() { ++over_; }
  void advance(Duration by) {
    for (Duration passed{}; passed < by; passed += 10ms) clock_.advance(10ms);
  }

  ManualClock clock_;
  ClientQuota clients_;
  int over_ = 0;
  ClientWait wait_{clock_.timers(), clock_, clients_,
                   Delegate<void()>::to<&ClientWaitTest::on_over>(*this)};
};

TEST_F(ClientWaitTest, IsOverASecondAfterItBeganWhereNobodyIsConnected) {
  wait_.start(1min);
  advance(990ms);
  EXPECT_EQ(over_, 0);
  advance(150ms);
  EXPECT_EQ(over_, 1);
  advance(2min);
  EXPECT_EQ(over_, 1);
}

TEST_F(ClientWaitTest, IsOverASecondAfterTheLastHasLeft) {
  clients_.enter(0);
  clients_.enter(0);
  wait_.start(1min);
  advance(5s);
  clients_.leave(0);
  advance(5s);
  EXPECT_EQ(over_, 0) << "one is still connected";
  clients_.leave(0);
  advance(990ms);
  EXPECT_EQ(over_, 0);
  advance(250ms);
  EXPECT_EQ(over_, 1);
}

TEST_F(ClientWaitTest, WhoComesAndLeavesBetweenTwoLooksCounts) {
  wait_.start(1min);
  for (int i = 0; i < 10; ++i) {
    advance(900ms);
    clients_.enter(0);
    clients_.leave(0);
  }
  EXPECT_EQ(over_, 0);
  advance(1300ms);
  EXPECT_EQ(over_, 1);
}

TEST_F(ClientWaitTest, IsNeverLongerThanItsTime) {
  clients_.enter(0);
  wait_.start(3s);
  advance(2990ms);
  EXPECT_EQ(over_, 0);
  advance(20ms);
  EXPECT_EQ(over_, 1);
}

TEST_F(ClientWaitTest, MayBeShorterThanASecond) {
  wait_.start(200ms);
  advance(210ms);
  EXPECT_EQ(over_, 1);
}

TEST_F(ClientWaitTest, ACancelledOneSaysNothing) {
  wait_.start(200ms);
  advance(100ms);
  wait_.cancel();
  advance(5s);
  EXPECT_EQ(over_, 0);
}

}  // namespace
}  // namespace penstock
