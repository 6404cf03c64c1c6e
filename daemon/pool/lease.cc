#include "pool/lease.h"

#include "pool/host_pool.h"

namespace penstock {

void Lease::release(const ReuseHints& hints) {
  UpstreamConnection* connection = std::exchange(connection_, nullptr);
  connection->host().release(*connection, hints);
}

void Lease::close(CloseReason reason) {
  UpstreamConnection* connection = std::exchange(connection_, nullptr);
  connection->host().close(*connection, reason);
}

void Lease::begin_drain() { connection_->host().begin_drain(*connection_); }

void Lease::begin_next() { connection_->host().begin_next(*connection_); }

void Lease::become_tunnel() { connection_->host().become_tunnel(*connection_); }

Waiting Lease::redial(CloseReason reason, const DialLimits& limits, AcquireHandler& handler) {
  UpstreamConnection* connection = std::exchange(connection_, nullptr);
  return connection->host().redial(*connection, reason, limits, handler);
}

}  // namespace penstock
