// An upstream connection between two requests of the one client connection that it belongs to: NTLM
// and Negotiate authenticate connections, not requests, so that nobody else may speak on it
// (RFC 4559 section 6). The pool counts it as busy.
//
// Owner: the ClientSession. Thread: its worker's. It closes when the upstream closes it or speaks
// unasked, when it is replaced, and with its session.
#pragma once

#include <cstdint>
#include <string>

#include "net/stream.h"
#include "pool/lease.h"
#include "proxy/router.h"

namespace penstock {

class PinnedConnection final : private StreamHandler {
 public:
  PinnedConnection() = default;
  ~PinnedConnection() = default;  // closes what it holds
  PinnedConnection(const PinnedConnection&) = delete;
  PinnedConnection& operator=(const PinnedConnection&) = delete;

  // `route`: of the request that the connection has served.
  void hold(Lease lease, const Route& route);
  // The connection, for another request to the same place; empty when there is none.
  Lease take(const Route& route);
  void close(CloseReason reason);

 private:
  void on_readable() override;
  void on_writable() override {}

  Lease lease_;
  std::string upstream_;
  std::uint64_t identity_ = 0;
  std::string host_;
  std::uint16_t port_ = 0;
  bool tls_ = false;
};

}  // namespace penstock
