#include "pool_world.h"

namespace penstock {

void Client::acquire(const std::function<AcquireOutcome(AcquireHandler&)>& start) {
  starting_ = true;
  AcquireOutcome outcome = start(*this);
  starting_ = false;
  if (auto* lease = std::get_if<Lease>(&outcome)) {
    keep(std::move(*lease));
  } else if (auto* waiting = std::get_if<Waiting>(&outcome)) {
    pending_ = std::move(waiting->pending);
    phases_.push_back(waiting->phase);
  } else if (auto* error = std::get_if<Error>(&outcome)) {
    error_ = std::move(*error);
  } else {
    ADD_FAILURE() << "the pool says that it has retired";
  }
}

void Client::redial(CloseReason reason) {
  acquire([&](AcquireHandler& handler) -> AcquireOutcome {
    return lease_.redial(reason, DialLimits{}, handler);
  });
}

void Client::on_acquired(Lease lease) {
  EXPECT_FALSE(starting_) << "acquired before acquire() returned";
  EXPECT_TRUE(waiting()) << "acquired, but nobody waits";
  pending_.reset();
  keep(std::move(lease));
  const auto then = then_acquired;  // a copy: it may end this client
  if (then) then();
}

void Client::on_acquire_failed(Error error) {
  EXPECT_FALSE(starting_) << "failed before acquire() returned";
  EXPECT_TRUE(waiting()) << "failed, but nobody waits";
  pending_.reset();
  error_ = std::move(error);
  const auto then = then_failed;
  if (then) then();
}

void Client::on_dial_phase(Phase phase) {
  EXPECT_FALSE(starting_) << "told a phase before acquire() returned";
  EXPECT_TRUE(waiting()) << "told a phase, but nobody waits";
  phases_.push_back(phase);
  const auto then = then_phase;
  if (then) then();
}

void Client::keep(Lease lease) {
  EXPECT_EQ(lease->state(), ConnectionState::kBusy);
  lease_ = std::move(lease);
  lease_->stream().set_handler(this);
}

FlavorRef make_flavor(std::uint64_t identity, bool tls, const std::string& host,
                      ClientScope scope) {
  auto target = std::make_shared<DialTarget>();
  target->host = host;
  target->port = static_cast<std::uint16_t>((tls ? 443 : 80) + 1000 * (identity - kIdentity));
  return std::make_shared<const Flavor>(Flavor{identity, tls, scope, std::move(target)});
}

Client& HostPoolTest::acquire(const FlavorRef& flavor, std::size_t worker) {
  Client& one = client();
  acquire(one, flavor, worker);
  return one;
}

void HostPoolTest::acquire(Client& one, const FlavorRef& flavor, std::size_t worker,
                           const AcquireClaim& claim) {
  one.acquire([&](AcquireHandler& handler) {
    return host_.acquire(workers_[worker].pool, flavor, DialLimits{}, handler, claim);
  });
}

Client& HostPoolTest::arrive(MonotonicTime since, const FlavorRef& flavor) {
  Client& one = client();
  acquire(one, flavor, 0, {.waiting_since = since});
  return one;
}

Client& HostPoolTest::connect(const FlavorRef& flavor, std::size_t worker) {
  Client& one = acquire(flavor, worker);
  if (!one.leasing()) {
    FakeDialer& its = workers_[worker].dialer;
    its.complete(its.in_flight() - 1);
  }
  EXPECT_TRUE(one.leasing());
  return one;
}

void HostPoolTest::fill_idle(int count, std::size_t worker) {
  std::vector<Client*> made;
  for (int i = 0; i < count; ++i) made.push_back(&connect(make_flavor(), worker));
  for (Client* one : made) one->release();
}

void HostPoolTest::run_workers() {
  while (workers_[0].executor.run_one() || workers_[1].executor.run_one()) continue;
}

Books HostPoolTest::books() const {
  const HostSnapshot now = snapshot();
  return {now.dialing, now.idle, now.busy, now.waiting};
}

void HostPoolTest::clear_away() {
  clients_.clear();
  run_workers();
  for (TestWorker& worker : workers_) host_.detach(worker.pool);
  run_workers();
  EXPECT_EQ(books(), (Books{0, 0, 0, 0}));
  EXPECT_TRUE(host_.retire_if_unused(clock_.now(), Duration(0)) ||
              host_.retire_if_unused(clock_.now(), Duration(0)))
      << "a permit was lost";
  for (TestWorker& worker : workers_) {
    EXPECT_EQ(worker.dialer.in_flight(), 0U);
    EXPECT_EQ(worker.dialer.open_streams(), 0U);
  }
}

}  // namespace penstock
