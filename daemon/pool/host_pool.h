// The connections to one (upstream, host, port): who may have one, who waits, who dials.
//
// Shared by all workers. One permit stands for one connection that is dialling, idle, busy,
// draining or a tunnel, or for a permission to dial that is on its way to a worker; permits never
// exceed `max_connections`, and each is one of the process's (process_bounds.h). The mutex is taken
// once per acquire and once per release and never held across a system call, a callback or a post:
// what is to be done is collected under it and done after it.
//
// Lists, and when one moves:
//   dialing   per worker, dials with a waiter; until they succeed (idle or busy) or fail (closed)
//   spare     per worker, dials whose waiter was served otherwise or left, or that min_idle began:
//             the next waiter's
//   busy      leased to an exchange; from idle or dialing, to idle or closed
//   draining  given up by its exchange, the response is read to its end; from busy, to idle or
//             closed
//   tunnels   busy ones that became a tunnel; from busy, to closed
//   idle      per worker, last used first; watched by its worker, swept when idle for too long or
//             too old
//   queued    per worker, waiters without a dial, oldest first
//   paired    per worker, waiters with a dial, oldest first; older than any queued one of their
//             flavor
//
// Workers share what is idle: one that finds none of its own takes another's (host_pool_share.cc),
// and a connection that comes back goes to the worker whose waiter is clearly the oldest.
//
// While the upstream is paused (host_pool_console.cc) nothing is handed out and no dial begins:
// requests queue, and what comes back or was dialled goes to the idle ones.
//
// Owner: PoolRegistry, each WorkerPool that caches it, and what it has posted. Thread: any, but a
// slot's connections and waiters are touched by their own worker only. Ends empty (asserted), after
// it was retired.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/error.h"
#include "base/intrusive_list.h"
#include "base/pending.h"
#include "config/settings.h"
#include "event/timer_wheel.h"
#include "pool/back_off.h"
#include "pool/flavor.h"
#include "pool/idle_limit.h"
#include "pool/lease.h"
#include "pool/pool_rows.h"
#include "pool/process_bounds.h"
#include "pool/upstream_connection.h"
#include "pool/waiter.h"
#include "telemetry/close_reason.h"

namespace penstock {

struct HostKey {
  std::string upstream;
  std::string host;
  std::uint16_t port = 0;
  bool operator==(const HostKey&) const = default;
};

struct HostLimits {
  std::uint32_t max_connections = 0;
  std::uint32_t max_connecting = kUnlimitedCount;
  std::uint32_t max_idle = 0;
  std::uint32_t max_waiting = 0;
  Limit idle_timeout;
  bool reuse = true;
  PoolOrder order = PoolOrder::kLifo;
  Limit max_lifetime{};
  std::uint32_t max_requests = kUnlimitedCount;
  std::uint32_t min_idle = 0;
};
HostLimits host_limits(const PoolSettings& settings);

// What /pools shows of one host.
struct HostSnapshot {
  HostKey key;
  HostLimits limits;
  std::uint32_t dialing = 0, idle = 0, busy = 0, draining = 0, upgraded = 0;
  std::uint32_t waiting = 0;
  Duration oldest_wait{};
  std::uint64_t opened = 0;
  std::uint64_t acquired_idle = 0, acquired_takeover = 0, acquired_dialed = 0, acquired_queued = 0;
  std::array<std::uint64_t, kCloseReasonCount> closed{};
  bool warm = false;       // keep_warm() was asked for
  Limit learned_idle;      // after which the upstream closes; nullopt: not known
  std::string last_error;  // token of the last failed dial; empty: none
};

// The request got its place in the queue, or a dial of its own: `phase` says which.
struct Waiting {
  Pending pending;
  Phase phase;
};
// What a request asks beside a connection of its flavor.
struct AcquireClaim {
  // Of what is idle the connection used last, whatever the order.
  bool prefers_recent = false;
  // Since when it has waited elsewhere: a reload led it here. It keeps its age, and its place is
  // not refused for a full queue.
  std::optional<MonotonicTime> waiting_since{};
};
// The pool was retired between look-up and acquire: look it up again.
struct Retired {};
using AcquireOutcome = std::variant<Lease, Waiting, Error, Retired>;

// What became of HostPool::evict_idle().
struct Eviction {
  bool evicted = false;
  std::optional<MonotonicTime> oldest_left;  // when the oldest idle one came back; nullopt: none is
};

// How many idle connections a reload has closed.
struct Trimmed {
  std::uint32_t surplus = 0;  // above the limits
  std::uint32_t retired = 0;  // of another identity, or of an upstream that is gone
};

struct UpstreamMetrics;

class HostPool : public std::enable_shared_from_this<HostPool> {
 public:
  HostPool(HostKey key, const HostLimits& limits, std::uint64_t identity, std::size_t worker_count,
           ProcessBounds& bounds, bool paused = false);
  HostPool(const HostPool&) = delete;
  HostPool& operator=(const HostPool&) = delete;
  ~HostPool();

