#include "net/cares_channel.h"

#include <sys/socket.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <limits>

#include "event/loop.h"
#include "event/watcher.h"
#include "net/shortage.h"

namespace penstock {

namespace {

constexpr int kClassIn = 1;  // RFC 1035 section 3.2.4
constexpr int kMostPacketsPerCall = 16;

int to_milliseconds(Duration timeout) {
  constexpr auto kMax = static_cast<std::int64_t>(std::numeric_limits<int>::max());
  const std::int64_t count = std::chrono::ceil<std::chrono::milliseconds>(timeout).count();
  return static_cast<int>(std::clamp<std::int64_t>(count, 1, kMax));
}

// c-ares' own calls, which it makes no more once open_socket() is ours.

int close_socket(ares_socket_t fd, void*) { return ::close(fd); }

int connect_socket(ares_socket_t fd, const sockaddr* address, ares_socklen_t size, void*) {
  return ::connect(fd, address, size);
}

// A response says that it is one (QR, RFC 1035 section 4.1.1), which c-ares does not look at.
bool is_response(const void* packet, ares_ssize_t size) {
  return size > 2 && (static_cast<const unsigned char*>(packet)[2] & 0x80) != 0;
}

// By UDP, where there is a `from`, only responses; what comes by TCP is no packet. An end or an
// error is c-ares' to judge. The socket is looked at again after a few of what is none.
ares_ssize_t receive(ares_socket_t fd, void* to, std::size_t size, int flags, sockaddr* from,
                     ares_socklen_t* from_size, void*) {
  for (int i = 0; i < kMostPacketsPerCall; ++i) {
    const ares_ssize_t got = ::recvfrom(fd, to, size, flags, from, from_size);
    if (got <= 0 || from == nullptr || is_response(to, got)) return got;
  }
  errno = EAGAIN;
  return -1;
}

ares_ssize_t send_pieces(ares_socket_t fd, const iovec* pieces, int count, void*) {
  return ::writev(fd, pieces, count);
}

}  // namespace

// c-ares does not tell why it has no socket.
const ares_socket_functions CaresChannel::kSocketFunctions{open_socket, close_socket,
                                                           connect_socket, receive, send_pieces};

ares_socket_t CaresChannel::open_socket(int family, int type, int protocol, void* self) {
  const int fd = ::socket(family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, protocol);
  static_cast<CaresChannel*>(self)->shortage_ = fd < 0 && is_shortage(errno) ? errno : 0;
  return fd;
}

class CaresChannel::Socket {
 public:
  Socket(CaresChannel& channel, ares_socket_t fd)
      : channel_(channel),
        fd_(fd),
        watcher_(channel.loop_, fd, Watcher::Callback::to<&Socket::on_ready>(*this)) {}

  ares_socket_t fd() const { return fd_; }
  void set_interest(bool readable, bool writable) { watcher_.set_interest(readable, writable); }

 private:
  // c-ares may close the socket, and so end this, inside.
  void on_ready(Readiness ready) {
    channel_.process(ready.readable ? fd_ : ARES_SOCKET_BAD,
                     ready.writable ? fd_ : ARES_SOCKET_BAD);
  }

  CaresChannel& channel_;
  const ares_socket_t fd_;
  Watcher watcher_;
};

CaresChannel::CaresChannel(Loop& loop, Delegate<void()> on_progress)
    : loop_(loop),
      on_progress_(on_progress),
      timeout_(loop.timers(), Delegate<void()>::to<&CaresChannel::on_timeout>(*this)) {}

Result<std::unique_ptr<CaresChannel>> CaresChannel::create(Loop& loop, ares_addr_port_node server,
                                                           Duration timeout,
                                                           Delegate<void()> on_progress) {
  std::unique_ptr<CaresChannel> channel(new CaresChannel(loop, on_progress));
  ares_options settings{};
  std::string only_dns = "b";
  settings.flags = ARES_FLAG_NOCHECKRESP;  // SERVFAIL and REFUSED come to us, with their names
  settings.timeout = to_milliseconds(timeout);
  settings.tries = 1;
  settings.lookups = only_dns.data();
  settings.sock_state_cb = on_socket_state;
  settings.sock_state_cb_data = channel.get();
  const int given = ARES_OPT_FLAGS | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_LOOKUPS |
                    ARES_OPT_SOCK_STATE_CB;
  int status = ares_init_options(&channel->channel_, &settings, given);
  if (status == ARES_SUCCESS) {
    server.next = nullptr;
    status = ares_set_servers_ports(channel->channel_, &server);
    ares_set_socket_functions(channel->channel_, &kSocketFunctions, channel.get());
  }
  if (status == ARES_SUCCESS) return channel;
  return Unexpected{
      Error{.code = ErrorCode::kProxyInternalError,
            .source = ErrorSource::kInternal,
            .detail = std::string("dns: the resolver cannot start: ") + ares_strerror(status)}};
}

CaresChannel::~CaresChannel() {
  if (channel_ != nullptr) ares_destroy(channel_);
}

void CaresChannel::ask(const std::string& name, int type, ares_callback on_answer, void* context) {
  shortage_ = 0;
  ares_query(channel_, name.c_str(), kClassIn, type, on_answer, context);
  schedule_timeout();
}

void CaresChannel::on_socket_state(void* self, ares_socket_t fd, int readable, int writable) {
  static_cast<CaresChannel*>(self)->watch(fd, readable != 0, writable != 0);
}

// Neither: the socket is about to be closed.
void CaresChannel::watch(ares_socket_t fd, bool readable, bool writable) {
  const auto found = std::find_if(sockets_.begin(), sockets_.end(),
                                  [fd](const auto& socket) { return socket->fd() == fd; });
  if (found != sockets_.end() && !readable && !writable) {
    sockets_.erase(found);
  } else if (found != sockets_.end()) {
    (*found)->set_interest(readable, writable);
  } else if (readable || writable) {
    sockets_.push_back(std::make_unique<Socket>(*this, fd));
    sockets_.back()->set_interest(readable, writable);
  }
}

void CaresChannel::process(ares_socket_t readable, ares_socket_t writable) {
  shortage_ = 0;
  ares_process_fd(channel_, readable, writable);
  schedule_timeout();
  on_progress_();  // this destroys the channel, perhaps
}

void CaresChannel::schedule_timeout() {
  timeval remaining{};
  if (ares_timeout(channel_, nullptr, &remaining) == nullptr) {
    timeout_.cancel();
    return;
  }
  // c-ares rounds down to milliseconds, and what is not due yet would be asked again at once.
  timeout_.arm(loop_.now() + std::chrono::seconds(remaining.tv_sec) +
               std::chrono::microseconds(remaining.tv_usec) + std::chrono::milliseconds(1));
}

}  // namespace penstock
