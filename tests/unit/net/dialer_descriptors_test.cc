// Dials without a file descriptor: they wait in order, go on when one is free, and end at their
// limit.
#include <gtest/gtest.h>

#include <cerrno>
#include <chrono>
#include <optional>
#include <vector>

#include "support/no_descriptors.h"
#include "support/tls_test_server.h"
#include "unit/net/dial_fixture.h"

namespace penstock {
namespace {

using namespace std::chrono_literals;

class DescriptorsTest : public NetDialerTest {
 public:
  bool relieve() {
    ++asked_;
    spare_.reset();
    return gives_;
  }

 protected:
  DescriptorsTest() : listener_(listen_on_loopback(&port_)) {}

  // Everything has been done once before: a sanitizer that meets a type asks for a descriptor too.
  void run_out() {
    dial(target("127.0.0.1", port_));
    recorder_.dialed.reset();
    recorder_.phases.clear();
    recorder_.ends = 0;
    runner_.turn(3);
    limit_.emplace();
  }
  void wait_for_queue(Recorder& recorder) {
    ASSERT_TRUE(runner_.until(
        [&] { return !recorder.phases.empty() && recorder.phases.back() == Phase::kQueue; }));
  }

  std::uint16_t port_ = 0;
  UniqueFd spare_{::dup(0)};  // what relief can give up
  const UniqueFd listener_;
  std::optional<NoDescriptorsLeft> limit_;
  bool gives_ = false;
  int asked_ = 0;
};

TEST_F(DescriptorsTest, DialWaitsForADescriptorAndGoesOnWhenOneIsFree) {
  run_out();
  start(target("127.0.0.1", port_), {.connect = 5s, .queue = 5s});
  wait_for_queue(recorder_);
  runner_.turn(3);
  EXPECT_FALSE(recorder_.over());
  limit_.reset();
  ASSERT_TRUE(runner_.until([&] { return recorder_.over(); }));
  EXPECT_TRUE(recorder_.dialed);
  EXPECT_EQ(recorder_.phases, (std::vector{Phase::kConnect, Phase::kQueue, Phase::kConnect}));
}

// The resolver says so: it has a thread, and a process, of its own.
TEST_F(DescriptorsTest, DialWaitsForADescriptorForItsLookUpToo) {
  resolver_.error = Error{.code = ErrorCode::kConnectionLimitReached, .sys = EMFILE};
  start(target("origin.test", port_), {.resolve = 5s, .connect = 5s, .queue = 5s});
  ASSERT_TRUE(runner_.until([&] { return resolver_.asked.size() == 3; }));
  EXPECT_FALSE(recorder_.over());
  resolver_.error.reset();
  resolver_.addresses = addresses({"127.0.0.1"});
  ASSERT_TRUE(runner_.until([&] { return recorder_.over(); }));
  EXPECT_TRUE(recorder_.dialed);
  using enum Phase;
  EXPECT_EQ(recorder_.phases, (std::vector{kResolve, kQueue, kResolve, kQueue, kResolve, kQueue,
                                           kResolve, kConnect}));
}

TEST_F(DescriptorsTest, LookUpEndsAtTheLimitOfTheQueue) {
  resolver_.error = Error{.code = ErrorCode::kConnectionLimitReached, .sys = EMFILE};
  dial(target("origin.test", port_), {.resolve = 5s, .queue = 60ms});
  EXPECT_EQ(recorder_.code(), "connection_limit_reached");
  EXPECT_EQ(recorder_.error->phase, Phase::kQueue);
  EXPECT_EQ(recorder_.error->limit_key, "timeouts.queue");
  EXPECT_EQ(recorder_.error->detail, "no file descriptor was free to look up origin.test");
  EXPECT_GE(recorder_.ended_at - recorder_.times.started, 60ms);
}

TEST_F(DescriptorsTest, LookUpMayBeCancelledWhileItWaits) {
  resolver_.error = Error{.code = ErrorCode::kConnectionLimitReached, .sys = EMFILE};
  recorder_.cancel_at = Phase::kQueue;
  start(target("origin.test", port_));
  ASSERT_TRUE(runner_.until([&] { return recorder_.pending == nullptr; }));
  runner_.turn(3);
  EXPECT_FALSE(recorder_.over());
}

TEST_F(DescriptorsTest, DialEndsAtTheLimitOfTheQueue) {
  run_out();
  dial(target("127.0.0.1", port_), {.connect = 5s, .queue = 60ms});
  EXPECT_EQ(recorder_.code(), "connection_limit_reached");
  EXPECT_EQ(recorder_.error->source, ErrorSource::kInternal);
  EXPECT_EQ(recorder_.error->phase, Phase::kQueue);
  EXPECT_EQ(recorder_.error->limit_key, "timeouts.queue");
  EXPECT_GE(recorder_.ended_at - recorder_.times.started, 60ms);
  limit_.reset();
}

TEST_F(DescriptorsTest, DialForTheNetworkWaitsWhereItsAddressCannotBeJudged) {
  run_out();
  forbid({"link_local"});
  DialTarget to = target("192.0.2.250", port_);
  to.scope = ClientScope::kNetwork;
  dial(to, {.queue = 60ms});
  EXPECT_EQ(recorder_.code(), "connection_limit_reached");
  limit_.reset();
}

TEST_F(DescriptorsTest, RoomIsMadeAtOnceWhereThereIsSome) {
  run_out();
  gives_ = true;
  dialer_.set_relief(DescriptorQueue::Relief::to<&DescriptorsTest::relieve>(*this));
  dial(target("127.0.0.1", port_), {.queue = 5s});
  EXPECT_TRUE(recorder_.dialed);
  EXPECT_EQ(asked_, 1);
  EXPECT_LT(recorder_.ended_at - recorder_.times.started, DescriptorQueue::kPause);
  limit_.reset();
}

TEST_F(DescriptorsTest, NobodyIsAskedMoreOftenThanEveryPause) {
  run_out();
  dialer_.set_relief(DescriptorQueue::Relief::to<&DescriptorsTest::relieve>(*this));
  spare_.reset();
  limit_.emplace();
  dial(target("127.0.0.1", port_), {.queue = 120ms});
  EXPECT_FALSE(recorder_.dialed);
  EXPECT_GE(asked_, 2);
  EXPECT_LE(asked_, 4);
  limit_.reset();
}

TEST_F(DescriptorsTest, LaterDialsStandBehindThoseThatWait) {
  run_out();
  start(target("127.0.0.1", port_), {.queue = 5s});
  wait_for_queue(recorder_);
  Recorder second(loop_);
  spare_.reset();  // room for one
  second.pending =
      dialer_.dial(std::make_shared<const DialTarget>(target("127.0.0.1", port_)), {}, second);
  ASSERT_TRUE(runner_.until([&] { return recorder_.over(); }));
  EXPECT_TRUE(recorder_.dialed);
  EXPECT_FALSE(second.over());
  recorder_.dialed.reset();
  ASSERT_TRUE(runner_.until([&] { return second.over(); }));
  EXPECT_TRUE(second.dialed);
  limit_.reset();
}

TEST_F(DescriptorsTest, DialThatIsCancelledLeavesTheQueue) {
  run_out();
  start(target("127.0.0.1", port_), {.queue = 5s});
  wait_for_queue(recorder_);
  recorder_.pending.reset();
  limit_.reset();
  runner_.turn(3);
  EXPECT_FALSE(recorder_.over());
}

TEST_F(DescriptorsTest, DialMayBeCancelledWhenItIsToldThatItWaits) {
  run_out();
  recorder_.cancel_at = Phase::kQueue;
  start(target("127.0.0.1", port_), {.queue = 5s});
  ASSERT_TRUE(runner_.until([&] { return recorder_.pending == nullptr; }));
  EXPECT_FALSE(recorder_.over());
  limit_.reset();
}

}  // namespace
}  // namespace penstock
