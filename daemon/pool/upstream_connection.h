// One connection to an upstream, from the start of its dial to its close.
//
// Its state is the list of its HostPool that it stands in; HostPool::move_to() moves it, nothing
// else does. While dialling it listens to its dial, while idle to its stream (a byte or an end of
// file retires it), while busy the exchange that leases it does.
//
// Owner: the HostPool's lists. Thread: its worker's; another worker may take it while it is idle,
// and otherwise only links it, under the HostPool's mutex. What a row of /connections shows changes
// under it too, or while dialling before others may look. It ends in kClosed: its stream closes at
// once, its memory a turn later.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/intrusive_list.h"
#include "event/executor.h"
#include "net/dialer.h"
#include "pool/flavor.h"
#include "pool/lease.h"
#include "telemetry/close_reason.h"

namespace penstock {

class HostPool;
class UpstreamConnection;
class Waiter;
class WorkerPool;

// Lets the events of an idle connection in, until another worker takes it.
class IdleGate final : public WatchGate {
 public:
  IdleGate(std::shared_ptr<HostPool> host, UpstreamConnection& connection)
      : host_(std::move(host)), connection_(&connection) {}
  bool enter() override;

 private:
  friend class HostPool;

  const std::shared_ptr<HostPool> host_;
  UpstreamConnection* connection_;  // guarded by the host's mutex; null once it was taken
};

enum class ConnectionState : std::uint8_t { kDialing, kIdle, kBusy, kDraining, kTunnel, kClosed };

class UpstreamConnection final : public ListNode<>,
                                 public DeferredDeletable,
                                 private StreamHandler,
                                 private DialHandler {
 public:
  // Starts in kDialing, holding a permit; HostPool lists it and calls start_dial().
  UpstreamConnection(HostPool& host, WorkerPool& worker, FlavorRef flavor,
                     const DialLimits& limits);
  ~UpstreamConnection() override = default;

  Stream& stream() { return *stream_; }
  std::uint64_t id() const { return id_; }
  const std::string& address() const { return address_; }
  // Exchanges that leased it, the present one included; above 1 it is a reused one.
  std::uint64_t requests() const { return requests_; }
  const DialTimes& dial_times() const { return dial_times_; }
  // Has stood still before this exchange, used or not: it may have died unseen.
  bool reused() const { return requests_ > 1 || idle_since_ != kNever; }
  bool tls_resumed() const { return tls_resumed_; }
  ConnectionState state() const { return state_; }
  // Of its dial; any thread, under the HostPool's mutex.
  Phase dial_phase() const { return dial_phase_; }
  // When it became idle last; kNever when it never did.
  MonotonicTime idle_since() const { return idle_since_; }
  // Looks whether the peer has closed it or spoken meanwhile: one system call. What was idle a
  // moment ago may have died before its event was served.
  bool looks_alive();
  HostPool& host() { return host_; }
  WorkerPool& worker() const { return *worker_; }

 private:
  friend class HostPool;

  void start_dial();
  void begin_use(MonotonicTime now) {
    ++requests_;
    state_since_ = now;
  }
  void heed(const ReuseHints& hints);
  // Dialled for this name, to this address; ports do not count.
  bool leads_to(std::string_view host, const SocketAddress& address) const;
  // Closed or broken, by a look at the socket; data that waits says that it is not.
  bool is_dead();

  void on_dial_phase(Phase phase) override;
  void on_dialed(Dialed dialed) override;
  void on_dial_failed(Error error, DialTimes times) override;
  void on_readable() override;  // only while idle
  void on_writable() override {}

  // constant after construction
  HostPool& host_;
  const FlavorRef flavor_;
  const DialLimits dial_limits_;
  const std::uint64_t id_;
  const MonotonicTime created_;
  const double lifetime_share_;  // how much of max_lifetime it has: so that not all end at once

  // state
  WorkerPool* worker_;  // borrowed: whose it is now
  std::shared_ptr<IdleGate> gate_;
  bool abandoned_ = false;  // taken from another worker only to be closed
  bool looking_ = false;    // idle, and its worker reads what has come: nobody takes it now
  ConnectionState state_ = ConnectionState::kDialing;
  std::atomic<Phase> dial_phase_ = Phase::kResolve;  // its worker's to set, anybody's to read
  Waiter* waiter_ = nullptr;  // borrowed: the one this dial is for; of the same worker
  Pending dial_;              // the dial itself, while kDialing
  std::unique_ptr<Stream> stream_;
  DialTimes dial_times_;
  std::string address_;
  bool tls_resumed_ = false;
  std::uint64_t requests_ = 0;
  MonotonicTime state_since_ =
      kNever;  // busy, draining or a tunnel; earlier than idle_since_: idle
  MonotonicTime idle_since_ = kNever;
  std::optional<Duration> server_idle_;  // what the server allows, less a margin
  bool departed_ = false;                // its name leads elsewhere now
  std::uint64_t server_max_requests_ = UINT64_MAX;
};

}  // namespace penstock
