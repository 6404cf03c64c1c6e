// One thread's turns: libuv's loop with a timer wheel, posted work, deferred deletion and a clock.
//
// Owner: a Worker (or a test). Thread: the one that calls run(); only post() and stop() may be
// called from others. Ends when run() has returned and every Watcher on it is gone (asserted: a
// leaked handle aborts the process in debug builds).
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "base/delegate.h"
#include "base/time.h"
#include "event/clock.h"
#include "event/executor.h"
#include "event/timer_wheel.h"

struct uv_loop_s;

namespace penstock {

class Loop final : public Executor, public Clock {
 public:
  Loop();
  ~Loop() override;

  // Turns until stop(). Handles that are still closing are waited for.
  void run();
  // Any thread. run() returns after the turn that is under way.
  void stop();

  void post(std::unique_ptr<Task> task) override;
  void defer_delete(std::unique_ptr<DeferredDeletable> object) override;
  bool on_thread() const override;

  // Read anew before each callback of a Watcher, of the wheel and of posted work.
  MonotonicTime now() const override { return now_; }
  WallTime wall_now() const override;
  void refresh_time();

  TimerWheel& timers();
  uv_loop_s* uv();  // for event/ and net/ only

 private:
  struct Impl;  // the uv handles, which live until their close callbacks
  std::unique_ptr<Impl> impl_;
  MonotonicTime now_;
};

}  // namespace penstock
