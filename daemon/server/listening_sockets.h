// The listening sockets of the process, by the addresses that the configuration gives them: opened,
// taken over from systemd, kept through reloads, and their files removed in the end.
//
// A TCP address has a socket for each worker, others have one; what is taken over has as many as
// the other process had. The descriptors go to the workers,
// which accept from them; what else belongs to the socket stays here. Removing one unlinks its file
// first, so the worker must close it after that.
//
// Owner: the Daemon. Thread: the control loop's.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/log.h"
#include "base/result.h"
#include "config/settings.h"
#include "net/address.h"
#include "net/unique_fd.h"
#include "net/unix_listener.h"
#include "server/passed_sockets.h"
#include "server/takeover.h"

namespace penstock {

// Why nothing can be listened on, and the exit code that says so at start.
struct ListenFault {
  std::string why;
  int exit_code;
};

// The listener of this address; null when there is none.
const ListenerSettings* find_listener(const Config& config, std::string_view address);

struct ListeningSocket {
  std::string address;  // as configured
  SocketAddress local;
  std::vector<UniqueFd> fds;  // until the workers have them; before the file, which must end first
  UnixSocketFile file;        // of a unix: address
};

// By one socket; only the daemon's user and root may connect to a unix one.
Result<ListeningSocket, ListenFault> open_admin_socket(const std::string& address);

// As another process has given it, which still has its file.
ListeningSocket inherited_socket(HandedSockets handed);

class ListeningSockets {
 public:
  explicit ListeningSockets(std::size_t worker_count) : worker_count_(worker_count) {}

  using List = std::vector<ListeningSocket>;

  // Opens what `next` names and is not open, for adopt(); what is dropped instead is closed. A unix
  // socket whose file is lost is not open. Fails too when a socket that is open does not fit what
  // `next` says of its clients.
  Result<List, ListenFault> open_missing(const Config& next) const;
  // The addresses of those that had been lost, whose sockets the workers must close.
  std::vector<std::string> adopt(List opened);

  // Takes what another process gives for the addresses of `config`; open_missing() opens the rest,
  // and says what does not fit. Its files stay the other one's.
  void inherit(const Config& config, Takeover& takeover);
  // It has let go of them: they are ours, with the mode and owner of `config`. A failure is logged.
  void own_files(const Config& config, Log& log);
  // Another process has this socket now, and its file.
  void give_away(std::string_view address);

  // Gives the files of unix sockets the modes and owners of `after`. A failure is logged.
  void change_access(const Config& before, const Config& after, Log& log) const;
  // Lets go of what `config` does not name; the addresses, for the workers to close.
  std::vector<std::string> remove_unnamed(const Config& config);
  void clear() { open_.clear(); }

  // There is a socket that clients can come to.
  bool is_open(std::string_view address) const;
  List& all() { return open_; }
  const List& all() const { return open_; }
  // Sockets that systemd passed and no listener takes.
  std::vector<std::string> unused_names(const Config& config) const;

 private:
  bool is_passed(std::string_view address) const;
  Result<List, ListenFault> open(const ListenerSettings& listener) const;
  Result<List, ListenFault> take_passed(const ListenerSettings& listener) const;

  const std::size_t worker_count_;
  const PassedSockets passed_;
  List open_;
};

}  // namespace penstock
