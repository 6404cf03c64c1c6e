// HostPool's idle connections: which are kept, which serves next, and when each ends.

#include <algorithm>
#include <cassert>

#include "pool/host_pool.h"
#include "pool/worker_pool.h"
#include "telemetry/metrics.h"

namespace penstock {

namespace {

// What was idle for less has not been slept through unseen.
constexpr Duration kBriefly = std::chrono::milliseconds(5);

// Connections to an address that has left are closed a few at a time: their load moves elsewhere.
constexpr Duration kRetirementInterval = std::chrono::seconds(1);

Limit shorter(const Limit& a, const Limit& b) {
  if (!a || !b) return a ? a : b;
  return std::min(*a, *b);
}

}  // namespace

UpstreamConnection* HostPool::take_idle(Slot& slot, const Flavor& flavor, bool prefers_recent,
                                        Next& next) {
  UpstreamConnection* connection = find_idle(slot, flavor, prefers_recent);
  if (connection == nullptr) return nullptr;
  const Duration idle = slot.worker->now() - connection->idle_since_;
  if (idle > kBriefly) {
    if (slot.worker->woke_at() >= connection->idle_since_) {
      end_those_slept_through(slot, next);
      use_permits(*slot.worker, next);
      return find_idle(slot, flavor, prefers_recent);
    }
    learned_idle_.on_alive(idle);
  }
  return connection;
}

UpstreamConnection* HostPool::find_idle(Slot& slot, const Flavor& flavor, bool prefers_recent) {
  if (limits_.order == PoolOrder::kFifo && !prefers_recent) {
    for (auto it = slot.idle.end(); it != slot.idle.begin();) {
      --it;
      if (it->flavor_->same_as(flavor) && !it->looking_) return &*it;
    }
    return nullptr;
  }
  for (UpstreamConnection& connection : slot.idle) {
    if (connection.flavor_->same_as(flavor) && !connection.looking_) return &connection;
  }
  return nullptr;
}

// What was opened to the same address no later has likely died of the same.
void HostPool::end_older_idle(const UpstreamConnection& failed, Next& next) {
  for (Slot& slot : slots_) {
    for (auto it = slot.idle.begin(); it != slot.idle.end();) {
      UpstreamConnection& idle = *it;
      ++it;
      if (idle.created_ > failed.created_ || idle.address_ != failed.address_ || idle.looking_)
        continue;
      end_idle(idle, failed.worker(), CloseReason::kError, next);
    }
  }
}

// Why a connection may not serve another exchange; nothing when it may.
std::optional<CloseReason> HostPool::unfit(const UpstreamConnection& connection) const {
  if (connection.flavor_->identity != identity_) return CloseReason::kRetiredReload;
  if (permits_ > limits_.max_connections || bounds_.connections.exceeded())
    return CloseReason::kTrimmed;
  if (!limits_.reuse && connection.requests_ > 0) return CloseReason::kMaxRequests;
  if (connection.requests_ >= limits_.max_requests) return CloseReason::kMaxRequests;
  if (connection.departed_) return CloseReason::kRetiredDns;
  if (connection.id_ < retired_below_) return CloseReason::kAdmin;
  if (connection.requests_ >= connection.server_max_requests_) return CloseReason::kServerClose;
  if (end_of_life(connection) <= connection.worker().now()) return CloseReason::kMaxLifetime;
  return std::nullopt;
}

MonotonicTime HostPool::end_of_life(const UpstreamConnection& connection) const {
  if (!limits_.max_lifetime) return kForever;
  return connection.created_ +
         std::chrono::duration_cast<Duration>(*limits_.max_lifetime * connection.lifetime_share_);
}

// When an idle connection is to be closed.
MonotonicTime HostPool::end_of_idling(const UpstreamConnection& connection) const {
  const Limit idle = shorter(shorter(limits_.idle_timeout, connection.server_idle_),
                             learned_idle_.usable(connection.worker().now()));
  const MonotonicTime end = end_of_life(connection);
  return idle ? std::min(end, connection.idle_since_ + *idle) : end;
}

// What it did with a connection that was never used says nothing of those that were.
void HostPool::learn_from_close(const UpstreamConnection& idle, CloseReason reason) {
  if (reason != CloseReason::kPeerClosedIdle || idle.requests_ == 0) return;
  const MonotonicTime now = idle.worker().now();
  learned_idle_.on_closed(now - idle.idle_since_, now);
  arm_sweep(slot_of(idle.worker()));
}

// Servers have long closed what was idle while the machine slept, and nobody could tell us.
void HostPool::end_those_slept_through(Slot& slot, Next& next) {
  const MonotonicTime woke_at = slot.worker->woke_at();
  while (!slot.idle.empty() && slot.idle.back().idle_since_ <= woke_at)
    end(slot.idle.back(), CloseReason::kIdleTimeout, next);
}

void HostPool::join_idle(UpstreamConnection& connection) {
  Slot& slot = slot_of(connection.worker());
  ++idle_count_;
  ++slot.idle_count;
  slot.idle.push_front(connection);
  connection.idle_since_ = connection.worker().now();
  connection.stream_->set_handler(&connection);
  const MonotonicTime due = next_look(slot, connection);
  if (due < slot.sweep->deadline.expiry()) slot.sweep->deadline.arm(due);
  if (slots_.size() == 1) return;  // nobody else is there to take it
  if (connection.gate_ == nullptr)
    connection.gate_ = std::make_shared<IdleGate>(shared_from_this(), connection);
  connection.stream_->rest(connection.gate_);
}

void HostPool::leave_idle(UpstreamConnection& connection) {
  Slot& slot = slot_of(connection.worker());
  --idle_count_;
  --slot.idle_count;
  bounds_.idle.leave();
  // Another worker's clocks are its own: who takes a connection from it tells it so.
  if (slot.warm != nullptr && slot.worker->executor().on_thread()) notice_shortage(slot);
}

// When the sweep has something to do about an idle connection: to close it, or to have it replaced.
MonotonicTime HostPool::next_look(const Slot& slot, const UpstreamConnection& idle) const {
  if (idle.departed_) return std::min(end_of_idling(idle), slot.next_retirement);
  if (slot.warm != nullptr && replace_at(idle) > idle.worker().now()) return replace_at(idle);
  return end_of_idling(idle);
}

void HostPool::arm_sweep(Slot& slot) {
  MonotonicTime first = kForever;
  for (const UpstreamConnection& idle : slot.idle) first = std::min(first, next_look(slot, idle));
  slot.sweep->deadline.arm(first);
}

// A connection that came back or was just dialled: to a waiter, to the idle ones, or to its end.
void HostPool::place(UpstreamConnection& connection, Next& next, bool may_evict) {
  std::optional<CloseReason> reason = unfit(connection);
  const bool fresh =
      connection.requests_ == 0;  // its dial was begun for somebody: that one is served
  Slot& slot = slot_of(connection.worker());
  if (!reason && !fresh && gives_way()) reason = CloseReason::kEvicted;
  if (!reason || fresh) {
    Waiter* waiter = first_waiter(slot, connection);
    if (waiter == nullptr || !fresh) {
      if (Slot* other = older_waiters(slot, connection, waiter)) {
        hand_over(connection, *other, next);
        return;
      }
    }
    if (waiter != nullptr) {
      deliver(connection, *waiter, next);
      return;
    }
  }
  if (!reason) reason = unfit_to_idle(connection);
  if (!reason && idle_count_ >= limits_.max_idle) {
    if (slot.idle.empty()) {
      reason = CloseReason::kTrimmed;
    } else {
      end(slot.idle.back(), CloseReason::kTrimmed, next);  // the freshest are kept
    }
  }
  if (!reason && !bounds_.idle.reserve()) {
    if (may_evict) {
      next.homeless = &connection;
      return;
    }
    reason = CloseReason::kEvicted;
  }
  if (reason) {
    end(connection, *reason, next);
  } else {
    move_to(connection, ConnectionState::kIdle);
    note_idle(connection, next);
  }
  use_permits(connection.worker(), next);
}

std::optional<CloseReason> HostPool::unfit_to_idle(const UpstreamConnection& connection) {
  if (!limits_.reuse) return CloseReason::kMaxRequests;
  if (connection.server_idle_ && *connection.server_idle_ <= Duration::zero())
    return CloseReason::kServerClose;
  if (permit_is_needed()) return CloseReason::kEvicted;
  return std::nullopt;
}

// Idle connections

void HostPool::on_sweep(WorkerPool& worker) {
  Next next;
  {
    const std::lock_guard lock(mutex_);
    sweep(slot_of(worker), next);
  }
  carry_out(next);
}

void HostPool::sweep(Slot& slot, Next& next) {
  end_those_slept_through(slot, next);
  const MonotonicTime now = slot.worker->now();
  std::uint32_t may_retire = now >= slot.next_retirement ? limits_.max_connecting : 0;
  for (auto it = slot.idle.begin(); it != slot.idle.end();) {
    UpstreamConnection& idle = *it;
    ++it;
    if (end_of_life(idle) <= now) {
      end(idle, CloseReason::kMaxLifetime, next);
    } else if (end_of_idling(idle) <= now) {
      end(idle, CloseReason::kIdleTimeout, next);
    } else if (idle.departed_ && may_retire > 0) {
      end(idle, CloseReason::kRetiredDns, next);
      --may_retire;
      slot.next_retirement = now + kRetirementInterval;
    }
  }
  arm_sweep(slot);
  use_permits(*slot.worker, next);
  top_up(slot, next);
}

void HostPool::on_address_left(WorkerPool& worker, std::string_view host,
                               const SocketAddress& address) {
  Next next;
  {
    const std::lock_guard lock(mutex_);
    Slot& slot = slot_of(worker);
    mark_departed(host, address, true);
    sweep(slot, next);
  }
  carry_out(next);
}

void HostPool::on_address_returned(WorkerPool&, std::string_view host,
                                   const SocketAddress& address) {
  const std::lock_guard lock(mutex_);
  mark_departed(host, address, false);
}

// Of every worker, for one that is taken over before its own worker hears of it would be missed.
void HostPool::mark_departed(std::string_view host, const SocketAddress& address, bool departed) {
  const auto mark = [&](ConnectionList& list) {
    for (UpstreamConnection& connection : list) {
      if (connection.leads_to(host, address)) connection.departed_ = departed;
    }
  };
  mark(busy_);
  mark(draining_);
  for (Slot& slot : slots_) mark(slot.idle);
}

bool HostPool::in_use() const {
  const std::lock_guard lock(mutex_);
  return permits_ > 0;
}

}  // namespace penstock
