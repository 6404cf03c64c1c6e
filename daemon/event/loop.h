// One thread's turns: libuv's loop with a timer wheel, posted work, deferred deletion and a clock.
//
// Owner: a Worker (or a test). Thread: the one that calls run(), until then the one that made it;
// only post(), stop(), on_thread() and take_longest_turn() may be called from others. Ends when
// run() has returned and every Watcher on it is gone (asserted: a leaked handle aborts the process
// in debug builds).
#pragma once

#include <algorithm>
#include <atomic>
#include <memory>

#include "base/time.h"
#include "event/clock.h"
#include "event/executor.h"
#include "event/timer_wheel.h"

struct uv_loop_s;

namespace penstock {

class Loop final : public Executor, public Clock {
 public:
  Loop();
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;
  ~Loop() override;

  // Turns until stop(). May be called again.
  void run();
  // Any thread. run() returns after the turn that is under way; when it is not running, the next
  // one returns after its first turn.
  void stop();

  void post(std::unique_ptr<Task> task) override;
  void defer_delete(std::unique_ptr<DeferredDeletable> object) override;
  bool on_thread() const override;

  // Read anew before each callback of a Watcher, of the wheel and of posted work.
  MonotonicTime now() const override { return now_; }
  WallTime wall_now() const override;
  Duration time_asleep() const override;
  void refresh_time();

  // Any thread. The longest turn since the last call: from the first callback after a wait to the
  // end of all that was ready, so at worst an event was served that much late. It is put together
  // from clocks that are read anyway, libuv's in whole milliseconds: up to 1 ms short.
  Duration take_longest_turn() { return longest_turn_.exchange({}, std::memory_order_relaxed); }
  // The time that patient watchers (Watcher::be_patient()) have had in the turn under way.
  bool patience_is_over() const { return patient_time_ >= kMostPatientTime; }
  void add_patient_time(MonotonicTime began) { patient_time_ += now_ - began; }

  TimerWheel& timers();
  uv_loop_s* uv();  // for event/ and net/ only

 private:
  struct Impl;  // the uv handles and what they dispatch
  void end_turn(MonotonicTime end);

  MonotonicTime now_;
  static constexpr Duration kMostPatientTime = std::chrono::milliseconds(2);

  Duration patient_time_{};
  MonotonicTime turn_began_ = kForever;  // kForever: no callback since the last wait
  std::atomic<Duration> longest_turn_{Duration()};
  std::unique_ptr<Impl> impl_;
};

}  // namespace penstock
