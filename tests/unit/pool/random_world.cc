#include "random_world.h"

#include <algorithm>
#include <string>

namespace penstock {

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

void RandomWorld::keep_warm(std::size_t worker) {
  EXPECT_TRUE(host_.keep_warm(workers_[worker].pool, flavors_[0], DialLimits{}));
}

void RandomWorld::step() {
  redials_ = 0;
  switch (pick(16)) {
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
  request.worker = pick(worker_count_);
  request.flavor = flavors_[pick(flavors_.size())];
  request.client.then_acquired = [this, &request] { on_acquired(request); };
  request.client.then_failed = [this, &request] { act_inside(request); };
  request.client.then_phase = [this, &request] {
    if (one_in(10)) request.client.cancel();
  };
  request.client.acquire([&](AcquireHandler& handler) {
    AcquireOutcome outcome =
        host_.acquire(workers_[request.worker].pool, request.flavor, DialLimits{}, handler);
    served_idle_ += std::holds_alternative<Lease>(outcome) ? 1 : 0;
    return outcome;
  });
  check_lease(request);
  accepted_ += request.client.failed() ? 0 : 1;
}

// Each flavor dials a port of its own, so that the address tells it.
void RandomWorld::check_lease(Request& request) {
  if (!request.client.leasing()) return;
  EXPECT_EQ(request.client.connection().address(),
            "192.0.2.1:" + std::to_string(request.flavor->target->port));
  if (!reloads_) {
    EXPECT_LE(request.client.connection().requests(), limits_.max_requests);
  }
}

// Delivery within a worker is in order of arrival, for each flavor. A request may be overtaken only
// while it is being failed, by what a handler of another one does that fails with it.
void RandomWorld::on_acquired(Request& request) {
  check_lease(request);
  EXPECT_FALSE(request.overtaken) << "served after a younger one";
  for (const auto& other : requests_) {
    if (!other->client.waiting() || other->worker != request.worker) continue;
    if (other->redialing || !other->flavor->same_as(*request.flavor)) continue;
    if (other->number < request.number) other->overtaken = true;
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
  const std::size_t posted = workers_[0].executor.posted() + workers_[1].executor.posted();
  if (posted > 0 && peer.open()) return;  // on its way to a worker
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
    host_.on_address_left(worker, "api.test", address);
  } else {
    host_.on_address_returned(worker, "api.test", address);
  }
}

void RandomWorld::reload() {
  if (!reloads_ || !one_in(3)) return;
  limits_ = random_limits();
  if (one_in(2)) identity_ += 1;
  host_.set_limits(limits_, identity_);
  for (std::size_t i = 0; i < worker_count_; ++i) trim_due_[i] = true;
}

// What a worker finds in its mailbox: posts, and the reload.
void RandomWorld::catch_up() {
  const std::size_t which = pick(worker_count_);
  if (trim_due_[which] && one_in(2)) {
    trim_due_[which] = false;
    host_.trim(workers_[which].pool);
    if (flavors_[0]->identity != identity_) {
      for (FlavorRef& flavor : flavors_) flavor = make_flavor(identity_, flavor->tls);
    }
    keep_warm(which);
  } else {
    workers_[which].executor.run_one();
  }
}

void RandomWorld::check() {
  const HostSnapshot now = host_.snapshot(clock_.now());
  for (const auto& request : requests_) {
    EXPECT_FALSE(request->overtaken && request->client.waiting()) << request->number;
  }
  check_counts(now);
  check_cap(now);
  check_nobody_forgotten(now);
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
  const std::size_t posted = workers_[0].executor.posted() + workers_[1].executor.posted();
  EXPECT_GE(now.busy, leases);
  EXPECT_LE(now.busy, leases + posted) << "what is neither leased nor on its way";
  std::uint64_t closed = 0;
  for (const std::uint64_t count : now.closed) closed += count;
  EXPECT_EQ(now.opened - closed, open);
  EXPECT_EQ(now.acquired_idle + now.acquired_takeover, served_idle_);
  EXPECT_EQ(now.acquired_idle + now.acquired_takeover + now.acquired_dialed + now.acquired_queued,
            accepted_);
  std::uint64_t counted_opened = 0;
  for (TestWorker& worker : workers_) counted_opened += worker.counts().connections_opened.value();
  EXPECT_EQ(counted_opened, now.opened);
}

// Above a limit that was lowered, what there is may only become less.
void RandomWorld::check_cap(const HostSnapshot& now) {
  const std::uint32_t held = now.dialing + now.idle + now.busy;
  EXPECT_LE(held, std::max(limits_.max_connections, held_before_));
  held_before_ = held;
  EXPECT_LE(now.dialing, std::max(limits_.max_connecting, dialing_before_) + redials_);
  dialing_before_ = now.dialing;
  const bool trimmed = !trim_due_[0] && !trim_due_[1];
  if (trimmed) {
    EXPECT_LE(now.idle, limits_.max_idle);
  }
}

void RandomWorld::check_nobody_forgotten(const HostSnapshot& now) {
  const std::size_t posted = workers_[0].executor.posted() + workers_[1].executor.posted();
  if (posted > 0 || trim_due_[0] || trim_due_[1]) return;
  if (now.dialing + now.idle + now.busy < limits_.max_connections &&
      now.dialing < limits_.max_connecting) {
    // A dial that nobody waits for, on any worker, is as good as one's own.
    EXPECT_LE(now.waiting, now.dialing) << "permits are free, but requests wait";
  }
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
    host_.detach(worker.pool);
    worker.executor.run_all();
  }
  for (TestWorker& worker : workers_) {
    EXPECT_EQ(worker.dialer.in_flight(), 0U);
    EXPECT_EQ(worker.dialer.open_streams(), 0U);
    EXPECT_EQ(worker.executor.posted(), 0U);
  }
  const HostSnapshot now = host_.snapshot(clock_.now());
  EXPECT_EQ(now.dialing + now.idle + now.busy + now.waiting, 0U);
  host_.retire_if_unused(clock_.now(), Duration(0));
  EXPECT_TRUE(host_.retire_if_unused(clock_.now(), Duration(0))) << "a permit was lost";
}

}  // namespace penstock
