#include "pool/upstream_connection.h"

#include "pool/host_pool.h"
#include "pool/waiter.h"
#include "pool/worker_pool.h"

namespace penstock {

namespace {

// A request that is on its way when the server's time is over finds the connection closed.
constexpr Duration kServerIdleMargin = std::chrono::seconds(1);

}  // namespace

bool IdleGate::enter() { return host_->enter(*this); }

UpstreamConnection::UpstreamConnection(HostPool& host, WorkerPool& worker, FlavorRef flavor,
                                       const DialLimits& limits)
    : host_(host),
      flavor_(std::move(flavor)),
      dial_limits_(limits),
      id_(worker.next_connection_id()),
      created_(worker.now()),
      lifetime_share_(1 - worker.draw() / 10),
      worker_(&worker) {
  const DialTarget& target = *flavor_->target;
  const bool nothing_to_resolve =
      !target.unix_path.empty() || SocketAddress::from_ip(target.host, target.port).has_value();
  if (nothing_to_resolve) dial_phase_ = Phase::kConnect;
}

void UpstreamConnection::start_dial() {
  dial_ = worker().dialer().dial(flavor_->target, dial_limits_, *this);
}

void UpstreamConnection::on_dial_phase(Phase phase) {
  if (dial_phase_ == phase) return;
  dial_phase_ = phase;
  if (waiter_ != nullptr) waiter_->handler_.on_dial_phase(phase);
}

void UpstreamConnection::on_dialed(Dialed dialed) {
  dial_.reset();
  stream_ = std::move(dialed.stream);
  address_ = dialed.address.to_string();
  dial_times_ = dialed.times;
  tls_resumed_ = dialed.tls_resumed;
  host_.on_dialed(*this);
}

void UpstreamConnection::on_dial_failed(Error error, DialTimes times) {
  dial_.reset();
  dial_times_ = times;
  host_.on_dial_failed(*this, error);
}

void UpstreamConnection::heed(const ReuseHints& hints) {
  if (hints.timeout) server_idle_ = *hints.timeout - kServerIdleMargin;
  if (hints.more_requests) server_max_requests_ = requests_ + *hints.more_requests;
}

bool UpstreamConnection::leads_to(std::string_view host, const SocketAddress& address) const {
  const DialTarget& target = *flavor_->target;
  if (!target.unix_path.empty() || target.host != host) return false;
  SocketAddress here = address;
  here.set_port(target.port);
  return here.to_string() == address_;
}

bool UpstreamConnection::is_dead() {
  char unexpected[64];
  const IoStatus status = stream_->read(unexpected).status;
  return status == IoStatus::kEof || status == IoStatus::kError;
}

bool UpstreamConnection::looks_alive() {
  char unexpected[64];
  return stream_->read(unexpected).status == IoStatus::kWouldBlock;
}

// Idle: nothing may come but TLS 1.3 tickets, which read() swallows.
void UpstreamConnection::on_readable() {
  char unexpected[64];
  const IoResult result = stream_->read(unexpected);
  switch (result.status) {
    case IoStatus::kWouldBlock:
      host_.end_look(*this);
      return;
    case IoStatus::kOk:
      host_.close(*this, CloseReason::kUnexpectedData);
      return;
    case IoStatus::kEof:
    case IoStatus::kError:
      host_.close(*this, CloseReason::kPeerClosedIdle);
      return;
  }
}

}  // namespace penstock
