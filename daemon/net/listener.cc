#include "net/listener.h"

#include <fcntl.h>
#include <linux/filter.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <system_error>
#include <utility>

#include "event/loop.h"

namespace penstock {

namespace {

constexpr int kMaxAcceptsPerEvent = 16;
constexpr Duration kBackOff = std::chrono::milliseconds(100);

bool set_flag(int fd, int level, int option) {
  const int on = 1;
  return ::setsockopt(fd, level, option, &on, sizeof(on)) == 0;
}

Unexpected<Error> listen_error(const SocketAddress& address, int sys) {
  return Unexpected{Error{.code = ErrorCode::kProxyInternalError,
                          .source = ErrorSource::kInternal,
                          .sys = sys,
                          .detail = "cannot listen on " + address.to_string() + ": " +
                                    std::generic_category().message(sys)}};
}

bool prepare(int fd, const SocketAddress& address) {
  if (!set_flag(fd, SOL_SOCKET, SO_REUSEADDR)) return false;
  return address.family() != AF_INET6 || set_flag(fd, IPPROTO_IPV6, IPV6_V6ONLY);
}

SocketAddress local_address_of(int fd) {
  sockaddr_storage storage{};
  socklen_t length = sizeof(storage);
  auto* address = reinterpret_cast<sockaddr*>(&storage);
  if (::getsockname(fd, address, &length) != 0) return {};
  return SocketAddress::from_sockaddr(address, length);
}

// accept(2): the connection failed before it was accepted, the next one may be well.
bool concerns_one_connection(int sys) {
  switch (sys) {
    case EINTR:
    case ECONNABORTED:
    case EPROTO:
    case EPERM:
    case ENETDOWN:
    case ENETUNREACH:
    case ENONET:
    case ENOPROTOOPT:
    case EHOSTDOWN:
    case EHOSTUNREACH:
      return true;
    default:
      return false;
  }
}

}  // namespace

Result<int> listen_tcp(const SocketAddress& address) {
  auto sockets = listen_tcp(address, 1);
  if (!sockets) return Unexpected{std::move(sockets).error()};
  return sockets->front().release();
}

// The first binds without SO_REUSEPORT, which fails where anybody listens already, also a penstock
// of the same user with such sockets of its own. With the option set then, the others may join.
Result<std::vector<UniqueFd>> listen_tcp(const SocketAddress& address, std::size_t count) {
  std::vector<UniqueFd> sockets;
  SocketAddress bound = address;
  while (sockets.size() < count) {
    UniqueFd fd(::socket(address.family(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    if (!fd || !prepare(fd.get(), address)) return listen_error(address, errno);
    const bool joins = !sockets.empty();
    const auto share = [&] { return set_flag(fd.get(), SOL_SOCKET, SO_REUSEPORT); };
    if (joins && !share()) return listen_error(address, errno);
    if (::bind(fd.get(), bound.data(), bound.length()) != 0) return listen_error(address, errno);
    if (!joins && count > 1 && !share()) return listen_error(address, errno);
    if (::listen(fd.get(), kListenBacklog) != 0) return listen_error(address, errno);
    bound = local_address_of(fd.get());
    sockets.push_back(std::move(fd));
  }
  return sockets;
}

// Linux hands TCP_NODELAY on to what is accepted: no system call per connection. It fails on unix
// sockets, which have no such delay.
Listener::Listener(Loop& loop, int fd, OnAccepted on_accepted, OnError on_accept_error)
    : on_accepted_(on_accepted),
      on_accept_error_(on_accept_error),
      loop_(loop),
      fd_(fd),
      local_(local_address_of(fd)),
      back_off_(loop.timers(), Delegate<void()>::to<&Listener::on_back_off_over>(*this)) {
  set_flag(fd, IPPROTO_TCP, TCP_NODELAY);
  watcher_.emplace(loop_, fd, Watcher::Callback::to<&Listener::on_ready>(*this));
  update_interest();
}

Listener::~Listener() {
  if (destroyed_ != nullptr) *destroyed_ = true;
}

void Listener::pause() {
  paused_ = true;
  update_interest();
}

void Listener::resume() {
  paused_ = false;
  update_interest();
}

void Listener::update_interest() {
  if (watcher_) watcher_->set_interest(accepting(), false);
}

void Listener::on_ready(Readiness) {
  // Whether it lives on does not matter here: nothing is touched after this.
  static_cast<void>(accept_up_to(kMaxAcceptsPerEvent));
}

// False when the listener was destroyed by its owner meanwhile. Calls nest when the owner drains
// the listener inside on_accepted.
bool Listener::accept_up_to(int count) {
  bool destroyed = false;
  bool* const outer = std::exchange(destroyed_, &destroyed);
  for (int i = 0; i < count && accepting(); ++i) {
    const bool more = accept_one();
    if (destroyed) {
      if (outer != nullptr) *outer = true;
      return false;
    }
    if (!more) break;
  }
  destroyed_ = outer;
  return true;
}

// Calls the owner last: it may destroy this.
bool Listener::accept_one() {
  sockaddr_storage storage{};
  socklen_t length = sizeof(storage);
  auto* peer = reinterpret_cast<sockaddr*>(&storage);
  const int fd = ::accept4(fd_.get(), peer, &length, SOCK_NONBLOCK | SOCK_CLOEXEC);
  if (fd >= 0) {
    on_accepted_(fd, SocketAddress::from_sockaddr(peer, length));
    return true;
  }
  const int sys = errno;
  if (sys == EAGAIN || sys == EWOULDBLOCK) return false;
  if (concerns_one_connection(sys)) return true;
  back_off(sys);
  return false;
}

void Listener::back_off(int sys) {
  back_off_.arm(loop_.now() + kBackOff);
  update_interest();
  if (on_accept_error_) on_accept_error_(sys);
}

// The program drops segments with SYN and without ACK. The kernel shows it a segment from its TCP
// header on; whoever sent the SYN repeats it a second later, and is refused then.
void Listener::refuse_new() {
  constexpr std::uint32_t kFlags = 13;  // RFC 9293 section 3.1
  std::array<sock_filter, 5> program = {{
      BPF_STMT(BPF_LD | BPF_B | BPF_ABS, kFlags),
      BPF_STMT(BPF_ALU | BPF_AND | BPF_K, TH_SYN | TH_ACK),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, TH_SYN, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, 0),
      BPF_STMT(BPF_RET | BPF_K, UINT32_MAX),
  }};
  const sock_fprog filter{.len = program.size(), .filter = program.data()};
  // Where it is not to be had, who comes in the last moment is reset, as ever.
  ::setsockopt(fd_.get(), SOL_SOCKET, SO_ATTACH_FILTER, &filter, sizeof filter);
}

UniqueFd Listener::duplicate() const {
  return UniqueFd(fd_ ? ::fcntl(fd_.get(), F_DUPFD_CLOEXEC, 0) : -1);
}

void Listener::release() {
  watcher_.reset();
  back_off_.cancel();
  fd_.reset();
}

void Listener::drain_and_close() {
  watcher_.reset();
  back_off_.cancel();
  paused_ = false;
  // No more than the queue can hold: new ones keep coming while it stands open.
  if (!accept_up_to(kListenBacklog)) return;
  back_off_.cancel();
  fd_.reset();
}

}  // namespace penstock
