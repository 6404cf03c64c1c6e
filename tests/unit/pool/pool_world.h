// What the pool's tests stand on: clients that check the callback contract, workers without a loop,
// and a HostPool between them.
#pragma once

#include <gtest/gtest.h>

#include <array>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "pool/host_pool.h"
#include "pool/registry.h"
#include "pool/worker_pool.h"
#include "support/fake_dialer.h"
#include "support/manual_clock.h"
#include "support/manual_executor.h"

namespace penstock {

// One request: acquires once, is answered at most once, listens to the connection while it has it.
class Client final : public AcquireHandler, public StreamHandler {
 public:
  Client() = default;
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;
  ~Client() = default;

  // `start` calls acquire(); a callback before it has returned fails the test.
  void acquire(const std::function<AcquireOutcome(AcquireHandler&)>& start);
  void cancel() { pending_.reset(); }
  void release(const ReuseHints& hints = {}) { lease_.release(hints); }
  void close(CloseReason reason = CloseReason::kError) { lease_.close(reason); }
  // Gives the connection up as dead and waits for a new one in its place.
  void redial(CloseReason reason = CloseReason::kError);
  void drop() { Lease(std::move(lease_)); }
  void drain() { lease_.begin_drain(); }
  void become_tunnel() { lease_.become_tunnel(); }

  bool waiting() const { return pending_ != nullptr; }
  bool leasing() const { return static_cast<bool>(lease_); }
  bool failed() const { return error_.has_value(); }
  const Error& error() const { return *error_; }
  UpstreamConnection& connection() { return *lease_; }
  std::uint64_t connection_id() { return lease_ ? lease_->id() : 0; }
  // What it was told, the phase that acquire() returned with first.
  const std::vector<Phase>& phases() const { return phases_; }
  int unexpected_events() const { return stream_events_; }

  // Called last in the callback of the same name, after the lease or the error was kept.
  std::function<void()> then_acquired;
  std::function<void()> then_failed;
  std::function<void()> then_phase;

 private:
  void on_acquired(Lease lease) override;
  void on_acquire_failed(Error error) override;
  void on_dial_phase(Phase phase) override;
  void on_readable() override { ++stream_events_; }
  void on_writable() override { ++stream_events_; }
  void keep(Lease lease);

  bool starting_ = false;
  Pending pending_;
  Lease lease_;
  std::optional<Error> error_;
  std::vector<Phase> phases_;
  int stream_events_ = 0;
};

struct TestWorker {
  TestWorker(std::size_t index, PoolRegistry& registry, ManualClock& clock)
      : dialer(clock), pool(index, registry, {executor, clock, clock.timers(), dialer, metrics}) {}

  UpstreamMetrics& counts() { return metrics.upstream("payments"); }

  ManualExecutor executor;
  FakeDialer dialer;
  WorkerMetrics metrics;
  WorkerPool pool;
};

inline constexpr std::uint64_t kIdentity = 7;
FlavorRef make_flavor(std::uint64_t identity = kIdentity, bool tls = true,
                      const std::string& host = "api.test",
                      ClientScope scope = ClientScope::kMachine);

// Two workers and one host; what a test leaves behind is checked and cleared away at its end.
class HostPoolTest : public testing::Test {
 protected:
  HostPoolTest() : workers_{TestWorker(0, registry_, clock_), TestWorker(1, registry_, clock_)} {}
  ~HostPoolTest() override { clear_away(); }

  // Replaces the limits before anything happened, or as a reload does when followed by trim().
  void set_limits(HostLimits limits, std::uint64_t identity = kIdentity) {
    limits_ = limits;
    host_.set_limits(limits, identity);
  }
  void trim() {
    for (TestWorker& worker : workers_) host_.trim(worker.pool);
  }

  Client& client() { return *clients_.emplace_back(std::make_unique<Client>()); }
  // A new client that has called acquire().
  Client& acquire(const FlavorRef& flavor = make_flavor(), std::size_t worker = 0);
  void acquire(Client& client, const FlavorRef& flavor = make_flavor(), std::size_t worker = 0,
               const AcquireClaim& claim = {});
  // A new client whose request was led here by a reload, and has waited elsewhere since then.
  Client& arrive(MonotonicTime since, const FlavorRef& flavor = make_flavor());
  // A new client with a new connection that is nobody else's.
  Client& connect(const FlavorRef& flavor = make_flavor(), std::size_t worker = 0);
  // `count` connections, made at once and all given back; the last one is the freshest.
  void fill_idle(int count, std::size_t worker = 0);
  void run_workers();

  FakeDialer& dialer() { return workers_[0].dialer; }
  UpstreamMetrics& counts() { return workers_[0].counts(); }
  HostSnapshot snapshot() const { return host_.snapshot(clock_.now()); }
  std::uint64_t closed(CloseReason reason) const {
    return snapshot().closed[static_cast<std::size_t>(reason)];
  }
  // dialling, idle, busy, waiting
  std::array<std::uint32_t, 4> books() const;

  HostLimits limits_{.max_connections = 2,
                     .max_idle = 2,
                     .max_waiting = 10,
                     .idle_timeout = std::chrono::seconds(55),
                     .reuse = true};
  ManualClock clock_;
  PoolRegistry registry_{2};
  std::array<TestWorker, 2> workers_;
  const std::shared_ptr<HostPool> shared_host_ = std::make_shared<HostPool>(
      HostKey{"payments", "api.test", 443}, limits_, kIdentity, 2, registry_.bounds());
  HostPool& host_ = *shared_host_;
  std::deque<std::unique_ptr<Client>> clients_;

 private:
  void clear_away();
};

using Books = std::array<std::uint32_t, 4>;

}  // namespace penstock
