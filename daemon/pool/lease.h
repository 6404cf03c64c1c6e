// The right to use one connection for one exchange.
//
// release() gives it back for the next one; close() ends it. A lease that is dropped without either
// closes its connection: what became of it is then unknown. Move-only; thread: its worker's.
#pragma once

#include <utility>

#include "telemetry/close_reason.h"

namespace penstock {

class UpstreamConnection;

class Lease {
 public:
  Lease() = default;
  explicit Lease(UpstreamConnection& connection) : connection_(&connection) {}
  Lease(Lease&& other) noexcept : connection_(std::exchange(other.connection_, nullptr)) {}
  Lease& operator=(Lease&& other) noexcept {
    if (this != &other) {
      drop();
      connection_ = std::exchange(other.connection_, nullptr);
    }
    return *this;
  }
  ~Lease() { drop(); }

  explicit operator bool() const { return connection_ != nullptr; }
  UpstreamConnection& operator*() const { return *connection_; }
  UpstreamConnection* operator->() const { return connection_; }

  // Both messages ended cleanly and nothing is left to read: the connection serves the next one,
  // unless a limit or a reload says otherwise. May call a waiter's on_acquired().
  void release();
  void close(CloseReason reason);

 private:
  void drop() {
    if (connection_ != nullptr) close(CloseReason::kError);
  }
  UpstreamConnection* connection_ = nullptr;
};

}  // namespace penstock
