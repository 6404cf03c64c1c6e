// How many CPUs the process may use: those it is bound to, or fewer where its cgroup has a quota.
#pragma once

#include <string>

namespace penstock {

// At least 1. `root`: where /proc and /sys are, for tests.
std::size_t usable_cpus(const std::string& root = "");

}  // namespace penstock
