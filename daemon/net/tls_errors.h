// OpenSSL's complaints as Errors that say what to do about them.
#pragma once

#include <openssl/ssl.h>
#include <openssl/x509_vfy.h>

#include <string>
#include <string_view>

#include "base/error.h"

namespace penstock {

// What a verification that has just failed found wrong: reason, depth, subject, issuer, and the
// setting that would mend it. Text that the peer chose is bounded and free of control characters.
std::string describe_certificate_fault(X509_STORE_CTX* verification, std::string_view server_name);

// Drains this thread's error queue after a call that ended with SSL_ERROR_SSL.
// `certificate_fault` is what describe_certificate_fault() said during this handshake, or empty.
Error tls_error(std::string_view certificate_fault);

// Drains the queue into one line, for faults of our own settings.
std::string openssl_reason();

}  // namespace penstock
