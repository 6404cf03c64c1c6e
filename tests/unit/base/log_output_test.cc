// Whoever logs never waits for the reader of standard error; what is lost is counted, and the rest
// comes whole and in order.
#include "base/log_output.h"

#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "stalled_pipe.h"
#include "support/temporary_folder.h"

namespace penstock {
namespace {

bool eventually(auto condition) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  while (!condition()) {
    if (std::chrono::steady_clock::now() > end) return false;
    std::this_thread::yield();
  }
  return true;
}

std::string line(int number) { return std::to_string(number) + std::string(90, '.') + "\n"; }

class LogOutputTest : public testing::Test {
 protected:
  LogOutputTest() {
    const StandardErrorTo there(pipe_.writing_end());
    output_ = std::make_unique<LogOutput>(LogSink::standard_error());
  }
  // Writes numbered lines until some are lost; how many were written.
  int fill() {
    int lines = 0;
    while (output_->dropped_lines() < 100) output_->write(line(lines++));
    return lines;
  }

  StalledPipe pipe_;
  std::unique_ptr<LogOutput> output_;
  std::string text_;
};

TEST_F(LogOutputTest, WritesAtOnceWhileThereIsRoom) {
  output_->write("one\n");
  output_->write("two\n");
  pipe_.read_into(text_);
  EXPECT_EQ(text_, "one\ntwo\n");
}

TEST_F(LogOutputTest, KeepsABacklogAndCountsWhatIsMore) {
  const int total = fill();
  const auto kept = static_cast<std::size_t>(total) - output_->dropped_lines();
  EXPECT_GT(kept * line(0).size(), LogOutput::kDefaultMaxBacklogBytes);
  ASSERT_TRUE(eventually([&] {
    pipe_.read_into(text_);
    return lines_of(text_).size() == kept && text_.back() == '\n';
  }));
  output_->write("after\n");
  ASSERT_TRUE(eventually([&] {
    pipe_.read_into(text_);
    return text_.ends_with("after\n");
  }));
  const std::vector<std::string> lines = lines_of(text_);
  for (std::size_t i = 0; i < kept; ++i) ASSERT_EQ(lines[i] + "\n", line(static_cast<int>(i)));
}

TEST_F(LogOutputTest, EndsThoughNobodyReads) {
  fill();
  const auto begin = std::chrono::steady_clock::now();
  output_.reset();
  EXPECT_GE(std::chrono::steady_clock::now() - begin, LogOutput::kStopStall / 2);
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(30));
}

TEST_F(LogOutputTest, WritesItsBacklogBeforeItEnds) {
  const int total = fill();
  const auto kept = static_cast<std::size_t>(total) - output_->dropped_lines();
  std::thread reader([this, kept] {
    EXPECT_TRUE(eventually([&] {
      pipe_.read_into(text_);
      return lines_of(text_).size() == kept && text_.back() == '\n';
    }));
  });
  output_.reset();
  reader.join();
}

TEST_F(LogOutputTest, SurvivesAReaderThatHasGone) {
  fill();
  const std::uint64_t before = output_->dropped_lines();
  pipe_.stop_reading();
  EXPECT_TRUE(eventually([&] { return output_->dropped_lines() > before + 1000; }));
}

TEST(LogOutput, CountsWhatAFullDiskDoesNotTake) {
  auto full = LogSink::open("/dev/full");
  ASSERT_TRUE(full);
  LogOutput output(std::move(*full));
  output.write("one\n");
  output.write("two\n");
  EXPECT_EQ(output.dropped_lines(), 2u);
}

TEST(LogOutput, WithoutADescriptorLosesEverything) {
  LogOutput output{LogSink()};
  output.write("one\n");
  EXPECT_EQ(output.dropped_lines(), 1u);
}

}  // namespace
}  // namespace penstock
