// The log writes what its settings want, loses nothing that it did not count, and never waits.
#include "telemetry/access_log.h"

#include <gtest/gtest.h>

#include <chrono>
#include <cstdio>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>
#include <vector>

#include "allocation_count.h"
#include "support.h"

namespace penstock {
namespace {

using Json = nlohmann::json;

// Until the condition holds; false after ten seconds, which no working log needs.
bool eventually(auto condition) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  while (!condition()) {
    if (std::chrono::steady_clock::now() > end) return false;
    std::this_thread::yield();
  }
  return true;
}

class AccessLogTest : public testing::Test {
 protected:
  AccessLogSettings everything() const {
    AccessLogSettings settings;
    settings.path = path_;
    settings.only_errors = false;
    return settings;
  }
  AccessLogSettings errors() const {
    AccessLogSettings settings = everything();
    settings.only_errors = true;
    return settings;
  }
  ExchangeRecord numbered(std::uint64_t id) const {
    ExchangeRecord record = answered(timeline_);
    record.id = id;
    return record;
  }
  // Everything that a log with these settings has written by its end.
  std::vector<std::string> written(const AccessLogSettings& settings, auto write) const {
    {
      AccessLog log;
      EXPECT_TRUE(log.configure(settings));
      AccessLogWriter writer(log, 1);
      write(writer);
    }
    return lines();
  }
  std::vector<std::string> lines() const { return lines_of(contents(path_)); }

