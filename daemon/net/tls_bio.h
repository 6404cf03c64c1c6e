// The BIO between OpenSSL and a connected socket: recv, send and no more.
//
// OpenSSL asks a BIO thirteen questions per request (is it the kernel that encrypts?), and its own
// for sockets takes the long way to each answer.
//
// OpenSSL reads on within one call until it has found application data, however much else the peer
// sends. `reads_left` bounds that: at 0 a read says "not now" without asking the kernel, which
// announces again what it holds.
#pragma once

#include "net/tls_ptr.h"

namespace penstock {

struct BioSocket {
  int fd;               // the caller's, and open for as long as the BIO is used
  bool filled = false;  // the last read took as much as it asked for: there may be more
  int reads_left = 0;   // set by the caller before each call that may read
  bool corked = false;  // set by the caller: a write follows at once that fills the segment up
};

// The socket stays the caller's, and outlives the BIO. Null: no memory.
BioPtr new_socket_bio(BioSocket& socket);

}  // namespace penstock
