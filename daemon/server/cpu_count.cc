#include "server/cpu_count.h"

#include <sched.h>

#include <algorithm>
#include <fstream>
#include <limits>
#include <sstream>

namespace penstock {

namespace {

constexpr std::size_t kNoQuota = std::numeric_limits<std::size_t>::max();

// Half a CPU serves one thread, one and a half serve two.
std::size_t cpus_of(double quota, double period) {
  if (!(quota > 0) || !(period > 0)) return kNoQuota;
  return std::max<std::size_t>(static_cast<std::size_t>((quota + period - 1) / period), 1);
}

std::size_t read_v2(const std::string& folder) {
  std::ifstream file(folder + "/cpu.max");
  double quota = 0;
  double period = 0;
  return file >> quota >> period ? cpus_of(quota, period) : kNoQuota;  // "max 100000" is no number
}

std::size_t read_v1(const std::string& folder) {
  std::ifstream quota_file(folder + "/cpu.cfs_quota_us");
  std::ifstream period_file(folder + "/cpu.cfs_period_us");
  double quota = 0;
  double period = 0;
  return quota_file >> quota && period_file >> period ? cpus_of(quota, period) : kNoQuota;
}

// A group's quota bounds those inside it too.
template <typename Read>
std::size_t least_up_to_root(const std::string& mount, std::string group, Read&& read) {
  std::size_t least = kNoQuota;
  while (true) {
    least = std::min(least, read(mount + group));
    if (group.empty() || group == "/") return least;
    group.resize(group.rfind('/'));
  }
}

bool names_cpu(const std::string& controllers) {
  std::istringstream list(controllers);
  for (std::string name; std::getline(list, name, ',');) {
    if (name == "cpu") return true;
  }
  return false;
}

// Lines of /proc/self/cgroup: "0::/group" (v2) or "4:cpu,cpuacct:/group" (v1).
std::size_t quota_cpus(const std::string& root) {
  std::ifstream file(root + "/proc/self/cgroup");
  std::size_t least = kNoQuota;
  for (std::string line; std::getline(file, line);) {
    const std::size_t first = line.find(':');
    const std::size_t second = line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1);
    const std::string group = line.substr(second + 1);
    if (controllers.empty()) {
      least = std::min(least, least_up_to_root(root + "/sys/fs/cgroup", group, read_v2));
    } else if (names_cpu(controllers)) {
      least = std::min(least, least_up_to_root(root + "/sys/fs/cgroup/cpu", group, read_v1));
    }
  }
  return least;
}

std::size_t bound_cpus() {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (::sched_getaffinity(0, sizeof set, &set) != 0) return 1;
  return static_cast<std::size_t>(std::max(CPU_COUNT(&set), 1));
}

}  // namespace

std::size_t usable_cpus(const std::string& root) {
  return std::min(bound_cpus(), quota_cpus(root));
}

}  // namespace penstock
