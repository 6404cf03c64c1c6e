// How much memory the process may use before the kernel ends it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace penstock {

// In bytes: the smallest limit of its cgroup and those around it; nullopt: there is none. What the
// machine has is no limit in this sense. `root`: where /proc and /sys are, for tests.
std::optional<std::uint64_t> memory_limit(const std::string& root = "");

}  // namespace penstock
