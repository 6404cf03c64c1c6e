// The configurations of a run, and what each says of a connection.
//
// Four upstreams: "a" and "b" are always there ("b" has two hosts), "d" comes and goes, and what it
// leaves "rest" serves. A reload draws limits anew, and sometimes what a connection is.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "config/settings.h"
#include "ledger.h"
#include "net/dialer.h"
#include "pool/registry.h"
#include "stage.h"

namespace penstock::sim {

class Rules {
 public:
  explicit Rules(Stage& stage);

  // A new configuration is in force; its generation is generation().
  void change();
  // The last one of a run: nothing is kept for long, and nothing warm.
  void change_to_end();
  ConfigSnapshot config() const { return generations_.back(); }
  unsigned generation() const { return static_cast<unsigned>(generations_.size() - 1); }
  PoolPolicies policies() const;
  ProcessLimits process_limits() const;
  std::uint32_t max_clients() const { return max_clients_; }
  bool half_close() const { return half_close_; }
  // The connections to b.test are of two kinds, with TLS and without.
  bool two_flavors() const { return two_flavors_; }

  // What the connection of a request is to be dialled from.
  bool has_source_address(const Request& request,
                          const std::optional<SocketAddress>& address) const;
  // A connection that was dialled then and has served so many requests is kept idle.
  void check_kept(const DialTarget& target, MonotonicTime dialled, unsigned served) const;

 private:
  UpstreamSettings draw_upstream(std::string name, std::vector<std::string> hosts);
  void draw_pool(PoolSettings& pool);
  void draw_timeouts(TimeoutSettings& timeouts);
  void draw_client(ClientSettings& client);
  void draw_process(ProcessSettings& process);
  static const UpstreamSettings* upstream_of(const Config& config, std::string_view host);

  Stage& stage_;
  const bool half_close_;
  const bool two_flavors_;
  const bool bounded_;  // the process has fewer connections than its hosts together
  const std::uint32_t max_clients_;
  std::vector<ConfigSnapshot> generations_;
};

}  // namespace penstock::sim
