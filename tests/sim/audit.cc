#include "audit.h"

#include <algorithm>
#include <numeric>
#include <typeinfo>

#include "pool/upstream_connection.h"
#include "proxy/exchange.h"
#include "proxy/pinned_connection.h"
#include "proxy/response_drain.h"

namespace penstock::sim {

namespace {

std::string name_of(const HostSnapshot& host) {
  const auto number = [](std::uint32_t count) { return std::to_string(count); };
  const HostLimits& limits = host.limits;
  return host.key.upstream + " " + host.key.host + " (" + number(host.dialing) + " dialling of " +
         number(limits.max_connecting) + ", " + number(host.idle) + " idle of " +
         number(limits.max_idle) + ", " + number(host.busy + host.draining) + " busy, " +
         number(host.upgraded) + " tunnels, " + number(limits.max_connections) + " at most, " +
         number(host.waiting) + " waiting of " + number(limits.max_waiting) + ")";
}

std::uint32_t held(const HostSnapshot& host) {
  return host.dialing + host.idle + host.busy + host.draining + host.upgraded;
}

template <typename Counters>
std::uint64_t sum(const Counters& counters) {
  return std::accumulate(counters.begin(), counters.end(), std::uint64_t{0});
}

std::uint64_t acquired(const HostSnapshot& host) {
  return host.acquired_idle + host.acquired_takeover + host.acquired_dialed + host.acquired_queued;
}

std::uint64_t count_acquires(UpstreamMetrics& metrics) {
  std::uint64_t count = 0;
  for (int result = 0; result < kAcquireResultCount; ++result)
    count += metrics.acquires[static_cast<AcquireResult>(result)].value();
  return count;
}

std::uint64_t count_records(const UpstreamMetrics& metrics) {
  std::uint64_t count = 0;
  for (int code = 0; code < kCodeClassCount; ++code) {
    for (int source = 0; source < kStatusSourceCount; ++source) {
      count +=
          metrics.requests[static_cast<CodeClass>(code)][static_cast<StatusSource>(source)].value();
    }
  }
  return count;
}

}  // namespace

std::uint64_t count_records(const std::vector<std::unique_ptr<Worker>>& workers) {
  std::uint64_t records = 0;
  for (const auto& worker : workers) {
    for (const char* upstream : {"", "a", "b", "d", "rest"})
      records += count_records(worker->metrics().upstream(upstream));
  }
  return records;
}

void Audit::check(std::uint32_t connections_closed) {
  look();
  const std::vector<HostSnapshot> hosts = registry_.snapshot(stage_.now());
  // Until all workers have followed a reload whoever waits may be led to another host, full or not.
  const bool moving = stage_.progress.reloads != reloads_followed_;
  led_here_ = moving ? waiting_before_ : 0;
  waiting_before_ = 0;
  for (const HostSnapshot& host : hosts) waiting_before_ += host.waiting;
  if (posted() == 0) reloads_followed_ = stage_.progress.reloads;
  for (const HostSnapshot& host : hosts) {
    check_limits(host, connections_closed);
    check_nobody_forgotten(host);
    check_opened(host);
  }
  check_bounds(hosts);
  check_places(hosts);
  check_records();
  if (!all_at_work()) return;
  check_acquires(hosts);
  check_connections_counted();
}

void Audit::look() {
  seen_.clear();
  for (const auto& worker : workers_) {
    const SimDialer& dialer = worker->dialer();
    for (std::size_t i = 0; i < dialer.in_flight(); ++i)
      ++seen_[{dialer.target(i).host, dialer.target(i).port}].dialing;
  }
  for (const auto& origin : origins_) {
    if (!origin->open()) continue;
    const DialTarget& target = origin->dialled().target;
    Seen& seen = seen_[{target.host, target.port}];
    ++seen.open;
    count_listener(seen, *origin);
  }
}

// Who listens to a connection says what it is.
void Audit::count_listener(Seen& seen, const Origin& origin) const {
  const StreamHandler* handler = origin.peer().handler();
  if (handler == nullptr) stage_.finding("nobody listens to a connection");
  const std::type_info& type = typeid(*handler);
  if (type == typeid(UpstreamConnection)) {
    ++seen.idle;
  } else if (type == typeid(Exchange) || type == typeid(PinnedConnection)) {
    ++seen.leased;
  } else if (type == typeid(ResponseDrain)) {
    ++seen.draining;
  }
}

// Above a limit that was lowered, what there is may only become less.
void Audit::check_limits(const HostSnapshot& host, std::uint32_t connections_closed) {
  const HostLimits& limits = host.limits;
  Before& before = before_[host.key];
  const auto within = [&](std::uint32_t count, std::uint32_t limit, std::uint32_t earlier,
                          const char* key) {
    if (count > std::max(limit, earlier)) {
      stage_.finding(name_of(host) + " has " + std::to_string(count) + ", " + key + " is " +
                     std::to_string(limit));
    }
  };
  within(held(host), limits.max_connections, before.held, "max_connections");
  within(host.dialing, limits.max_connecting + connections_closed,
         before.dialing + connections_closed, "max_connecting");
  within(host.idle, limits.max_idle, before.idle, "max_idle");
  // Whom a dial of another worker helps stands in the queue as well, or somebody before him.
  // So does one for whom something idle was to go that went to another host.
  const std::uint32_t promised = registry_.bounds().connections.wanted() ? 1 : 0;
  const auto helped = static_cast<std::uint32_t>(host.dialing + posted() + promised);
  // A pause puts back whom a dial was for, and so does a reload that leads him elsewhere.
  const std::uint32_t put_back = stage_.progress.reloads > 0 ? before.dialing : 0;
  if (!registry_.is_paused(host.key.upstream))
    within(host.waiting, limits.max_waiting + helped,
           before.waiting + helped + put_back + led_here_, "max_waiting");
  before.held = held(host);
  before.dialing = host.dialing;
  before.idle = host.idle;
  before.waiting = host.waiting;
  const bool full = held(host) >= limits.max_connections || host.dialing >= limits.max_connecting;
  if (full && host.waiting > 0) cap_reached_ = true;
}

// Whether it wants more connections than it has, and lacks but permits of the process. A dial that
// nobody waits for, on any worker, is as good as one's own.
bool Audit::starves(const HostSnapshot& host) const {
  return !registry_.is_paused(host.key.upstream) && held(host) < host.limits.max_connections &&
         host.dialing < host.limits.max_connecting && host.waiting > host.dialing;
}

// Nobody waits while a permit is free and a dial may be made, nor while a connection is idle.
void Audit::check_nobody_forgotten(const HostSnapshot& host) const {
  if (host.waiting == 0 || posted() > 0 || !all_at_work()) return;
  if (registry_.is_paused(host.key.upstream)) return;
  const PermitBank& bank = registry_.bounds().connections;
  if (bank.taken() < bank.limit() && starves(host))
    stage_.finding(name_of(host) + ": permits are free, and requests wait");
  const bool all_alike = stage_.progress.reloads == 0 && !rules_.two_flavors();
  if (host.idle > 0 && !slept_ && all_alike)
    stage_.finding(name_of(host) + ": connections are idle, and requests wait");
}

// The whole process: above a bound that was lowered, what there is may only become less; where all
// connections are up, an idle one gives way to whoever waits.
void Audit::check_bounds(const std::vector<HostSnapshot>& hosts) {
  const ProcessBounds& bounds = registry_.bounds();
  std::uint32_t up = 0;
  std::uint32_t idle = 0;
  bool somebody_starves = false;
  for (const HostSnapshot& host : hosts) {
    up += held(host);
    idle += host.idle;
    somebody_starves = somebody_starves || starves(host);
  }
  const std::uint32_t taken = bounds.connections.taken();
  if (taken < up || taken > up + posted() + (all_at_work() ? 0 : taken))
    stage_.finding(std::to_string(taken) + " permits of the process are taken, " +
                   std::to_string(up) + " connections are up");
  if (idle != bounds.idle.taken()) stage_.finding("the process counts other idle connections");
  if (taken > std::max(bounds.connections.limit(), taken_before_))
    stage_.finding("more connections than the process may have");
  if (idle > std::max(bounds.idle.limit(), idle_before_))
    stage_.finding("more idle connections than the process may have");
  taken_before_ = taken;
  idle_before_ = idle;
  if (posted() > 0 || !all_at_work() || !bounds.connections.wanted()) return;
  // The one host that waits may have been served meanwhile by what came back to it.
  const bool needed = somebody_starves || bounds.connections.wanted_by_others(true);
  if (idle > 0 && needed)
    stage_.finding("connections are idle, and another host waits for a permit");
  if (taken < bounds.connections.limit())
    stage_.finding("permits of the process are free, and a host waits for one");
}

void Audit::check_opened(const HostSnapshot& host) const {
  const std::uint64_t up = held(host) - host.dialing;
  if (host.opened != sum(host.closed) + up)
    stage_.finding(name_of(host) + ": opened is not closed and up together");
}

void Audit::check_places(const std::vector<HostSnapshot>& hosts) const {
  std::map<Place, Booked> booked;
  for (const HostSnapshot& host : hosts) {
    Booked& place = booked[{host.key.host, host.key.port}];
    place.dialing += host.dialing;
    place.idle += host.idle;
    place.busy += host.busy;
    place.draining += host.draining;
    place.upgraded += host.upgraded;
  }
  for (const auto& [place, seen] : seen_) booked.try_emplace(place);
  const std::size_t on_their_way = posted();
  for (const auto& [place, books] : booked) {
    const auto found = seen_.find(place);
    const Seen seen = found == seen_.end() ? Seen{} : found->second;
    const auto agree = [&, &where = place](bool holds, const char* what) {
      if (!holds) stage_.finding(where.first + ": " + what);
    };
    agree(books.dialing == seen.dialing, "the books know other dials than the dialers");
    agree(books.idle + books.busy + books.draining + books.upgraded == seen.open,
          "the books know other connections than are open");
    agree(books.draining == seen.draining, "what is booked as draining is not what is drained");
    agree(books.idle <= seen.idle && seen.idle <= books.idle + on_their_way,
          "what is booked as idle is not what the pool listens to");
    agree(books.busy >= seen.leased && books.busy <= seen.leased + on_their_way,
          "what is booked as busy is not what exchanges have");
  }
}

// One record for each request that the proxy began and that is over.
void Audit::check_records() const {
  const std::uint64_t records = count_records(workers_);
  if (records < ledger_.ended || records > ledger_.begun) {
    stage_.finding(std::to_string(records) + " records of " + std::to_string(ledger_.begun) +
                   " requests, of which " + std::to_string(ledger_.ended) + " were answered");
  }
}

// Hosts and workers count the same, until the first host may have been forgotten.
void Audit::check_acquires(const std::vector<HostSnapshot>& hosts) const {
  std::uint64_t by_hosts = 0;
  for (const HostSnapshot& host : hosts) by_hosts += acquired(host);
  std::uint64_t by_workers = 0;
  std::uint64_t in_vain = 0;
  for (const auto& worker : workers_) {
    in_vain += worker->dialer().refused();
    for (const char* upstream : {"a", "b", "d", "rest"})
      by_workers += count_acquires(worker->metrics().upstream(upstream));
  }
  const bool all_remembered = stage_.now() - begin_ < std::chrono::minutes(1);
  if (by_hosts > by_workers || (all_remembered && by_hosts < by_workers))
    stage_.finding("hosts and workers have counted different numbers of acquires");
  if (by_workers > ledger_.begun + in_vain) stage_.finding("more acquires than requests");
}

// What the metrics say of connections, against what the dialers made and what is open.
void Audit::check_connections_counted() const {
  std::uint64_t opened = 0;
  std::uint64_t closed = 0;
  std::uint64_t dialled = 0;
  for (const auto& worker : workers_) {
    dialled += worker->dialer().completed();
    for (const char* upstream : {"a", "b", "d", "rest"}) {
      const UpstreamMetrics& metrics = worker->metrics().upstream(upstream);
      opened += metrics.connections_opened.value();
      for (int reason = 0; reason < kCloseReasonCount; ++reason)
        closed += metrics.connections_closed[static_cast<CloseReason>(reason)].value();
    }
  }
  const auto open = static_cast<std::uint64_t>(std::count_if(
      origins_.begin(), origins_.end(), [](const auto& origin) { return origin->open(); }));
  if (opened != dialled || opened != closed + open)
    stage_.finding("the metrics count other connections than there were");
}

std::size_t Audit::posted() const {
  std::size_t posted = 0;
  for (const auto& worker : workers_) posted += worker->executor().posted();
  return posted;
}

bool Audit::all_at_work() const {
  return std::none_of(workers_.begin(), workers_.end(),
                      [](const auto& worker) { return worker->ended(); });
}

}  // namespace penstock::sim
