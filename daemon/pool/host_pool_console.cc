// What an operator does to a HostPool by hand, and what is shown of it row by row.
//
// A pause holds from the moment set_paused() returns: nothing that is idle is taken, no dial
// begins, what comes back goes to the idle ones. Each worker then takes its dials away from those
// who wait for them. The end of a pause goes the other way: each worker opens its own slot and
// serves its own waiters, so that nobody who comes now is served before them.

#include <algorithm>
#include <cassert>

#include "pool/host_pool.h"
#include "pool/worker_pool.h"

namespace penstock {

namespace {

std::string_view word_of(ConnectionState state) {
  switch (state) {
    case ConnectionState::kDialing:
      return "dialing";
    case ConnectionState::kIdle:
      return "idle";
    case ConnectionState::kBusy:
      return "busy";
    case ConnectionState::kDraining:
      return "draining";
    case ConnectionState::kTunnel:
      return "upgraded";
    case ConnectionState::kClosed:
      break;
  }
  return "closed";
}

// The clocks of two loops differ by a turn.
Duration since(MonotonicTime then, MonotonicTime now) { return std::max(now - then, Duration(0)); }

}  // namespace

// Pause

void HostPool::set_paused(bool paused) {
  const std::lock_guard lock(mutex_);
  paused_ = paused;
  for (Slot& slot : slots_) {
    // Who has not been here has nobody waiting, and need not follow.
    if (paused || slot.worker == nullptr) slot.paused = paused;
  }
}

void HostPool::follow_pause(WorkerPool& worker) {
  const std::shared_ptr<HostPool> alive = shared_from_this();
  bool resumed = false;
  Next next;
  {
    const std::lock_guard lock(mutex_);
    Slot& slot = slot_of(worker);
    resumed = slot.paused && !paused_;
    if (paused_) unpair_waiters(slot, next);
  }
  carry_out(next);
  if (resumed) serve_waiters(worker);
}

// Their dials become spare ones and join the idle connections; what replaces a dead connection
// stays, for its request has begun already.
void HostPool::unpair_waiters(Slot& slot, Next& next) {
  WaiterList redials;
  while (Waiter* waiter = slot.paired.pop_back()) {  // the youngest first: equals keep their order
    if (waiter->wants_new_) {
      redials.push_front(*waiter);
      continue;
    }
    UpstreamConnection& dial = *std::exchange(waiter->dial_, nullptr);
    dial.waiter_ = nullptr;
    dial.unlink();
    slot.spare.push_back(dial);
    waiter->state_ = WaiterState::kQueued;
    insert_by_age(slot.queued, *waiter, /*was_paired=*/true);  // older ones may be of other flavors
    ++slot.queued_count;
    ++queued_count_;
    next.repaired.push_back(waiter);
  }
  slot.paired.splice_back(redials);
}

// One at a time: what a handler does may change everything. The slot opens when nothing is idle any
// more: who comes meanwhile queues behind the others.
void HostPool::serve_waiters(WorkerPool& worker) {
  for (bool more = true; more;) {
    Next next;
    {
      const std::lock_guard lock(mutex_);
      Slot& slot = slot_of(worker);
      if (paused_) return;  // again
      end_those_slept_through(slot, next);
      more = serve_from_idle(slot, next);
      if (!more) {
        slot.paused = false;
        fetch_idle(slot, next);
        pair_with_spares(slot, next);
        use_permits(worker, next);
        top_up(slot, next);
      }
    }
    if (next.deliver != nullptr) next.deliver->stream_->wake();
    carry_out(next);
  }
}

// The oldest waiter for whom something is idle here; false when there is none.
bool HostPool::serve_from_idle(Slot& slot, Next& next) {
  for (Waiter& waiter : slot.queued) {
    if (slot.idle.empty()) return false;
    UpstreamConnection* idle = find_idle(slot, *waiter.flavor_, false);
    if (idle == nullptr) continue;
    deliver(*idle, waiter, next);
    return true;
  }
  return false;
}

// Sends for what other workers have idle, as long as somebody waits for whom nothing is on its way.
void HostPool::fetch_idle(Slot& slot, Next& next) {
  for (Waiter& waiter : slot.queued) {
    if (slot.queued_count <= slot.handovers_on_their_way) return;
    [[maybe_unused]] const UpstreamConnection* taken =
        take_over(slot, *waiter.flavor_, false, next);
    assert(taken == nullptr && "it is sent to the waiters");
  }
}

void HostPool::pair_with_spares(Slot& slot, Next& next) {
  for (auto it = slot.queued.begin(); it != slot.queued.end();) {
    Waiter& waiter = *it;
    ++it;
    UpstreamConnection* spare = find_spare(slot, *waiter.flavor_);
    if (spare == nullptr) continue;
    pair(waiter, *spare);
    next.repaired.push_back(&waiter);
  }
}

// Closing

std::uint32_t HostPool::retire_below(std::uint64_t id) {
  const std::lock_guard lock(mutex_);
  retired_below_ = std::max(retired_below_, id);
  return dialing_count_ + idle_count_ + busy_count_ + draining_count_;
}

std::uint32_t HostPool::close_idle(WorkerPool& worker, std::uint64_t id, std::uint32_t most) {
  std::uint32_t closed = 0;
  Next next;
  {
    const std::lock_guard lock(mutex_);
    Slot& slot = slot_of(worker);
    for (auto it = slot.idle.begin(); it != slot.idle.end() && closed < most;) {
      UpstreamConnection& idle = *it;
      ++it;
      if (idle.id_ >= id) continue;
      end(idle, CloseReason::kAdmin, next);
      ++closed;
    }
    use_permits(worker, next);
  }
  carry_out(next);
  return closed;
}

// Rows

void HostPool::append_connections(MonotonicTime now, std::size_t most, ConnectionRows& rows) {
  const std::size_t first = rows.size();
  {
    const std::lock_guard lock(mutex_);
    const auto append = [&](ConnectionList& list) {
      for (const UpstreamConnection& one : list) {
        if (rows.size() >= most) return;
        ConnectionRow& row = rows.emplace_back();
        row.id = one.id_;
        row.worker = one.worker().index();
        row.state = word_of(one.state_);
        row.age = since(one.created_, now);
        row.in_state = since(std::max({one.created_, one.state_since_, one.idle_since_}), now);
        row.requests = one.requests_;
        if (one.state_ == ConnectionState::kDialing) continue;  // its worker may write the rest now
        row.address = one.address_;
        row.resumed = one.tls_resumed_;
      }
    };
    append(busy_);
    append(draining_);
    append(tunnels_);
    for (Slot& slot : slots_) {
      for (ConnectionList* list : {&slot.dialing, &slot.spare, &slot.idle}) append(*list);
    }
  }
  for (std::size_t i = first; i < rows.size(); ++i) {
    rows[i].upstream = key_.upstream;
    rows[i].host = key_.host;
    rows[i].port = key_.port;
  }
}

void HostPool::append_waiting(MonotonicTime now, std::size_t most, WaitingRows& rows) {
  const std::size_t first = rows.size();
  {
    const std::lock_guard lock(mutex_);
    for (Slot& slot : slots_) {
      for (WaiterList* list : {&slot.paired, &slot.queued}) {
        for (const Waiter& waiter : *list) {
          if (rows.size() >= most) break;
          WaitingRow& row = rows.emplace_back();
          row.worker = waiter.worker_.index();
          row.waiting = since(waiter.since_, now);
          row.phase = waiter.phase();
        }
      }
    }
  }
  for (std::size_t i = first; i < rows.size(); ++i) {
    rows[i].upstream = key_.upstream;
    rows[i].host = key_.host;
    rows[i].port = key_.port;
  }
}

}  // namespace penstock
