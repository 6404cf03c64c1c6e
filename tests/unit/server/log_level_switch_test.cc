// Who sets the level of the daemon's log, and for how long.
#include "server/log_level_switch.h"

#include <gtest/gtest.h>

#include "support/loop_runner.h"

namespace penstock {
namespace {

using namespace std::chrono_literals;

struct Fixture : testing::Test {
  bool debugs() const { return log.enabled(LogLevel::kDebug); }

  Loop loop;
  LoopRunner runner{loop};
  Log log{LogLevel::kInfo};
  LogLevelSwitch level{loop, log, LogLevel::kInfo};
};
using LogLevelSwitchTest = Fixture;

TEST_F(LogLevelSwitchTest, GoesBackWhenTheTimeIsOver) {
  level.set(LogLevel::kDebug, 20ms);
  EXPECT_TRUE(debugs());
  EXPECT_EQ(level.level(), LogLevel::kDebug);
  EXPECT_TRUE(runner.until([&] { return !debugs(); }));
  EXPECT_EQ(level.level(), LogLevel::kInfo);
  EXPECT_TRUE(log.enabled(LogLevel::kInfo));
}

TEST_F(LogLevelSwitchTest, GoesBackToWhatAReloadSaidMeanwhile) {
  level.set(LogLevel::kDebug, std::nullopt);
  level.configure(LogLevel::kError);
  EXPECT_FALSE(log.enabled(LogLevel::kWarning));
  level.set(LogLevel::kDebug, 20ms);
  EXPECT_TRUE(runner.until([&] { return !debugs(); }));
  EXPECT_EQ(level.level(), LogLevel::kError);
}

TEST_F(LogLevelSwitchTest, TheLastWordHolds) {
  level.set(LogLevel::kError, 1ms);
  level.set(LogLevel::kDebug, std::nullopt);
  EXPECT_FALSE(runner.until([&] { return !debugs(); }, 30ms));
}

}  // namespace
}  // namespace penstock
