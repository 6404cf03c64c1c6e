// The part of a stop in which everything is still served, since apps may call out while they end:
// over when no client has been connected for a second, or after its time.
//
// Owner: the Daemon. Thread: the control loop's. Ends without a word.
#pragma once

#include <cstdint>

#include "base/delegate.h"
#include "event/clock.h"
#include "event/timer_wheel.h"

namespace penstock {

class ClientQuota;

class ClientWait {
 public:
  // `on_over` is called once for each start(), on a later turn.
  ClientWait(TimerWheel& timers, const Clock& clock, const ClientQuota& clients,
             Delegate<void()> on_over);

  void start(Duration most);
  void cancel() { look_.cancel(); }

 private:
  void look();

  // borrowed: outlive us
  const Clock& clock_;
  const ClientQuota& clients_;

  const Delegate<void()> on_over_;
  Deadline look_;
  MonotonicTime end_;
  MonotonicTime quiet_since_;  // kForever: somebody is connected
  std::uint64_t entered_ = 0;  // who came and left between two looks counts too
};

}  // namespace penstock
