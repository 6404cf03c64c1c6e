// Where OpenSSL has memory from that it takes and gives back with every record: each thread keeps
// some that was given back.
//
// SSL_MODE_RELEASE_BUFFERS frees a connection's buffers whenever nothing is in them, so that an
// idle one holds none; the next record asks for them again, at sizes beyond malloc's fast ways. And
// each length within a record that is yet to be written is noted in 40 bytes of their own.
#pragma once

namespace penstock {

// For the whole process, before anything else of OpenSSL is used: it cannot be had later, and then
// nothing changes (false).
bool keep_tls_memory();

}  // namespace penstock
