// The level of the daemon's own log: what the configuration says or, until a time is over or the
// next reload, what an operator has set.
//
// Owner: the Daemon. Thread: the control loop's.
#pragma once

#include <optional>

#include "base/log.h"
#include "event/loop.h"

namespace penstock {

class LogLevelSwitch {
 public:
  LogLevelSwitch(Loop& loop, Log& log, LogLevel configured);

  // What a configuration says, from now on.
  void configure(LogLevel level);
  // `period`: nullopt until configure().
  void set(LogLevel level, std::optional<Duration> period);
  LogLevel level() const { return level_; }

 private:
  void on_period_over();

  Loop& loop_;
  Log& log_;
  LogLevel configured_;
  LogLevel level_;
  Deadline period_;
};

}  // namespace penstock
