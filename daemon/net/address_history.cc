#include "net/address_history.h"

#include <sys/socket.h>

#include <algorithm>

namespace penstock {

namespace {

bool answers_family_of(const DnsAnswer& answer, const SocketAddress& address) {
  return address.family() == AF_INET6 ? answer.ipv6_answered : answer.ipv4_answered;
}

}  // namespace

std::vector<AddressChange> AddressHistory::update(const DnsAnswer& answer, Duration forget_after,
                                                  MonotonicTime now) {
  std::vector<AddressChange> changes;
  for (const SocketAddress& address : answer.addresses) note_present(address, changes);
  for (Known& known : known_) {
    if (!answers_family_of(answer, known.address)) continue;
    const bool present =
        std::ranges::find(answer.addresses, known.address) != answer.addresses.end();
    if (present || known.left) continue;
    known.absent_since = std::min(known.absent_since, now);
    if (now - known.absent_since < forget_after) continue;
    known.left = true;
    changes.push_back({known.address, true});
  }
  trim();
  return changes;
}

void AddressHistory::note_present(const SocketAddress& address,
                                  std::vector<AddressChange>& changes) {
  const auto found = std::ranges::find(known_, address, &Known::address);
  if (found == known_.end()) {
    known_.push_back({.address = address});
    return;
  }
  if (found->left) changes.push_back({address, false});
  *found = {.address = address};
}

void AddressHistory::trim() {
  while (known_.size() > kMaxAddresses) {
    known_.erase(std::ranges::min_element(known_, {}, &Known::absent_since));
  }
}

}  // namespace penstock
