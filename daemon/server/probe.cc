#include "server/probe.h"

#include <poll.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <system_error>

#include "base/result.h"
#include "http/authority.h"
#include "net/address.h"
#include "net/unique_fd.h"

namespace penstock {
namespace {

constexpr std::chrono::seconds kLimit{2};
constexpr std::size_t kMaxAnswerBytes = 64 * 1024;

using Clock = std::chrono::steady_clock;

std::string reason(int sys) { return std::generic_category().message(sys); }

// False when the time is over.
bool wait_for(int fd, short events, Clock::time_point deadline) {
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now());
  pollfd entry{.fd = fd, .events = events, .revents = 0};
  return left.count() > 0 && ::poll(&entry, 1, static_cast<int>(left.count())) > 0;
}

SocketAddress parse_address(const std::string& text) {
  Authority authority;
  if (parse_authority(text, authority)) return {};
  const std::string host = authority.host == "localhost" ? "127.0.0.1" : authority.host;
  return SocketAddress::from_ip(host, authority.port.value_or(0)).value_or(SocketAddress());
}

Result<UniqueFd, std::string> connect_to(const SocketAddress& address, Clock::time_point deadline) {
  UniqueFd fd(::socket(address.family(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd) return Unexpected{reason(errno)};
  if (::connect(fd.get(), address.data(), address.length()) == 0) return fd;
  if (errno != EINPROGRESS) return Unexpected{reason(errno)};
  if (!wait_for(fd.get(), POLLOUT, deadline)) return Unexpected{reason(ETIMEDOUT)};
  int error = 0;
  socklen_t length = sizeof error;
  ::getsockopt(fd.get(), SOL_SOCKET, SO_ERROR, &error, &length);
  if (error != 0) return Unexpected{reason(error)};
  return fd;
}

// All that comes until the server closes.
Result<std::string, std::string> read_answer(int fd, Clock::time_point deadline) {
  std::string answer;
  std::array<char, 4096> block;
  while (answer.size() < kMaxAnswerBytes) {
    if (!wait_for(fd, POLLIN, deadline))
      return Unexpected{std::string("no whole answer within 2s")};
    const ssize_t got = ::recv(fd, block.data(), block.size(), 0);
    if (got == 0) return answer;
    if (got > 0) answer.append(block.data(), static_cast<std::size_t>(got));
    if (got < 0 && errno != EAGAIN && errno != EINTR) return Unexpected{reason(errno)};
  }
  return answer;
}

Result<std::string, std::string> ask(const SocketAddress& address, const std::string& path) {
  const Clock::time_point deadline = Clock::now() + kLimit;
  auto fd = connect_to(address, deadline);
  if (!fd) return Unexpected{std::move(fd).error()};
  const std::string request =
      "GET " + path + " HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
  // A new connection's buffer takes a request of this size whole.
  if (::send(fd->get(), request.data(), request.size(), MSG_NOSIGNAL) < 0)
    return Unexpected{reason(errno)};
  return read_answer(fd->get(), deadline);
}

std::string body_of(const std::string& answer) {
  const std::size_t end = answer.find("\r\n\r\n");
  return end == std::string::npos ? "no HTTP response" : answer.substr(end + 4);
}

}  // namespace

ProbeResult probe(const std::string& text, const std::string& path) {
  const SocketAddress address = parse_address(text);
  if (address.family() == AF_UNSPEC || address.port() == 0) {
    return {false, '"' + text + "\" is no address with a port, such as 127.0.0.1:9128"};
  }
  auto answer = ask(address, path);
  if (!answer) return {false, address.to_string() + ": " + answer.error()};
  return {answer->starts_with("HTTP/1.1 200 "), body_of(*answer)};
}

}  // namespace penstock
