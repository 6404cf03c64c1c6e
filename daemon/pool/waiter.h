// A request that waits for a connection.
//
// It stands in one of two lists of its HostPool's worker slot: `queued` while no dial is for it,
// `paired` once one is. The pairing only says whose phases it is told and whose error it gets:
// connections are delivered in order of arrival, whichever comes first.
//
// Owner: the exchange, as the Pending that acquire() returned; its destructor gives up the place
// and leaves the dial to others. Thread: its worker's.
#pragma once

#include <cstdint>

#include "base/error.h"
#include "base/intrusive_list.h"
#include "base/pending.h"
#include "base/time.h"
#include "net/dialer.h"
#include "pool/flavor.h"
#include "pool/lease.h"

namespace penstock {

class HostPool;
class WorkerPool;

class AcquireHandler {
 public:
  virtual void on_acquired(Lease lease) = 0;
  virtual void on_acquire_failed(Error error) = 0;
  // A dial is under way for this request and is now in this phase (also when it is given another);
  // kQueue: it is not any more, since the upstream was paused or an older request has its dial.
  // Unlike the two above it may end this request only, and no lease: others are yet to be told.
  virtual void on_dial_phase(Phase phase) = 0;

 protected:
  ~AcquireHandler() = default;
};

enum class WaiterState : std::uint8_t { kQueued, kPaired, kServed };

class Waiter final : public PendingOperation, public ListNode<> {
 public:
  Waiter(HostPool& host, WorkerPool& worker, FlavorRef flavor, const DialLimits& limits,
         AcquireHandler& handler, MonotonicTime now)
      : host_(host),
        worker_(worker),
        flavor_(std::move(flavor)),
        limits_(limits),
        handler_(handler),
        since_(now) {}
  ~Waiter() override;

 private:
  friend class HostPool;
  friend class UpstreamConnection;

  Phase phase() const;  // of its dial; kQueue without one

  HostPool& host_;
  WorkerPool& worker_;
  const FlavorRef flavor_;
  const DialLimits limits_;
  AcquireHandler& handler_;
  const MonotonicTime since_;
  bool wants_new_ = false;  // only a connection that nobody has used will do
  bool starting_ = true;    // acquire() has not returned: its result tells the phase
  WaiterState state_ = WaiterState::kQueued;  // the list it is in; kServed: none of the host's
  UpstreamConnection* dial_ = nullptr;        // borrowed: the dial it is paired with
};

}  // namespace penstock
