#include "net/tcp_stream.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <array>
#include <cassert>
#include <cerrno>

namespace penstock {

namespace {

// More pieces than this count as a short write. A head and a body in two pieces of a ring are four.
constexpr std::size_t kMaxPieces = 32;
constexpr unsigned kSpliceFlags = SPLICE_F_MOVE | SPLICE_F_NONBLOCK;

template <typename Call>
ssize_t retry_interrupted(Call&& call) {
  for (;;) {
    const ssize_t moved = call();
    if (moved >= 0 || errno != EINTR) return moved;
  }
}

bool would_block(int sys) { return sys == EAGAIN || sys == EWOULDBLOCK; }

struct Message {
  explicit Message(std::span<const std::string_view> pieces) {
    for (const std::string_view piece : pieces) {
      offered += piece.size();
      if (piece.empty() || header.msg_iovlen == kMaxPieces) continue;
      // sendmsg() only reads, whatever the type of iov_base says.
      vectors[header.msg_iovlen++] = {const_cast<char*>(piece.data()), piece.size()};
    }
    header.msg_iov = vectors.data();
  }

  std::array<iovec, kMaxPieces> vectors;
  msghdr header{};
  std::size_t offered = 0;
};

}  // namespace

IoResult TcpStream::read(std::span<char> into) {
  assert(!into.empty());
  IoResult result =
      received(retry_interrupted([&] { return ::recv(fd(), into.data(), into.size(), 0); }));
  result.more = result.bytes == into.size();
  return result;
}

bool TcpStream::peer_has_ended() const {
  pollfd socket{.fd = fd(), .events = POLLRDHUP, .revents = 0};
  return ::poll(&socket, 1, 0) > 0;
}

IoResult TcpStream::read_into_pipe(int pipe, std::size_t max_bytes) {
  return received(retry_interrupted(
      [&] { return ::splice(fd(), nullptr, pipe, nullptr, max_bytes, kSpliceFlags); }));
}

IoResult TcpStream::write(std::span<const std::string_view> pieces) {
  const Message message(pieces);
  if (message.offered == 0) return {IoStatus::kOk};
  return sent(retry_interrupted([&] { return ::sendmsg(fd(), &message.header, MSG_NOSIGNAL); }),
              message.offered);
}

// Has no MSG_NOSIGNAL: the process ignores SIGPIPE.
IoResult TcpStream::write_from_pipe(int pipe, std::size_t bytes) {
  return sent(retry_interrupted(
                  [&] { return ::splice(pipe, nullptr, fd(), nullptr, bytes, kSpliceFlags); }),
              bytes);
}

IoResult TcpStream::received(ssize_t got) {
  if (got > 0) return {IoStatus::kOk, static_cast<std::size_t>(got)};
  if (got == 0) return {IoStatus::kEof};
  return failed(errno);
}

IoResult TcpStream::sent(ssize_t sent, std::size_t offered) {
  if (sent < 0) {
    const int sys = errno;
    if (would_block(sys)) socket_.want_writable();
    return failed(sys);
  }
  const auto bytes = static_cast<std::size_t>(sent);
  if (bytes < offered) socket_.want_writable();
  return {IoStatus::kOk, bytes};
}

IoResult TcpStream::failed(int sys) {
  if (would_block(sys)) return {IoStatus::kWouldBlock};
  last_sys_ = sys;
  return {IoStatus::kError, 0, sys};
}

}  // namespace penstock
