// Readiness of one file descriptor, level-triggered.
//
// Whoever does not want to read drops readable interest, or the loop spins. An error condition is
// reported as readable (and writable when asked for): the owner reads on until the real error
// comes, since data may still be queued before it. Changing the interest costs two system calls,
// the same interest again costs nothing: leave it alone in the steady state.
//
// Owner: the stream or listener of the descriptor. Thread: the loop's. The destructor stops the
// watching at once and comes before close(fd); no callback comes after it, and it may run inside
// the callback. The libuv handle lives in a heap block of its own until its close callback.
#pragma once

#include <cstdint>

#include "base/delegate.h"

namespace penstock {

class Loop;

struct Readiness {
  bool readable;
  bool writable;
};

class Watcher {
 public:
  using Callback = Delegate<void(Readiness)>;

  Watcher(Loop& loop, int fd, Callback on_ready);
  Watcher(const Watcher&) = delete;
  Watcher& operator=(const Watcher&) = delete;
  ~Watcher();

  void set_interest(bool readable, bool writable);
  bool wants_readable() const { return readable_; }
  bool wants_writable() const { return writable_; }

 private:
  struct Block;
  Block* block_;
  bool readable_ = false;
  bool writable_ = false;
};

// A signal, delivered on the loop's thread. Same ownership as Watcher.
class SignalWatcher {
 public:
  SignalWatcher(Loop& loop, int signal_number, Delegate<void()> on_signal);
  SignalWatcher(const SignalWatcher&) = delete;
  SignalWatcher& operator=(const SignalWatcher&) = delete;
  ~SignalWatcher();

 private:
  struct Block;
  Block* block_;
};

}  // namespace penstock
