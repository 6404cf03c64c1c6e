#include "net/address_order.h"

#include <sys/socket.h>

#include <algorithm>

namespace penstock {

namespace {

AddressList of_family(const AddressList& addresses, int family, std::size_t turn) {
  AddressList found;
  for (const SocketAddress& address : addresses) {
    if (address.family() == family) found.push_back(address);
  }
  if (found.empty()) return found;
  const auto first = found.begin() + static_cast<std::ptrdiff_t>(turn % found.size());
  std::rotate(found.begin(), first, found.end());
  return found;
}

}  // namespace

int other_family(int family) { return family == AF_INET6 ? AF_INET : AF_INET6; }

AddressList interleave(const AddressList& addresses, int first_family, std::size_t turn) {
  const AddressList first = of_family(addresses, first_family, turn);
  const AddressList second = of_family(addresses, other_family(first_family), turn);
  AddressList order;
  order.reserve(addresses.size());
  for (std::size_t i = 0; i < std::max(first.size(), second.size()); ++i) {
    if (i < first.size()) order.push_back(first[i]);
    if (i < second.size()) order.push_back(second[i]);
  }
  return order;
}

}  // namespace penstock
