#include "server/service_manager.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <cstring>

#include "base/log.h"
#include "event/loop.h"
#include "server/manager_variables.h"
#include "server/notify_socket.h"

namespace penstock {

namespace {

constexpr Duration kStatusEvery = std::chrono::seconds(5);
// A year is never; beyond, a Duration ends.
constexpr std::uint64_t kLongestWatchdogUsec =
    std::chrono::microseconds(std::chrono::years(1)).count();
// Between the end of the grace and that of the process: cutting sessions, joining threads.
constexpr Duration kTimeToExit = std::chrono::seconds(10);
// A manager that does not read for a while is told again so often, and waited for at our end.
constexpr Duration kRetryEvery = std::chrono::milliseconds(100);
constexpr Duration kLastWait = std::chrono::seconds(1);

std::string microseconds(Duration duration) {
  return std::to_string(std::chrono::duration_cast<std::chrono::microseconds>(duration).count());
}

// The protocol is lines: what was not ours may bring no line of its own.
std::string one_line(std::string text) {
  std::ranges::replace_if(
      text, [](char c) { return static_cast<unsigned char>(c) < 0x20; }, ' ');
  return text;
}

}  // namespace

ServiceManager::ServiceManager(Loop& loop, Log& log, const Questions& questions)
    : loop_(loop),
      log_(log),
      questions_(questions),
      listening_(has_notify_socket()),
      watchdog_(loop.timers(), Delegate<void()>::to<&ServiceManager::on_watchdog_due>(*this)),
      status_(loop.timers(), Delegate<void()>::to<&ServiceManager::on_status_due>(*this)),
      retry_(loop.timers(), Delegate<void()>::to<&ServiceManager::send_kept>(*this)) {}

// Only what the manager would otherwise do wrong is worth a wait: without the main process's number
// it takes our end for the service's.
ServiceManager::~ServiceManager() {
  if (!kept_.empty() && kept_.back().starts_with("MAINPID=")) notify(kept_.back(), kLastWait);
}

void ServiceManager::ready() {
  if (!listening_) return;
  send_with_status("READY=1");
  if (status_.armed()) return;  // a reload: all that follows runs already
  status_.arm(loop_.now() + kStatusEvery);
  start_watchdog();
}

void ServiceManager::reloading() {
  send("RELOADING=1\nMONOTONIC_USEC=" + microseconds(loop_.now().time_since_epoch()));
}

void ServiceManager::stopping(Duration grace) {
  if (!listening_) return;
  send_with_status("STOPPING=1\nEXTEND_TIMEOUT_USEC=" + microseconds(grace + kTimeToExit));
}

// systemd takes messages of the main process alone, so the one that is it says who will be.
void ServiceManager::hand_over(pid_t successor) {
  if (successor > 0) send("MAINPID=" + std::to_string(successor));
  listening_ = false;
  watchdog_.cancel();
  status_.cancel();
}

HandedManager ServiceManager::handed() const {
  const auto usec = std::chrono::duration_cast<std::chrono::microseconds>(feed_every_).count();
  return {.notify_socket = listening_ ? std::getenv("NOTIFY_SOCKET") : "",
          .watchdog_usec = static_cast<std::uint64_t>(usec) * 2};
}

void ServiceManager::adopt(const HandedManager& manager) {
  if (listening_ || manager.notify_socket.empty()) return;
  ::setenv("NOTIFY_SOCKET", manager.notify_socket.c_str(), 1);
  listening_ = true;
  adopted_watchdog_usec_ = manager.watchdog_usec;
}

void ServiceManager::send(const std::string& lines) {
  if (!listening_) return;
  keep(lines);
  send_kept();
}

// A state that begins replaces what the manager has not heard of those before it. But it has to
// hear of a reload before it hears that we are ready again.
void ServiceManager::keep(const std::string& lines) {
  if (lines.starts_with("RELOADING=1") || lines.starts_with("STOPPING=1")) kept_.clear();
  if (lines.starts_with("READY=1") && !kept_.empty() && kept_.back().starts_with("READY=1")) {
    kept_.pop_back();
  }
  kept_.push_back(lines);
}

void ServiceManager::send_kept() {
  while (!kept_.empty() && try_to_send(kept_.front())) kept_.pop_front();
  if (!kept_.empty()) retry_.arm(loop_.now() + kRetryEvery);
}

// What is old when it comes: dropped when the manager does not read. True when it has been sent.
bool ServiceManager::send_now_or_never(const std::string& lines) {
  if (!listening_) return false;
  send_kept();
  return kept_.empty() && try_to_send(lines);
}

// False when the same may be sent later.
bool ServiceManager::try_to_send(const std::string& lines) {
  const int sys = notify(lines);
  if (sys == EAGAIN || sys == EINTR) return false;
  if (sys != 0) {
    log_.write_limited(LogLevel::kWarning, "service manager",
                       "$NOTIFY_SOCKET does not take our messages", loop_.now(),
                       {{"error", std::strerror(sys)}});
  }
  return true;
}

void ServiceManager::send_with_status(const std::string& lines) {
  last_status_ = one_line(questions_.status());
  send(lines + "\nSTATUS=" + last_status_);
}

void ServiceManager::on_status_due() {
  status_.arm(loop_.now() + kStatusEvery);
  std::string status = one_line(questions_.status());
  if (status == last_status_) return;
  if (send_now_or_never("STATUS=" + status)) last_status_ = std::move(status);
}

void ServiceManager::start_watchdog() {
  const std::uint64_t interval_us = watchdog_for_us().value_or(adopted_watchdog_usec_);
  if (interval_us == 0) return;
  feed_every_ = std::chrono::microseconds(interval_us / 2);
  on_watchdog_due();
}

// In microseconds; nothing when it is off or another process feeds it.
std::optional<std::uint64_t> ServiceManager::watchdog_for_us() const {
  const std::string_view interval = variable("WATCHDOG_USEC");
  const std::string_view pid = variable("WATCHDOG_PID");
  if (interval.empty() || (!pid.empty() && number_in<pid_t>(pid) != ::getpid())) return {};
  const auto number = number_in<std::uint64_t>(interval);
  if (!number || *number == 0 || *number > kLongestWatchdogUsec) {
    log_.warning("$WATCHDOG_USEC cannot be used: there is no watchdog", {{"value", interval}});
    return {};
  }
  return number;
}

void ServiceManager::on_watchdog_due() {
  watchdog_.arm(loop_.now() + feed_every_);
  if (waits_for_workers_) return;  // a worker hangs; its answer, if it comes, is told at once
  waits_for_workers_ = true;
  questions_.check_workers(Delegate<void()>::to<&ServiceManager::on_workers_alive>(*this));
}

void ServiceManager::on_workers_alive() {
  waits_for_workers_ = false;
  send_now_or_never("WATCHDOG=1");
}

}  // namespace penstock
