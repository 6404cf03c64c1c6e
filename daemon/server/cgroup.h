// Where the kernel says what the process's cgroup may use.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace penstock {

enum class CgroupVersion : std::uint8_t { kV1, kV2 };

struct CgroupFolder {
  CgroupVersion version;
  std::string path;
};

// The folders of every group that bounds the process by this controller (cpu, memory): its own and
// those around it, since a group's limit bounds those inside it too. Some may not exist: a
// container sees its own group as the root. `root`: where /proc and /sys are, for tests.
std::vector<CgroupFolder> cgroup_folders(std::string_view controller, const std::string& root);

}  // namespace penstock
