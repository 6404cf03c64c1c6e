// A listening socket and the accepting from it.
//
// Up to 16 connections are accepted per event, so that a storm of them leaves time for the others.
// When descriptors or memory run out the listener looks away for 100 ms (the queue stays readable:
// anything else would spin) and tells its owner why.
//
// Owner: a Worker or the admin server. Thread: its loop's. The destructor closes at once and resets
// what is queued; drain_and_close() accepts that first, release() leaves it. Both may run inside
// on_accepted.
#pragma once

#include <optional>
#include <vector>

#include "base/delegate.h"
#include "base/result.h"
#include "event/timer_wheel.h"
#include "event/watcher.h"
#include "net/address.h"
#include "net/unique_fd.h"

namespace penstock {

class Loop;

inline constexpr int kListenBacklog = 4096;  // cut down to net.core.somaxconn

// A bound, listening, non-blocking TCP socket; port 0 lets the kernel choose. [::] takes IPv6 only,
// whatever the system's default is: what is configured is what is opened. An error's detail is a
// sentence with the address, its `sys` the errno (EADDRINUSE ...).
Result<int> listen_tcp(const SocketAddress& address);
// Several on the same address, among which the kernel shares the connections. Nobody else's socket
// may be on it, nor join them.
Result<std::vector<UniqueFd>> listen_tcp(const SocketAddress& address, std::size_t count);

class Listener {
 public:
  // The callee owns the connected socket (non-blocking, close-on-exec, TCP_NODELAY if it is TCP).
  using OnAccepted = Delegate<void(int fd, const SocketAddress& peer)>;
  // The errno that made accepting pause.
  using OnError = Delegate<void(int sys)>;

  // Takes a listening descriptor over and accepts from it.
  Listener(Loop& loop, int fd, OnAccepted on_accepted, OnError on_accept_error = {});
  Listener(const Listener&) = delete;
  Listener& operator=(const Listener&) = delete;
  ~Listener();

  const SocketAddress& local_address() const { return local_; }

  // Leaves new connections in the kernel's queue until resume().
  void pause();
  void resume();

  // No handshake begins any more, one that has begun still ends and is accepted: after a moment
  // drain_and_close() resets nobody. Only for a TCP socket that no other process accepts from.
  void refuse_new();

  // For another process, which accepts from the same queue. Invalid when there is none to be had.
  UniqueFd duplicate() const;
  // Accepts no more and leaves the queue to whoever else has the socket.
  void release();

  // Accepts what is queued (on_accepted is called inside this call) unless that calls pause(), then
  // closes.
  void drain_and_close();

 private:
  void on_ready(Readiness ready);
  [[nodiscard]] bool accept_up_to(int count);
  bool accept_one();
  void back_off(int sys);
  void on_back_off_over() { update_interest(); }
  void update_interest();
  bool accepting() const { return fd_ && !paused_ && !back_off_.armed(); }

  const OnAccepted on_accepted_;
  const OnError on_accept_error_;
  Loop& loop_;   // borrowed: outlives every watcher on it
  UniqueFd fd_;  // before the watcher, which must end first
  std::optional<Watcher> watcher_;
  SocketAddress local_;
  Deadline back_off_;
  bool paused_ = false;
  bool* destroyed_ = nullptr;  // on the stack of accept_up_to() while it calls the owner
};

}  // namespace penstock
