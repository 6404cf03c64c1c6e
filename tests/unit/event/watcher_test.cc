// Watchers on pipes and socket pairs: what is reported, and that nothing is after their end.
#include "event/watcher.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <functional>
#include <memory>
#include <string>
#include <thread>

#include "event/loop.h"
#include "support/loop_runner.h"

namespace penstock {
namespace {

class SocketPair {
 public:
  SocketPair() { EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds_.data()), 0); }
  ~SocketPair() {
    for (int side = 0; side < 2; ++side) close(side);
  }
  int operator[](std::size_t side) const { return fds_[side]; }
  void close(int side) {
    int& fd = fds_[static_cast<std::size_t>(side)];
    if (fd >= 0) ::close(fd);
    fd = -1;
  }
  void put(int side, const std::string& bytes) {
    EXPECT_EQ(::write(fds_[static_cast<std::size_t>(side)], bytes.data(), bytes.size()),
              static_cast<ssize_t>(bytes.size()));
  }

 private:
  std::array<int, 2> fds_{};
};

struct Observer {
  void on_ready(Readiness ready) {
    ++calls;
    readable = readable || ready.readable;
    writable = writable || ready.writable;
    const auto action = then;
    if (action) action(ready);
  }
  Watcher::Callback callback() { return Watcher::Callback::to<&Observer::on_ready>(*this); }

  int calls = 0;
  bool readable = false;
  bool writable = false;
  std::function<void(Readiness)> then;
};

class WatcherTest : public testing::Test {
 protected:
  Loop loop_;
  LoopRunner runner_{loop_};
  SocketPair pair_;
  Observer observer_;
};

TEST_F(WatcherTest, ReportsNothingWithoutInterest) {
  Watcher watcher(loop_, pair_[0], observer_.callback());
  pair_.put(1, "x");
  runner_.turn(3);
  EXPECT_EQ(observer_.calls, 0);
}

TEST_F(WatcherTest, ReportsUnreadBytesOnEveryTurn) {
  Watcher watcher(loop_, pair_[0], observer_.callback());
  watcher.set_interest(true, false);
  runner_.turn(2);
  EXPECT_EQ(observer_.calls, 0);
  pair_.put(1, "x");
  EXPECT_TRUE(runner_.until([&] { return observer_.calls >= 3; }));
  EXPECT_TRUE(observer_.readable);
  EXPECT_FALSE(observer_.writable);
}

TEST_F(WatcherTest, ReportsRoomOnlyToThoseWhoAsk) {
  Watcher watcher(loop_, pair_[0], observer_.callback());
  watcher.set_interest(false, true);
  EXPECT_TRUE(runner_.until([&] { return observer_.writable; }));
  EXPECT_FALSE(observer_.readable);
  watcher.set_interest(true, false);
  const int calls = observer_.calls;
  runner_.turn(3);
  EXPECT_EQ(observer_.calls, calls);
}

// A process that stood still finds both, and what was waited for has come.
TEST_F(WatcherTest, ReportsWhatCameBeforeADeadlineThatIsLate) {
  struct Late {
    void on_expired() { calls_before = observer.calls; }
    Observer& observer;
    int calls_before = -1;
  };
  Late late{observer_};
  Watcher watcher(loop_, pair_[0], observer_.callback());
  watcher.set_interest(true, false);
  Deadline deadline(loop_.timers(), Delegate<void()>::to<&Late::on_expired>(late));
  deadline.arm(loop_.now() + std::chrono::milliseconds(50));
  runner_.turn();
  post(loop_, [&] {
    pair_.put(1, "x");
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
  });
  EXPECT_TRUE(runner_.until([&] { return late.calls_before >= 0; }));
  EXPECT_GE(late.calls_before, 1);
}

TEST_F(WatcherTest, ReportsTheEndAsReadable) {
  Watcher watcher(loop_, pair_[0], observer_.callback());
  watcher.set_interest(true, false);
  pair_.close(1);
  EXPECT_TRUE(runner_.until([&] { return observer_.readable; }));
}

TEST_F(WatcherTest, StopsWhenInterestIsDroppedInTheCallback) {
  Watcher watcher(loop_, pair_[0], observer_.callback());
  observer_.then = [&](Readiness) { watcher.set_interest(false, false); };
  watcher.set_interest(true, false);
  pair_.put(1, "x");
  EXPECT_TRUE(runner_.until([&] { return observer_.calls == 1; }));
  runner_.turn(3);
  EXPECT_EQ(observer_.calls, 1);
}

