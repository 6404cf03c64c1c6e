// What an upstream's closes teach of its idle limit, and what they do not.
#include "pool/idle_limit.h"

#include <gtest/gtest.h>

#include <random>

namespace penstock {
namespace {

using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;

class IdleLimitTest : public testing::Test {
 protected:
  void close_after(Duration idle, Duration later = seconds(20)) {
    now_ += later;
    limit_.on_closed(idle, now_);
  }
  Limit observed() const { return limit_.observed(now_); }

  IdleLimit limit_;
  MonotonicTime now_{std::chrono::hours(1)};
};

TEST_F(IdleLimitTest, ThreeAlikeAreBelieved) {
  close_after(milliseconds(5020));
  close_after(milliseconds(5001));
  EXPECT_EQ(observed(), std::nullopt);
  close_after(milliseconds(5100));
  EXPECT_EQ(observed(), milliseconds(5001));
}

TEST_F(IdleLimitTest, MarginIsATenthOrASecond) {
  for (int i = 0; i < 3; ++i) close_after(seconds(5));
  EXPECT_EQ(limit_.usable(now_), milliseconds(4500));
  for (int i = 0; i < 3; ++i) close_after(seconds(60));
  EXPECT_EQ(limit_.usable(now_), seconds(59));
}

TEST_F(IdleLimitTest, ClosesAtRandomTeachNothing) {
  close_after(seconds(3));
  close_after(seconds(9));
  close_after(seconds(5));
  close_after(seconds(12));
  EXPECT_EQ(observed(), std::nullopt);
}

TEST_F(IdleLimitTest, RestartTeachesNothing) {
  for (int restart = 0; restart < 3; ++restart) {
    close_after(seconds(5));
    for (int i = 1; i < 20; ++i) close_after(seconds(5 + i), milliseconds(1));
  }
  EXPECT_EQ(observed(), std::nullopt);
}

TEST_F(IdleLimitTest, ClosesOfOneMomentCountOnce) {
  for (int i = 0; i < 5; ++i) close_after(milliseconds(5000 - i), milliseconds(1));
  EXPECT_EQ(observed(), std::nullopt) << "a restart after a burst looks like this too";
  close_after(seconds(5));
  close_after(seconds(5));
  EXPECT_EQ(observed(), milliseconds(4996)) << "the shortest of its moment";
}

TEST_F(IdleLimitTest, RestartLeavesWhatWasLearnedBefore) {
  for (int i = 0; i < 3; ++i) close_after(seconds(5));
  close_after(seconds(1));
  close_after(seconds(2), milliseconds(1));
  close_after(seconds(5));
  EXPECT_EQ(observed(), seconds(5));
}

// A worker of the server ends after so many requests and does not say so in its last response.
TEST_F(IdleLimitTest, ClosesRightAfterAResponseTeachNothing) {
  for (const int idle : {0, 2, 40, 0, 1, 0}) close_after(milliseconds(idle));
  EXPECT_EQ(observed(), std::nullopt);
}

TEST_F(IdleLimitTest, ClosesRightAfterAResponseLeaveWhatWasLearned) {
  for (int i = 0; i < 3; ++i) {
    close_after(seconds(5));
    close_after(milliseconds(2));
  }
  EXPECT_EQ(observed(), seconds(5));
}

TEST_F(IdleLimitTest, LimitOfASecondIsLearned) {
  for (const int idle : {1000, 995, 1010}) close_after(milliseconds(idle));
  EXPECT_EQ(observed(), milliseconds(995));
}

TEST_F(IdleLimitTest, ConnectionThatLivedLongerDisprovesIt) {
  for (int i = 0; i < 3; ++i) close_after(seconds(5));
  limit_.on_alive(milliseconds(5400));
  EXPECT_EQ(observed(), seconds(5)) << "within what it may be off";
  limit_.on_alive(seconds(6));
  EXPECT_EQ(observed(), std::nullopt);
}

TEST_F(IdleLimitTest, IsForgottenAndLearnedAnew) {
  for (int i = 0; i < 3; ++i) close_after(seconds(5));
  now_ += minutes(10) + seconds(1);
  EXPECT_EQ(observed(), std::nullopt);
  close_after(seconds(5));
  EXPECT_EQ(observed(), std::nullopt) << "what was forgotten does not count";
  close_after(seconds(5));
  close_after(seconds(5));
  EXPECT_EQ(observed(), seconds(5));
}

TEST_F(IdleLimitTest, FollowsALimitThatWasRaised) {
  for (int i = 0; i < 3; ++i) close_after(seconds(5));
  for (int i = 0; i < 3; ++i) close_after(seconds(10));
  EXPECT_EQ(observed(), seconds(10));
}

}  // namespace
}  // namespace penstock
