// The wheel is turned by hand. What a deadline may do is checked case by case, and then against a
// plain map of expiries under thousands of random arms, moves and cancels.
#include "event/timer_wheel.h"

#include <gtest/gtest.h>

#include <deque>
#include <functional>
#include <memory>
#include <random>
#include <vector>

#include "support/manual_clock.h"

namespace penstock {
namespace {

using namespace std::chrono_literals;

constexpr Duration kTick = TimerWheel::kTick;

// A deadline that counts, and does what a test wants when it fires.
struct Alarm {
  explicit Alarm(ManualClock& the_clock)
      : clock(the_clock),
        deadline(the_clock.timers(), Delegate<void()>::to<&Alarm::on_expired>(*this)) {}

  void on_expired() {
    ++fired;
    fired_at = clock.now();
    const auto action = then;  // a copy: it may destroy this
    if (action) action();
  }

  ManualClock& clock;
  Deadline deadline;
  int fired = 0;
  MonotonicTime fired_at = kNever;
  std::function<void()> then;
};

class DistanceTest : public testing::TestWithParam<Duration> {};

TEST_P(DistanceTest, IsFiredOnceWithinOneTickAfterItsExpiry) {
  for (const Duration offset : std::vector<Duration>{0ns, 1ns, 4ms - 1ns, 4ms, 252ms, 16380ms}) {
    ManualClock clock;
    clock.advance(offset);
    clock.timers().advance(clock.now());
    Alarm alarm(clock);
    const MonotonicTime expiry = clock.now() + GetParam();
    alarm.deadline.arm(expiry);
    clock.advance_to(expiry - 1ns);
    EXPECT_EQ(alarm.fired, 0);
    clock.advance(kTick);
    EXPECT_EQ(alarm.fired, 1);
    EXPECT_GE(alarm.fired_at, expiry);
    EXPECT_LT(alarm.fired_at, expiry + kTick);
    clock.advance(100h);
    EXPECT_EQ(alarm.fired, 1);
  }
}

INSTANTIATE_TEST_SUITE_P(TimerWheel, DistanceTest,
                         testing::Values(1ns, 1ms, 4ms, 4ms + 1ns, 63 * kTick, 64 * kTick,
                                         65 * kTick, 4095 * kTick, 4096 * kTick, 4097 * kTick,
                                         262143 * kTick, 262144 * kTick + 1ns, 5min,
                                         16777215 * kTick, 16777216 * kTick, 24h, 100h));

TEST(TimerWheel, FiresAnExpiryInThePastAtTheNextAdvance) {
  ManualClock clock;
  clock.advance(1s + 1ns);
  clock.timers().advance(clock.now());
  Alarm now(clock);
  Alarm past(clock);
  now.deadline.arm(clock.now());
  past.deadline.arm(kNever);
  EXPECT_LE(clock.timers().next_wakeup(), clock.now());
  EXPECT_EQ(now.fired + past.fired, 0);
  clock.timers().advance(clock.now());
  EXPECT_EQ(now.fired, 1);
  EXPECT_EQ(past.fired, 1);
}

TEST(TimerWheel, FiresInOrderOfTicksWhenItIsLate) {
  ManualClock clock;
  std::deque<Alarm> alarms;
  std::vector<int> order;
  // The first one is filed for an early slot and moved to a late one.
  const std::vector<Duration> distances = {1s, 10ms, 300ms, 20s, 301ms, 500ms, 40ms};
  for (std::size_t i = 0; i < distances.size(); ++i) {
    alarms.emplace_back(clock).then = [&order, i] { order.push_back(static_cast<int>(i)); };
    if (i == 0) alarms[0].deadline.arm(clock.now() + 1ms);
    alarms[i].deadline.arm(clock.now() + distances[i]);
  }
  clock.timers().advance(clock.now() + 1min);
  EXPECT_EQ(order, (std::vector<int>{1, 6, 2, 4, 5, 0, 3}));
}

TEST(TimerWheel, ForgetsACancelledDeadline) {
  ManualClock clock;
  Alarm alarm(clock);
  alarm.deadline.arm(clock.now() + 1s);
  EXPECT_TRUE(alarm.deadline.armed());
  alarm.deadline.cancel();
  EXPECT_FALSE(alarm.deadline.armed());
  clock.advance(1min);
  EXPECT_EQ(alarm.fired, 0);
  EXPECT_EQ(clock.timers().next_wakeup(), kForever);
}

TEST(TimerWheel, TakesForeverAsACancel) {
  ManualClock clock;
  Alarm alarm(clock);
  alarm.deadline.arm(clock.now() + 1s);
  alarm.deadline.arm(kForever);
  EXPECT_FALSE(alarm.deadline.armed());
  clock.advance(1min);
  EXPECT_EQ(alarm.fired, 0);
}

TEST(TimerWheel, FollowsADeadlineThatIsMovedLater) {
  ManualClock clock;
  Alarm alarm(clock);
  for (int i = 0; i < 1000; ++i) {
    alarm.deadline.arm(clock.now() + 50ms);
    clock.advance(30ms);
  }
  EXPECT_EQ(alarm.fired, 0);
  clock.advance(20ms + kTick);
  EXPECT_EQ(alarm.fired, 1);
}

TEST(TimerWheel, FollowsADeadlineThatIsMovedEarlier) {
  ManualClock clock;
  Alarm alarm(clock);
  alarm.deadline.arm(clock.now() + 1h);
  alarm.deadline.arm(clock.now() + 10ms);
  clock.advance(10ms + kTick);
  EXPECT_EQ(alarm.fired, 1);
  clock.advance(2h);
  EXPECT_EQ(alarm.fired, 1);
}

TEST(TimerWheel, ArmsACancelledDeadlineForAnEarlierMoment) {
  ManualClock clock;
  Alarm alarm(clock);
  alarm.deadline.arm(clock.now() + 1s);
  alarm.deadline.cancel();
  alarm.deadline.arm(clock.now() + 100ms);
  clock.advance(100ms + kTick);
  EXPECT_EQ(alarm.fired, 1);
}

TEST(TimerWheel, FiresADeadlineThatReArmsItselfInThePastOncePerAdvance) {
  ManualClock clock;
  Alarm alarm(clock);
  alarm.then = [&] { alarm.deadline.arm(clock.now()); };
  alarm.deadline.arm(clock.now());
  clock.timers().advance(clock.now());
  EXPECT_EQ(alarm.fired, 1);
  clock.timers().advance(clock.now() + 1s);
  EXPECT_EQ(alarm.fired, 2);
  alarm.then = nullptr;
}

TEST(TimerWheel, LetsAHandlerCancelWhatIsDueInTheSameTick) {
  ManualClock clock;
  Alarm first(clock);
  Alarm second(clock);
  first.then = [&] { second.deadline.cancel(); };
  first.deadline.arm(clock.now() + 1s);
  second.deadline.arm(clock.now() + 1s);
  clock.advance(2s);
  EXPECT_EQ(first.fired, 1);
  EXPECT_EQ(second.fired, 0);
}

TEST(TimerWheel, LetsAHandlerPostponeWhatIsDueInTheSameTick) {
  ManualClock clock;
  Alarm first(clock);
  Alarm second(clock);
  const MonotonicTime later = clock.now() + 3s;
  first.then = [&] { second.deadline.arm(later); };
  first.deadline.arm(clock.now() + 1s);
  second.deadline.arm(clock.now() + 1s);
  clock.advance(2s);
  EXPECT_EQ(second.fired, 0);
  clock.advance(2s);
  EXPECT_EQ(second.fired, 1);
  EXPECT_GE(second.fired_at, later);
}

TEST(TimerWheel, LetsAHandlerDestroyItselfAndOthers) {
  ManualClock clock;
  std::vector<std::unique_ptr<Alarm>> alarms;
  for (int i = 0; i < 10; ++i) {
    alarms.push_back(std::make_unique<Alarm>(clock));
    alarms.back()->deadline.arm(clock.now() + (i < 9 ? 1s : 1min));
  }
  int fired = 0;
  alarms[4]->then = [&] {
    ++fired;
    alarms.clear();
  };
  clock.advance(1h);
  EXPECT_EQ(fired, 1);
  EXPECT_EQ(clock.timers().next_wakeup(), kForever);
}

TEST(TimerWheel, WantsNoWakeupWhenNothingIsArmed) {
  ManualClock clock;
  EXPECT_EQ(clock.timers().next_wakeup(), kForever);
  Alarm alarm(clock);
  alarm.deadline.arm(clock.now() + 1s);
  EXPECT_LE(clock.timers().next_wakeup(), clock.now() + 1s + kTick);
  clock.advance(2s);
  EXPECT_EQ(clock.timers().next_wakeup(), kForever);
}

TEST(TimerWheel, IsWokenSeldomForADistantDeadline) {
  ManualClock clock;
  Alarm alarm(clock);
  alarm.deadline.arm(clock.now() + 24h);
  int wakeups = 0;
  while (alarm.fired == 0) {
    clock.advance_to(clock.timers().next_wakeup());
    ++wakeups;
  }
  EXPECT_LE(wakeups, 2 * TimerWheel::kLevels);
}

// 300 deadlines, each step arms, moves or cancels some and turns the clock, by ticks or by days.
class RandomTest : public testing::TestWithParam<unsigned> {
 protected:
  struct Modelled {
    explicit Modelled(ManualClock& clock) : alarm(clock) {}
    Alarm alarm;
    MonotonicTime expiry = kForever;
    int expected = 0;
  };

