// A HostPool, or three within the bounds of one process, on one or two workers, to which random
// things happen, one per step; check() compares its books with what the fakes saw. All follows from
// the seed.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <random>
#include <vector>

#include "pool_world.h"

namespace penstock {

struct Request {
  Client client;
  std::uint64_t number = 0;  // in order of arrival
  MonotonicTime since{};
  std::size_t worker = 0;
  HostPool* host = nullptr;
  FlavorRef flavor;
  bool overtaken = false;  // a younger one was served first
  bool moved = false;      // led elsewhere by a reload: among those of its moment it may be last
  bool redialing = false;  // only a new connection will do: younger ones may be served first
};

// A host, and what it held after the step before.
struct Site {
  std::shared_ptr<HostPool> host;
  std::uint32_t held = 0;
  std::uint32_t dialing = 0;
};

class RandomWorld {
 public:
  explicit RandomWorld(std::uint64_t seed) : random_(seed), worker_count_(1 + seed % 2) {
    const std::uint64_t variety = seed / 2;
    flavors_.push_back(make_flavor());
    if (variety % 2 == 1) flavors_.push_back(make_flavor(kIdentity, false));
    reloads_ = variety % 3 == 0;
    limits_ = random_limits();
    bounded_ = variety % 4 == 3;
    if (bounded_) set_bounds();
    for (std::size_t i = 0; i < (bounded_ ? 3 : 1); ++i) add_site(i);
    for (std::size_t i = 0; i < worker_count_ && variety % 5 >= 2; ++i) keep_warm(i);
    check();
  }
  RandomWorld(const RandomWorld&) = delete;
  RandomWorld& operator=(const RandomWorld&) = delete;
  ~RandomWorld() { clear_away(); }

  void step();
  void check();

 private:
  std::size_t pick(std::size_t count) {
    return std::uniform_int_distribution(std::size_t{0}, count - 1)(random_);
  }
  bool one_in(std::size_t count) { return pick(count) == 0; }
  TestWorker& any_worker() { return workers_[pick(worker_count_)]; }

  HostPool& any_host() { return *sites_[pick(sites_.size())].host; }
  void add_site(std::size_t number);
  void set_bounds();
  void keep_warm(std::size_t worker);
  void acquire();
  void cancel_one();
  void end_one();
  void end(Request& request);
  void redial(Request& request);
  void finish_dial();
  void fail_dial();
  void disturb_idle();
  void pass_time();
  void move_address();
  void reload();
  void take_console();
  void move_one();
  static bool is_older(const Request& one, const Request& other);
  void catch_up();
  HostLimits random_limits();

  template <typename Predicate>
  Request* any_request(Predicate wanted);
  void on_acquired(Request& request);
  void act_inside(Request& request);
  void check_lease(Request& request);

  void check_counts(const HostSnapshot& now);
  void check_cap(Site& site, const HostSnapshot& now);
  void check_bounds(const HostSnapshot& all);
  void check_nobody_forgotten(const HostSnapshot& now);
  bool all_told() const;
  bool starves(const HostSnapshot& now) const;
  std::size_t posted() const;
  void check_pause();
  std::uint32_t count_leases();
  void clear_away();

  std::mt19937_64 random_;
  const std::size_t worker_count_;
  bool slept_ = false;
  bool reloads_ = false;
  bool bounded_ = false;
  std::uint32_t taken_before_ = 0;
  std::uint32_t idle_before_ = 0;
  std::uint64_t closed_before_ = 0;
  std::vector<FlavorRef> flavors_;
  HostLimits limits_{};
  std::uint64_t identity_ = kIdentity;
  std::array<bool, 2> trim_due_{};
  bool paused_ = false;
  bool paused_before_ = false;
  std::array<bool, 2> follow_due_{};
  std::uint64_t started_before_ = 0;  // dials
  std::uint64_t retired_below_ = 0;
  std::uint32_t redials_ = 0;  // in this step
  std::uint64_t last_number_ = 0;
  std::uint64_t accepted_ = 0;
  std::uint64_t served_idle_ = 0;
  int depth_ = 0;

  ManualClock clock_;
  PoolRegistry registry_{2};
  std::array<TestWorker, 2> workers_{TestWorker(0, registry_, clock_),
                                     TestWorker(1, registry_, clock_)};
  std::vector<Site> sites_;
  std::vector<std::unique_ptr<Request>> requests_;
};

}  // namespace penstock
