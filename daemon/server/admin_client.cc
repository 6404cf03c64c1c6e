#include "server/admin_client.h"

#include <poll.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <system_error>

#include "http/authority.h"
#include "net/address.h"
#include "net/unique_fd.h"

namespace penstock {
namespace {

// /pools of a thousand hosts is a tenth of it.
constexpr std::size_t kMaxAnswerBytes = 8 * 1024 * 1024;

using Clock = std::chrono::steady_clock;

std::string reason(int sys) { return std::generic_category().message(sys); }

// False when the time is over.
bool wait_for(int fd, short events, Clock::time_point deadline) {
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now());
  pollfd entry{.fd = fd, .events = events, .revents = 0};
  return left.count() > 0 && ::poll(&entry, 1, static_cast<int>(left.count())) > 0;
}

SocketAddress parse_address(std::string_view text) {
  constexpr std::string_view kUnix = "unix:";
  if (text.starts_with(kUnix))
    return SocketAddress::from_unix_path(text.substr(kUnix.size())).value_or(SocketAddress());
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
Result<std::string, std::string> read_answer(int fd, Clock::time_point deadline,
                                             std::chrono::seconds limit) {
  std::string answer;
  std::array<char, 16384> block;
  while (answer.size() < kMaxAnswerBytes) {
    if (!wait_for(fd, POLLIN, deadline))
      return Unexpected{"no whole answer within " + std::to_string(limit.count()) + 's'};
    const ssize_t got = ::recv(fd, block.data(), block.size(), 0);
    if (got == 0) return answer;
    if (got > 0) answer.append(block.data(), static_cast<std::size_t>(got));
    if (got < 0 && errno != EAGAIN && errno != EINTR) return Unexpected{reason(errno)};
  }
  return answer;
}

// "HTTP/1.1 200 OK\r\n...\r\n\r\nbody"
Result<AdminAnswer, std::string> parse_answer(std::string text) {
  constexpr std::string_view kVersion = "HTTP/1.1 ";
  const std::size_t end = text.find("\r\n\r\n");
  AdminAnswer answer;
  if (text.starts_with(kVersion) && end != std::string::npos)
    std::from_chars(text.data() + kVersion.size(), text.data() + end, answer.status);
  if (answer.status == 0) return Unexpected{std::string("no HTTP response")};
  answer.body = text.substr(end + 4);
  return answer;
}

}  // namespace

Result<AdminAnswer, std::string> ask_admin(const std::string& address, std::string_view method,
                                           const std::string& target, std::chrono::seconds limit) {
  const SocketAddress server = parse_address(address);
  if (server.family() == AF_UNSPEC || (server.family() != AF_UNIX && server.port() == 0)) {
    return Unexpected{'"' + address +
                      "\" is no address with a port, such as 127.0.0.1:9128, nor unix:/path"};
  }
  const auto because = [&](std::string why) {
    return Unexpected{server.to_string() + ": " + std::move(why)};
  };
  const Clock::time_point deadline = Clock::now() + limit;
  auto fd = connect_to(server, deadline);
  if (!fd) return because(std::move(fd).error());
  std::string request =
      std::string(method) + ' ' + target + " HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n";
  if (method == "POST") request += "Content-Length: 0\r\nPenstock-Admin: 1\r\n";
  request += "\r\n";
  // A new connection's buffer takes a request of this size whole.
  if (::send(fd->get(), request.data(), request.size(), MSG_NOSIGNAL) < 0)
    return because(reason(errno));
  auto text = read_answer(fd->get(), deadline, limit);
  if (!text) return because(std::move(text).error());
  auto answer = parse_answer(*std::move(text));
  if (!answer) return because(std::move(answer).error());
  return answer;
}

}  // namespace penstock
