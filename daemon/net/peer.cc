#include "net/peer.h"

#include <sys/socket.h>

#include <algorithm>
#include <cassert>
#include <charconv>
#include <cstring>

#include "net/address_rules.h"

namespace penstock {

Peer::Peer(const SocketAddress& address, std::optional<std::uint32_t> uid)
    : ipv6_{}, has_uid_(uid.has_value()), uid_(uid.value_or(0)) {
  std::memcpy(&ipv6_, address.data(), std::min<std::size_t>(address.length(), sizeof ipv6_));
}

SocketAddress Peer::address() const {
  switch (any_.sa_family) {
    case AF_INET:
      return SocketAddress::from_sockaddr(&any_, sizeof ipv4_);
    case AF_INET6:
      return SocketAddress::from_sockaddr(&any_, sizeof ipv6_);
    default:
      return SocketAddress::from_sockaddr(&any_, sizeof any_.sa_family);
  }
}

std::optional<std::uint32_t> Peer::uid() const {
  return has_uid_ ? std::optional(uid_) : std::nullopt;
}

std::string Peer::to_string() const {
  return any_.sa_family == AF_UNIX ? "unix" : address().to_string();
}

Peer identify_peer(int fd, const SocketAddress& address) {
  if (address.family() != AF_UNIX) return address;
  ucred credentials{};
  socklen_t length = sizeof credentials;
  if (::getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &credentials, &length) != 0) return address;
  return {address, credentials.uid};
}

ClientFilter::ClientFilter(const std::vector<std::string>& uids,
                           const std::vector<std::string>& addresses) {
  for (const std::string& text : uids) {
    [[maybe_unused]] const auto read =
        std::from_chars(text.data(), text.data() + text.size(), uids_.emplace_back());
    assert(read.ec == std::errc());
  }
  for (const std::string& text : addresses) {
    const auto found = find_blocks(text);
    assert(found);
    blocks_.insert(blocks_.end(), found->begin(), found->end());
  }
}

bool ClientFilter::admits(const Peer& peer) const {
  const SocketAddress address = peer.address();
  if (address.family() != AF_UNIX) return blocks_.empty() || matches_any(blocks_, address);
  if (uids_.empty()) return true;
  const auto uid = peer.uid();
  return uid && std::find(uids_.begin(), uids_.end(), *uid) != uids_.end();
}

}  // namespace penstock
