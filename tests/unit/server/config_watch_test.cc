// When a change of the files is told: once, and only when two looks in a row agree in it.
#include "server/config_watch.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>

#include "support/manual_clock.h"
#include "unit/telemetry/support.h"

namespace penstock {
namespace {

using namespace std::chrono_literals;

constexpr Duration kEvery = 5s;

class ConfigWatchTest : public testing::Test {
 protected:
  void write(const std::string& text) { std::ofstream(file_) << text; }
  ReadFile read() const { return {file_, digest(read_file(file_, kMaxFileBytes, false))}; }
  void watch() { watch_.watch({read()}, kEvery); }
  // As the daemon does, which reads the files again.
  void on_changed() {
    ++told_;
    watch();
  }
  void look() { clock_.advance(kEvery + TimerWheel::kTick); }

  TemporaryFolder folder_;
  const std::string file_ = folder_.file("p.yaml");
  ManualClock clock_;
  ConfigWatch watch_{clock_.timers(), clock_,
                     Delegate<void()>::to<&ConfigWatchTest::on_changed>(*this)};
  int told_ = 0;
};

TEST_F(ConfigWatchTest, TellsAChangeOnce) {
  write("one");
  watch();
  look();
  EXPECT_EQ(told_, 0);
  write("two");  // as long, and perhaps of the same moment
  look();
  EXPECT_EQ(told_, 0);
  look();
  EXPECT_EQ(told_, 1);
  look();
  look();
  EXPECT_EQ(told_, 1);
}

TEST_F(ConfigWatchTest, TellsThatAFileHasGoneAndThatItIsBack) {
  write("one");
  watch();
  std::filesystem::remove(file_);
  look();
  look();
  EXPECT_EQ(told_, 1);
  write("one");
  look();
  look();
  EXPECT_EQ(told_, 2);
}

TEST_F(ConfigWatchTest, SaysNothingOfAnotherFileWithTheSameContent) {
  write("one");
  watch();
  std::ofstream(folder_.file("new")) << "one";
  std::filesystem::rename(folder_.file("new"), file_);
  look();
  look();
  EXPECT_EQ(told_, 0);
}

TEST_F(ConfigWatchTest, WaitsUntilAFileIsWritten) {
  write("1");
  watch();
  for (int i = 0; i < 20; ++i) {
    std::ofstream(file_, std::ios::app) << i;
    look();
    EXPECT_EQ(told_, 0) << "half of it was enough";
  }
  look();
  EXPECT_EQ(told_, 1);
}

TEST_F(ConfigWatchTest, LooksNoMoreWhenItIsOff) {
  write("one");
  watch();
  watch_.watch({read()}, std::nullopt);
  write("two");
  look();
  look();
  EXPECT_EQ(told_, 0);
}

// To read it would take what somebody else is to have.
TEST_F(ConfigWatchTest, LeavesAPipeAlone) {
  ASSERT_EQ(::mkfifo(file_.c_str(), 0600), 0);
  watch_.watch({{file_, 1}}, kEvery);
  look();
  look();
  EXPECT_EQ(told_, 0);
}

}  // namespace
}  // namespace penstock
