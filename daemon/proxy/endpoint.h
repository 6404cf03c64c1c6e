// A listening address as its sessions see it. Its settings change with a reload, for open
// connections too.
//
// Owner: the Worker's listener and each session that came by it. Thread: the worker's.
#pragma once

#include <memory>
#include <string>

#include "config/settings.h"
#include "net/address.h"
#include "net/peer.h"
#include "telemetry/metrics.h"

namespace penstock {

struct Endpoint {
  ListenerSettings settings;
  SocketAddress local;
  std::string name;  // for log and metrics: the address as configured
  ListenerMetrics* metrics = nullptr;
  ClientFilter filter{};  // made of the settings
  bool removed = false;   // by a reload: its connections end as in a drain
};

using EndpointRef = std::shared_ptr<Endpoint>;

}  // namespace penstock
