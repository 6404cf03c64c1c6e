// A sink never waits for its reader, and says when it could not write.
#include "base/log_sink.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <string>

#include "stalled_pipe.h"
#include "support/temporary_folder.h"

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

TEST(LogSink, FailsWhenTheDiskIsFullAndSaysSo) {
  auto sink = LogSink::open("/dev/full");
  ASSERT_TRUE(sink);
  std::string_view bytes = "line\n";
  EXPECT_EQ(sink->write(bytes), Outcome::kFailed);
  EXPECT_EQ(bytes, "line\n");
  EXPECT_EQ(sink->failure(), "No space left on device");
}

// What it is written to is the test runner's as well, and blocks for that one.
TEST(LogSink, LeavesStandardErrorAsItIs) {
  StalledPipe pipe;
  const StandardErrorTo there(pipe.writing_end());
  const int before = fcntl(pipe.writing_end(), F_GETFL);
  LogSink sink = LogSink::standard_error();
  const std::string text(1 << 20, 'x');
  std::string_view rest = text;
  Outcome outcome = Outcome::kWritten;
  while (outcome == Outcome::kWritten) outcome = sink.write(rest);
  EXPECT_EQ(outcome, Outcome::kStalled);
  EXPECT_EQ(fcntl(pipe.writing_end(), F_GETFL), before);
}

// A pipe that another user made cannot be opened anew: it is asked before each write.
TEST(LogSink, DoesNotWaitForAPipeOfAnotherUserEither) {
  if (geteuid() != 0) GTEST_SKIP() << "only root can become somebody else";
  StalledPipe pipe;
  const StandardErrorTo there(pipe.writing_end());
  ASSERT_EQ(seteuid(65534), 0);
  LogSink sink = LogSink::standard_error();
  ASSERT_EQ(seteuid(0), 0);
  const std::string text(1 << 20, 'x');
  std::string_view rest = text;
  Outcome outcome = Outcome::kWritten;
  while (outcome == Outcome::kWritten) outcome = sink.write(rest);
  EXPECT_EQ(outcome, Outcome::kStalled);
  EXPECT_LT(rest.size(), text.size());
}

// Standard error of a service: a stream socket of the journal's.
TEST(LogSink, DoesNotWaitForASocketEither) {
  int ends[2];
  ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
  {
    const StandardErrorTo there(ends[0]);
    LogSink sink = LogSink::standard_error();
    const std::string text(4 << 20, 'x');
    std::string_view rest = text;
    Outcome outcome = Outcome::kWritten;
    while (outcome == Outcome::kWritten) outcome = sink.write(rest);
    EXPECT_EQ(outcome, Outcome::kStalled);
    ASSERT_EQ(close(ends[1]), 0);
    EXPECT_EQ(sink.write(rest), Outcome::kFailed);
  }
  close(ends[0]);
}

TEST(LogSink, FailsWithoutADescriptor) {
  LogSink sink;
  std::string_view bytes = "line\n";
  EXPECT_EQ(sink.write(bytes), Outcome::kFailed);
}

}  // namespace
}  // namespace penstock
