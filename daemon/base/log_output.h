// Standard error for the daemon's own log: whoever logs never waits for its reader.
//
// A line is written at once while the reader keeps up. While it stalls, lines wait in a bounded
// backlog, which a thread that begins with the first stall writes when there is room; beyond the
// bound they are dropped and counted.
//
// Owner: the Log. Thread: any. The destructor writes what is left, but waits for a stalled reader
// no longer than kStopStall in all.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>

#include "base/log_sink.h"

namespace penstock {

class LogOutput {
 public:
  static constexpr std::size_t kDefaultMaxBacklogBytes = 256 * 1024;
  static constexpr std::chrono::milliseconds kStopStall{500};

  explicit LogOutput(LogSink sink, std::size_t max_backlog_bytes = kDefaultMaxBacklogBytes);
  LogOutput(const LogOutput&) = delete;
  LogOutput& operator=(const LogOutput&) = delete;
  ~LogOutput();

  // One line with its newline.
  void write(std::string_view line);
  // Lines that were lost: no room in the backlog, or an error in writing.
  std::uint64_t dropped_lines() const { return dropped_.load(std::memory_order_relaxed); }

 private:
  // Under the mutex.
  void write_now(std::string_view& bytes);
  void drop_lines(std::string_view bytes);
  void write_backlog();

  void run();

  const std::size_t max_backlog_bytes_;
  LogSink sink_;  // written to under the mutex
  std::atomic<std::uint64_t> dropped_{0};

  std::mutex mutex_;  // guards all below
  std::condition_variable changed_;
  std::string backlog_;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace penstock
