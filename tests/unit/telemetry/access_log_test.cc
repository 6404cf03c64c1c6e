// The log writes what its settings want and loses nothing that it did not count.
#include "telemetry/access_log.h"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <cstdio>
#include <map>
#include <string>
#include <thread>
#include <vector>

#include "access_log_fixture.h"
#include "allocation_count.h"

namespace penstock {
namespace {

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

// A limit on the size of files stands for a disk that fills up in the middle of a line.
TEST_F(AccessLogTest, BeginsALineAnewAfterOneThatWasTorn) {
  AccessLog log;
  ASSERT_TRUE(log.configure(everything()));
  AccessLogWriter writer(log, 1);
  rlimit before{};
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &before), 0);
  const rlimit tight{.rlim_cur = 100, .rlim_max = before.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &tight), 0);
  writer.write(numbered(1));
  writer.write(numbered(2));
  writer.flush();
  const bool dropped = eventually([&] { return log.dropped_lines() == 2; });
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &before), 0);
  ASSERT_TRUE(dropped);
  ASSERT_EQ(contents(path_).size(), 100u);
  writer.write(numbered(3));
  writer.flush();
  ASSERT_TRUE(eventually([&] { return lines().size() == 2 && Json::accept(lines()[1]); }));
  EXPECT_EQ(id_in(lines()[1]), 3u);
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

}  // namespace
}  // namespace penstock
