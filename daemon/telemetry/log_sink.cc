#include "telemetry/log_sink.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <system_error>
#include <utility>

namespace penstock {
namespace {

// Opened without blocking, since a FIFO that nobody reads would hold the caller for ever.
int open_for_append(const char* path) {
  return ::open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0640);
}

// The descriptor is shared with whoever started us, so it must not be made non-blocking.
int duplicate_stdout() { return ::fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3); }

bool poll_writable(int fd, int limit_ms) {
  pollfd entry{.fd = fd, .events = POLLOUT, .revents = 0};
  return ::poll(&entry, 1, limit_ms) > 0;
}

// At most PIPE_BUF bytes, whole lines where one fits: POLLOUT promises room for that much.
std::string_view next_piece(std::string_view bytes) {
  if (bytes.size() <= PIPE_BUF) return bytes;
  const std::size_t line_end = bytes.rfind('\n', PIPE_BUF - 1);
  return bytes.substr(0, line_end == std::string_view::npos ? PIPE_BUF : line_end + 1);
}

}  // namespace

LogSink::LogSink(LogSink&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)),
      regular_(other.regular_),
      at_line_start_(other.at_line_start_) {}

LogSink& LogSink::operator=(LogSink&& other) noexcept {
  std::swap(fd_, other.fd_);
  std::swap(regular_, other.regular_);
  std::swap(at_line_start_, other.at_line_start_);
  return *this;
}

LogSink::~LogSink() {
  if (fd_ >= 0) ::close(fd_);
}

Result<LogSink, std::string> LogSink::open(const std::string& path) {
  const int fd = path == "stdout" ? duplicate_stdout() : open_for_append(path.c_str());
  if (fd < 0) {
    return Unexpected{"cannot open " + path + ": " + std::generic_category().message(errno)};
  }
  struct stat status {};
  const bool regular = ::fstat(fd, &status) == 0 && S_ISREG(status.st_mode);
  return LogSink(fd, regular);
}

LogSink::Outcome LogSink::write(std::string_view& bytes) {
  if (fd_ < 0) return Outcome::kFailed;
  if (!regular_ && !poll_writable(fd_, 0)) return Outcome::kStalled;
  const std::string_view piece = regular_ ? bytes : next_piece(bytes);
  const ssize_t written = ::write(fd_, piece.data(), piece.size());
  if (written < 0) {
    const bool later = errno == EAGAIN || errno == EINTR;
    return later ? Outcome::kStalled : Outcome::kFailed;
  }
  if (written == 0) return Outcome::kFailed;
  at_line_start_ = piece[static_cast<std::size_t>(written) - 1] == '\n';
  bytes.remove_prefix(static_cast<std::size_t>(written));
  return Outcome::kWritten;
}

void LogSink::wait_writable(std::chrono::milliseconds limit) {
  poll_writable(fd_, static_cast<int>(limit.count()));
}

void LogSink::mend() {
  if (at_line_start_) return;
  std::string_view newline = "\n";
  write(newline);
}

}  // namespace penstock
