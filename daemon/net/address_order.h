// In which order the addresses of a name are tried. Pure.
#pragma once

#include <cstddef>

#include "net/resolver.h"

namespace penstock {

// AF_INET for AF_INET6 and the other way round.
int other_family(int family);

// IPv6 and IPv4 in turn, beginning with `first_family` where it has an address (RFC 8305 section
// 4, with one address of the first family before the other's). Within a family the order is the
// resolver's, rotated by `turn`, so that the dials of a name begin at each address in turn.
AddressList interleave(const AddressList& addresses, int first_family, std::size_t turn);

}  // namespace penstock