  const HostKey& key() const { return key_; }

  [[nodiscard]] AcquireOutcome acquire(WorkerPool& worker, const FlavorRef& flavor,
                                       const DialLimits& dial_limits, AcquireHandler& handler,
                                       const AcquireClaim& claim = {});

  // The limits and the identity of a new configuration; each worker's trim() must follow.
  void set_limits(const HostLimits& limits, std::uint64_t identity);
  // Closes those of this worker's idle connections that the limits or the identity exclude now
  // (busy ones follow as they return) and dials of another identity that nobody waits for, and
  // starts the dials that raised limits allow. What was kept warm is not any more: keep_warm() must
  // follow where it still should be.
  Trimmed trim(WorkerPool& worker);
  // Ends what this worker has here: idle connections and dials close. Its exchanges are gone.
  void detach(WorkerPool& worker);

  // From now on this worker keeps its share of min_idle in connections of this flavor; until
  // trim() or detach(). False when the pool has retired: look it up again.
  [[nodiscard]] bool keep_warm(WorkerPool& worker, const FlavorRef& flavor,
                               const DialLimits& dial_limits);

  // The name leads to this address no longer (its port does not count): connections there are
  // marked, whosever they are. Of this worker's the idle ones are closed, at most max_connecting a
  // second, the busy ones when they return. Those to other addresses stay.
  void on_address_left(WorkerPool& worker, std::string_view host, const SocketAddress& address);
  // It does again: those that are left stay.
  void on_address_returned(WorkerPool& worker, std::string_view host, const SocketAddress& address);
  // Whether connections or dials are up.
  bool in_use() const;

  // Of the console. From now on requests wait, those that hold a connection go on, and so does a
  // redial; or they do not any more. Each worker's follow_pause() must come after either.
  void set_paused(bool paused);
  // Paused: takes back the dials that were for somebody. Not any more: serves those who wait, in
  // order, by what is idle here, on other workers, and by dials.
  void follow_pause(WorkerPool& worker);
  // Every connection or dial with a smaller number closes as it comes free, but tunnels, which
  // never do; how many there are. Each worker's close_idle() must follow.
  std::uint32_t retire_below(std::uint64_t id);
  // Closes those of this worker's idle connections whose numbers are smaller, `most` at most; how
  // many.
  std::uint32_t close_idle(WorkerPool& worker, std::uint64_t id, std::uint32_t most);
  // Adds what is shown of each connection or dial, and of each waiter, until there are `most` rows.
  void append_connections(MonotonicTime now, std::size_t most, ConnectionRows& rows);
  void append_waiting(MonotonicTime now, std::size_t most, WaitingRows& rows);

  // True when nothing was held or waited for during `unused_for`, or was found so earlier: from
  // then on every acquire() answers Retired.
  bool retire_if_unused(MonotonicTime now, Duration unused_for);

  HostSnapshot snapshot(MonotonicTime now) const;

  // Asked by the process's bounds, on any thread.
  // Takes over a permit of the process, if it answers so.
  [[nodiscard]] PermitOffer accept_permit();
  // Closes the oldest idle connection, if that came back no later than `not_after`.
  Eviction evict_idle(WorkerPool& by, MonotonicTime not_after);

