// The sockets that systemd listens on for us and passed to this process, by their names.
//
// They stay open here for as long as the process runs and are handed out as duplicates: a listener
// that one reload removes and another adds again finds its socket, and clients that come in between
// wait in its queue. (Several workers could accept from duplicates of one socket: its queue is
// one.)
//
// Owner: the ListeningSockets. Thread: the control loop's. Ends by closing them; their files, if
// they have any, are systemd's to remove.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "net/unique_fd.h"

namespace penstock {

class PassedSockets {
 public:
  // Takes over what $LISTEN_FDS says, and clears the variables so that no child does so too.
  PassedSockets();

  // A duplicate of each socket of that name; an error says what is wrong, and which names there
  // are.
  Result<std::vector<UniqueFd>, std::string> duplicate(std::string_view name) const;

  std::vector<std::string> names() const;

 private:
  std::multimap<std::string, UniqueFd, std::less<>> sockets_;
};

}  // namespace penstock
