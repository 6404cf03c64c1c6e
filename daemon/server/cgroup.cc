#include "server/cgroup.h"

#include <fstream>
#include <sstream>

namespace penstock {

namespace {

bool names(const std::string& controllers, std::string_view controller) {
  std::istringstream list(controllers);
  for (std::string name; std::getline(list, name, ',');) {
    if (name == controller) return true;
  }
  return false;
}

void add_up_to_root(CgroupVersion version, const std::string& mount, std::string group,
                    std::vector<CgroupFolder>& folders) {
  while (true) {
    folders.push_back({version, mount + group});
    if (group.empty() || group == "/") return;
    group.resize(group.rfind('/'));
  }
}

}  // namespace

// Lines of /proc/self/cgroup: "0::/group" (v2) or "4:cpu,cpuacct:/group" (v1).
std::vector<CgroupFolder> cgroup_folders(std::string_view controller, const std::string& root) {
  std::ifstream file(root + "/proc/self/cgroup");
  const std::string mount = root + "/sys/fs/cgroup";
  std::vector<CgroupFolder> folders;
  for (std::string line; std::getline(file, line);) {
    const std::size_t first = line.find(':');
    const std::size_t second = line.find(':', first + 1);
    if (second == std::string::npos || line.substr(second + 1, 1) != "/") continue;
    const std::string controllers = line.substr(first + 1, second - first - 1);
    const std::string group = line.substr(second + 1);
    if (controllers.empty()) {
      add_up_to_root(CgroupVersion::kV2, mount, group, folders);
    } else if (names(controllers, controller)) {
      add_up_to_root(CgroupVersion::kV1, mount + '/' + std::string(controller), group, folders);
    }
  }
  return folders;
}

}  // namespace penstock
