#include "net/socket.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <system_error>

namespace penstock {

namespace {

std::uint8_t bit(PauseReason reason) { return static_cast<std::uint8_t>(reason); }

}  // namespace

WatchedSocket::WatchedSocket(Loop& loop, int fd)
    : fd_(fd), watcher_(loop, fd, Watcher::Callback::to<&WatchedSocket::on_ready>(*this)) {}

WatchedSocket::~WatchedSocket() {
  if (destroyed_ != nullptr) *destroyed_ = true;
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

void WatchedSocket::acknowledge_now() {
  const int on = 1;
  ::setsockopt(fd(), IPPROTO_TCP, TCP_QUICKACK, &on, sizeof on);
}

void WatchedSocket::shutdown_write() { ::shutdown(fd(), SHUT_WR); }

void WatchedSocket::abort() {
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
