#include "net/peer.h"

#include <sys/socket.h>

#include <algorithm>
#include <cassert>
#include <charconv>

#include "net/address_rules.h"

namespace penstock {

std::string Peer::to_string() const {
  return address.family() == AF_UNIX ? "unix" : address.to_string();
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
  if (peer.address.family() != AF_UNIX) {
    return blocks_.empty() || matches_any(blocks_, peer.address);
  }
  if (uids_.empty()) return true;
  return peer.uid && std::find(uids_.begin(), uids_.end(), *peer.uid) != uids_.end();
}

}  // namespace penstock
