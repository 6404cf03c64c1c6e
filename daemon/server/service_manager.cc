#include "server/service_manager.h"

#include <systemd/sd-daemon.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <cstring>

#include "base/log.h"
#include "event/loop.h"

namespace penstock {

namespace {

constexpr Duration kStatusEvery = std::chrono::seconds(5);
// Between the end of the grace and that of the process: cutting sessions, joining threads.
constexpr Duration kTimeToExit = std::chrono::seconds(10);

std::string microseconds(Duration duration) {
  return std::to_string(std::chrono::duration_cast<std::chrono::microseconds>(duration).count());
}

// The protocol is lines: what was not ours may bring no line of its own.
std::string one_line(std::string text) {
  std::ranges::replace_if(
      text, [](char c) { return static_cast<unsigned char>(c) < 0x20; }, ' ');
  return text;
}

bool has_notify_socket() {
  const char* path = std::getenv("NOTIFY_SOCKET");
  return path != nullptr && *path != '\0';
}

}  // namespace

ServiceManager::ServiceManager(Loop& loop, Log& log, const Questions& questions)
    : loop_(loop),
      log_(log),
      questions_(questions),
      listening_(has_notify_socket()),
      watchdog_(loop.timers(), Delegate<void()>::to<&ServiceManager::on_watchdog_due>(*this)),
      status_(loop.timers(), Delegate<void()>::to<&ServiceManager::on_status_due>(*this)) {}

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

void ServiceManager::send(const std::string& lines) {
  if (!listening_) return;
  const int result = sd_notify(0, lines.c_str());
  if (result >= 0) return;
  log_.write_limited(LogLevel::kWarning, "service manager",
                     "$NOTIFY_SOCKET does not take our messages", loop_.now(),
                     {{"error", std::strerror(-result)}});
}

void ServiceManager::send_with_status(const std::string& lines) {
  last_status_ = one_line(questions_.status());
  send(lines + "\nSTATUS=" + last_status_);
}

void ServiceManager::on_status_due() {
  status_.arm(loop_.now() + kStatusEvery);
  std::string status = one_line(questions_.status());
  if (status == last_status_) return;
  last_status_ = std::move(status);
  send("STATUS=" + last_status_);
}

void ServiceManager::start_watchdog() {
  std::uint64_t interval_us = 0;
  const int result = sd_watchdog_enabled(0, &interval_us);  // minds $WATCHDOG_PID
  if (result < 0) {
    log_.warning("$WATCHDOG_USEC cannot be used: there is no watchdog",
                 {{"error", std::strerror(-result)}});
  }
  if (result <= 0) return;
  feed_every_ = std::chrono::microseconds(interval_us / 2);
  on_watchdog_due();
}

void ServiceManager::on_watchdog_due() {
  watchdog_.arm(loop_.now() + feed_every_);
  if (waits_for_workers_) return;  // a worker hangs; its answer, if it comes, is told at once
  waits_for_workers_ = true;
  questions_.check_workers(Delegate<void()>::to<&ServiceManager::on_workers_alive>(*this));
}

void ServiceManager::on_workers_alive() {
  waits_for_workers_ = false;
  send("WATCHDOG=1");
}

}  // namespace penstock
