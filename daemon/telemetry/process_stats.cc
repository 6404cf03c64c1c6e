#include "telemetry/process_stats.h"

#include <dirent.h>
#include <sys/resource.h>
#include <unistd.h>

#include <charconv>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>
#include <vector>

namespace penstock {
namespace {

// Numbers of the fields in proc(5), where the state, the first after the name, is number 3.
constexpr std::size_t kFirstField = 3;
constexpr std::size_t kUserTicks = 14;
constexpr std::size_t kSystemTicks = 15;
constexpr std::size_t kStartTicks = 22;
constexpr std::size_t kVirtualBytes = 23;
constexpr std::size_t kResidentPages = 24;

std::string read_file(const char* path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

std::vector<std::string_view> split(std::string_view text) {
  std::vector<std::string_view> words;
  while (!text.empty()) {
    const std::size_t end = text.find(' ');
    if (end != 0) words.push_back(text.substr(0, end));
    text = end == std::string_view::npos ? std::string_view() : text.substr(end + 1);
  }
  return words;
}

std::uint64_t to_number(std::string_view text) {
  std::uint64_t value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

// When the machine came up, in seconds since the epoch.
std::uint64_t boot_time() {
  const std::string stat = read_file("/proc/stat");
  constexpr std::string_view kKey = "\nbtime ";
  const std::size_t at = stat.find(kKey);
  return at == std::string::npos ? 0 : to_number(std::string_view(stat).substr(at + kKey.size()));
}

std::uint64_t count_open_fds() {
  const std::unique_ptr<DIR, int (*)(DIR*)> folder(opendir("/proc/self/fd"), closedir);
  if (!folder) return 0;
  std::uint64_t count = 0;
  while (const dirent* entry = readdir(folder.get())) {
    if (entry->d_name[0] != '.') ++count;
  }
  return count - 1;  // the one that this listing needed
}

std::uint64_t max_fds() {
  rlimit limit{};
  return getrlimit(RLIMIT_NOFILE, &limit) == 0 ? limit.rlim_cur : 0;
}

}  // namespace

std::optional<ProcStat> parse_proc_stat(std::string_view line) {
  // The name is in parentheses and may hold any byte, parentheses and spaces too.
  const std::size_t name_end = line.rfind(')');
  if (name_end == std::string_view::npos) return std::nullopt;
  const std::vector<std::string_view> words = split(line.substr(name_end + 1));
  if (words.size() <= kResidentPages - kFirstField) return std::nullopt;
  const auto field = [&](std::size_t number) { return to_number(words[number - kFirstField]); };
  return ProcStat{.user_ticks = field(kUserTicks),
                  .system_ticks = field(kSystemTicks),
                  .start_ticks = field(kStartTicks),
                  .virtual_bytes = field(kVirtualBytes),
                  .resident_pages = field(kResidentPages)};
}

ProcessStats read_process_stats() {
  ProcessStats stats{.open_fds = count_open_fds(), .max_fds = max_fds()};
  const auto stat = parse_proc_stat(read_file("/proc/self/stat"));
  if (!stat) return stats;
  const auto ticks_per_second = static_cast<double>(sysconf(_SC_CLK_TCK));
  stats.cpu_seconds = static_cast<double>(stat->user_ticks + stat->system_ticks) / ticks_per_second;
  stats.start_time_seconds =
      static_cast<double>(boot_time()) + static_cast<double>(stat->start_ticks) / ticks_per_second;
  stats.virtual_bytes = stat->virtual_bytes;
  stats.resident_bytes = stat->resident_pages * static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE));
  return stats;
}

}  // namespace penstock
