#include "net/dial_stages.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <string_view>
#include <system_error>
#include <utility>
#include <variant>

#include "event/loop.h"

namespace penstock {
namespace {

MonotonicTime limit_end(MonotonicTime now, std::optional<Duration> limit) {
  return limit ? now + *limit : kForever;
}

Error limit_error(ErrorCode code, Phase phase, std::string_view limit_key, std::string what) {
  return {.code = code, .phase = phase, .limit_key = limit_key, .detail = std::move(what)};
}

bool is_shortage(int sys) {
  return sys == EMFILE || sys == ENFILE || sys == ENOBUFS || sys == ENOMEM;
}

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

Error connect_error(const SocketAddress& address, int sys) {
  return {
      .code = connect_code(sys),
      .source = is_shortage(sys) ? ErrorSource::kInternal : ErrorSource::kUpstream,
      .phase = Phase::kConnect,
      .sys = sys,
      .detail = "connect to " + address.to_string() + ": " + std::generic_category().message(sys)};
}

void set_option(int fd, int level, int option, int value) {
  ::setsockopt(fd, level, option, &value, sizeof value);
}

void set_tcp_options(int fd, std::optional<Duration> keepalive) {
  set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
  if (!keepalive) return;
  using std::chrono::seconds;
  constexpr seconds kMost{32767};  // the kernel's own bound
  const auto probe = std::clamp(std::chrono::ceil<seconds>(*keepalive), seconds(1), kMost);
  set_option(fd, IPPROTO_TCP, TCP_KEEPIDLE, static_cast<int>(probe.count()));
  set_option(fd, IPPROTO_TCP, TCP_KEEPINTVL, static_cast<int>(probe.count()));
  set_option(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
}

}  // namespace

ResolveStage::ResolveStage(Loop& loop, Resolver& resolver, Completion done)
    : loop_(loop),
      resolver_(resolver),
      done_(done),
      deadline_(loop.timers(), Delegate<void()>::to<&ResolveStage::on_expired>(*this)) {}

void ResolveStage::start(const std::string& host, std::optional<Duration> limit) {
  auto outcome = resolver_.resolve(host, *this);
  if (auto* addresses = std::get_if<AddressList>(&outcome)) return finish(std::move(*addresses));
  if (auto* error = std::get_if<Error>(&outcome)) return on_resolve_failed(std::move(*error));
  lookup_ = std::get<Pending>(std::move(outcome));
  deadline_.arm(limit_end(loop_.now(), limit));
}

void ResolveStage::on_resolved(const AddressList& addresses, bool) { finish(addresses); }

void ResolveStage::on_resolve_failed(Error error) {
  error.phase = Phase::kResolve;
  finish(Unexpected{std::move(error)});
}

void ResolveStage::on_expired() {
  finish(Unexpected{limit_error(ErrorCode::kDnsTimeout, Phase::kResolve, "timeouts.resolve",
                                "no answer from DNS within the limit")});
}

void ResolveStage::finish(Result<AddressList> result) {
  deadline_.cancel();
  lookup_.reset();
  done_(std::move(result));
}

ConnectStage::ConnectStage(Loop& loop, const EgressPolicy& egress, AddressList addresses,
                           std::optional<Duration> tcp_keepalive, Completion done)
    : loop_(loop),
      egress_(egress),
      addresses_(std::move(addresses)),
      tcp_keepalive_(tcp_keepalive),
      done_(done),
      deadline_(loop.timers(), Delegate<void()>::to<&ConnectStage::on_expired>(*this)) {}

void ConnectStage::start(std::optional<Duration> limit) {
  deadline_.arm(limit_end(loop_.now(), limit));
  try_addresses();
}

void ConnectStage::try_addresses() {
  while (next_ < addresses_.size()) {
    ++next_;
    switch (attempt()) {
      case Attempt::kConnected:
        return finish(ConnectedSocket{std::move(fd_), current()});
      case Attempt::kUnderWay:
        return;
      case Attempt::kFailed:
        continue;
      case Attempt::kGiveUp:
        return finish(Unexpected{*std::move(last_error_)});
    }
  }
  finish(Unexpected{*std::move(last_error_)});
}

ConnectStage::Attempt ConnectStage::attempt() {
  const SocketAddress& address = current();
  const bool is_ip = address.family() != AF_UNIX;
  if (is_ip) {
    if (auto allowed = egress_.check(address); !allowed) {
      allowed.error().phase = Phase::kConnect;
      if (!tried_) last_error_ = std::move(allowed).error();
      return Attempt::kFailed;
    }
  }
  fd_.reset(::socket(address.family(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd_) return attempt_failed(errno);
  if (is_ip) set_tcp_options(fd_.get(), tcp_keepalive_);
  if (::connect(fd_.get(), address.data(), address.length()) == 0) return Attempt::kConnected;
  if (errno != EINPROGRESS && errno != EINTR) return attempt_failed(errno);
  watcher_.emplace(loop_, fd_.get(), Watcher::Callback::to<&ConnectStage::on_ready>(*this));
  watcher_->set_interest(false, true);
  return Attempt::kUnderWay;
}

// Another address cannot help a process that has no descriptors left.
ConnectStage::Attempt ConnectStage::attempt_failed(int sys) {
  watcher_.reset();
  fd_.reset();
  last_error_ = connect_error(current(), sys);
  tried_ = true;
  return is_shortage(sys) ? Attempt::kGiveUp : Attempt::kFailed;
}

void ConnectStage::on_ready(Readiness) {
  int sys = 0;
  socklen_t size = sizeof sys;
  ::getsockopt(fd_.get(), SOL_SOCKET, SO_ERROR, &sys, &size);
  watcher_.reset();
  if (sys == 0 && connected_to_itself()) sys = ECONNREFUSED;
  if (sys == 0) return finish(ConnectedSocket{std::move(fd_), current()});
  attempt_failed(sys);
  try_addresses();
}

// A port nobody listens on, chosen by the kernel as our own end of the same connection: TCP then
// opens with itself (RFC 9293 section 3.5, simultaneous open).
bool ConnectStage::connected_to_itself() const {
  if (current().family() == AF_UNIX) return false;
  sockaddr_storage own{};
  socklen_t size = sizeof own;
  if (::getsockname(fd_.get(), reinterpret_cast<sockaddr*>(&own), &size) != 0) return false;
  return SocketAddress::from_sockaddr(reinterpret_cast<sockaddr*>(&own), size) == current();
}

void ConnectStage::on_expired() {
  finish(
      Unexpected{limit_error(ErrorCode::kConnectionTimeout, Phase::kConnect, "timeouts.connect",
                             "no connection to " + current().to_string() + " within the limit")});
}

void ConnectStage::finish(Result<ConnectedSocket> result) {
  deadline_.cancel();
  watcher_.reset();
  done_(std::move(result));
}

HandshakeStage::HandshakeStage(Loop& loop, std::unique_ptr<TlsStream> stream, Completion done)
    : loop_(loop),
      done_(done),
      deadline_(loop.timers(), Delegate<void()>::to<&HandshakeStage::on_expired>(*this)),
      stream_(std::move(stream)) {}

void HandshakeStage::start(std::optional<Duration> limit) {
  deadline_.arm(limit_end(loop_.now(), limit));
  stream_->set_handler(this);
  step();
}

void HandshakeStage::step() {
  const IoStatus status = stream_->handshake().status;
  if (status == IoStatus::kWouldBlock) return;
  loop_.refresh_time();  // the last step alone takes up to a millisecond of computing
  if (status == IoStatus::kOk) {
    stream_->set_handler(nullptr);
    return finish(std::move(stream_));
  }
  Error error = stream_->last_error();
  error.phase = Phase::kTlsHandshake;
  finish(Unexpected{std::move(error)});
}

void HandshakeStage::on_expired() {
  finish(Unexpected{limit_error(ErrorCode::kConnectionTimeout, Phase::kTlsHandshake,
                                "timeouts.tls_handshake",
                                "the TLS handshake did not end within the limit")});
}

void HandshakeStage::finish(Result<std::unique_ptr<TlsStream>> result) {
  deadline_.cancel();
  done_(std::move(result));
}

}  // namespace penstock
