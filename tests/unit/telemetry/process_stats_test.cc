// The kernel's figures about this very process, against what we know of it otherwise.
#include "telemetry/process_stats.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <chrono>
#include <cstring>
#include <vector>

namespace penstock {
namespace {

TEST(ProcStat, IsReadBehindANameThatLooksLikeFields) {
  const auto stat = parse_proc_stat(
      "42 (a) 9 (b c) S 1 42 42 0 -1 4194560 100 0 0 0 11 22 0 0 20 0 3 0 5555 8192000 300 "
      "18446744073709551615 1 1 0 0");
  ASSERT_TRUE(stat);
  EXPECT_EQ(stat->user_ticks, 11u);
  EXPECT_EQ(stat->system_ticks, 22u);
  EXPECT_EQ(stat->start_ticks, 5555u);
  EXPECT_EQ(stat->virtual_bytes, 8192000u);
  EXPECT_EQ(stat->resident_pages, 300u);
}

TEST(ProcStat, IsNothingWhenTheLineIsCutShort) {
  for (const char* line : {"", "42 (name", "42 (name)", "42 (name) S 1 42 42 0 -1 4194560 100"}) {
    EXPECT_FALSE(parse_proc_stat(line)) << line;
  }
}

TEST(ProcessStats, CountsOpenDescriptors) {
  const std::uint64_t before = read_process_stats().open_fds;
  std::vector<int> fds;
  for (int i = 0; i < 5; ++i) fds.push_back(open("/dev/null", O_RDONLY | O_CLOEXEC));
  EXPECT_EQ(read_process_stats().open_fds, before + 5);
  for (const int fd : fds) close(fd);
}

TEST(ProcessStats, KnowsTheLimitOfDescriptors) {
  rlimit limit{};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &limit), 0);
  EXPECT_EQ(read_process_stats().max_fds, limit.rlim_cur);
}

TEST(ProcessStats, SeesMemoryThatIsTouched) {
  constexpr std::size_t kBytes = 64 << 20;
  const ProcessStats before = read_process_stats();
  std::vector<char> memory(kBytes, 1);
  const ProcessStats after = read_process_stats();
  EXPECT_GT(after.resident_bytes, before.resident_bytes + kBytes / 2);
  EXPECT_GE(after.virtual_bytes, after.resident_bytes);
  EXPECT_EQ(memory.back(), 1);
}

TEST(ProcessStats, AgreesWithTheCpuTimeOfTheProcess) {
  volatile std::uint64_t work = 0;
  rusage usage{};
  const auto used = [&] {
    getrusage(RUSAGE_SELF, &usage);
    const auto seconds = [](timeval t) {
      return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) / 1e6;
    };
    return seconds(usage.ru_utime) + seconds(usage.ru_stime);
  };
  while (used() < 0.1) work = work + 1;
  EXPECT_NEAR(read_process_stats().cpu_seconds, used(), 0.05);
}

TEST(ProcessStats, BeganNotLongAgo) {
  const double now =
      std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
  const double start = read_process_stats().start_time_seconds;
  EXPECT_LT(start, now + 2);
  EXPECT_GT(start, now - 3600);
}

}  // namespace
}  // namespace penstock
