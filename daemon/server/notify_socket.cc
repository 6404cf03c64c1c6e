#include "server/notify_socket.h"

#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>

#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <string_view>

#include "net/unique_fd.h"

namespace penstock {

namespace {

struct Target {
  sockaddr_un address{};
  socklen_t length = 0;  // 0: it cannot be an address
};

std::string_view notify_path() {
  const char* path = std::getenv("NOTIFY_SOCKET");
  return path == nullptr ? "" : path;
}

// A path, or @ before an abstract name, which is taken without a zero at its end.
Target target_of(std::string_view path) {
  Target target;
  target.address.sun_family = AF_UNIX;
  const bool abstract = path.starts_with('@');
  if (!abstract && !path.starts_with('/')) return target;
  if (path.size() + (abstract ? 0 : 1) > sizeof target.address.sun_path) return target;
  std::memcpy(target.address.sun_path, path.data(), path.size());
  if (abstract) target.address.sun_path[0] = '\0';
  target.length =
      static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + path.size() + (abstract ? 0 : 1));
  return target;
}

bool set_send_limit(int fd, Duration wait) {
  const auto us = std::chrono::duration_cast<std::chrono::microseconds>(wait).count();
  const timeval limit{.tv_sec = us / 1'000'000, .tv_usec = us % 1'000'000};
  return ::setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit) == 0;
}

}  // namespace

bool has_notify_socket() { return !notify_path().empty(); }

int notify(const std::string& lines, Duration wait) {
  const Target target = target_of(notify_path());
  if (target.length == 0) return EINVAL;
  const UniqueFd fd(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!fd) return errno;
  const bool waits = wait > Duration() && set_send_limit(fd.get(), wait);
  const int flags = MSG_NOSIGNAL | (waits ? 0 : MSG_DONTWAIT);
  const auto* address = reinterpret_cast<const sockaddr*>(&target.address);
  const ssize_t sent =
      ::sendto(fd.get(), lines.data(), lines.size(), flags, address, target.length);
  return sent >= 0 ? 0 : errno;
}

}  // namespace penstock
