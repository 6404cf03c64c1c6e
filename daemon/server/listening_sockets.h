// The listening sockets of the process, by the addresses that the configuration gives them: opened,
// taken over from systemd, kept through reloads, and their files removed in the end.
//
// A TCP address has a socket for each worker, others have one. The descriptors go to the workers,
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

namespace penstock {

// Why nothing can be listened on, and the exit code that says so at start.
struct ListenFault {
  std::string why;
  int exit_code;
};

// Listens on an address with a port, as the configuration writes it, by so many sockets.
Result<std::vector<UniqueFd>, ListenFault> open_tcp(const std::string& address, std::size_t count);

// The listener of this address; null when there is none.
const ListenerSettings* find_listener(const Config& config, std::string_view address);

struct ListeningSocket {
  std::string address;  // as configured
  SocketAddress local;
  std::vector<UniqueFd> fds;  // until the workers have them; before the file, which must end first
  UnixSocketFile file;        // of a unix: address
};

class ListeningSockets {
 public:
  explicit ListeningSockets(std::size_t worker_count) : worker_count_(worker_count) {}

  using List = std::vector<ListeningSocket>;

  // Opens what `next` names and is not open, for adopt(); what is dropped instead is closed. Fails
  // too when a socket that is open does not fit what `next` says of its clients.
  Result<List, ListenFault> open_missing(const Config& next) const;
  void adopt(List opened);

  // Gives the files of unix sockets the modes and owners of `after`. A failure is logged.
  void change_access(const Config& before, const Config& after, Log& log) const;
  // Lets go of what `config` does not name; the addresses, for the workers to close.
  std::vector<std::string> remove_unnamed(const Config& config);
  void clear() { open_.clear(); }

  List& all() { return open_; }
  const List& all() const { return open_; }
  // Sockets that systemd passed and no listener takes.
  std::vector<std::string> unused_names(const Config& config) const;

 private:
  bool is_open(std::string_view address) const;
  Result<List, ListenFault> open(const ListenerSettings& listener) const;
  Result<List, ListenFault> take_passed(const ListenerSettings& listener) const;

  const std::size_t worker_count_;
  const PassedSockets passed_;
  List open_;
};

}  // namespace penstock
