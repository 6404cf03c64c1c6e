// The running process's side of a takeover: it gives its listening sockets to the next one, and
// drains once that serves.
//
// It listens on a unix socket of its own, for one successor at a time and only for one of the same
// user. Until the successor says that it serves, both have the sockets and nothing else has changed
// here; if it leaves before, all goes on.
//
// Owner: the Daemon. Thread: the control loop's. Ends without a word: a successor that waits finds
// that we have ended.
#pragma once

#include <sys/types.h>

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/log.h"
#include "event/loop.h"
#include "event/watcher.h"
#include "net/listener.h"
#include "net/unix_listener.h"
#include "server/takeover.h"

namespace penstock {

class TakeoverServer {
 public:
  struct Hooks {
    // Why it may not be now; empty: it may.
    std::function<std::string()> objection;
    // Duplicates of every listening socket, at once or later, but not before this has returned.
    std::function<void(std::function<void(std::vector<HandedSockets>)>)> collect;
    std::function<HandedManager()> manager;
    // It serves, and has kept these. The takeover server may be destroyed in it only later.
    std::function<void(pid_t successor, const std::vector<HandedSockets>& kept)> on_taken;
  };
  TakeoverServer(Loop& loop, Log& log, UniqueFd listening, UnixSocketFile file, Hooks hooks);
  TakeoverServer(const TakeoverServer&) = delete;
  TakeoverServer& operator=(const TakeoverServer&) = delete;

  // Somebody is given our sockets, or has them, and does not serve yet.
  bool pending() const { return asked_; }
  // We end: whoever has them is on its own, who has none yet is refused. What was given.
  std::vector<HandedSockets> give_up();

 private:
  void on_accepted(int fd, const SocketAddress& peer);
  void on_readable(Readiness ready);
  void on_message(const std::string& text);
  void on_hello(const std::string& text);
  void on_ready(const std::string& text);
  void on_collected(std::uint64_t asker, std::vector<HandedSockets> sockets);
  Result<void, int> send_all();
  void refuse(const std::string& why);
  void on_silent();
  void close();

  Loop& loop_;  // borrowed, like the log: outlive us
  Log& log_;
  const Hooks hooks_;
  UniqueFd listening_;  // a duplicate to hand over; before the file, which must end first
  UnixSocketFile file_;
  Listener listener_;

  // The successor, while there is one.
  UniqueFd peer_;  // before the watcher, which must end first
  std::optional<Watcher> watcher_;
  pid_t pid_ = 0;
  bool asked_ = false;
  std::uint64_t asker_ = 0;  // which one it is, for what comes late
  std::vector<HandedSockets> handed_;
  Deadline silent_;  // how long it may take to say something
};

// Listens where takeover_path() says.
Result<UnixListening> listen_for_takeovers(const std::string& path);

}  // namespace penstock
