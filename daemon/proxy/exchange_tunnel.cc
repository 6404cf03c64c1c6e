// Exchanges that end in a tunnel: CONNECT (RFC 9110 section 9.3.6) and Upgrade (section 7.8).

#include "http/writer.h"
#include "proxy/exchange.h"
#include "proxy/proxy.h"

namespace penstock {

namespace {

constexpr std::string_view kEstablished = "HTTP/1.1 200 Connection Established\r\n\r\n";

}  // namespace

// CONNECT: the target is connected, or requests in plaintext come inside.
void Exchange::answer_connect() {
  status_ = 200;
  status_source_ = StatusSource::kProxy;
  session_->output().set_max_bytes(Buffer::kDefaultMaxBytes);
  if (!send_downstream(std::span(&kEstablished, 1))) return;
  if (!route_.unwrap) {
    start_tunnel();
    return;
  }
  session_->unwrap(route_.authority);
  response_state_ = ResponseState::kDone;
  keep_client_ = true;
  finish_if_delivered();
}

void Exchange::start_tunnel() {
  clocks_.stop_all();  // but for `tunnel_idle`, no limit applies to a tunnel
  timeline_.leave_all(proxy_.now());
  request_state_ = RequestState::kDone;
  response_state_ = ResponseState::kBody;
  session_->stop_waiting_for_buffers();
  lease_.become_tunnel();
  tunnel_.emplace(Tunnel::Ends{.client = session_->stream(),
                               .upstream = lease_->stream(),
                               .from_client = session_->input(),
                               .from_upstream = session_->output(),
                               .pipes = proxy_.pipes(),
                               .client_ended = session_->input_ended()},
                  proxy_.clock(), proxy_.timers(), timeouts().tunnel_idle,
                  Delegate<void(TunnelEnd)>::to<&Exchange::on_tunnel_ended>(*this));
  if (const auto end = tunnel_->start()) end_tunnel(*end);
}

void Exchange::on_tunnel_ended(TunnelEnd end) {
  end_tunnel(end);
  settle();
}

void Exchange::end_tunnel(TunnelEnd end) {
  request_bytes_ = tunnel_->bytes_from_client();
  response_bytes_ = tunnel_->bytes_from_upstream();
  tunnel_.reset();
  switch (end) {
    case TunnelEnd::kDone:
      drop_connection(CloseReason::kServerClose);
      finish(ClientSession::After::kClose);
      return;
    case TunnelEnd::kClientBroke:
      lease_->stream().abort();  // an end would say that all it had to say has come
      drop_connection(CloseReason::kClientAbort);
      finish(ClientSession::After::kAbort);
      return;
    case TunnelEnd::kUpstreamBroke:
      fail({.code = ErrorCode::kConnectionTerminated,
            .phase = Phase::kReceive,
            .detail = "the upstream's connection broke"});
      return;
    case TunnelEnd::kIdle:
      drop_connection(CloseReason::kTimeout);
      fail({.code = ErrorCode::kConnectionReadTimeout,
            .phase = Phase::kReceive,
            .limit_key = "timeouts.tunnel_idle",
            .detail = "nothing moved in the tunnel for too long"});
      return;
  }
}

// What the client offers, less what we could not tunnel: HTTP/2 in plaintext would be HTTP that
// nobody checks.
void Exchange::read_upgrade_offer() {
  if (request_.version == HttpVersion::k10) return;
  bool asked = false;
  for (const Field& field : request_.fields) {
    if (field.id == FieldId::kConnection && list_contains(field.value, "upgrade")) asked = true;
  }
  if (!asked) return;
  for (const Field& field : request_.fields) {
    if (field.id != FieldId::kUpgrade) continue;
    for_each_element(field.value, [this](std::string_view protocol) {
      if (equals_ignoring_case(protocol, "h2c")) return;
      if (!upgrade_offer_.empty()) upgrade_offer_ += ", ";
      upgrade_offer_ += protocol;
    });
  }
}

bool Exchange::is_offered(std::string_view protocols) const {
  bool all = !protocols.empty();
  for_each_element(protocols, [&](std::string_view protocol) {
    all = all && list_contains(upgrade_offer_, protocol);
  });
  return all;
}

void Exchange::on_switched_protocols() {
  const Field* upgrade = response_.fields.find(FieldId::kUpgrade);
  if (upgrade_offer_.empty() || upgrade == nullptr || !is_offered(upgrade->value) ||
      !request_sent_) {
    fail({.code = ErrorCode::kHttpUpgradeFailed,
          .detail = "the upstream switched to a protocol that was not offered"});
    return;
  }
  status_ = 101;
  status_source_ = StatusSource::kUpstream;
  ResponseRewrite rewrite;
  rewrite.upgrade = upgrade->value;
  if (policy().via) rewrite.via = proxy_.pseudonym();
  Buffer& output = session_->output();
  output.set_max_bytes(output.size() + response_head_bound(response_, rewrite) +
                       upstream_input_.max_bytes() + Buffer::kDefaultMaxBytes);
  write_response_head(response_, rewrite, output);
  if (!send_downstream({})) return;
  output.append(upstream_input_.readable());
  upstream_input_.clear();
  start_tunnel();
}

}  // namespace penstock
