#include "config/file.h"

#include <fcntl.h>
#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>

namespace penstock {
namespace {

class OpenFile {
 public:
  explicit OpenFile(const std::string& path)
      : fd_(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY)) {}
  OpenFile(const OpenFile&) = delete;
  OpenFile& operator=(const OpenFile&) = delete;
  ~OpenFile() {
    if (fd_ >= 0) close(fd_);
  }
  int fd() const { return fd_; }

 private:
  const int fd_;
};

std::string user_text() {
  const uid_t uid = geteuid();
  std::array<char, 1024> space;
  passwd entry{};
  passwd* found = nullptr;
  getpwuid_r(uid, &entry, space.data(), space.size(), &found);
  std::string text = "uid " + std::to_string(uid);
  return found != nullptr ? text + " (" + entry.pw_name + ')' : text;
}

Unexpected<std::string> unreadable(int error) {
  return Unexpected<std::string>{"cannot be read by " + user_text() + ": " + std::strerror(error)};
}

Unexpected<std::string> wrong(std::string text) { return Unexpected<std::string>{std::move(text)}; }

Parsed<std::string> read_all(int fd, std::size_t max_bytes) {
  std::string bytes;
  std::array<char, 64 * 1024> block;
  while (true) {
    const ssize_t got = read(fd, block.data(), block.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return unreadable(errno);
    if (got == 0) return bytes;
    bytes.append(block.data(), static_cast<std::size_t>(got));
    if (bytes.size() > max_bytes) return wrong("is larger than " + format_size(max_bytes));
  }
}

}  // namespace

Parsed<std::string> read_file(const std::string& path, std::size_t max_bytes, bool stream_allowed) {
  const OpenFile file(path);
  if (file.fd() < 0) return unreadable(errno);
  struct stat about {};
  if (fstat(file.fd(), &about) != 0) return unreadable(errno);
  if (S_ISDIR(about.st_mode)) return wrong("is a folder");
  const bool stream = S_ISFIFO(about.st_mode) && stream_allowed;
  if (!S_ISREG(about.st_mode) && !stream) return wrong("is not a regular file");
  // The flag kept the opening of a device from blocking; a pipe's writer is waited for.
  if (stream && fcntl(file.fd(), F_SETFL, 0) != 0) return unreadable(errno);
  return read_all(file.fd(), max_bytes);
}

}  // namespace penstock
