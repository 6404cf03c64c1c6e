// What an operator does to the pools of one upstream by the admin address: close-idle, pause,
// resume, reconnect.
//
// Each action takes effect on the books at once and then on every worker, which is asked by post;
// it is over when all have answered, as the report says. Workers close connections a batch a turn.
//
// Owner: the Daemon. Thread: the control loop's. Ends after the workers; an action that has not
// ended by then is never reported.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/log.h"
#include "pool/registry.h"
#include "server/worker.h"

namespace penstock {

enum class PoolAction : std::uint8_t { kCloseIdle, kPause, kResume, kReconnect };
inline constexpr std::string_view kPoolActions = "close-idle, pause, resume, reconnect";
std::optional<PoolAction> pool_action(std::string_view name);
std::string_view to_string(PoolAction action);

class PoolConsole {
 public:
  // Called with the report, one JSON object, once every worker has done its part.
  using Done = std::function<void(std::string report)>;

  PoolConsole(PoolRegistry& registry, const Workers& workers, Log& log)
      : registry_(registry), workers_(workers), log_(log) {}

  // `upstream`: one of the configuration in force.
  void act(PoolAction action, const std::string& upstream, Done done);

 private:
  struct Report;

  void close_idle(const std::shared_ptr<Report>& report, std::size_t worker);
  void follow_pause(std::shared_ptr<Report> report);
  void finish(Report& report);

  PoolRegistry& registry_;
  const Workers& workers_;
  Log& log_;
};

}  // namespace penstock
