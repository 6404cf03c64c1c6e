// What the whole process may have, over all hosts and workers: connections, and idle ones of them.
//
// Owner: the PoolRegistry. Thread: any.
#pragma once

#include <cstdint>

#include "pool/idle_room.h"
#include "pool/permit_bank.h"

namespace penstock {

struct ProcessLimits {
  std::uint32_t max_connections = UINT32_MAX;
  std::uint32_t max_idle = UINT32_MAX;
};

struct ProcessBounds {
  void set_limits(const ProcessLimits& limits) {
    idle.set_limit(limits.max_idle);
    connections.set_limit(limits.max_connections);
  }
  // Whether one more connection may be dialled, now or once an idle one is closed for it.
  bool may_give() const { return connections.has_free() || idle.taken() > 0; }
  // After a limit was lowered.
  bool exceeded() const { return connections.exceeded() || idle.exceeded(); }

  PermitBank connections;
  IdleRoom idle;
};

}  // namespace penstock
