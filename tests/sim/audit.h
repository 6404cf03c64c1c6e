// The books of the pool against what the simulation's ends saw, after every step.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "ledger.h"
#include "origin.h"
#include "pool/registry.h"
#include "stage.h"
#include "worker.h"

namespace penstock::sim {

// What was told of finished exchanges, to metrics and access log alike.
std::uint64_t count_records(const std::vector<std::unique_ptr<Worker>>& workers);

class Audit {
 public:
  using Workers = std::vector<std::unique_ptr<Worker>>;
  using Origins = std::vector<std::unique_ptr<Origin>>;

  Audit(Stage& stage, const Rules& rules, const PoolRegistry& registry, const Workers& workers,
        const Origins& origins, const Ledger& ledger)
      : stage_(stage),
        rules_(rules),
        registry_(registry),
        workers_(workers),
        origins_(origins),
        ledger_(ledger) {}

  // `connections_closed`: in this step, each may have been dead and replaced by a new dial at once.
  void check(std::uint32_t connections_closed);
  // Idle connections of a worker that slept are its own to look at.
  void note_suspend() { slept_ = true; }
  bool cap_reached() const { return cap_reached_; }

 private:
  // What is up to one host and port, as the ends see it.
  struct Seen {
    std::uint32_t dialing = 0, open = 0;
    std::uint32_t idle = 0;      // the pool listens
    std::uint32_t leased = 0;    // an exchange does, or a session keeps it for its client
    std::uint32_t draining = 0;  // a drain does
  };
  struct Booked {
    std::uint32_t dialing = 0, idle = 0, busy = 0, draining = 0, upgraded = 0;
    bool operator==(const Booked&) const = default;
  };
  using Place = std::pair<std::string, std::uint16_t>;
  struct Before {
    std::uint32_t held = 0, dialing = 0, idle = 0, waiting = 0;
  };

  void look();
  void count_listener(Seen& seen, const Origin& origin) const;
  void check_limits(const HostSnapshot& host, std::uint32_t connections_closed);
  bool starves(const HostSnapshot& host) const;
  void check_nobody_forgotten(const HostSnapshot& host) const;
  void check_bounds(const std::vector<HostSnapshot>& hosts);
  void check_opened(const HostSnapshot& host) const;
  void check_places(const std::vector<HostSnapshot>& hosts) const;
  void check_records() const;
  void check_connections_counted() const;
  void check_acquires(const std::vector<HostSnapshot>& hosts) const;
  std::size_t posted() const;
  bool all_at_work() const;

  Stage& stage_;
  const Rules& rules_;
  const PoolRegistry& registry_;
  const Workers& workers_;
  const Origins& origins_;
  const Ledger& ledger_;
  const MonotonicTime begin_;
  std::map<Place, Seen> seen_;
  std::unordered_map<HostKey, Before, HostKeyHash, HostKeyEqual> before_;
  bool slept_ = false;
  bool cap_reached_ = false;
  std::uint32_t taken_before_ = 0;
  std::uint32_t idle_before_ = 0;
  std::uint32_t waiting_before_ = 0;  // at all hosts
  std::uint32_t led_here_ = 0;        // at most, by a reload
  std::uint64_t reloads_followed_ = 0;
};

}  // namespace penstock::sim
