// The dashboard: one page with the pools, the traffic of the last minutes and the last failures.
//
// It is rendered here in whole, so that it can be read without a script; its script asks for the
// same page again and takes over what has changed.
//
// Owner: the Daemon. Thread: the control loop's. Once it has begun it looks at the counters every
// few seconds, so that the page shows the last minutes to whoever opens it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "event/loop.h"
#include "server/admin_route.h"
#include "server/traffic_history.h"
#include "telemetry/metrics.h"

namespace penstock {

// What the Daemon knows.
struct DaemonFacts {
  std::string version;
  std::string_view state;  // "serving"
  std::uint64_t revision = 0;
  WallTime last_reload{};
  std::string reload_error;  // of the last reload, if that failed
  PoolGauges pools;
  bool has_config_page = false;
};

class Dashboard {
 public:
  Dashboard(Loop& loop, const MetricsRegistry& metrics);
  Dashboard(const Dashboard&) = delete;
  Dashboard& operator=(const Dashboard&) = delete;

  void begin();

  AdminReply page(const DaemonFacts& facts) const;
  AdminReply failures(std::string_view upstream) const;  // JSON; empty: of all
  static AdminReply style();
  static AdminReply script();
  static AdminReply icon();

 private:
  void on_sample_due();

  Loop& loop_;
  const MetricsRegistry& metrics_;
  const MonotonicTime started_;
  TrafficHistory history_;
  Deadline sample_due_;
};

}  // namespace penstock
