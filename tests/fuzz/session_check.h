// What must be true of the bytes that origins and clients got, whatever was sent to the proxy.
#pragma once

#include "fuzz/session_world.h"

namespace penstock::fuzz {

// Aborts where it is not:
// - an origin gets whole requests, one behind the other, each equal to one that a client sent; at
//   most the last may be cut;
// - a client gets whole responses, one a request and in their order, each equal to one that an
//   origin sent to that request, or the proxy's own; what is cut short does not end like a whole
//   one.
void check_world(const SessionWorld& world);

}  // namespace penstock::fuzz