  // What was learned of the upstream, to outlive a pool that is retired.
  IdleLimit learned() const;
  void remember(const IdleLimit& learned);

 private:
  friend class IdleRoom;
  friend class IdleGate;
  friend class Lease;
  friend class Waiter;
  friend class UpstreamConnection;
  friend class WorkerPool;

  using ConnectionList = IntrusiveList<UpstreamConnection>;
  using WaiterList = IntrusiveList<Waiter>;

  // Fires when an idle connection of a worker is to end: idle for too long, or too old.
  struct Sweep {
    Sweep(HostPool& pool, WorkerPool& owner);
    void on_due() { host.on_sweep(worker); }
    HostPool& host;
    WorkerPool& worker;
    Deadline deadline;
  };
  // What a worker keeps warm here; `check` fires when there may be too little of it.
  struct Warm {
    Warm(HostPool& pool, WorkerPool& owner, FlavorRef what, const DialLimits& limits);
    void on_due() { host.on_warm_due(worker); }
    HostPool& host;
    WorkerPool& worker;
    const FlavorRef flavor;
    const DialLimits dial_limits;
    Deadline check;
    BackOff back_off;
  };
  // What one worker has here. Lists change under the mutex; the deadlines are the worker's own.
  struct Slot {
    ConnectionList idle;
    ConnectionList dialing;
    ConnectionList spare;
    WaiterList queued;
    WaiterList paired;
    std::uint32_t idle_count = 0;
    std::uint32_t queued_count = 0;
    std::uint32_t grants_on_their_way = 0;
    std::uint32_t handovers_on_their_way = 0;
    bool paused = false;  // its waiters are not to be served
    WorkerPool* worker = nullptr;
    UpstreamMetrics* metrics = nullptr;
    MonotonicTime next_retirement = kNever;  // of idle connections whose address has left
    std::unique_ptr<Sweep> sweep;
    std::unique_ptr<Warm> warm;  // null: nothing
  };
  // A permission to dial that is on its way to a worker; gives itself back if it never arrives.
  class Grant {
   public:
    Grant(std::shared_ptr<HostPool> host, WorkerPool& worker);
    Grant(Grant&&) = default;
    Grant& operator=(Grant&&) = delete;
    ~Grant();
    void arrive();

   private:
    std::shared_ptr<HostPool> host_;  // null: it has arrived
    WorkerPool* worker_;
    std::size_t slot_;
  };
  // A connection that is on its way to a worker whose waiters are older; ends if it never arrives.
  class Handover {
   public:
    Handover(std::shared_ptr<HostPool> host, UpstreamConnection& connection);
    Handover(Handover&&) = default;
    Handover& operator=(Handover&&) = delete;
    ~Handover();
    void arrive();

   private:
    std::shared_ptr<HostPool> host_;  // null: it has arrived
    UpstreamConnection* connection_;
    std::size_t slot_;
  };
  // What is to be done once the mutex is free. Empty on the common way: nothing is allocated.
  struct Next {
    Waiter* deliver_to = nullptr;
    UpstreamConnection* deliver = nullptr;
    std::vector<Waiter*> repaired;  // were given a dial that is under way: to be told its phase
    std::vector<UpstreamConnection*> dials;      // to start
    std::vector<WorkerPool*> grants;             // permissions to dial, to post
    std::vector<UpstreamConnection*> handovers;  // to post to the workers whose they are now
    std::vector<WorkerPool*> shortages;          // lost a warm connection to another: to be told
    std::vector<UpstreamConnection*> ended;      // closed in the books: their streams close now
    std::uint32_t closing = 0;      // of `ended`, those whose places nothing has taken yet
    std::uint32_t permits = 0;      // of the process, to give back: whoever waits for one is next
    std::uint32_t own_permits = 0;  // of the process, to use here, or to give back
    WorkerPool* starving_at = nullptr;        // the process has no permit for this worker's dial
    UpstreamConnection* homeless = nullptr;   // may be idle once another one is not
    std::optional<MonotonicTime> idle_since;  // to be ranked among all hosts
  };

