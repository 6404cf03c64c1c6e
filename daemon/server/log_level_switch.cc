#include "server/log_level_switch.h"

namespace penstock {

LogLevelSwitch::LogLevelSwitch(Loop& loop, Log& log, LogLevel configured)
    : loop_(loop),
      log_(log),
      configured_(configured),
      level_(configured),
      period_(loop.timers(), Delegate<void()>::to<&LogLevelSwitch::on_period_over>(*this)) {}

void LogLevelSwitch::configure(LogLevel level) {
  configured_ = level;
  set(level, std::nullopt);
}

void LogLevelSwitch::set(LogLevel level, std::optional<Duration> period) {
  level_ = level;
  log_.set_level(level);
  period_.cancel();
  if (period) period_.arm(loop_.now() + *period);
}

void LogLevelSwitch::on_period_over() {
  log_.info("the log level is the configuration's again");
  set(configured_, std::nullopt);
}

}  // namespace penstock
