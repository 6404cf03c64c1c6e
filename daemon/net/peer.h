// Who is at the other end of an accepted connection, and who may be there.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "net/address.h"

namespace penstock {

// A value.
struct Peer {
  Peer() = default;
  Peer(const SocketAddress& the_address, std::optional<std::uint32_t> the_uid = {})  // NOLINT
      : address(the_address), uid(the_uid) {}

  SocketAddress address;
  std::optional<std::uint32_t> uid;  // of a unix socket's client, when it connected

  std::string to_string() const;  // "127.0.0.1:50412", "unix"
};

// Asks the kernel for the user of a unix socket's client (SO_PEERCRED).
Peer identify_peer(int fd, const SocketAddress& address);

// The clients that a listener takes. A value, immutable after construction.
class ClientFilter {
 public:
  ClientFilter() = default;  // all
  // User ids for clients of a unix socket, and names or CIDRs (find_blocks()) for others, valid
  // already; an empty list admits all of its kind.
  ClientFilter(const std::vector<std::string>& uids, const std::vector<std::string>& addresses);

  bool admits(const Peer& peer) const;

 private:
  std::vector<std::uint32_t> uids_;
  std::vector<Cidr> blocks_;
};

}  // namespace penstock
