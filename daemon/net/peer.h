// Who is at the other end of an accepted connection, and who may be there.
#pragma once

#include <netinet/in.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "net/address.h"

namespace penstock {

// A value. Every session has one, so that there is no room in it for the path of a unix socket: a
// client's has none as a rule.
class Peer {
 public:
  Peer() : Peer(SocketAddress()) {}
  Peer(const SocketAddress& address, std::optional<std::uint32_t> uid = {});  // NOLINT: converts

  // Of a unix socket's client: the family alone.
  SocketAddress address() const;
  // Of a unix socket's client, when it connected.
  std::optional<std::uint32_t> uid() const;
  std::string to_string() const;  // "127.0.0.1:50412", "unix"

 private:
  union {
    sockaddr any_;
    sockaddr_in ipv4_;
    sockaddr_in6 ipv6_;
  };
  bool has_uid_;
  std::uint32_t uid_;
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
