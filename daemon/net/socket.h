// A connected socket that is watched: what TcpStream and TlsStream have in common.
//
// It owns the descriptor and its Watcher and turns readiness into the two calls of StreamHandler,
// so that a stream only moves bytes. Reading is watched while a handler is set and no pause reason
// is left; writing only between want_writable() and the on_writable() it asked for. The poll set is
// brought up to date once per event, after the handler has returned: a handler that writes short
// again, or pauses and resumes, costs no system call.
//
// Owner: a stream (as a member) or a dial. Thread: its loop's. The destructor stops the watching,
// then closes the descriptor; it may run inside either call of the handler.
#pragma once

#include <cstdint>
#include <memory>

#include "base/error.h"
#include "event/watcher.h"
#include "net/stream.h"
#include "net/unique_fd.h"

namespace penstock {

class Loop;

class WatchedSocket {
 public:
  // Takes the descriptor over, and makes it non-blocking if it is not.
  WatchedSocket(Loop& loop, int fd);
  WatchedSocket(const WatchedSocket&) = delete;
  WatchedSocket& operator=(const WatchedSocket&) = delete;
  ~WatchedSocket();

  int fd() const { return fd_.get(); }

  // Null: nothing is watched.
  void set_handler(StreamHandler* handler);
  void pause_read(PauseReason reason);
  void resume_read(PauseReason reason);

  // A write moved less than offered: calls on_writable() once, when the socket takes more.
  void want_writable() { await(write_awaits_, Wait::kWritable); }
  // For TLS, where one direction may depend on the other, each until its next call: on_readable()
  // comes when the socket takes more (and not for bytes that came), on_writable() when bytes have
  // come (whatever pauses reading).
  void want_writable_to_read() { await(read_awaits_, Wait::kWritable); }
  void want_readable_to_write() { await(write_awaits_, Wait::kReadable); }

  // Idle, as Watcher::rest() says; the handler is told after wake(), or when the gate lets it in.
  void rest(const std::shared_ptr<WatchGate>& gate);
  void wake() { watcher_.wake(); }
  // Taken over by the thread of `loop` while at rest. False when there is no descriptor for it:
  // then the connection is shut, and of no use any more.
  bool move_to(Loop& loop, WatchGate& gate);
  // Taken over to be ended; only the destructor may follow.
  void abandon(WatchGate& gate);

  void be_patient(bool patient) { watcher_.be_patient(patient); }

  // Whether the kernel holds bytes to read.
  bool has_input() const;
  // TCP_QUICKACK: what has come is acknowledged at once.
  void acknowledge_now();
  // No TCP_USER_TIMEOUT.
  void allow_stalls();
  // FIN after what was sent.
  void shutdown_write();
  // Makes the close a reset (SO_LINGER 0).
  void abort();

 private:
  enum class Wait : std::uint8_t { kNothing, kReadable, kWritable };

  void on_ready(Readiness ready);
  void await(Wait& direction, Wait event);
  void update_interest();
  bool is_dispatching() const { return destroyed_ != nullptr; }
  bool awaits(Wait event) const;
  static bool has_come(Wait event, Readiness ready);

  // The old loop may still hold a duplicate of the descriptor: a close alone would not end the
  // connection.
  bool moved_ = false;
  bool aborted_ = false;
  UniqueFd fd_;  // before the watcher, which must end first
  // There is one for each client, however idle: the three bytes behind the watcher share its last
  // word.
  [[no_unique_address]] Watcher watcher_;
  std::uint8_t pauses_ = 0;             // bits of PauseReason
  Wait read_awaits_ = Wait::kReadable;  // counts while nothing pauses reading
  Wait write_awaits_ = Wait::kNothing;
  StreamHandler* handler_ = nullptr;  // borrowed: the stream's owner
  bool* destroyed_ = nullptr;         // on the stack of on_ready() while it calls the handler
};

// What a send or recv that failed with `sys` means to an exchange: connection_terminated, with the
// system's reason as detail.
Error terminated_error(int sys);

}  // namespace penstock
