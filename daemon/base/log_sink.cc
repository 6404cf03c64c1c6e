#include "base/log_sink.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
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

// The descriptor is shared with whoever started us, so it must not be made non-blocking: a pipe or
// a terminal is opened anew. Where that is not allowed (it belongs to another user), its duplicate
// is asked before each write.
int open_standard(int standard) {
  struct stat status {};
  if (::fstat(standard, &status) != 0) return -1;
  if (S_ISFIFO(status.st_mode) || S_ISCHR(status.st_mode)) {
    const std::string name = "/proc/self/fd/" + std::to_string(standard);
    const int own = ::open(name.c_str(), O_WRONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (own >= 0) return own;
  }
  return ::fcntl(standard, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
}

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

LogSink::LogSink(int fd) : fd_(fd) {
  struct stat status {};
  if (::fstat(fd, &status) != 0) return;
  if (S_ISREG(status.st_mode)) kind_ = Kind::kFile;
  if (S_ISSOCK(status.st_mode)) kind_ = Kind::kSocket;
}

LogSink::LogSink(LogSink&& other) noexcept { *this = std::move(other); }

LogSink& LogSink::operator=(LogSink&& other) noexcept {
  std::swap(fd_, other.fd_);
  std::swap(kind_, other.kind_);
  std::swap(at_line_start_, other.at_line_start_);
  std::swap(errno_, other.errno_);
  return *this;
}

LogSink::~LogSink() {
  if (fd_ >= 0) ::close(fd_);
}

Result<LogSink, std::string> LogSink::open(const std::string& path) {
  const int fd = path == "stdout" ? open_standard(STDOUT_FILENO) : open_for_append(path.c_str());
  if (fd < 0) {
    return Unexpected{"cannot open " + path + ": " + std::generic_category().message(errno)};
  }
  return LogSink(fd);
}

LogSink LogSink::standard_error() { return LogSink(open_standard(STDERR_FILENO)); }

LogSink::Outcome LogSink::write(std::string_view& bytes) {
  if (kind_ == Kind::kOther && fd_ >= 0 && !poll_writable(fd_, 0)) return Outcome::kStalled;
  const std::string_view piece = kind_ == Kind::kFile ? bytes : next_piece(bytes);
  const ssize_t written = kind_ == Kind::kSocket
                              ? ::send(fd_, piece.data(), piece.size(), MSG_DONTWAIT | MSG_NOSIGNAL)
                              : ::write(fd_, piece.data(), piece.size());
  if (written <= 0) {
    errno_ = errno;
    const bool later = written < 0 && (errno == EAGAIN || errno == EINTR);
    return later ? Outcome::kStalled : Outcome::kFailed;
  }
  at_line_start_ = piece[static_cast<std::size_t>(written) - 1] == '\n';
  bytes.remove_prefix(static_cast<std::size_t>(written));
  return Outcome::kWritten;
}

std::string LogSink::failure() const { return std::generic_category().message(errno_); }

void LogSink::wait_writable(std::chrono::milliseconds limit) const {
  poll_writable(fd_, static_cast<int>(limit.count()));
}

void LogSink::mend() {
  if (at_line_start_) return;
  std::string_view newline = "\n";
  write(newline);
}

}  // namespace penstock