  const TemporaryFolder folder_;
  const std::string path_ = folder_.file("access.log");
  const Timeline timeline_ = reused_timeline();  // 12.5 ms in all
};

std::uint64_t id_in(const std::string& line) {
  return std::stoull(Json::parse(line).at("id").get<std::string>(), nullptr, 16);
}

TEST_F(AccessLogTest, IsOffUntilConfigured) {
  AccessLog log;
  AccessLogWriter writer(log, 1);
  writer.write(timed_out(timeline_));
  EXPECT_FALSE(writer.has_unflushed());
  EXPECT_EQ(log.dropped_lines(), 0u);
}

TEST_F(AccessLogTest, WritesOnlyErrorsWhenToldSo) {
  const auto lines = written(errors(), [&](AccessLogWriter& writer) {
    writer.write(answered(timeline_));
    writer.write(timed_out(timeline_));
    writer.write(answered(timeline_));
  });
  ASSERT_EQ(lines.size(), 1u);
  EXPECT_EQ(Json::parse(lines[0]).at("status"), 504);
}

TEST_F(AccessLogTest, WritesSlowOnesBesideTheErrors) {
  struct Case {
    Limit slow;
    std::size_t lines;
  };
  const Case cases[] = {{std::chrono::microseconds(12'500), 1},
                        {std::chrono::microseconds(12'501), 1},
                        {std::nullopt, 1},
                        {std::chrono::milliseconds(1), 2}};
  for (const Case& each : cases) {
    AccessLogSettings settings = errors();
    settings.slow = each.slow;
    const auto lines = written(settings, [&](auto& writer) { writer.write(answered(timeline_)); });
    EXPECT_EQ(lines.size(), each.lines);  // the file keeps the lines of the cases before
  }
}

TEST_F(AccessLogTest, SampleLeavesErrorsAndSlowOnesIn) {
  AccessLogSettings settings = everything();
  settings.sample = 0;
  settings.slow = std::chrono::milliseconds(100);
  Timeline slow = timeline_;
  slow.finished = at_micros(100'000);
  const auto lines = written(settings, [&](AccessLogWriter& writer) {
    writer.write(answered(timeline_));
    writer.write(timed_out(timeline_));
    writer.write(answered(slow));
  });
  EXPECT_EQ(lines.size(), 2u);
}

TEST_F(AccessLogTest, SampleTakesItsShare) {
  AccessLogSettings settings = everything();
  settings.sample = 0.25;
  const auto lines = written(settings, [&](AccessLogWriter& writer) {
    for (int i = 0; i < 20'000; ++i) writer.write(answered(timeline_));
  });
  // Five standard deviations to each side.
  EXPECT_GT(lines.size(), 4'690u);
  EXPECT_LT(lines.size(), 5'310u);
}

TEST_F(AccessLogTest, SampleOfOneTakesAll) {
  const auto lines = written(everything(), [&](AccessLogWriter& writer) {
    for (int i = 0; i < 1'000; ++i) writer.write(answered(timeline_));
  });
  EXPECT_EQ(lines.size(), 1'000u);
}

TEST_F(AccessLogTest, WorkersWithOtherSeedsSampleOtherRequests) {
  AccessLogSettings settings = everything();
  settings.sample = 0.5;
  AccessLog log;
  ASSERT_TRUE(log.configure(settings));
  AccessLogWriter first(log, 1);
  AccessLogWriter second(log, 2);
  const auto takes = [&](AccessLogWriter& writer) {
    std::string taken;
    for (int i = 0; i < 64; ++i) {
      writer.write(answered(timeline_));
      taken += writer.has_unflushed() ? '1' : '0';
      while (writer.has_unflushed()) writer.flush();
    }
    return taken;
  };
  EXPECT_NE(takes(first), takes(second));
}

TEST_F(AccessLogTest, KeepsTheOrderOverManyBlocks) {
  constexpr std::uint64_t kLines = 5'000;
  const auto lines = written(everything(), [&](AccessLogWriter& writer) {
    for (std::uint64_t id = 0; id < kLines; ++id) {
      writer.write(numbered(id));
      // Wait for the file here, or a slow disk would rightly drop lines.
      if (id % 1'000 != 999) continue;
      ASSERT_TRUE(eventually([&] {
        writer.flush();
        return !writer.has_unflushed() && this->lines().size() == id + 1;
      }));
    }
  });
  ASSERT_EQ(lines.size(), kLines);
  for (std::uint64_t id = 0; id < kLines; ++id) ASSERT_EQ(id_in(lines[id]), id);
}

TEST_F(AccessLogTest, LosesNoLineOfSeveralWorkersThatItDidNotCount) {
  constexpr std::uint64_t kWorkers = 4;
  constexpr std::uint64_t kLines = 4'000;
  std::uint64_t dropped = 0;
  {
    AccessLog log(6);
    ASSERT_TRUE(log.configure(everything()));
    std::vector<std::thread> workers;
    for (std::uint64_t worker = 0; worker < kWorkers; ++worker) {
      workers.emplace_back([&, worker] {
        AccessLogWriter writer(log, worker);
        for (std::uint64_t i = 0; i < kLines; ++i) writer.write(numbered(worker << 32 | i));
      });
    }
    for (std::thread& worker : workers) worker.join();
    dropped = log.dropped_lines();  // the disk does not stall, so the end drops none
  }
  const auto lines = this->lines();
  EXPECT_EQ(lines.size() + dropped, kWorkers * kLines);
  std::map<std::uint64_t, std::uint64_t> next;
  for (const std::string& line : lines) {
    const std::uint64_t id = id_in(line);
    std::uint64_t& expected = next[id >> 32];
    ASSERT_GE(id & 0xffffffff, expected);
    expected = (id & 0xffffffff) + 1;
  }
}

TEST_F(AccessLogTest, FlushBringsABegunBlockToTheFile) {
  AccessLog log;
  ASSERT_TRUE(log.configure(everything()));
  AccessLogWriter writer(log, 1);
  writer.flush();
  EXPECT_FALSE(writer.has_unflushed());
  writer.write(numbered(1));
  EXPECT_TRUE(writer.has_unflushed());
  writer.flush();
  EXPECT_FALSE(writer.has_unflushed());
  EXPECT_TRUE(eventually([&] { return lines().size() == 1; }));
}

TEST_F(AccessLogTest, AllocatesNothingForALine) {
  AccessLog log;
  ASSERT_TRUE(log.configure(everything()));
  AccessLogWriter writer(log, 1);
  writer.write(numbered(0));
  ASSERT_GT(allocation_count(), 0u);
  const std::uint64_t before = allocation_count();
  for (std::uint64_t id = 1; id < 100; ++id) writer.write(numbered(id));
  EXPECT_EQ(allocation_count(), before);
}

TEST_F(AccessLogTest, TakesTheFormatAndTheFilterOfAReload) {
  AccessLog log;
  ASSERT_TRUE(log.configure(errors()));
  AccessLogWriter writer(log, 1);
  writer.write(answered(timeline_));
  EXPECT_FALSE(writer.has_unflushed());
  AccessLogSettings settings = everything();
  settings.json = false;
  settings.query = true;
  ASSERT_TRUE(log.configure(settings));
  writer.write(answered(timeline_));
  writer.flush();
  ASSERT_TRUE(eventually([&] { return lines().size() == 1; }));
  EXPECT_NE(lines()[0].find("Z 200 GET api.payments.example/v1/items?token=secret "),
            std::string::npos);
}

TEST_F(AccessLogTest, MovesToAnotherFileAndOff) {
  AccessLog log;
  ASSERT_TRUE(log.configure(everything()));
  AccessLogWriter writer(log, 1);
  writer.write(numbered(1));
  writer.flush();
  ASSERT_TRUE(eventually([&] { return lines().size() == 1; }));
  AccessLogSettings settings = everything();
  settings.path = folder_.file("second.log");
  ASSERT_TRUE(log.configure(settings));
  writer.write(numbered(2));
  writer.flush();
  ASSERT_TRUE(eventually([&] { return lines_of(contents(settings.path)).size() == 1; }));
  EXPECT_EQ(lines().size(), 1u);
  settings.path.clear();
  ASSERT_TRUE(log.configure(settings));
  writer.write(numbered(3));
  EXPECT_FALSE(writer.has_unflushed());
}

TEST_F(AccessLogTest, KeepsItsSettingsWhenTheNewFileCannotBeOpened) {
  AccessLog log;
  ASSERT_TRUE(log.configure(everything()));
  AccessLogSettings bad = errors();
  bad.path = folder_.file("missing/access.log");
  const auto result = log.configure(bad);
  ASSERT_FALSE(result);
  EXPECT_NE(result.error().find("missing/access.log"), std::string::npos);
  AccessLogWriter writer(log, 1);
  writer.write(answered(timeline_));
  writer.flush();
  EXPECT_TRUE(eventually([&] { return lines().size() == 1; }));
}

TEST_F(AccessLogTest, ReopenWritesToANewFileOfTheName) {
  AccessLog log;
  ASSERT_TRUE(log.configure(everything()));
  AccessLogWriter writer(log, 1);
  writer.write(numbered(1));
  writer.flush();
  ASSERT_TRUE(eventually([&] { return lines().size() == 1; }));
  std::filesystem::rename(path_, folder_.file("access.log.1"));
  ASSERT_TRUE(log.reopen());
  writer.write(numbered(2));
  writer.flush();
  ASSERT_TRUE(eventually([&] { return lines().size() == 1; }));
  EXPECT_EQ(id_in(lines()[0]), 2u);
  EXPECT_EQ(lines_of(contents(folder_.file("access.log.1"))).size(), 1u);
}

TEST_F(AccessLogTest, ReopenThatFailsKeepsTheOldFile) {
  std::filesystem::create_directory(folder_.file("logs"));
  AccessLogSettings settings = everything();
  settings.path = folder_.file("logs/access.log");
  AccessLog log;
  ASSERT_TRUE(log.configure(settings));
  std::filesystem::rename(folder_.file("logs"), folder_.file("moved"));
  EXPECT_FALSE(log.reopen());
  AccessLogWriter writer(log, 1);
  writer.write(numbered(1));
  writer.flush();
  EXPECT_TRUE(
      eventually([&] { return lines_of(contents(folder_.file("moved/access.log"))).size() == 1; }));
}

TEST_F(AccessLogTest, CountsEveryLineThatAFullDiskTakes) {
  AccessLogSettings settings = everything();
  settings.path = "/dev/full";
  AccessLog log;
  ASSERT_TRUE(log.configure(settings));
  AccessLogWriter writer(log, 1);
  for (std::uint64_t id = 0; id < 7; ++id) writer.write(numbered(id));
  writer.flush();
  EXPECT_TRUE(eventually([&] { return log.dropped_lines() == 7; }));
}

TEST_F(AccessLogTest, WritesToStandardOutput) {
  AccessLogSettings settings = everything();
  settings.path = "stdout";
  std::fflush(stdout);
  const int saved = dup(STDOUT_FILENO);
  const int file = open(path_.c_str(), O_WRONLY | O_CREAT, 0600);
  ASSERT_EQ(dup2(file, STDOUT_FILENO), STDOUT_FILENO);
  {
    AccessLog log;
    EXPECT_TRUE(log.configure(settings));
    AccessLogWriter writer(log, 1);
    writer.write(numbered(1));
  }
  dup2(saved, STDOUT_FILENO);
  close(saved);
  close(file);
  EXPECT_EQ(lines().size(), 1u);
}

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
  AccessLog log(2);
  ASSERT_TRUE(log.configure(everything()));
  AccessLogWriter writer(log, 1);
  fill(log, writer);
  AccessLogWriter late(log, 2);
  late.write(numbered(1));
  EXPECT_FALSE(late.has_unflushed());  // both blocks are taken
  ASSERT_TRUE(eventually([&] {
    read_some();
    late.write(numbered(2));
    return late.has_unflushed();
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

TEST_F(StalledLogTest, GoesOnInAnotherFileWithWholeLines) {
  const std::string second = folder_.file("second.log");
  std::uint64_t total = 0;
  std::uint64_t dropped = 0;
  {
    AccessLog log(4);
    ASSERT_TRUE(log.configure(everything()));
    AccessLogWriter writer(log, 1);
    total = fill(log, writer);
    dropped = log.dropped_lines();
    AccessLogSettings settings = everything();
    settings.path = second;
    ASSERT_TRUE(log.configure(settings));
    ASSERT_TRUE(eventually([&] { return !contents(second).empty(); }));
  }
  for (ssize_t before = -1; before != static_cast<ssize_t>(text_.size());) {
    before = static_cast<ssize_t>(text_.size());
    read_some();
  }
  const auto moved = lines_of(contents(second));
  for (const std::string& line : moved) ASSERT_TRUE(Json::accept(line)) << line;
  EXPECT_EQ(lines_of(text_).size() + moved.size() + dropped, total);
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
