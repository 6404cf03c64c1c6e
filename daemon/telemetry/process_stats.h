// What the kernel says about this process, for the process_* metrics.
#pragma once

#include <optional>
#include <string_view>

#include "telemetry/metrics.h"

namespace penstock {

// The fields that we use of one line of /proc/PID/stat (proc(5)).
struct ProcStat {
  std::uint64_t user_ticks = 0;
  std::uint64_t system_ticks = 0;
  std::uint64_t start_ticks = 0;  // since boot
  std::uint64_t virtual_bytes = 0;
  std::uint64_t resident_pages = 0;
};
std::optional<ProcStat> parse_proc_stat(std::string_view line);

// Opens a handful of files below /proc: for the admin thread, not for a request. What cannot be
// read stays zero.
ProcessStats read_process_stats();

}  // namespace penstock
