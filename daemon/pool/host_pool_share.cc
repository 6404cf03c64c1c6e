// How workers share a host's connections.
//
// What is idle may be taken by any worker, at once and without a message: under the mutex it
// becomes the taker's in the books, then its stream moves to the taker's loop. The old worker's
// loop learns of it at the stream's next event, from the gate, and ends what it still holds. So an
// idle connection's worker asks the gate before it touches one, and nobody takes a connection that
// its worker is looking at.
//
// A connection that comes back serves its own worker's waiters, unless another's have waited
// clearly longer: then it is sent there. Strict order over all workers would send one in three.

#include <cassert>
#include <chrono>

#include "pool/host_pool.h"
#include "pool/worker_pool.h"

namespace penstock {

namespace {

// By so much longer must another worker's waiter have waited.
constexpr Duration kClearlyLonger = std::chrono::milliseconds(1);

}  // namespace

// Taking

// Older waiters of the same worker come first: then the connection is sent for, and the request
// waits behind them.
UpstreamConnection* HostPool::take_over(Slot& own, const Flavor& flavor, bool prefers_recent,
                                        Next& next) {
  for (Slot& slot : slots_) {
    if (&slot == &own || slot.idle.empty()) continue;
    UpstreamConnection* connection = find_idle(slot, flavor, prefers_recent);
    if (connection == nullptr || own.worker->woke_at() >= connection->idle_since_) continue;
    learned_idle_.on_alive(own.worker->now() - connection->idle_since_);
    if (slot.warm != nullptr) next.shortages.push_back(slot.worker);
    move_to(*connection, ConnectionState::kBusy);
    change_worker(*connection, *own.worker);
    if (first_waiter(own, *connection) == nullptr) return connection;
    send(*connection, own, next);
    return nullptr;
  }
  return nullptr;
}

// The old worker's loop finds the gate shut; it stands until the stream has left that loop.
void HostPool::change_worker(UpstreamConnection& connection, WorkerPool& worker) {
  connection.gate_->connection_ = nullptr;
  connection.worker_ = &worker;
}

bool HostPool::adopt(UpstreamConnection& connection) {
  const std::shared_ptr<IdleGate> gate = std::move(connection.gate_);
  return connection.worker().dialer().adopt(*connection.stream_, *gate);
}

// False when there was no descriptor for it: the connection is closed.
bool HostPool::bring_home(UpstreamConnection& connection) {
  if (adopt(connection)) return true;
  discard(connection);
  return false;
}

void HostPool::discard(UpstreamConnection& connection) {
  Next next;
  {
    const std::lock_guard lock(mutex_);
    end(connection, CloseReason::kError, next);
    use_permits(connection.worker(), next);
  }
  carry_out(next);
}

// An idle connection whose permit serves better elsewhere: the own worker's that was idle longest,
// else another's.
UpstreamConnection* HostPool::find_surplus(Slot& own) {
  if (!own.idle.empty()) return &own.idle.back();
  for (Slot& slot : slots_) {
    if (UpstreamConnection* idle = oldest_idle(slot)) return idle;
  }
  return nullptr;
}

void HostPool::evict_surplus(WorkerPool& own, Next& next) {
  UpstreamConnection& surplus = *find_surplus(slots_[own.index()]);
  end_idle(surplus, own, CloseReason::kEvicted, next);
  --next.permits;
  ++next.own_permits;
}

// Another worker's is taken over only to end; `by` may have nothing else here.
void HostPool::end_idle(UpstreamConnection& idle, WorkerPool& by, CloseReason reason, Next& next) {
  if (&idle.worker() != &by) {
    Slot& robbed = slot_of(idle.worker());
    if (robbed.warm != nullptr) next.shortages.push_back(robbed.worker);
    move_to(idle, ConnectionState::kBusy);
    change_worker(idle, by);
    idle.abandoned_ = true;
    back_off_from_end(robbed, idle, reason);
  }
  end(idle, reason, next);
}

// Looking

bool HostPool::enter(IdleGate& gate) {
  const std::lock_guard lock(mutex_);
  if (gate.connection_ == nullptr) return false;
  gate.connection_->looking_ = true;
  return true;
}

// Who came meanwhile did not see it.
void HostPool::end_look(UpstreamConnection& connection) {
  Next next;
  {
    const std::lock_guard lock(mutex_);
    connection.looking_ = false;
    Slot& slot = slot_of(connection.worker());
    Waiter* first = first_waiter(slot, connection);
    if (first != nullptr || older_waiters(slot, connection, first) != nullptr) {
      move_to(connection, ConnectionState::kBusy);
      place(connection, next);
    } else if (permit_is_needed()) {
      end(connection, CloseReason::kEvicted, next);
      use_permits(connection.worker(), next);
    } else {
      note_idle(connection, next);
      if (connection.gate_ != nullptr) connection.stream_->rest(connection.gate_);
    }
  }
  carry_out(next);
}

// Sending

// The worker whose waiters a connection that came back should rather serve; null: the own one's
// `first`, if there is any.
HostPool::Slot* HostPool::older_waiters(Slot& own, const UpstreamConnection& connection,
                                        const Waiter* first) {
  Slot* oldest = nullptr;
  MonotonicTime since = first != nullptr ? first->since_ - kClearlyLonger : kForever;
  const auto consider = [&](Slot& slot, const Waiter* waiter) {
    if (waiter == nullptr || waiter->since_ >= since) return;
    since = waiter->since_;
    oldest = &slot;
  };
  for (Slot& slot : slots_) {
    if (&slot != &own && lacks_connections(slot)) consider(slot, first_of(slot.queued, connection));
  }
  if (oldest != nullptr || first != nullptr) return oldest;
  // Nobody lacks a dial: the oldest whose dial has not come yet.
  for (Slot& slot : slots_) {
    if (&slot != &own && lacks_connections(slot)) consider(slot, first_of(slot.paired, connection));
  }
  return oldest;
}

// More wait there than connections are on their way.
bool HostPool::lacks_connections(Slot& slot) {
  if (slot.paused) return false;
  std::uint32_t waiting = slot.queued_count;
  for (auto it = slot.paired.begin(); it != slot.paired.end(); ++it) ++waiting;
  return waiting > slot.handovers_on_their_way;
}

// It rests behind a shut gate until it arrives.
void HostPool::hand_over(UpstreamConnection& connection, Slot& slot, Next& next) {
  if (connection.state_ != ConnectionState::kBusy) move_to(connection, ConnectionState::kBusy);
  if (connection.gate_ == nullptr)
    connection.gate_ = std::make_shared<IdleGate>(shared_from_this(), connection);
  connection.stream_->set_handler(&connection);
  connection.stream_->rest(connection.gate_);
  change_worker(connection, *slot.worker);
  send(connection, slot, next);
}

void HostPool::send(UpstreamConnection& connection, Slot& slot, Next& next) {
  ++slot.handovers_on_their_way;
  ++handover_count_;
  next.handovers.push_back(&connection);
}

HostPool::Handover::Handover(std::shared_ptr<HostPool> host, UpstreamConnection& connection)
    : host_(std::move(host)), connection_(&connection), slot_(connection.worker().index()) {}

void HostPool::Handover::arrive() {
  const std::shared_ptr<HostPool> host = std::exchange(host_, nullptr);
  host->on_handover(*connection_);
}

HostPool::Handover::~Handover() {
  if (host_ != nullptr) host_->drop_handover(*connection_, slot_);
}

void HostPool::on_handover(UpstreamConnection& connection) {
  WorkerPool& own = connection.worker();
  const bool here = adopt(connection);
  Next next;
  {
    const std::lock_guard lock(mutex_);
    --slot_of(own).handovers_on_their_way;
    --handover_count_;
    if (here) {
      place(connection, next);
    } else {
      end(connection, CloseReason::kError, next);
    }
    use_permits(own, next);  // who was counted as served by it may be waiting still
  }
  carry_out(next);
}

// The worker that it was sent to has ended, and its loop with what was posted to it.
void HostPool::drop_handover(UpstreamConnection& connection, std::size_t slot) {
  {
    const std::lock_guard lock(mutex_);
    --slots_[slot].handovers_on_their_way;
    --handover_count_;
    move_to(connection, ConnectionState::kClosed);
    ++totals_.closed[static_cast<std::size_t>(CloseReason::kShutdown)];
  }
  connection.stream_->abandon(*connection.gate_);
  delete &connection;
  bounds_.connections.give_back(1);
}

}  // namespace penstock
