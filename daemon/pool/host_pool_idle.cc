// HostPool's idle connections: which are kept, which serves next, and when each ends.

#include <algorithm>
#include <cassert>

#include "pool/host_pool.h"
#include "pool/worker_pool.h"
#include "telemetry/metrics.h"

namespace penstock {

UpstreamConnection* HostPool::take_idle(Slot& slot, const Flavor& flavor) {
  if (limits_.order == PoolOrder::kFifo) {
    for (auto it = slot.idle.end(); it != slot.idle.begin();) {
      --it;
      if (it->flavor_->same_as(flavor)) return &*it;
    }
    return nullptr;
  }
  for (UpstreamConnection& connection : slot.idle) {
    if (connection.flavor_->same_as(flavor)) return &connection;
  }
  return nullptr;
}

// What was opened to the same address no later has likely died of the same.
void HostPool::end_older_idle(const UpstreamConnection& failed, Next& next) {
  Slot& slot = slot_of(failed.worker_);
  for (auto it = slot.idle.begin(); it != slot.idle.end();) {
    UpstreamConnection& idle = *it;
    ++it;
    if (idle.created_ <= failed.created_ && idle.address_ == failed.address_)
      end(idle, CloseReason::kError, next);
  }
}

// Why a connection may not serve another exchange; nothing when it may.
std::optional<CloseReason> HostPool::unfit(const UpstreamConnection& connection) const {
  if (connection.flavor_->identity != identity_) return CloseReason::kRetiredReload;
  if (permits_ > limits_.max_connections) return CloseReason::kTrimmed;
  if (!limits_.reuse && connection.requests_ > 0) return CloseReason::kMaxRequests;
  if (connection.requests_ >= limits_.max_requests) return CloseReason::kMaxRequests;
  if (end_of_life(connection) <= connection.worker_.now()) return CloseReason::kMaxLifetime;
  return std::nullopt;
}

MonotonicTime HostPool::end_of_life(const UpstreamConnection& connection) const {
  if (!limits_.max_lifetime) return kForever;
  return connection.created_ +
         std::chrono::duration_cast<Duration>(*limits_.max_lifetime * connection.lifetime_share_);
}

// When an idle connection is to be closed.
MonotonicTime HostPool::end_of_idling(const UpstreamConnection& connection) const {
  const MonotonicTime end = end_of_life(connection);
  if (!limits_.idle_timeout) return end;
  return std::min(end, connection.idle_since_ + *limits_.idle_timeout);
}

void HostPool::join_idle(UpstreamConnection& connection) {
  Slot& slot = slot_of(connection.worker_);
  slot.idle.push_front(connection);
  connection.idle_since_ = connection.worker_.now();
  connection.stream_->set_handler(&connection);
  const MonotonicTime end = end_of_idling(connection);
  if (end < slot.sweep->deadline.expiry()) slot.sweep->deadline.arm(end);
}

void HostPool::arm_sweep(Slot& slot) {
  MonotonicTime first = kForever;
  for (const UpstreamConnection& idle : slot.idle) first = std::min(first, end_of_idling(idle));
  slot.sweep->deadline.arm(first);
}

// A connection that came back or was just dialled: to a waiter, to the idle ones, or to its end.
void HostPool::place(UpstreamConnection& connection, Next& next) {
  std::optional<CloseReason> reason = unfit(connection);
  const bool fresh =
      connection.requests_ == 0;  // its dial was begun for somebody: that one is served
  Slot& slot = slot_of(connection.worker_);
  if (!reason || fresh) {
    if (Waiter* waiter = first_waiter(slot, connection)) {
      deliver(connection, *waiter, next);
      return;
    }
  }
  if (!reason && !limits_.reuse) reason = CloseReason::kMaxRequests;
  // A waiter of another flavor or worker needs the permit.
  if (!reason && permits_ >= limits_.max_connections && neediest_slot() != nullptr) {
    reason = CloseReason::kEvicted;
  }
  if (!reason && idle_count_ >= limits_.max_idle) {
    if (slot.idle.empty()) {
      reason = CloseReason::kTrimmed;
    } else {
      end(slot.idle.back(), CloseReason::kTrimmed, next);  // the freshest are kept
    }
  }
  if (reason) {
    end(connection, *reason, next);
  } else {
    move_to(connection, ConnectionState::kIdle);
  }
  use_permits(connection.worker_, next);
}

// Idle connections

void HostPool::on_sweep(WorkerPool& worker) {
  Next next;
  {
    const std::lock_guard lock(mutex_);
    Slot& slot = slot_of(worker);
    const MonotonicTime now = worker.now();
    for (auto it = slot.idle.begin(); it != slot.idle.end();) {
      UpstreamConnection& idle = *it;
      ++it;
      if (end_of_idling(idle) > now) continue;
      const bool too_old = end_of_life(idle) <= now;
      end(idle, too_old ? CloseReason::kMaxLifetime : CloseReason::kIdleTimeout, next);
    }
    arm_sweep(slot);
    use_permits(worker, next);
  }
  carry_out(next);
}

void HostPool::trim(WorkerPool& worker) {
  Next next;
  {
    const std::lock_guard lock(mutex_);
    Slot& slot = slot_of(worker);
    ConnectionList kept;
    kept.splice_back(slot.idle);
    while (!kept.empty()) {
      UpstreamConnection& connection = kept.back();  // the oldest first
      std::optional<CloseReason> reason = unfit(connection);
      if (!reason && (idle_count_ > limits_.max_idle || !limits_.reuse))
        reason = CloseReason::kTrimmed;
      if (reason) {
        end(connection, *reason, next);
      } else {
        connection.unlink();
        slot.idle.push_front(connection);
      }
    }
    arm_sweep(slot);
    use_permits(worker, next);
  }
  carry_out(next);
}

}  // namespace penstock
