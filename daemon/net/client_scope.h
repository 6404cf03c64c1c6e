// Who can send the requests that a connection is for: that decides how far it may reach (egress.h).
#pragma once

#include <cstdint>

#include "net/address.h"

namespace penstock {

enum class ClientScope : std::uint8_t {
  kMachine,  // clients of a unix socket or a loopback address: they are on this machine anyway
  kNetwork,  // clients of any other listener, those on this machine too
};

inline ClientScope scope_of_listener(const SocketAddress& local) {
  return local.is_local() ? ClientScope::kMachine : ClientScope::kNetwork;
}

}  // namespace penstock
