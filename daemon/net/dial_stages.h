// The three stages of a dial, each with one limit and one completion.
//
// Owner: a Dial, which holds one of them at a time. Thread: its loop's. A completion is called at
// most once, perhaps inside start(), and may destroy the stage; destroying it before cancels.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <string>

#include "base/delegate.h"
#include "base/result.h"
#include "event/timer_wheel.h"
#include "event/watcher.h"
#include "net/dialer.h"
#include "net/egress.h"
#include "net/resolver.h"
#include "net/tls_stream.h"
#include "net/unique_fd.h"

namespace penstock {

class Loop;

// A name to addresses.
class ResolveStage final : private ResolveHandler {
 public:
  using Completion = Delegate<void(Result<AddressList>)>;

  ResolveStage(Loop& loop, Resolver& resolver, Completion done);
  void start(const std::string& host, std::optional<Duration> limit);

 private:
  void on_resolved(const AddressList& addresses, bool complete) override;
  void on_resolve_failed(Error error) override;
  void on_expired();
  void finish(Result<AddressList> result);

  Loop& loop_;
  Resolver& resolver_;
  const Completion done_;
  Deadline deadline_;
  Pending lookup_;
};

struct ConnectedSocket {
  UniqueFd fd;
  SocketAddress address;
};

// Addresses to one connected socket: each that egress allows is tried in turn, and the error of the
// last one tried is the stage's. The limit is over all of them together.
class ConnectStage {
 public:
  using Completion = Delegate<void(Result<ConnectedSocket>)>;

  ConnectStage(Loop& loop, const EgressPolicy& egress, AddressList addresses,
               std::optional<Duration> tcp_keepalive, Completion done);
  ConnectStage(const ConnectStage&) = delete;
  ConnectStage& operator=(const ConnectStage&) = delete;
  void start(std::optional<Duration> limit);

 private:
  enum class Attempt : std::uint8_t { kConnected, kUnderWay, kFailed, kGiveUp };

  void try_addresses();
  Attempt attempt();
  Attempt attempt_failed(int sys);
  void on_ready(Readiness ready);
  void on_expired();
  bool connected_to_itself() const;
  void finish(Result<ConnectedSocket> result);
  const SocketAddress& current() const { return addresses_[next_ - 1]; }

  Loop& loop_;
  const EgressPolicy& egress_;  // borrowed from the dial, which holds the snapshot
  const AddressList addresses_;
  const std::optional<Duration> tcp_keepalive_;
  const Completion done_;
  Deadline deadline_;
  std::size_t next_ = 0;  // in addresses_
  UniqueFd fd_;
  std::optional<Watcher> watcher_;  // ends before fd_
  std::optional<Error> last_error_;
  bool tried_ = false;  // last_error_ comes from an attempt, not from egress
};

// A connected socket to a verified TLS stream.
class HandshakeStage final : private StreamHandler {
 public:
  using Completion = Delegate<void(Result<std::unique_ptr<TlsStream>>)>;

  HandshakeStage(Loop& loop, std::unique_ptr<TlsStream> stream, Completion done);
  void start(std::optional<Duration> limit);

 private:
  void on_readable() override { step(); }
  void on_writable() override { step(); }
  void step();
  void on_expired();
  void finish(Result<std::unique_ptr<TlsStream>> result);

  Loop& loop_;
  const Completion done_;
  Deadline deadline_;
  std::unique_ptr<TlsStream> stream_;
};

}  // namespace penstock
