#include "server/connection_limits.h"

#include <sys/resource.h>

#include <algorithm>

namespace penstock {

namespace {

constexpr std::uint64_t kMaxAutoClients = 10000;
// Descriptors for everything that is neither a client's nor an upstream's.
constexpr std::uint64_t kOtherDescriptors = 64;

std::uint64_t less(std::uint64_t count, std::uint64_t taken) {
  return count - std::min(count, taken);
}

std::uint32_t clamp_count(std::uint64_t count, std::uint64_t most) {
  return static_cast<std::uint32_t>(std::clamp<std::uint64_t>(count, 1, most));
}

}  // namespace

ConnectionLimits connection_limits(const Config& config, std::uint64_t descriptors) {
  const std::uint64_t free = less(descriptors, kOtherDescriptors);
  ConnectionLimits limits;
  limits.clients = config.client.max_connections.value_or(clamp_count(free / 2, kMaxAutoClients));
  limits.upstreams = {.max_connections = config.process.max_upstream_connections.value_or(
                          clamp_count(less(free, limits.clients), kUnlimitedCount)),
                      .max_idle = config.process.max_idle_connections};
  limits.descriptors =
      std::uint64_t{limits.clients} + limits.upstreams.max_connections + kOtherDescriptors;
  return limits;
}

std::uint64_t raise_descriptor_limit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return 1024;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
  getrlimit(RLIMIT_NOFILE, &limit);
  return limit.rlim_cur;
}

}  // namespace penstock
