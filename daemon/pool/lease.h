// The right to use one connection for one exchange.
//
// release() gives it back for the next one; close() ends it. A lease that is dropped without either
// closes its connection: what became of it is then unknown. Move-only; thread: its worker's.
#pragma once

#include <cstdint>
#include <optional>
#include <utility>

#include "base/time.h"
#include "net/dialer.h"
#include "telemetry/close_reason.h"

namespace penstock {

class AcquireHandler;
class UpstreamConnection;
struct Waiting;

// What the server says of a connection's further use, by Keep-Alive.
struct ReuseHints {
  std::optional<Duration> timeout{};             // it closes after so long without a request
  std::optional<std::uint32_t> more_requests{};  // it serves that many more
};

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
  void release(const ReuseHints& hints = {});
  // With kError, when the connection was used before and proves dead: what is idle to the same
  // address and no younger closes with it.
  void close(CloseReason reason);
  // The exchange was given up and the rest of its response is read, for the connection's sake: it
  // is counted as draining until release() or close().
  void begin_drain();
  // The connection stays with its client (NTLM): another exchange of it begins.
  void begin_next();
  // Both messages of the exchange ended with a tunnel: the connection keeps its permit, is counted
  // as upgraded and never pooled again; close() still ends it.
  void become_tunnel();
  // The connection, used before, turned out dead: it is closed and its permit becomes that of a new
  // dial for this handler, ahead of the queue. Idle connections to the same address that are no
  // younger close with it.
  [[nodiscard]] Waiting redial(CloseReason reason, const DialLimits& limits,
                               AcquireHandler& handler);

 private:
  void drop() {
    if (connection_ != nullptr) close(CloseReason::kError);
  }
  UpstreamConnection* connection_ = nullptr;
};

}  // namespace penstock
