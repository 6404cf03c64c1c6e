#include "server/memory_limit.h"

#include <algorithm>
#include <charconv>
#include <fstream>

#include "server/cgroup.h"

namespace penstock {

namespace {

// What the first version says where there is no limit: the largest multiple of a page, whose size
// differs.
constexpr std::uint64_t kAsGoodAsNone = std::uint64_t{1} << 62U;

// "max", and whatever else is no number, is no limit; 0 would be one under which nothing runs.
std::optional<std::uint64_t> read_limit(const CgroupFolder& folder) {
  const bool is_v2 = folder.version == CgroupVersion::kV2;
  std::ifstream file(folder.path + (is_v2 ? "/memory.max" : "/memory.limit_in_bytes"));
  std::string text;
  std::uint64_t bytes = 0;
  if (!(file >> text)) return std::nullopt;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), bytes);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  if (bytes == 0 || bytes >= kAsGoodAsNone) return std::nullopt;
  return bytes;
}

}  // namespace

std::optional<std::uint64_t> memory_limit(const std::string& root) {
  std::optional<std::uint64_t> least;
  for (const CgroupFolder& folder : cgroup_folders("memory", root)) {
    const auto limit = read_limit(folder);
    if (limit) least = std::min(*limit, least.value_or(*limit));
  }
  return least;
}

}  // namespace penstock
