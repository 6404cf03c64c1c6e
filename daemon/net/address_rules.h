// Blocks of addresses as the configuration writes them: by a name, as a CIDR or as one address.
#pragma once

#include <optional>
#include <string_view>
#include <vector>

#include "net/address.h"

namespace penstock {

// link_local, metadata, loopback, private, unspecified, any, or what Cidr::parse() takes; nullopt
// for anything else.
std::optional<std::vector<Cidr>> find_blocks(std::string_view rule);

bool matches_any(const std::vector<Cidr>& blocks, const SocketAddress& address);

}  // namespace penstock
