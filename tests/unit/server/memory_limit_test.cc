// The memory that a process may use, by cgroups of both versions.
#include "server/memory_limit.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "unit/telemetry/support.h"

namespace penstock {
namespace {

class MemoryLimitTest : public testing::Test {
 protected:
  void write(const std::string& path, const std::string& text) {
    const std::filesystem::path file = folder_.file(path);
    std::filesystem::create_directories(file.parent_path());
    std::ofstream(file) << text;
  }
  std::optional<std::uint64_t> limit() { return memory_limit(folder_.file("")); }

  TemporaryFolder folder_;
};

TEST_F(MemoryLimitTest, WithoutACgroupThereIsNone) { EXPECT_EQ(limit(), std::nullopt); }

TEST_F(MemoryLimitTest, TheGroupsOwnLimitCounts) {
  write("proc/self/cgroup", "0::/app\n");
  EXPECT_EQ(limit(), std::nullopt) << "there is no file";
  write("sys/fs/cgroup/app/memory.max", "268435456\n");
  EXPECT_EQ(limit(), 268435456U);
}

TEST_F(MemoryLimitTest, MaxIsNoLimit) {
  write("proc/self/cgroup", "0::/app\n");
  write("sys/fs/cgroup/app/memory.max", "max\n");
  EXPECT_EQ(limit(), std::nullopt);
}

TEST_F(MemoryLimitTest, TheSmallestOfTheGroupsAroundItCounts) {
  write("proc/self/cgroup", "0::/pod/app\n");
  write("sys/fs/cgroup/pod/app/memory.max", "max\n");
  write("sys/fs/cgroup/pod/memory.max", "1000000\n");
  EXPECT_EQ(limit(), 1000000U);
  write("sys/fs/cgroup/pod/app/memory.max", "2000000\n");
  EXPECT_EQ(limit(), 1000000U);
  write("sys/fs/cgroup/pod/app/memory.max", "500000\n");
  EXPECT_EQ(limit(), 500000U);
}

TEST_F(MemoryLimitTest, AContainerSeesItsOwnGroupAsTheRoot) {
  write("proc/self/cgroup", "0::/\n");
  write("sys/fs/cgroup/memory.max", "134217728\n");
  EXPECT_EQ(limit(), 134217728U);
}

TEST_F(MemoryLimitTest, TheFirstVersionHasItsOwnFile) {
  write("proc/self/cgroup", "4:cpu,cpuacct:/app\n12:memory:/pod/app\n0::/app\n");
  write("sys/fs/cgroup/memory/pod/app/memory.limit_in_bytes", "9223372036854771712\n");
  EXPECT_EQ(limit(), std::nullopt) << "so it says that there is none";
  write("sys/fs/cgroup/memory/pod/memory.limit_in_bytes", "65536000\n");
  EXPECT_EQ(limit(), 65536000U);
}

// The container's runtime has mounted its group there, while /proc names it as the host does.
TEST_F(MemoryLimitTest, AContainerOfTheFirstVersionSeesItsGroupAtTheMount) {
  write("proc/self/cgroup", "12:memory:/docker/0123\n");
  write("sys/fs/cgroup/memory/memory.limit_in_bytes", "33554432\n");
  EXPECT_EQ(limit(), 33554432U);
}

TEST_F(MemoryLimitTest, NonsenseIsNoLimit) {
  write("proc/self/cgroup", "nonsense\n0:\n0::\n0::/app\n");
  for (const char* text : {"", "0\n", "-1\n", "12MiB\n", "99999999999999999999999\n"}) {
    write("sys/fs/cgroup/app/memory.max", text);
    EXPECT_EQ(limit(), std::nullopt) << text;
  }
}

}  // namespace
}  // namespace penstock
