#include "random_world.h"

#include <algorithm>
#include <numeric>
#include <string>

namespace penstock {

namespace {

HostSnapshot& operator+=(HostSnapshot& sum, const HostSnapshot& host) {
  sum.dialing += host.dialing;
  sum.idle += host.idle;
  sum.busy += host.busy;
  sum.waiting += host.waiting;
  sum.opened += host.opened;
  sum.acquired_idle += host.acquired_idle;
  sum.acquired_takeover += host.acquired_takeover;
  sum.acquired_dialed += host.acquired_dialed;
  sum.acquired_queued += host.acquired_queued;
  for (std::size_t i = 0; i < sum.closed.size(); ++i) sum.closed[i] += host.closed[i];
  return sum;
}

std::uint64_t count_closed(const HostSnapshot& host) {
  return std::accumulate(host.closed.begin(), host.closed.end(), std::uint64_t{0});
}

}  // namespace

HostLimits RandomWorld::random_limits() {
  HostLimits limits;
  limits.max_connections = 1 + static_cast<std::uint32_t>(pick(6));
  limits.max_connecting = 1 + static_cast<std::uint32_t>(pick(limits.max_connections));
  limits.max_idle = static_cast<std::uint32_t>(pick(limits.max_connections + 1));
  limits.max_waiting = static_cast<std::uint32_t>(one_in(4) ? pick(3) : 30);
  if (!one_in(3)) limits.idle_timeout = std::chrono::seconds(1 + pick(60));
  limits.reuse = !one_in(6);
  if (limits.reuse) limits.min_idle = static_cast<std::uint32_t>(pick(limits.max_idle + 1));
  if (one_in(2)) limits.order = PoolOrder::kFifo;
  if (one_in(3)) limits.max_lifetime = std::chrono::seconds(1 + pick(90));
  if (one_in(3)) limits.max_requests = 1 + static_cast<std::uint32_t>(pick(4));
  return limits;
}

void RandomWorld::add_site(std::size_t number) {
  const HostKey key{"payments", "api" + std::to_string(number) + ".test", 443};
  sites_.push_back({std::make_shared<HostPool>(key, limits_, kIdentity, 2, registry_.bounds())});
}

void RandomWorld::set_bounds() {
  registry_.bounds().set_limits({.max_connections = 1 + static_cast<std::uint32_t>(pick(8)),
                                 .max_idle = static_cast<std::uint32_t>(pick(6))});
}

void RandomWorld::keep_warm(std::size_t worker) {
  for (const Site& site : sites_)
    EXPECT_TRUE(site.host->keep_warm(workers_[worker].pool, flavors_[0], DialLimits{}));
}

void RandomWorld::step() {
  redials_ = 0;
  switch (pick(18)) {
    case 0:
    case 1:
    case 2:
    case 3:
    case 4:
      acquire();
      break;
    case 5:
      cancel_one();
      break;
    case 6:
    case 7:
    case 8:
      end_one();
      break;
    case 9:
    case 10:
      finish_dial();
      break;
    case 11:
      fail_dial();
      break;
    case 12:
      disturb_idle();
      break;
    case 13:
      pass_time();
      break;
    case 14:
      reload();
      break;
    case 15:
      take_console();
      break;
    case 16:
      move_one();
      break;
    default:
      catch_up();
      break;
  }
  std::erase_if(requests_, [](const auto& request) {
    return !request->client.waiting() && !request->client.leasing();
  });
}

void RandomWorld::acquire() {
  Request& request = *requests_.emplace_back(std::make_unique<Request>());
  request.number = ++last_number_;
  request.since = clock_.now();
  request.worker = pick(worker_count_);
  request.host = &any_host();
  request.flavor = flavors_[pick(flavors_.size())];
  request.client.then_acquired = [this, &request] { on_acquired(request); };
  request.client.then_failed = [this, &request] { act_inside(request); };
  request.client.then_phase = [this, &request] {
    if (one_in(10)) request.client.cancel();
  };
  request.client.acquire([&](AcquireHandler& handler) {
    AcquireOutcome outcome =
        request.host->acquire(workers_[request.worker].pool, request.flavor, DialLimits{}, handler);
    served_idle_ += std::holds_alternative<Lease>(outcome) ? 1 : 0;
    return outcome;
  });
  check_lease(request);
  accepted_ += request.client.failed() ? 0 : 1;
}

// Each flavor dials a port of its own, so that the address tells it. What was dialled before a
// reconnect serves whom it was dialled for, and nobody after that.
void RandomWorld::check_lease(Request& request) {
  if (!request.client.leasing()) return;
  EXPECT_TRUE(!paused_ || follow_due_[request.worker] || request.redialing) << "served in a pause";
  if (request.client.connection().requests() > 1) {
    EXPECT_GE(request.client.connection_id(), retired_below_) << "reused after a reconnect";
  }
  EXPECT_EQ(request.client.connection().address(),
            "192.0.2.1:" + std::to_string(request.flavor->target->port));
  if (!reloads_) {
    EXPECT_LE(request.client.connection().requests(), limits_.max_requests);
  }
}

bool RandomWorld::is_older(const Request& one, const Request& other) {
  if (one.since != other.since) return one.since < other.since;
  return one.number < other.number && !one.moved && !other.moved;
}

// Delivery within a worker is in order of arrival, for each flavor. A request may be overtaken only
// while it is being failed, by what a handler of another one does that fails with it.
void RandomWorld::on_acquired(Request& request) {
  check_lease(request);
  EXPECT_FALSE(request.overtaken) << "served after a younger one";
  if (request.redialing) {  // by the permit that it had, and who is older may have come here since
    act_inside(request);
    return;
  }
  for (const auto& other : requests_) {
    if (!other->client.waiting() || other->worker != request.worker) continue;
    if (other->host != request.host) continue;
    if (other->redialing || !other->flavor->same_as(*request.flavor)) continue;
    if (is_older(*other, request)) other->overtaken = true;
  }
  act_inside(request);
}

void RandomWorld::act_inside(Request& request) {
  if (depth_ > 3) return;
  ++depth_;
  switch (pick(8)) {
    case 0:
      if (request.client.leasing()) end(request);
      break;
    case 1:
      cancel_one();
      break;
    case 2:
      acquire();
      break;
    case 3:
      end_one();
      break;
    default:
      break;
  }
  --depth_;
}

template <typename Predicate>
Request* RandomWorld::any_request(Predicate wanted) {
  std::vector<Request*> found;
  for (const auto& request : requests_) {
    if (wanted(*request)) found.push_back(request.get());
  }
  return found.empty() ? nullptr : found[pick(found.size())];
}

void RandomWorld::cancel_one() {
  if (Request* one = any_request([](Request& r) { return r.client.waiting(); }))
    one->client.cancel();
}

void RandomWorld::end_one() {
  if (Request* one = any_request([](Request& r) { return r.client.leasing(); })) end(*one);
}

void RandomWorld::end(Request& request) {
  switch (pick(6)) {
    case 0:
      request.client.close(CloseReason::kServerClose);
      break;
    case 1:
      request.client.drop();
      break;
    case 2:
      redial(request);
      break;
    case 3:
      request.client.release({.timeout = std::chrono::seconds(pick(9)),
                              .more_requests = static_cast<std::uint32_t>(pick(4))});
      break;
    default:
      request.client.release();
      break;
  }
}

void RandomWorld::redial(Request& request) {
  ++redials_;
  request.redialing = true;
  request.client.redial();
}

void RandomWorld::finish_dial() {
  FakeDialer& dialer = any_worker().dialer;
  if (dialer.in_flight() == 0) return;
  if (one_in(4)) {
    dialer.enter_phase(Phase::kConnect, pick(dialer.in_flight()));
  } else {
    dialer.complete(pick(dialer.in_flight()));
  }
}

void RandomWorld::fail_dial() {
  FakeDialer& dialer = any_worker().dialer;
  if (dialer.in_flight() > 0) dialer.fail(pick(dialer.in_flight()));
}

void RandomWorld::disturb_idle() {
  FakeDialer& dialer = any_worker().dialer;
  std::vector<FakePeer*> idle;
  for (std::size_t i = 0; i < dialer.peer_count(); ++i) {
    FakePeer& peer = dialer.peer(i);
    if (peer.open() && dynamic_cast<Client*>(peer.handler()) == nullptr) idle.push_back(&peer);
  }
  if (idle.empty()) return;
  FakePeer& peer = *idle[pick(idle.size())];
  switch (pick(3)) {
    case 0:
      peer.send("x");
      break;
    case 1:
      peer.send_eof();
      break;
    default:
      peer.fail_reads();
      break;
  }
  const bool told = peer.turn();
  if (posted() > 0 && peer.open()) return;  // on its way to a worker
  EXPECT_TRUE(told) << "an idle connection is watched";
  EXPECT_FALSE(peer.open());
}

void RandomWorld::pass_time() {
  if (one_in(20)) {
    clock_.sleep(std::chrono::seconds(pick(12)));
    slept_ = true;
  }
  if (one_in(10)) move_address();
  const auto most = one_in(2) ? std::size_t{70'000} : std::size_t{20};
  clock_.advance(std::chrono::milliseconds(pick(most)));
}

void RandomWorld::move_address() {
  const SocketAddress address = *SocketAddress::from_ip("192.0.2.1", 0);
  WorkerPool& worker = any_worker().pool;
  if (one_in(2)) {
    any_host().on_address_left(worker, "api.test", address);
  } else {
    any_host().on_address_returned(worker, "api.test", address);
  }
}

void RandomWorld::reload() {
  if (!reloads_ || !one_in(3)) return;
  limits_ = random_limits();
  if (one_in(2)) identity_ += 1;
  if (bounded_) set_bounds();
  for (const Site& site : sites_) site.host->set_limits(limits_, identity_);
  for (std::size_t i = 0; i < worker_count_; ++i) trim_due_[i] = true;
}

// A reload leads a waiting request to another place, where it is as old as it was.
void RandomWorld::move_one() {
  Request* one = any_request([](const Request& r) { return r.client.waiting() && !r.redialing; });
  if (one == nullptr) return;
  one->client.cancel();
  one->host = &any_host();
  one->flavor = flavors_[pick(flavors_.size())];
  one->moved = true;
  one->overtaken = false;
  one->client.acquire([&](AcquireHandler& handler) {
    return one->host->acquire(workers_[one->worker].pool, one->flavor, DialLimits{}, handler,
                              {.waiting_since = one->since});
  });
  EXPECT_FALSE(one->client.failed()) << "its place was refused";
  check_lease(*one);
}

void RandomWorld::take_console() {
  if (one_in(2)) {
    paused_ = !paused_;
    for (const Site& site : sites_) site.host->set_paused(paused_);
    for (std::size_t i = 0; i < worker_count_; ++i) follow_due_[i] = true;
    return;
  }
  std::uint64_t below = UINT64_MAX;
  if (one_in(2)) {
    below = retired_below_ = registry_.next_connection_id();
    for (const Site& site : sites_) site.host->retire_below(below);
  }
  for (std::size_t i = 0; i < worker_count_; ++i) {
    for (const Site& site : sites_) site.host->close_idle(workers_[i].pool, below, 100);
  }
}

// What a worker finds in its mailbox: posts, the reload, and the console's wishes.
void RandomWorld::catch_up() {
  const std::size_t which = pick(worker_count_);
  if (follow_due_[which] && one_in(2)) {
    follow_due_[which] = false;
    for (const Site& site : sites_) site.host->follow_pause(workers_[which].pool);
  } else if (trim_due_[which] && one_in(2)) {
    trim_due_[which] = false;
    for (const Site& site : sites_) site.host->trim(workers_[which].pool);
    workers_[which].pool.on_reconfigured();
    if (flavors_[0]->identity != identity_) {
      for (FlavorRef& flavor : flavors_) flavor = make_flavor(identity_, flavor->tls);
    }
    keep_warm(which);
  } else {
    workers_[which].executor.run_one();
  }
}

void RandomWorld::check() {
  for (const auto& request : requests_) {
    EXPECT_FALSE(request->overtaken && request->client.waiting()) << request->number;
  }
  HostSnapshot all;
  bool somebody_starves = false;
  for (Site& site : sites_) {
    const HostSnapshot now = site.host->snapshot(clock_.now());
    check_cap(site, now);
    check_nobody_forgotten(now);
    all += now;
    somebody_starves = somebody_starves || starves(now);
  }
  if (somebody_starves && registry_.bounds().connections.wanted()) {
    EXPECT_EQ(all.idle, 0U) << "connections are idle, but requests wait for a permit";
  }
  check_counts(all);
  check_bounds(all);
  check_pause();
}

// Nothing is dialled but for a retry.
void RandomWorld::check_pause() {
  std::uint64_t started = 0;
  for (const TestWorker& worker : workers_) started += worker.dialer.started();
  if (paused_ && paused_before_) {
    EXPECT_LE(started, started_before_ + redials_);
  }
  started_before_ = started;
  paused_before_ = paused_;
}

std::size_t RandomWorld::posted() const {
  return workers_[0].executor.posted() + workers_[1].executor.posted();
}

std::uint32_t RandomWorld::count_leases() {
  std::vector<std::uint64_t> leased;
  for (const auto& request : requests_) {
    if (request->client.leasing()) leased.push_back(request->client.connection_id());
  }
  std::sort(leased.begin(), leased.end());
  EXPECT_EQ(std::adjacent_find(leased.begin(), leased.end()), leased.end()) << "leased twice";
  return static_cast<std::uint32_t>(leased.size());
}

void RandomWorld::check_counts(const HostSnapshot& now) {
  std::size_t in_flight = 0;
  std::size_t open = 0;
  for (const TestWorker& worker : workers_) {
    in_flight += worker.dialer.in_flight();
    open += worker.dialer.open_streams();
  }
  EXPECT_EQ(now.dialing, in_flight);
  EXPECT_EQ(now.idle + now.busy, open);
  const std::uint32_t leases = count_leases();
  EXPECT_GE(now.busy, leases);
  EXPECT_LE(now.busy, leases + posted()) << "what is neither leased nor on its way";
  EXPECT_EQ(now.opened - count_closed(now), open);
  EXPECT_EQ(now.acquired_idle + now.acquired_takeover, served_idle_);
  EXPECT_EQ(now.acquired_idle + now.acquired_takeover + now.acquired_dialed + now.acquired_queued,
            accepted_);
  std::uint64_t counted_opened = 0;
  for (TestWorker& worker : workers_) counted_opened += worker.counts().connections_opened.value();
  EXPECT_EQ(counted_opened, now.opened);
}

// Above a limit that was lowered, what there is may only become less.
void RandomWorld::check_cap(Site& site, const HostSnapshot& now) {
  const std::uint32_t held = now.dialing + now.idle + now.busy;
  EXPECT_LE(held, std::max(limits_.max_connections, site.held));
  site.held = held;
  EXPECT_LE(now.dialing, std::max(limits_.max_connecting, site.dialing) + redials_);
  site.dialing = now.dialing;
  const bool trimmed = !trim_due_[0] && !trim_due_[1];
  if (trimmed) {
    EXPECT_LE(now.idle, limits_.max_idle);
  }
}

// Above a bound that was lowered, what there is may only become less. Where all connections of the
// process are up, an idle one gives way to whoever waits.
void RandomWorld::check_bounds(const HostSnapshot& all) {
  const ProcessBounds& bounds = registry_.bounds();
  const std::uint32_t taken = bounds.connections.taken();
  EXPECT_GE(taken, all.dialing + all.idle + all.busy);
  if (posted() == 0) {
    EXPECT_EQ(taken, all.dialing + all.idle + all.busy);
  }
  EXPECT_LE(taken, std::max(bounds.connections.limit(), taken_before_));
  // Nothing takes the place of what closes above the bound, but for a retry.
  const std::uint64_t closes = count_closed(all) - closed_before_;
  if (taken > bounds.connections.limit()) {
    EXPECT_LE(taken + closes, taken_before_ + redials_);
  }
  closed_before_ += closes;
  taken_before_ = taken;
  EXPECT_EQ(bounds.idle.taken(), all.idle);
  EXPECT_LE(all.idle, std::max(bounds.idle.limit(), idle_before_));
  idle_before_ = all.idle;
  if (posted() == 0 && bounds.connections.wanted_by_others(/*caller_waits=*/true)) {
    EXPECT_EQ(all.idle, 0U) << "connections are idle, but other hosts wait";
  }
  if (posted() == 0 && bounds.connections.wanted()) {
    EXPECT_GE(taken, bounds.connections.limit()) << "permits are free, but hosts wait";
  }
}

bool RandomWorld::all_told() const {
  if (posted() > 0 || trim_due_[0] || trim_due_[1]) return false;
  return !paused_ && !follow_due_[0] && !follow_due_[1];
}

// Whether it wants more connections than it has, and lacks but permits of the process. A dial that
// nobody waits for, on any worker, is as good as one's own.
bool RandomWorld::starves(const HostSnapshot& now) const {
  return all_told() && now.dialing + now.idle + now.busy < limits_.max_connections &&
         now.dialing < limits_.max_connecting && now.waiting > now.dialing;
}

void RandomWorld::check_nobody_forgotten(const HostSnapshot& now) {
  if (!all_told()) return;
  const ProcessBounds& bounds = registry_.bounds();
  if (bounds.connections.taken() >= bounds.connections.limit()) return;  // see check_bounds()
  EXPECT_FALSE(starves(now)) << "permits are free, but requests wait";
  // What another worker had idle before a suspend is not taken, and stands until that one looks.
  const bool all_may_be_taken = worker_count_ == 1 || !slept_;
  if (all_may_be_taken && flavors_.size() == 1 && !reloads_ && now.waiting > 0) {
    EXPECT_EQ(now.idle, 0U) << "connections are idle, but requests wait";
  }
}

void RandomWorld::clear_away() {
  for (const auto& request : requests_) request->client.cancel();
  requests_.clear();
  for (int i = 0; i < 2; ++i) {
    for (TestWorker& worker : workers_) worker.executor.run_all();
  }
  for (TestWorker& worker : workers_) {
    for (const Site& site : sites_) site.host->detach(worker.pool);
    worker.executor.run_all();
  }
  for (TestWorker& worker : workers_) {
    EXPECT_EQ(worker.dialer.in_flight(), 0U);
    EXPECT_EQ(worker.dialer.open_streams(), 0U);
    EXPECT_EQ(worker.executor.posted(), 0U);
  }
  for (const Site& site : sites_) {
    const HostSnapshot now = site.host->snapshot(clock_.now());
    EXPECT_EQ(now.dialing + now.idle + now.busy + now.waiting, 0U);
    EXPECT_TRUE(site.host->retire_if_unused(clock_.now(), Duration(0))) << "a permit was lost";
  }
  EXPECT_EQ(registry_.bounds().connections.taken(), 0U);
  EXPECT_EQ(registry_.bounds().idle.taken(), 0U);
}

}  // namespace penstock
