// The new process's side of a takeover: it is given the listening sockets of the one that runs.
//
// It asks, is sent every socket with the address that it has in the configuration, serves, and says
// which ones it has kept; only then the other one drains. Until it has said so nothing has changed
// for the other: it may fail for whatever reason. All of it blocks, for a few seconds at most.
//
// Owner: the Daemon, until it serves. Thread: the control loop's. Ends by closing what nobody took.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "net/unique_fd.h"
#include "server/takeover_words.h"

namespace penstock {

// Where a process of this configuration is asked for its sockets: in $RUNTIME_DIRECTORY (systemd
// sets it) or $XDG_RUNTIME_DIR. Empty where there is neither.
std::string takeover_path(const std::string& config_path);

class Takeover {
 public:
  // Asks whoever runs. nullopt: nobody does, there is nothing to take over. When the other one ends
  // in the middle, what came so far is kept. An error says why it cannot be, in a sentence.
  static Result<std::optional<Takeover>, std::string> begin(const std::string& path);

  // Sockets of this kind, all of that address; empty when there are none left.
  std::vector<HandedSockets> take(HandedKind kind, std::string_view address);
  const HandedManager& manager() const { return manager_; }

  // Requests are served: the other one drains. False when it has not confirmed it in time, or has
  // ended meanwhile.
  bool finish();

 private:
  struct Handed {
    HandedSockets sockets;
    std::size_t number;  // in the order in which they came
  };
  Takeover(UniqueFd socket, pid_t pid) : socket_(std::move(socket)), pid_(pid) {}
  Result<void, std::string> receive_sockets();
  void wait_for_its_end() const;
  void keep(const TakeoverWords& words, std::vector<UniqueFd> descriptors);

  UniqueFd socket_;
  pid_t pid_;
  HandedManager manager_;
  std::vector<Handed> handed_;  // and not taken
  std::size_t received_ = 0;
  std::vector<std::size_t> kept_;
};

}  // namespace penstock
