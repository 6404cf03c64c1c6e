// Which CA certificates the system holds, as far as can be told without reading them.
#pragma once

#include <string>

namespace penstock {

// A digest of the stamps of what OpenSSL trusts by default, its file and the entries of its
// directories (SSL_CERT_FILE, SSL_CERT_DIR). Equal: nothing has changed. It takes a system call for
// each certificate.
std::string system_ca_stamp();

}  // namespace penstock