  // Under the mutex.
  void move_to(UpstreamConnection& connection, ConnectionState state);
  Slot& slot_of(WorkerPool& worker);
  UpstreamConnection* find_idle(Slot& slot, const Flavor& flavor, bool prefers_recent);
  UpstreamConnection* take_idle(Slot& slot, const Flavor& flavor, bool prefers_recent, Next& next);
  UpstreamConnection* take_over(Slot& own, const Flavor& flavor, bool prefers_recent, Next& next);
  void change_worker(UpstreamConnection& connection, WorkerPool& worker);
  UpstreamConnection* find_surplus(Slot& own);
  void evict_surplus(WorkerPool& own, Next& next);
  void end_idle(UpstreamConnection& idle, WorkerPool& by, CloseReason reason, Next& next);
  static bool lacks_connections(Slot& slot);
  Slot* older_waiters(Slot& own, const UpstreamConnection& connection, const Waiter* first);
  void hand_over(UpstreamConnection& connection, Slot& slot, Next& next);
  void send(UpstreamConnection& connection, Slot& slot, Next& next);
  bool may_wait(Slot& slot, const Flavor& flavor, const Next& next);
  static void insert_by_age(WaiterList& waiters, Waiter& waiter, bool was_paired = false);
  void take_dial_of_younger(Slot& slot, Waiter& waiter, Next& next);
  void end_retired_dials(Slot& slot, Next& next);
  bool enqueue(Slot& slot, Waiter& waiter, Next& next);
  Error queue_full(const Slot& slot) const;
  void end(UpstreamConnection& connection, CloseReason reason, Next& next);
  static Waiter* first_waiter(Slot& slot, const UpstreamConnection& connection);
  static Waiter* first_of(WaiterList& waiters, const UpstreamConnection& connection);
  bool is_helped(const Flavor& flavor);
  void add_dial(WorkerPool& worker, Waiter& waiter, Next& next);
  void end_older_idle(const UpstreamConnection& failed, Next& next);
  void finish_waiting(Waiter& waiter);
  void pair(Waiter& waiter, UpstreamConnection& dial);
  static UpstreamConnection* find_spare(Slot& slot, const Flavor& flavor);
  void find_waiter_for(UpstreamConnection& spare, Next& next);
  Slot* neediest_slot();
  bool may_connect() const { return dialing_count_ + granted_count_ < limits_.max_connecting; }
  bool has_room(const Next& next);
  bool may_dial(Slot& slot, const Next& next);
  void use_permits(WorkerPool& own, Next& next);
  bool take_permit(Next& next);
  bool get_permit(WorkerPool& own, Next& next);
  void take_place(Next& next);
  bool gives_way() const;
  bool wanted_by_another() const;
  bool permit_is_needed();
  void grant(Slot& slot, Next& next);
  void unpair_waiters(Slot& slot, Next& next);
  bool serve_from_idle(Slot& slot, Next& next);
  void fetch_idle(Slot& slot, Next& next);
  void pair_with_spares(Slot& slot, Next& next);
  std::optional<CloseReason> unfit(const UpstreamConnection& connection) const;
  MonotonicTime end_of_life(const UpstreamConnection& connection) const;
  MonotonicTime end_of_idling(const UpstreamConnection& connection) const;
  void join_idle(UpstreamConnection& connection);
  void leave_idle(UpstreamConnection& connection);
  MonotonicTime next_look(const Slot& slot, const UpstreamConnection& idle) const;
  void arm_sweep(Slot& slot);
  void sweep(Slot& slot, Next& next);
  void mark_departed(std::string_view host, const SocketAddress& address, bool departed);
  void learn_from_close(const UpstreamConnection& idle, CloseReason reason);
  void end_those_slept_through(Slot& slot, Next& next);
  void place(UpstreamConnection& connection, Next& next, bool may_evict = true);
  std::optional<CloseReason> unfit_to_idle(const UpstreamConnection& connection);
  void note_idle(const UpstreamConnection& connection, Next& next);
  UpstreamConnection* oldest_idle();
  static UpstreamConnection* oldest_idle(Slot& slot);
  void deliver(UpstreamConnection& connection, Waiter& waiter, Next& next);
  void take_waiters_before(Slot& slot, MonotonicTime before, const Flavor& flavor,
                           WaiterList& failing);
  bool unused() const {
    return permits_ == 0 && closing_count_ == 0 && queued_count_ == 0 && warm_count_ == 0;
  }
  UpstreamConnection& new_dial(WorkerPool& worker, const FlavorRef& flavor,
                               const DialLimits& limits, Next& next);
  void let_cool(Slot& slot);
  std::uint32_t share_of(const Slot& slot) const;
  std::uint32_t count_warm(Slot& slot) const;
  MonotonicTime replace_at(const UpstreamConnection& idle) const;
  void top_up(Slot& slot, Next& next);
  void notice_shortage(Slot& slot);
  static void back_off(Slot& slot);
  static void back_off_from_end(Slot& slot, const UpstreamConnection& connection,
                                CloseReason reason);