  Duration some_time() {
    const int bits = std::uniform_int_distribution<int>(0, 47)(random_);
    return Duration(
        std::uniform_int_distribution<std::int64_t>(0, std::int64_t{1} << bits)(random_));
  }

  void change(Modelled& one) {
    const int choice = std::uniform_int_distribution<int>(0, 9)(random_);
    one.expiry = choice == 0 ? kForever : clock_.now() + some_time();
    if (choice == 0) {
      one.alarm.deadline.cancel();
    } else {
      one.alarm.deadline.arm(one.expiry);
    }
  }

  // Whole ticks, so that "at most one tick late" is the same as "all that was due a tick ago".
  void check(Modelled& one) {
    if (one.alarm.fired > one.expected) {
      ASSERT_EQ(one.alarm.fired, one.expected + 1);
      ASSERT_GE(one.alarm.fired_at, one.expiry);
      ASSERT_LT(one.alarm.fired_at, one.expiry + kTick + 1ns);
      ++one.expected;
      one.expiry = kForever;
    }
    ASSERT_TRUE(one.expiry == kForever || one.expiry > clock_.now() - kTick);
    ASSERT_EQ(one.alarm.deadline.armed(), one.expiry != kForever);
  }

  std::mt19937_64 random_{GetParam()};
  ManualClock clock_;
};

TEST_P(RandomTest, AgreesWithAMapOfExpiries) {
  std::deque<Modelled> all;
  for (int i = 0; i < 300; ++i) all.emplace_back(clock_);
  std::uniform_int_distribution<std::size_t> any(0, all.size() - 1);
  for (int step = 0; step < 3000; ++step) {
    for (int i = 0; i < 5; ++i) change(all[any(random_)]);
    clock_.advance(some_time());
    for (Modelled& one : all) ASSERT_NO_FATAL_FAILURE(check(one)) << "step " << step;
  }
}

INSTANTIATE_TEST_SUITE_P(TimerWheel, RandomTest, testing::Range(1u, 6u));

}  // namespace
}  // namespace penstock
