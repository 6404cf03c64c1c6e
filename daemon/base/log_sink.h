// The file descriptor that log lines end in: a file, a pipe, a socket or a terminal.
//
// Owner: a log. Thread: opened anywhere; whoever writes is alone. Closes its descriptor when it
// ends. A reader that stalls is reported, never waited for: what is no regular file is written
// without blocking, in pieces of at most PIPE_BUF bytes, cut at line ends so that lines of several
// processes on one pipe do not mix.
#pragma once

#include <chrono>
#include <cstdint>
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
  // As good as standard error; without a descriptor where that is closed.
  static LogSink standard_error();

  // Writes from the front of `bytes` and removes what was written; kWritten when that was
  // something.
  Outcome write(std::string_view& bytes);
  // Why the last write failed, in words.
  std::string failure() const;
  void wait_writable(std::chrono::milliseconds limit) const;
  // Where writing broke off within a line, ends that line, so that the next one begins a line.
  void mend();
  bool at_line_start() const { return at_line_start_; }

 private:
  enum class Kind : std::uint8_t { kFile, kSocket, kOther };

  explicit LogSink(int fd);

  int fd_ = -1;
  Kind kind_ = Kind::kOther;
  bool at_line_start_ = true;
  int errno_ = 0;
};

}  // namespace penstock
