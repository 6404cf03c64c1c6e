// Who has a TCP port: for the error that says it is in use.
#pragma once

#include <string>

#include "net/address.h"

namespace penstock {

// "pid 123 (nginx -g daemon off;)"; "a process of uid 33" where its pid is hidden from us; "" when
// no listening socket has the address.
std::string port_owner(const SocketAddress& address);
// A listening socket of this process has the address.
bool is_own_port(const SocketAddress& address);

}  // namespace penstock
