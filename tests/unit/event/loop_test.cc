// A real loop on real time: posting, stopping, deferred deletion and deadlines.
#include "event/loop.h"

#include <gtest/gtest.h>

#include <atomic>
#include <functional>
#include <thread>
#include <vector>

#include "event/watcher.h"
#include "support/loop_runner.h"

namespace penstock {
namespace {

using namespace std::chrono_literals;

struct Call {
  void run() { body(); }
  Delegate<void()> delegate() { return Delegate<void()>::to<&Call::run>(*this); }
  std::function<void()> body;
};

TEST(Loop, RunsPostedWorkInOrderOfPosting) {
  Loop loop;
  std::vector<int> order;
  for (int i = 0; i < 100; ++i) post(loop, [&order, i] { order.push_back(i); });
  post(loop, [&] { loop.stop(); });
  EXPECT_TRUE(order.empty());
  loop.run();
  ASSERT_EQ(order.size(), 100u);
  for (int i = 0; i < 100; ++i) EXPECT_EQ(order[static_cast<std::size_t>(i)], i);
}

TEST(Loop, RunsWhatATaskPostsOnALaterTurn) {
  Loop loop;
  bool returned = false;
  bool ran = false;
  post(loop, [&] {
    post(loop, [&] {
      EXPECT_TRUE(returned);
      ran = true;
    });
    returned = true;
  });
  EXPECT_TRUE(LoopRunner(loop).until([&] { return ran; }));
}

TEST(Loop, TakesPostsFromManyThreadsAndLosesNone) {
  constexpr int kThreads = 4;
  constexpr int kPosts = 5000;
  Loop loop;
  int ran = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < kThreads; ++i) {
    threads.emplace_back([&] {
      for (int n = 0; n < kPosts; ++n) {
        post(loop, [&] {
          if (++ran == kThreads * kPosts) loop.stop();
        });
      }
    });
  }
  loop.run();
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(ran, kThreads * kPosts);
}

TEST(Loop, CarriesWhatCanOnlyBeMoved) {
  Loop loop;
  int seen = 0;
  post(loop, [&seen, owned = std::make_unique<int>(7)] { seen = *owned; });
  EXPECT_TRUE(LoopRunner(loop).until([&] { return seen == 7; }));
}

TEST(Loop, DestroysWithoutRunningWhatIsStillPostedAtItsEnd) {
  auto alive = std::make_shared<int>(0);
  bool ran = false;
  {
    Loop loop;
    post(loop, [&ran, alive] { ran = true; });
    EXPECT_EQ(alive.use_count(), 2);
  }
  EXPECT_FALSE(ran);
  EXPECT_EQ(alive.use_count(), 1);
}

TEST(Loop, IsStoppedFromAnotherThreadAndRunsAgain) {
  Loop loop;
  for (int i = 0; i < 3; ++i) {
    std::atomic<bool> running = false;
    post(loop, [&] { running = true; });
    std::thread stopper([&] {
      while (!running) std::this_thread::yield();
      loop.stop();
    });
    loop.run();
    stopper.join();
    EXPECT_TRUE(running);
  }
}

TEST(Loop, ReturnsFromARunThatWasStoppedBefore) {
  Loop loop;
  loop.stop();
  loop.run();
}

TEST(Loop, KnowsItsThread) {
  Loop loop;
  EXPECT_TRUE(loop.on_thread());
  std::thread worker([&] {
    EXPECT_FALSE(loop.on_thread());
    post(loop, [&] {
      EXPECT_TRUE(loop.on_thread());
      loop.stop();
    });
    loop.run();
  });
  worker.join();
  EXPECT_FALSE(loop.on_thread());
}

// Keeps the thread for a while, as a callback that computes.
void spin(Duration time) {
  const auto until = std::chrono::steady_clock::now() + time;
  while (std::chrono::steady_clock::now() < until) continue;
}

TEST(Loop, TellsItsLongestTurnOnce) {
  Loop loop;
  LoopRunner runner(loop);
  runner.turn();
  EXPECT_LT(loop.take_longest_turn(), 199ms);
  for (const Duration time : {Duration(200ms), Duration(1ms)}) {
    post(loop, [time] { spin(time); });
    runner.turn(2);
  }
  const Duration longest = loop.take_longest_turn();
  EXPECT_GE(longest, 199ms);  // up to 1 ms short
  EXPECT_LT(longest, 2s);
  runner.turn();
  EXPECT_LT(loop.take_longest_turn(), 199ms);
}

TEST(Loop, CountsTheTimersOfATurnAndNotTheWaitForThem) {
  Loop loop;
  bool fired = false;
  Call call{[&] {
    spin(30ms);
    fired = true;
  }};
  Deadline deadline(loop.timers(), call.delegate());
  deadline.arm(loop.now() + 500ms);
  LoopRunner runner(loop);
  ASSERT_TRUE(runner.until([&] { return fired; }));
  runner.turn();
  const Duration longest = loop.take_longest_turn();
  EXPECT_GE(longest, 30ms);
  EXPECT_LT(longest, 450ms);
}

struct Traced final : DeferredDeletable {
  explicit Traced(std::function<void()> f) : at_end(std::move(f)) {}
  ~Traced() override { at_end(); }
  std::function<void()> at_end;
};

TEST(Loop, DeletesTheDeferredAfterTheCallbackThatGaveThemUp) {
  Loop loop;
  bool returned = false;
  bool deleted = false;
  post(loop, [&] {
    loop.defer_delete(std::make_unique<Traced>([&] {
      EXPECT_TRUE(returned);
      deleted = true;
    }));
    EXPECT_FALSE(deleted);
    returned = true;
  });
  EXPECT_TRUE(LoopRunner(loop).until([&] { return deleted; }));
}

TEST(Loop, DeletesWhatADeferredDestructorDefers) {
  Loop loop;
  bool deleted = false;
  loop.defer_delete(std::make_unique<Traced>([&] {
    loop.defer_delete(std::make_unique<Traced>([&] { deleted = true; }));
    EXPECT_FALSE(deleted);
  }));
  LoopRunner(loop).turn();
  EXPECT_TRUE(deleted);
}

TEST(Loop, DeletesTheDeferredBeforeRunReturns) {
  Loop loop;
  bool deleted = false;
  post(loop, [&] {
    loop.defer_delete(std::make_unique<Traced>([&] { deleted = true; }));
    loop.stop();
  });
  loop.run();
  EXPECT_TRUE(deleted);
}

TEST(Loop, FiresDeadlinesInRealTimeAndNeverEarly) {
  Loop loop;
  int fired = 0;
  std::vector<std::unique_ptr<Call>> calls;
  std::vector<std::unique_ptr<Deadline>> deadlines;
  for (const Duration distance : std::vector<Duration>{30ms, 1ms, 0ms, 7ms, 300ms}) {
    const MonotonicTime expiry = loop.now() + distance;
    calls.push_back(std::make_unique<Call>());
    calls.back()->body = [&loop, &fired, expiry] {
      EXPECT_GE(loop.now(), expiry);
      ++fired;
    };
    deadlines.push_back(std::make_unique<Deadline>(loop.timers(), calls.back()->delegate()));
    deadlines.back()->arm(expiry);
  }
  EXPECT_TRUE(LoopRunner(loop).until([&] { return fired == 5; }));
}

TEST(Loop, WakesForADeadlineThatIsMovedEarlierWhileItWaits) {
  Loop loop;
  Call call;
  Deadline deadline(loop.timers(), call.delegate());
  bool fired = false;
  call.body = [&] { fired = true; };
  deadline.arm(loop.now() + 1h);
  LoopRunner runner(loop);
  runner.turn();
  post(loop, [&] { deadline.arm(loop.now() + 5ms); });
  EXPECT_TRUE(runner.until([&] { return fired; }));
}

TEST(Loop, ReadsTheTimeAnewBeforeEachPostedTask) {
  Loop loop;
  MonotonicTime first;
  MonotonicTime second;
  post(loop, [&] {
    first = loop.now();
    for (MonotonicTime t = first; t < first + 1ms;) {
      EXPECT_EQ(loop.now(), first);
      t = MonotonicTime(Duration(static_cast<Duration::rep>(uv_hrtime())));
    }
  });
  post(loop, [&] { second = loop.now(); });
  EXPECT_TRUE(LoopRunner(loop).until([&] { return second != kNever; }));
  EXPECT_GE(second, first + 1ms);
}

TEST(Loop, TellsTheWallClockWithinASecondOfTheSystems) {
  Loop loop;
  EXPECT_LT(std::chrono::abs(loop.wall_now() - std::chrono::system_clock::now()), 1s);
}

#ifndef NDEBUG
TEST(LoopDeathTest, AbortsWhenAWatcherOutlivesIt) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_DEATH(
      {
        Call call;
        alignas(SignalWatcher) char leaked[sizeof(SignalWatcher)];
        Loop loop;
        new (leaked) SignalWatcher(loop, SIGUSR2, call.delegate());
      },
      "outlives its Loop");
}
#endif

}  // namespace
}  // namespace penstock
