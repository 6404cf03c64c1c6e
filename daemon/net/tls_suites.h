// The order in which we ask for the cipher suites of TLS 1.3.
#pragma once

#include <openssl/ssl.h>

namespace penstock {

// Puts AES-128-GCM right before AES-256-GCM, where it comes later: browsers and Go ask for it first
// too, since it is as safe from anybody there is and takes an eighth less of the work per byte. A
// suite that the system's policy (openssl.cnf) leaves out stays out, and the others keep the order
// that it has; the server may have its own.
void prefer_aes_128(SSL_CTX* context);

}  // namespace penstock
