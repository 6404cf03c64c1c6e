// A reader that does not read costs lines, which are counted, and never a worker's time.
#include <gtest/gtest.h>
#include <poll.h>

#include <chrono>
#include <string>

#include "access_log_fixture.h"

namespace penstock {
namespace {

// A FIFO whose reader reads only when told to.
class StalledLogTest : public AccessLogTest {
 protected:
  void SetUp() override {
    ASSERT_EQ(mkfifo(path_.c_str(), 0600), 0);
    reader_ = open(path_.c_str(), O_RDONLY | O_NONBLOCK);
    ASSERT_GE(reader_, 0);
  }
  void TearDown() override { close_reader(); }
  void close_reader() {
    if (reader_ >= 0) close(reader_);
    reader_ = -1;
  }
  void read_some() {
    char bytes[16 * 1024];
    const ssize_t size = read(reader_, bytes, sizeof(bytes));
    if (size > 0) text_.append(bytes, static_cast<std::size_t>(size));
  }
  bool pipe_is_full() const {
    pollfd writer{
        .fd = open(path_.c_str(), O_WRONLY | O_NONBLOCK), .events = POLLOUT, .revents = 0};
    const bool full = poll(&writer, 1, 0) == 0;
    close(writer.fd);
    return full;
  }
  // Writes until lines are dropped, which a worker must survive without waiting.
  std::uint64_t fill(AccessLog& log, AccessLogWriter& writer) {
    std::uint64_t lines = 0;
    while (log.dropped_lines() < 100) writer.write(numbered(lines++));
    return lines;
  }

  int reader_ = -1;
  std::string text_;
};

TEST_F(StalledLogTest, DropsAndCountsInsteadOfWaiting) {
  AccessLog log(4);
  ASSERT_TRUE(log.configure(everything()));
  AccessLogWriter writer(log, 1);
  const std::uint64_t total = fill(log, writer);
  const std::uint64_t expected = total - log.dropped_lines();
  ASSERT_TRUE(eventually([&] {
    writer.flush();
    read_some();
    return lines_of(text_).size() == expected && text_.back() == '\n';
  }));
  EXPECT_EQ(log.dropped_lines(), total - expected);
  for (const std::string& line : lines_of(text_)) ASSERT_TRUE(Json::accept(line)) << line;
  writer.write(numbered(1));
  EXPECT_TRUE(writer.has_unflushed());  // there are free blocks again
}

TEST_F(StalledLogTest, KeepsABegunBlockWhileTheWritingLags) {
  AccessLog log(4);
  ASSERT_TRUE(log.configure(everything()));
  AccessLogWriter slow_one(log, 1);
  slow_one.write(numbered(1));
  AccessLogWriter writer(log, 2);
  fill(log, writer);
  slow_one.flush();
  EXPECT_TRUE(slow_one.has_unflushed());
  EXPECT_TRUE(eventually([&] {
    read_some();
    slow_one.flush();
    return !slow_one.has_unflushed();
  }));
}

TEST_F(StalledLogTest, EndsThoughNobodyReads) {
  std::uint64_t total = 0;
  const auto begin = std::chrono::steady_clock::now();
  {
    AccessLog log(4);
    ASSERT_TRUE(log.configure(everything()));
    AccessLogWriter writer(log, 1);
    total = fill(log, writer);
  }
  EXPECT_GE(std::chrono::steady_clock::now() - begin, AccessLog::kStopStall);
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(30));
  read_some();
  EXPECT_GT(lines_of(text_).size(), 0u);
  EXPECT_LT(lines_of(text_).size(), total);
}

// Lines of 24 KiB, so that the pipe is full within one.
TEST_F(StalledLogTest, GoesOnInAnotherFileWithWholeLines) {
  const std::string second = folder_.file("second.log");
  const std::string path(4'000, '\x01');
  ExchangeRecord record = answered(timeline_);
  record.path = path;
  std::uint64_t total = 0;
  std::uint64_t dropped = 0;
  {
    AccessLog log(4);
    ASSERT_TRUE(log.configure(everything()));
    AccessLogWriter writer(log, 1);
    for (; log.dropped_lines() < 3; ++total) writer.write(record);
    ASSERT_TRUE(eventually([&] { return pipe_is_full(); }));
    AccessLogSettings settings = everything();
    settings.path = second;
    ASSERT_TRUE(log.configure(settings));
    ASSERT_TRUE(eventually([&] { return !contents(second).empty(); }));
    dropped = log.dropped_lines();
  }
  for (std::size_t before = 1; before != text_.size();) {
    before = text_.size();
    read_some();
  }
  ASSERT_FALSE(text_.empty());
  const auto first_lines = lines_of(text_);
  ASSERT_FALSE(Json::accept(first_lines.back())) << "the pipe was to be full within a line";
  const auto moved = lines_of(contents(second));
  for (const std::string& line : moved) ASSERT_TRUE(Json::accept(line)) << line;
  EXPECT_EQ(first_lines.size() - 1 + moved.size() + dropped, total);
}

TEST_F(StalledLogTest, SurvivesAReaderThatHasGone) {
  AccessLog log;
  ASSERT_TRUE(log.configure(everything()));
  close_reader();
  AccessLogWriter writer(log, 1);
  writer.write(numbered(1));
  writer.write(numbered(2));
  writer.flush();
  EXPECT_TRUE(eventually([&] { return log.dropped_lines() == 2; }));
}

}  // namespace
}  // namespace penstock
