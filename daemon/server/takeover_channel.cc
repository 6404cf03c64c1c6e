#include "server/takeover_channel.h"

#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>

namespace penstock {

namespace {

constexpr std::size_t kMostBytes = 64 * 1024;

// A call that waits, with the time limit of its socket, fails when the process is stopped and goes
// on, though no signal has a handler (signal(7)).
template <typename Call>
ssize_t again_when_interrupted(const Call& call) {
  ssize_t result = 0;
  do {
    result = call();
  } while (result < 0 && errno == EINTR);
  return result;
}

std::size_t bytes_of(std::size_t descriptors) { return descriptors * sizeof(int); }

// Room for the descriptors of one message, aligned as the kernel wants it.
union ControlRoom {
  cmsghdr header;
  std::array<char, CMSG_SPACE(kMostDescriptors * sizeof(int))> bytes;
};

void attach(msghdr& message, std::span<const UniqueFd> descriptors) {
  message.msg_controllen = CMSG_SPACE(bytes_of(descriptors.size()));
  cmsghdr* header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(bytes_of(descriptors.size()));
  unsigned char* at = CMSG_DATA(header);
  for (const UniqueFd& descriptor : descriptors) {
    const int fd = descriptor.get();
    std::memcpy(at, &fd, sizeof fd);
    at += sizeof fd;
  }
}

// Whatever came is ours to close, also when the message is refused.
std::vector<UniqueFd> detach(msghdr& message) {
  std::vector<UniqueFd> descriptors;
  for (cmsghdr* header = CMSG_FIRSTHDR(&message); header != nullptr;
       header = CMSG_NXTHDR(&message, header)) {
    if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) continue;
    const std::size_t count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (std::size_t i = 0; i < count; ++i) {
      int fd = -1;
      std::memcpy(&fd, CMSG_DATA(header) + bytes_of(i), sizeof fd);
      descriptors.emplace_back(fd);
    }
  }
  return descriptors;
}

}  // namespace

Result<void, int> send_message(int socket, std::string_view text,
                               std::span<const UniqueFd> descriptors) {
  if (descriptors.size() > kMostDescriptors || text.size() > kMostBytes) {
    return Unexpected{EMSGSIZE};
  }
  ControlRoom room{};
  iovec bytes{.iov_base = const_cast<char*>(text.data()), .iov_len = text.size()};
  msghdr message{};
  message.msg_iov = &bytes;
  message.msg_iovlen = 1;
  if (!descriptors.empty()) {
    message.msg_control = room.bytes.data();
    attach(message, descriptors);
  }
  const ssize_t sent =
      again_when_interrupted([&] { return ::sendmsg(socket, &message, MSG_NOSIGNAL); });
  if (sent < 0) return Unexpected{errno};
  return {};
}

Result<TakeoverMessage, int> receive_message(int socket) {
  TakeoverMessage received;
  received.text.resize(kMostBytes);
  ControlRoom room{};
  iovec bytes{.iov_base = received.text.data(), .iov_len = received.text.size()};
  msghdr message{};
  message.msg_iov = &bytes;
  message.msg_iovlen = 1;
  message.msg_control = room.bytes.data();
  message.msg_controllen = room.bytes.size();
  const ssize_t count =
      again_when_interrupted([&] { return ::recvmsg(socket, &message, MSG_CMSG_CLOEXEC); });
  if (count < 0) return Unexpected{errno};
  received.descriptors = detach(message);
  if ((message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0) return Unexpected{EMSGSIZE};
  received.text.resize(static_cast<std::size_t>(count));
  return received;
}

std::optional<pid_t> own_peer(int socket) {
  ucred peer{};
  socklen_t length = sizeof peer;
  if (::getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &length) != 0) return std::nullopt;
  if (peer.uid != ::geteuid()) return std::nullopt;
  return peer.pid;
}

}  // namespace penstock