  // With the mutex free.
  bool enter(IdleGate& gate);
  void end_look(UpstreamConnection& connection);
  static bool adopt(UpstreamConnection& connection);
  bool bring_home(UpstreamConnection& connection);
  void discard(UpstreamConnection& connection);
  void on_handover(UpstreamConnection& connection);
  void drop_handover(UpstreamConnection& connection, std::size_t slot);
  void carry_out(Next& next);
  void starve(WorkerPool& at);
  void settle(UpstreamConnection& connection);
  void release(UpstreamConnection& connection, const ReuseHints& hints);
  void begin_drain(UpstreamConnection& connection);
  void begin_next(UpstreamConnection& connection);
  void become_tunnel(UpstreamConnection& connection);
  Waiting redial(UpstreamConnection& failed, CloseReason reason, const DialLimits& limits,
                 AcquireHandler& handler);
  void close(UpstreamConnection& connection, CloseReason reason);
  void cancel(Waiter& waiter);
  void on_dialed(UpstreamConnection& connection);
  void on_dial_failed(UpstreamConnection& connection, const Error& error);
  void take_back_grant(std::size_t slot, Next& next);
  void on_grant(WorkerPool& worker);
  void on_sweep(WorkerPool& worker);
  void on_warm_due(WorkerPool& worker);
  void fail_waiters(WorkerPool& worker, MonotonicTime before, const Flavor& flavor,
                    const Error& error);
  static void fail(WaiterList& failing, const Error& error);
  static void tell_phase(Waiter& waiter);
  void serve_waiters(WorkerPool& worker);
  static void dispose(UpstreamConnection& connection);
  void close_ended(Next& next);

  // constant after construction
  const HostKey key_;
  ProcessBounds& bounds_;

  // protected by mutex_
  mutable std::mutex mutex_;
  HostLimits limits_;
  std::uint64_t identity_;
  bool retired_ = false;
  bool paused_;                      // what the console wants; each slot follows
  std::uint64_t retired_below_ = 0;  // connections with smaller numbers serve nobody any more
  std::uint32_t permits_ = 0;  // dialing + idle + busy + draining + tunnels + grants on their way
  std::uint32_t closing_count_ = 0;  // ended in the books, and not closed yet
  bool close_awaited_ = false;       // somebody was told to wait since those were in the way
  std::uint32_t dialing_count_ = 0, idle_count_ = 0, busy_count_ = 0, draining_count_ = 0,
                tunnel_count_ = 0;
  std::uint32_t granted_count_ = 0;   // grants on their way
  std::uint32_t handover_count_ = 0;  // connections on their way, among the busy ones
  std::uint32_t queued_count_ = 0;
  std::uint32_t warm_count_ = 0;  // slots that keep something warm
  ConnectionList busy_;
  ConnectionList draining_;
  ConnectionList tunnels_;
  std::vector<Slot> slots_;
  MonotonicTime unused_since_ = kNever;
  IdleLimit learned_idle_;
  bool starving_ = false;  // waits, or is about to, for a permit of the process
  bool ranked_ = false;    // is ranked for its idle connections, or about to be
  HostSnapshot totals_;    // the counters of it

  // protected by the IdleRoom's mutex
  std::optional<MonotonicTime> rank_;
};

}  // namespace penstock
