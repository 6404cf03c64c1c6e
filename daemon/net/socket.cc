#include "net/socket.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <system_error>
#include <utility>

namespace penstock {

namespace {

std::uint8_t bit(PauseReason reason) { return static_cast<std::uint8_t>(reason); }

}  // namespace

WatchedSocket::WatchedSocket(Loop& loop, int fd)
    : fd_(fd), watcher_(loop, fd, Watcher::Callback::to<&WatchedSocket::on_ready>(*this)) {}

WatchedSocket::~WatchedSocket() {
  if (destroyed_ != nullptr) *destroyed_ = true;
  // No FIN before a reset.
  if (moved_ && fd_) ::shutdown(fd(), aborted_ ? SHUT_RD : SHUT_RDWR);
}

void WatchedSocket::set_handler(StreamHandler* handler) {
  handler_ = handler;
  update_interest();
}

void WatchedSocket::pause_read(PauseReason reason) {
  pauses_ |= bit(reason);
  update_interest();
}

void WatchedSocket::resume_read(PauseReason reason) {
  pauses_ &= static_cast<std::uint8_t>(~bit(reason));
  update_interest();
}

// A frame of on_ready() may be below: it touches nothing any more, for this may be another thread's
// by then.
void WatchedSocket::rest(const std::shared_ptr<WatchGate>& gate) {
  if (bool* const destroyed = std::exchange(destroyed_, nullptr)) *destroyed = true;
  update_interest();
  watcher_.rest(gate);
}

bool WatchedSocket::move_to(Loop& loop, WatchGate& gate) {
  const int duplicate = ::fcntl(fd(), F_DUPFD_CLOEXEC, 0);
  if (duplicate < 0) {
    abandon(gate);
    return false;
  }
  gate.keep(fd_.release());
  fd_.reset(duplicate);
  watcher_.move_to(loop, duplicate);
  moved_ = true;
  return true;
}

void WatchedSocket::abandon(WatchGate& gate) {
  ::shutdown(fd(), SHUT_RDWR);  // tells the old loop
  gate.keep(fd_.release());
  watcher_.leave();
}

bool WatchedSocket::has_input() const {
  int bytes = 0;
  return ::ioctl(fd(), FIONREAD, &bytes) == 0 && bytes > 0;
}

void WatchedSocket::acknowledge_now() {
  const int on = 1;
  ::setsockopt(fd(), IPPROTO_TCP, TCP_QUICKACK, &on, sizeof on);
}

void WatchedSocket::allow_stalls() {
  const int off = 0;
  ::setsockopt(fd(), IPPROTO_TCP, TCP_USER_TIMEOUT, &off, sizeof off);
}

void WatchedSocket::shutdown_write() { ::shutdown(fd(), SHUT_WR); }

void WatchedSocket::abort() {
  aborted_ = true;
  const linger reset{.l_onoff = 1, .l_linger = 0};
  ::setsockopt(fd(), SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
}

void WatchedSocket::await(Wait& direction, Wait event) {
  direction = event;
  update_interest();
}

bool WatchedSocket::awaits(Wait event) const {
  if (handler_ == nullptr) return false;
  return write_awaits_ == event || (pauses_ == 0 && read_awaits_ == event);
}

bool WatchedSocket::has_come(Wait event, Readiness ready) {
  switch (event) {
    case Wait::kNothing:
      return false;
    case Wait::kReadable:
      return ready.readable;
    case Wait::kWritable:
      return ready.writable;
  }
  return false;
}

void WatchedSocket::update_interest() {
  if (!is_dispatching()) watcher_.set_interest(awaits(Wait::kReadable), awaits(Wait::kWritable));
}

// Reads first: the answer or the reset that explains why a write would fail may be waiting there.
void WatchedSocket::on_ready(Readiness ready) {
  bool destroyed = false;
  destroyed_ = &destroyed;
  const bool write_due = has_come(write_awaits_, ready);
  if (handler_ != nullptr && pauses_ == 0 && has_come(read_awaits_, ready)) {
    read_awaits_ = Wait::kReadable;
    handler_->on_readable();
    if (destroyed) return;
  }
  if (handler_ != nullptr && write_due) {
    write_awaits_ = Wait::kNothing;
    handler_->on_writable();
    if (destroyed) return;
  }
  destroyed_ = nullptr;
  update_interest();
}

Error terminated_error(int sys) {
  return {.code = ErrorCode::kConnectionTerminated,
          .sys = sys,
          .detail = std::generic_category().message(sys)};
}

}  // namespace penstock
