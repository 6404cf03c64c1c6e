// Turns a Loop on the test's thread until something has come true, or five seconds have passed.
//
//   LoopRunner runner(loop);
//   ASSERT_TRUE(runner.until([&] { return client.done; }));
#pragma once

#include <uv.h>

#include "event/loop.h"

namespace penstock {

class LoopRunner {
 public:
  static constexpr Duration kLimit = std::chrono::seconds(5);

  explicit LoopRunner(Loop& loop)
      : loop_(loop), limit_(loop.timers(), Delegate<void()>::to<&LoopRunner::on_limit>(*this)) {}

  // False when the limit came first.
  template <typename Condition>
  [[nodiscard]] bool until(Condition&& condition, Duration limit = kLimit) {
    limit_reached_ = false;
    loop_.refresh_time();
    limit_.arm(loop_.now() + limit);
    while (!condition() && !limit_reached_) {
      turn();  // what the last turn's timers left for this one may be the condition
      if (!condition()) uv_run(loop_.uv(), UV_RUN_ONCE);
    }
    limit_.cancel();
    return condition();
  }

  // Turns that do not wait: whatever was ready, posted or due has been served after them.
  void turn(int times = 1) {
    for (int i = 0; i < times; ++i) uv_run(loop_.uv(), UV_RUN_NOWAIT);
  }

 private:
  void on_limit() { limit_reached_ = true; }

  Loop& loop_;
  Deadline limit_;
  bool limit_reached_ = false;
};

}  // namespace penstock
