// What the service manager (systemd, or whoever set $NOTIFY_SOCKET) is told: that we are ready,
// that we reload or stop, a line of status for `systemctl status`, and that we are alive.
//
// The watchdog ($WATCHDOG_USEC) is fed at half its interval, each time only after every worker's
// loop has turned: whether a worker hangs or the control loop, the manager hears nothing and
// restarts us. Without $NOTIFY_SOCKET every call does nothing.
//
// No call waits for a manager that does not read for a while: what it must know is kept and told
// once it reads again, the rest is dropped.
//
// Owner: the Daemon. Thread: the control loop's. Ends without a word.
#pragma once

#include <sys/types.h>
#include <functional>

#include <cstdint>
#include <deque>
#include <optional>
#include <string>

#include "base/delegate.h"
#include "base/time.h"
#include "event/timer_wheel.h"
#include "server/takeover_words.h"

namespace penstock {

class Log;
class Loop;

class ServiceManager {
 public:
  // What it asks of the daemon.
  struct Questions {
    Delegate<std::string()> status;  // one line
    // Calls back once every worker's loop has turned; never when one hangs.
    Delegate<void(std::function<void()>)> check_workers;
  };
  ServiceManager(Loop& loop, Log& log, const Questions& questions);
  ServiceManager(const ServiceManager&) = delete;
  ServiceManager& operator=(const ServiceManager&) = delete;
  ~ServiceManager();

  // Requests are served: at the start, and again after each reload, however it went.
  void ready();
  void reloading();
  // The manager is asked for `grace` and some time more, whatever its own limit is.
  void stopping(Duration grace);

  // Another process serves from now on: it is the main one, and nothing is told from here.
  void hand_over(pid_t successor);
  // What it needs to do so, and the other way round: what is not in our own environment.
  HandedManager handed() const;
  void adopt(const HandedManager& manager);

 private:
  void send(const std::string& lines);
  void keep(const std::string& lines);
  void send_kept();
  bool send_now_or_never(const std::string& lines);
  bool try_to_send(const std::string& lines);
  void send_with_status(const std::string& lines);
  void start_watchdog();
  std::optional<std::uint64_t> watchdog_for_us() const;
  void on_watchdog_due();
  void on_workers_alive();
  void on_status_due();

  Loop& loop_;  // borrowed, like the log and what answers the questions: outlive us
  Log& log_;
  const Questions questions_;
  bool listening_;         // there is somebody to tell
  Duration feed_every_{};  // zero: no watchdog
  std::uint64_t adopted_watchdog_usec_ = 0;
  Deadline watchdog_;
  Deadline status_;
  Deadline retry_;
  std::deque<std::string> kept_;  // what the manager must still be told, the oldest first
  std::string last_status_;
  bool waits_for_workers_ = false;
};

}  // namespace penstock
