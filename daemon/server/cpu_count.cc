#include "server/cpu_count.h"

#include <sched.h>

#include <algorithm>
#include <fstream>
#include <limits>

#include "server/cgroup.h"

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

std::size_t quota_cpus(const std::string& root) {
  std::size_t least = kNoQuota;
  for (const CgroupFolder& folder : cgroup_folders("cpu", root)) {
    const auto read = folder.version == CgroupVersion::kV2 ? read_v2 : read_v1;
    least = std::min(least, read(folder.path));
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
