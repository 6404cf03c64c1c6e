// From a name to a connected, verified stream: resolve, connect, TLS handshake.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "base/error.h"
#include "base/pending.h"
#include "base/time.h"
#include "net/address.h"
#include "net/client_scope.h"
#include "net/stream.h"

namespace penstock {

class TlsClientContext;

// Everything that decides what a connection is: two connections dialled from equal targets are
// interchangeable. Immutable; shared by the flavor, its connections and its dials.
struct DialTarget {
  std::string host{};  // resolved, unless an IP literal (without brackets)
  std::uint16_t port = 0;
  std::string unix_path{};                        // dialled instead of host:port when not empty
  std::shared_ptr<const TlsClientContext> tls{};  // null: plaintext
  std::string server_name{};         // SNI (when a name) and the name or address that is verified
  std::uint16_t authority_port = 0;  // with server_name, the key of kept TLS sessions
  std::optional<Duration> tcp_keepalive{};
  std::optional<Duration> write_stall{};          // TCP itself does not give up before
  std::optional<SocketAddress> source_address{};  // port 0; only addresses of its family are tried
  ClientScope scope = ClientScope::kMachine;      // whose requests it is for; egress asks
};

// No value: no limit.
struct DialLimits {
  std::optional<Duration> resolve{};
  std::optional<Duration> connect{};
  std::optional<Duration> tls_handshake{};
  std::optional<Duration> queue{};  // for a file descriptor, when none is left
};

// kNever where the stage was not reached or did not happen (no lookup for a literal).
struct DialTimes {
  MonotonicTime started = kNever;
  MonotonicTime resolved = kNever;
  MonotonicTime connected = kNever;
  MonotonicTime handshaken = kNever;
};

struct Dialed {
  std::unique_ptr<Stream> stream;
  SocketAddress address;
  DialTimes times;
  bool tls_resumed = false;
};

class DialHandler {
 public:
  // The dial entered this phase (kResolve, kConnect, kTlsHandshake) at times.* of now; or it waits
  // for a file descriptor (kQueue), and is to enter kConnect once more.
  virtual void on_dial_phase(Phase phase) = 0;
  virtual void on_dialed(Dialed dialed) = 0;
  // error.phase names the stage, error.limit_key the limit when one fired.
  virtual void on_dial_failed(Error error, DialTimes times) = 0;

 protected:
  ~DialHandler() = default;
};

// Thread: its worker's loop. `target` is kept alive by the dial.
class Dialer {
 public:
  virtual ~Dialer() = default;
  // Never calls back before it has returned.
  [[nodiscard]] virtual Pending dial(std::shared_ptr<const DialTarget> target,
                                     const DialLimits& limits, DialHandler& handler) = 0;
  // Connections to this name are open: it is worth knowing where it leads before it is dialled
  // again.
  virtual void keep_fresh(const std::string& /*host*/) {}
  // Takes a stream at rest, which another dialer made, to this one's loop; as Stream::move_to().
  [[nodiscard]] virtual bool adopt(Stream& stream, WatchGate& gate) = 0;
};

}  // namespace penstock
