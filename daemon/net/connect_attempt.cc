#include "net/connect_attempt.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <system_error>
#include <utility>

#include "net/shortage.h"

namespace penstock {

namespace {

// A peer is gone when it has left so many probes in a row unanswered.
constexpr int kKeepaliveProbes = 3;

ErrorCode connect_code(int sys) {
  switch (sys) {
    case ECONNREFUSED:
    case ENOENT:  // a unix socket that nobody made, or (EAGAIN) whose backlog is full
    case EAGAIN:
      return ErrorCode::kConnectionRefused;
    case ETIMEDOUT:
      return ErrorCode::kConnectionTimeout;
    case ECONNRESET:
    case EPIPE:
      return ErrorCode::kConnectionTerminated;
    default:
      return is_shortage(sys) ? ErrorCode::kProxyInternalError
                              : ErrorCode::kDestinationIpUnroutable;
  }
}

std::string reason(int sys) { return std::generic_category().message(sys); }

void set_option(int fd, int level, int option, int value) {
  ::setsockopt(fd, level, option, &value, sizeof value);
}

// Of keepalive, within what the kernel takes.
std::chrono::seconds whole_seconds(Duration time) {
  using std::chrono::seconds;
  return std::clamp(std::chrono::ceil<seconds>(time), seconds(1), seconds(32767));
}

// Probes find a peer that vanished while nothing is under way. While something is, none are sent,
// and the kernel would repeat it for a quarter of an hour: TCP_USER_TIMEOUT ends that after the
// same time (it also replaces the count of probes). But it counts a closed window too, whose peer
// is alive and only slow, and that is what timeouts.write_stall is about: it must fire first, and
// where it is off nothing may. (A tunnel takes it off again: Stream::allow_stalls().)
void set_keepalive(int fd, Duration interval, std::optional<Duration> write_stall) {
  const auto probe = whole_seconds(interval);
  const int seconds = static_cast<int>(probe.count());
  set_option(fd, IPPROTO_TCP, TCP_KEEPIDLE, seconds);
  set_option(fd, IPPROTO_TCP, TCP_KEEPINTVL, seconds);
  set_option(fd, IPPROTO_TCP, TCP_KEEPCNT, kKeepaliveProbes);
  set_option(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
  if (!write_stall) return;
  const Duration patience =
      std::max<Duration>(probe * (1 + kKeepaliveProbes), *write_stall + probe);
  const auto ms = std::chrono::ceil<std::chrono::milliseconds>(patience).count();
  if (!std::in_range<int>(ms)) return;
  set_option(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, static_cast<int>(ms));
}

void set_tcp_options(int fd, const DialTarget& target) {
  set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
  if (target.tcp_keepalive) set_keepalive(fd, *target.tcp_keepalive, target.write_stall);
}

}  // namespace

Result<bool> ConnectAttempt::start(const DialTarget& target) {
  if (auto opened = open(target); !opened) return Unexpected{std::move(opened).error()};
  if (::connect(fd_.get(), address_.data(), address_.length()) == 0) return true;
  if (errno != EINPROGRESS && errno != EINTR) return Unexpected{error(errno)};
  watcher_.emplace(loop_, fd_.get(), Watcher::Callback::to<&ConnectAttempt::on_ready>(*this));
  watcher_->be_patient(true);  // a handshake begins at once
  watcher_->set_interest(false, true);
  return false;
}

Result<void> ConnectAttempt::open(const DialTarget& target) {
  fd_.reset(::socket(address_.family(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd_) return Unexpected{error(errno)};
  if (address_.family() == AF_UNIX) return {};
  set_tcp_options(fd_.get(), target);
  if (!target.source_address) return {};
  // The port is chosen at connect(), where it need only differ per destination: as many
  // connections to each as without bind().
  set_option(fd_.get(), IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1);
  const SocketAddress& source = *target.source_address;
  if (::bind(fd_.get(), source.data(), source.length()) == 0) return {};
  const int sys = errno;
  return Unexpected{Error{.code = ErrorCode::kProxyInternalError,
                          .source = ErrorSource::kInternal,
                          .phase = Phase::kConnect,
                          .sys = sys,
                          .detail = "source_address " + source.ip() + ": " + reason(sys)}};
}

void ConnectAttempt::on_ready(Readiness) {
  int sys = 0;
  socklen_t size = sizeof sys;
  ::getsockopt(fd_.get(), SOL_SOCKET, SO_ERROR, &sys, &size);
  watcher_.reset();
  if (sys == 0 && connected_to_itself()) sys = ECONNREFUSED;
  if (sys == 0) return done_(*this, {});
  fd_.reset();
  done_(*this, Unexpected{error(sys)});
}

// A port nobody listens on, chosen by the kernel as our own end of the same connection: TCP then
// opens with itself (RFC 9293 section 3.5, simultaneous open).
bool ConnectAttempt::connected_to_itself() const {
  if (address_.family() == AF_UNIX) return false;
  sockaddr_storage own{};
  socklen_t size = sizeof own;
  if (::getsockname(fd_.get(), reinterpret_cast<sockaddr*>(&own), &size) != 0) return false;
  return SocketAddress::from_sockaddr(reinterpret_cast<sockaddr*>(&own), size) == address_;
}

Error ConnectAttempt::error(int sys) const {
  return {.code = connect_code(sys),
          .source = is_shortage(sys) ? ErrorSource::kInternal : ErrorSource::kUpstream,
          .phase = Phase::kConnect,
          .sys = sys,
          .detail = "connect to " + address_.to_string() + ": " + reason(sys)};
}

}  // namespace penstock
