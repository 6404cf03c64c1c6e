#include "proxy/pinned_connection.h"

#include "pool/upstream_connection.h"

namespace penstock {

void PinnedConnection::hold(Lease lease, const Route& route) {
  lease_ = std::move(lease);
  lease_->stream().set_handler(this);
  upstream_ = route.upstream->settings->name;
  identity_ = route.upstream->identity;
  host_ = route.choice.host;
  port_ = route.choice.port;
  tls_ = route.choice.tls;
}

Lease PinnedConnection::take(const Route& route) {
  const bool same_place = upstream_ == route.upstream->settings->name &&
                          host_ == route.choice.host && port_ == route.choice.port;
  if (!lease_ || !same_place) return {};
  if (identity_ != route.upstream->identity || tls_ != route.choice.tls) {
    lease_.close(CloseReason::kRetiredReload);  // it would stand in the way of the new one
    return {};
  }
  lease_.begin_next();
  return std::move(lease_);
}

void PinnedConnection::close(CloseReason reason) {
  if (lease_) lease_.close(reason);
}

// Nothing may come but TLS 1.3 tickets, which a look swallows.
void PinnedConnection::on_readable() {
  if (!lease_->looks_alive()) lease_.close(CloseReason::kPeerClosedIdle);
}

}  // namespace penstock
