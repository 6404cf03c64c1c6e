// A sink never waits for its reader, and says when it could not write.
#include "telemetry/log_sink.h"

#include <gtest/gtest.h>

#include "support.h"

namespace penstock {
namespace {

using Outcome = LogSink::Outcome;

TEST(LogSink, AppendsToAFileThatIsThere) {
  const TemporaryFolder folder;
  std::ofstream(folder.file("log")) << "before\n";
  auto sink = LogSink::open(folder.file("log"));
  ASSERT_TRUE(sink);
  std::string_view bytes = "after\n";
  EXPECT_EQ(sink->write(bytes), Outcome::kWritten);
  EXPECT_TRUE(bytes.empty());
  EXPECT_EQ(contents(folder.file("log")), "before\nafter\n");
}

TEST(LogSink, IsReadableForOwnerAndGroupOnly) {
  const TemporaryFolder folder;
  ASSERT_TRUE(LogSink::open(folder.file("log")));
  struct stat status {};
  ASSERT_EQ(stat(folder.file("log").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0137, 0u);
}

TEST(LogSink, SaysWhichFileItCannotOpenAndWhy) {
  const TemporaryFolder folder;
  const auto sink = LogSink::open(folder.file("missing/log"));
  ASSERT_FALSE(sink);
  EXPECT_NE(sink.error().find("missing/log: No such file"), std::string::npos) << sink.error();
}

TEST(LogSink, DoesNotWaitToOpenAFifoThatNobodyReads) {
  const TemporaryFolder folder;
  ASSERT_EQ(mkfifo(folder.file("fifo").c_str(), 0600), 0);
  EXPECT_FALSE(LogSink::open(folder.file("fifo")));
}

class FifoSink : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_EQ(mkfifo(folder_.file("fifo").c_str(), 0600), 0);
    reader_ = open(folder_.file("fifo").c_str(), O_RDONLY | O_NONBLOCK);
    ASSERT_GE(reader_, 0);
    auto sink = LogSink::open(folder_.file("fifo"));
    ASSERT_TRUE(sink);
    sink_ = std::move(*sink);
  }
  void TearDown() override { close_reader(); }
  void close_reader() {
    if (reader_ >= 0) close(reader_);
    reader_ = -1;
  }

  const TemporaryFolder folder_;
  int reader_ = -1;
  LogSink sink_;
};

TEST_F(FifoSink, WritesPiecesThatEndAtLineEnds) {
  std::string text;
  for (int i = 0; i < 100; ++i) text += std::string(99, 'x') + "\n";
  std::string_view rest = text;
  ASSERT_EQ(sink_.write(rest), Outcome::kWritten);
  const std::size_t written = text.size() - rest.size();
  EXPECT_EQ(written, 4000u);
  EXPECT_TRUE(sink_.at_line_start());
}

TEST_F(FifoSink, StallsWhenThePipeIsFullAndGoesOnWhenItIsRead) {
  const std::string text(1 << 20, 'x');
  std::string_view rest = text;
  Outcome outcome = Outcome::kWritten;
  while (outcome == Outcome::kWritten) outcome = sink_.write(rest);
  ASSERT_EQ(outcome, Outcome::kStalled);
  ASSERT_FALSE(rest.empty());
  std::string read_back(64 * 1024, '\0');
  ASSERT_GT(read(reader_, read_back.data(), read_back.size()), 0);
  sink_.wait_writable(std::chrono::seconds(10));
  EXPECT_EQ(sink_.write(rest), Outcome::kWritten);
}

TEST_F(FifoSink, EndsATornLineBeforeTheNext) {
  std::string_view half = "half a li";
  ASSERT_EQ(sink_.write(half), Outcome::kWritten);
  EXPECT_FALSE(sink_.at_line_start());
  sink_.mend();
  sink_.mend();
  std::string_view next = "next\n";
  ASSERT_EQ(sink_.write(next), Outcome::kWritten);
  std::string text(64, '\0');
  const ssize_t size = read(reader_, text.data(), text.size());
  EXPECT_EQ(text.substr(0, static_cast<std::size_t>(size)), "half a li\nnext\n");
}

TEST(LogSink, FailsWhenTheDiskIsFull) {
  auto sink = LogSink::open("/dev/full");
  ASSERT_TRUE(sink);
  std::string_view bytes = "line\n";
  EXPECT_EQ(sink->write(bytes), Outcome::kFailed);
  EXPECT_EQ(bytes, "line\n");
}

TEST(LogSink, FailsWithoutADescriptor) {
  LogSink sink;
  std::string_view bytes = "line\n";
  EXPECT_EQ(sink.write(bytes), Outcome::kFailed);
}

}  // namespace
}  // namespace penstock
