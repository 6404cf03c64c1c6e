// The CPUs that a process may use, by cgroups of both versions.
#include "server/cpu_count.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "unit/telemetry/support.h"

namespace penstock {
namespace {

class CpuCountTest : public testing::Test {
 protected:
  void write(const std::string& path, const std::string& text) {
    const std::filesystem::path file = folder_.file(path);
    std::filesystem::create_directories(file.parent_path());
    std::ofstream(file) << text;
  }
  std::size_t count() { return usable_cpus(folder_.file("")); }

  TemporaryFolder folder_;
  const std::size_t bound_ = usable_cpus("/nonexistent");
};

TEST_F(CpuCountTest, WithoutAQuotaItIsWhatTheProcessIsBoundTo) {
  EXPECT_GE(bound_, 1U);
  EXPECT_EQ(count(), bound_);
  write("proc/self/cgroup", "0::/app\n");
  EXPECT_EQ(count(), bound_);
  write("sys/fs/cgroup/app/cpu.max", "max 100000\n");
  EXPECT_EQ(count(), bound_);
}

TEST_F(CpuCountTest, AQuotaOfTheGroupOrOfOneAboveBoundsIt) {
  write("proc/self/cgroup", "0::/pod/app\n");
  write("sys/fs/cgroup/pod/app/cpu.max", "max 100000\n");
  write("sys/fs/cgroup/pod/cpu.max", "50000 100000\n");
  EXPECT_EQ(count(), 1U) << "half a CPU is one thread";
  write("sys/fs/cgroup/pod/cpu.max", "1000000 100000\n");
  EXPECT_EQ(count(), std::min<std::size_t>(bound_, 10));
}

TEST_F(CpuCountTest, TheFirstVersionHasItsOwnFiles) {
  write("proc/self/cgroup", "12:memory:/app\n4:cpu,cpuacct:/app\n");
  write("sys/fs/cgroup/cpu/app/cpu.cfs_quota_us", "-1\n");
  write("sys/fs/cgroup/cpu/app/cpu.cfs_period_us", "100000\n");
  EXPECT_EQ(count(), bound_);
  write("sys/fs/cgroup/cpu/app/cpu.cfs_quota_us", "100000\n");
  EXPECT_EQ(count(), 1U);
}

TEST_F(CpuCountTest, NonsenseIsNoQuota) {
  write("proc/self/cgroup", "nonsense\n0:\n0::/app\n");
  write("sys/fs/cgroup/app/cpu.max", "0 0\n");
  EXPECT_EQ(count(), bound_);
}

}  // namespace
}  // namespace penstock
