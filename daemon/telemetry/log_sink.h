// The file descriptor that log lines end in: a file, a pipe, a socket or a terminal.
//
// Owner: the AccessLog. Thread: opened anywhere, then used by the writing thread alone. Closes its
// descriptor when it ends. A reader that stalls is reported, never waited for: what is no regular
// file is asked before each write, and gets pieces of at most PIPE_BUF bytes, cut at line ends so
// that lines of several processes on one pipe do not mix.
#pragma once

#include <chrono>
#include <string>
#include <string_view>

#include "base/result.h"

namespace penstock {

class LogSink {
 public:
  enum class Outcome { kWritten, kStalled, kFailed };

  // A sink without a descriptor: every write fails.
  LogSink() = default;
  LogSink(LogSink&& other) noexcept;
  LogSink& operator=(LogSink&& other) noexcept;
  ~LogSink();

  // `path` is a file, which is made when it does not exist and appended to, or "stdout".
  static Result<LogSink, std::string> open(const std::string& path);

  // Writes from the front of `bytes` and removes what was written; kWritten when that was
  // something.
  Outcome write(std::string_view& bytes);
  void wait_writable(std::chrono::milliseconds limit);
  // Where writing broke off within a line, ends that line, so that the next one begins a line.
  void mend();
  bool at_line_start() const { return at_line_start_; }

 private:
  LogSink(int fd, bool regular) : fd_(fd), regular_(regular) {}

  int fd_ = -1;
  bool regular_ = false;
  bool at_line_start_ = true;
};

}  // namespace penstock