// A unix socket whose peer closed with bytes unread is in error (ECONNRESET) and readable.
TEST_F(WatcherTest, ReportsAnErrorAsReadinessUntilInterestIsDropped) {
  Watcher watcher(loop_, pair_[0], observer_.callback());
  watcher.set_interest(true, false);
  pair_.put(1, "last words");
  pair_.put(0, "unread");
  pair_.close(1);
  EXPECT_TRUE(runner_.until([&] { return observer_.calls >= 2; }));
  EXPECT_FALSE(observer_.writable);
  std::array<char, 64> bytes{};
  EXPECT_EQ(::recv(pair_[0], bytes.data(), bytes.size(), 0), 10);
  EXPECT_EQ(::recv(pair_[0], bytes.data(), bytes.size(), 0), -1);
  EXPECT_EQ(errno, ECONNRESET);
}

TEST_F(WatcherTest, ReportsAnErrorAsWritableTooWhereThatIsAskedFor) {
  SocketPair full;
  Watcher watcher(loop_, full[0], observer_.callback());
  watcher.set_interest(true, true);
  full.put(0, "unread");
  full.close(1);
  EXPECT_TRUE(runner_.until([&] { return observer_.readable && observer_.writable; }));
}

TEST_F(WatcherTest, MayEndInsideItsCallback) {
  auto watcher = std::make_unique<Watcher>(loop_, pair_[0], observer_.callback());
  observer_.then = [&](Readiness) { watcher.reset(); };
  watcher->set_interest(true, true);
  EXPECT_TRUE(runner_.until([&] { return watcher == nullptr; }));
  pair_.put(1, "x");
  runner_.turn(3);
  EXPECT_EQ(observer_.calls, 1);
}

TEST_F(WatcherTest, MayEndInsideItsCallbackForAnError) {
  auto watcher = std::make_unique<Watcher>(loop_, pair_[0], observer_.callback());
  observer_.then = [&](Readiness) { watcher.reset(); };
  watcher->set_interest(true, false);
  pair_.put(0, "unread");
  pair_.close(1);
  EXPECT_TRUE(runner_.until([&] { return watcher == nullptr; }));
  runner_.turn(3);
  EXPECT_EQ(observer_.calls, 1);
}

// Both are ready in the same turn; whoever is called first ends the other.
TEST_F(WatcherTest, IsNotCalledAfterItsEndByAnotherOfTheSameTurn) {
  SocketPair other;
  Observer others;
  auto first = std::make_unique<Watcher>(loop_, pair_[0], observer_.callback());
  auto second = std::make_unique<Watcher>(loop_, other[0], others.callback());
  observer_.then = [&](Readiness) { second.reset(); };
  others.then = [&](Readiness) { first.reset(); };
  first->set_interest(false, true);
  second->set_interest(false, true);
  EXPECT_TRUE(runner_.until([&] { return first == nullptr || second == nullptr; }));
  EXPECT_EQ(observer_.calls + others.calls, 1);
}

// Both are ready in the same turn, and each takes long, once.
TEST_F(WatcherTest, ThatIsPatientWaitsForTheNextTurnWhenOthersHaveTakenLong) {
  SocketPair other;
  Observer others;
  Watcher first(loop_, pair_[0], observer_.callback());
  Watcher second(loop_, other[0], others.callback());
  const auto work_for_5ms = [this] {
    const MonotonicTime began = loop_.now();
    while (loop_.now() - began < std::chrono::milliseconds(5)) loop_.refresh_time();
  };
  observer_.then = [&](Readiness) {
    work_for_5ms();
    first.set_interest(false, false);
  };
  others.then = [&](Readiness) {
    work_for_5ms();
    second.set_interest(false, false);
  };
  for (Watcher* watcher : {&first, &second}) {
    watcher->be_patient(true);
    watcher->set_interest(false, true);
  }
  runner_.turn();
  EXPECT_EQ(observer_.calls + others.calls, 1);
  EXPECT_TRUE(runner_.until([&] { return observer_.calls > 0 && others.calls > 0; }));
  for (Watcher* watcher : {&first, &second}) {
    watcher->be_patient(false);
    watcher->set_interest(false, true);
  }
  runner_.turn();
  EXPECT_EQ(observer_.calls + others.calls, 4);
}

TEST_F(WatcherTest, LetsTheSameDescriptorBeWatchedAgainAtOnce) {
  for (int i = 0; i < 5; ++i) {
    Watcher watcher(loop_, pair_[0], observer_.callback());
    watcher.set_interest(false, true);
    const int calls = observer_.calls;
    EXPECT_TRUE(runner_.until([&] { return observer_.calls > calls; }));
  }
}

struct SignalCount {
  void on_signal() { ++count; }
  int count = 0;
};

TEST(SignalWatcher, ReportsASignalOnTheLoopsThread) {
  Loop loop;
  SignalCount seen;
  SignalWatcher watcher(loop, SIGUSR1, Delegate<void()>::to<&SignalCount::on_signal>(seen));
  ::raise(SIGUSR1);
  EXPECT_EQ(seen.count, 0);
  EXPECT_TRUE(LoopRunner(loop).until([&] { return seen.count == 1; }));
}

}  // namespace
}  // namespace penstock
