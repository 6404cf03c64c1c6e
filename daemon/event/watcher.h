// Readiness of one file descriptor, level-triggered.
//
// Whoever does not want to read drops readable interest, or the loop spins. An error condition is
// reported as readable (and writable when asked for): the owner reads on until the real error
// comes, since data may still be queued before it. Changing the interest costs two system calls,
// the same interest again costs nothing: leave it alone in the steady state.
//
// A watcher at rest may be taken to another loop by that loop's thread. What stays behind on the
// old loop is the libuv handle, which nobody else knows: at its next event the gate tells the old
// loop so, and it ends it. The old descriptor ends with the gate: it must be closed neither before
// the taker has duplicated it nor before it has left the old loop's poll set.
//
// Owner: the stream or listener of the descriptor. Thread: the loop's. The destructor stops the
// watching at once and comes before close(fd); no callback comes after it, and it may run inside
// the callback. The libuv handle lives in a heap block of its own until its close callback.
#pragma once

#include <cstdint>
#include <memory>

#include "base/delegate.h"

namespace penstock {

class Loop;

struct Readiness {
  bool readable;
  bool writable;
};

// Stands between an event and a watcher at rest. Shared by the watcher and whoever may take it.
class WatchGate {
 public:
  WatchGate() = default;
  WatchGate(const WatchGate&) = delete;
  WatchGate& operator=(const WatchGate&) = delete;
  virtual ~WatchGate();
  // On the watcher's loop. True: the watcher is awake and this thread's own, its callback follows.
  // False: it was taken, and nothing of it may be touched.
  virtual bool enter() = 0;
  // By the taker: the descriptor that the old loop still watches.
  void keep(int descriptor) { descriptor_ = descriptor; }

 private:
  int descriptor_ = -1;
};

class Watcher {
 public:
  using Callback = Delegate<void(Readiness)>;

  Watcher(Loop& loop, int fd, Callback on_ready);
  Watcher(const Watcher&) = delete;
  Watcher& operator=(const Watcher&) = delete;
  ~Watcher();

  void set_interest(bool readable, bool writable);

  // Its events may wait for the next turn when such watchers have taken long in this one: for work
  // that is done once per connection and takes long, such as handshakes, of which a thousand may be
  // due at once.
  void be_patient(bool patient);

  // From now on an event asks the gate first. The thread that rests a watcher touches nothing of it
  // until it wakes it, or the gate lets an event in.
  void rest(const std::shared_ptr<WatchGate>& gate);
  void wake();
  // The thread of `loop` takes a watcher at rest over: it is awake, with the interest it had, and
  // watches `fd`, a duplicate.
  void move_to(Loop& loop, int fd);
  // The same, but it is not watched any more: only its destructor may be called.
  void leave() { block_ = nullptr; }
  // At the end of a loop: ends what others have taken from it and no event has told yet.
  static void end_taken(Loop& loop);

 private:
  struct Block;
  const Callback on_ready_;
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
