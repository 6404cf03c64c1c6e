#include "net/dial_stages.h"

#include <string_view>
#include <utility>
#include <variant>

#include "event/loop.h"
#include "net/shortage.h"

namespace penstock {
namespace {

MonotonicTime limit_end(MonotonicTime now, std::optional<Duration> limit) {
  return limit ? now + *limit : kForever;
}

Error limit_error(ErrorCode code, Phase phase, std::string_view limit_key, std::string what) {
  return {.code = code, .phase = phase, .limit_key = limit_key, .detail = std::move(what)};
}

}  // namespace

ResolveStage::ResolveStage(const Outside& outside, const std::string& host, Events events)
    : loop_(outside.loop),
      resolver_(outside.resolver),
      descriptors_(outside.descriptors),
      host_(host),
      events_(events),
      place_(Delegate<void()>::to<&ResolveStage::go_on>(*this)),
      deadline_(loop_.timers(), Delegate<void()>::to<&ResolveStage::on_expired>(*this)) {}

void ResolveStage::start(const DialLimits& limits) {
  limits_ = limits;
  ask();
}

void ResolveStage::ask() {
  auto outcome = resolver_.resolve(host_, *this);
  if (auto* addresses = std::get_if<AddressList>(&outcome)) {
    return finish(ResolvedAddresses{std::move(*addresses), true});
  }
  if (auto* error = std::get_if<Error>(&outcome)) return on_resolve_failed(std::move(*error));
  lookup_ = std::get<Pending>(std::move(outcome));
  deadline_.arm(limit_end(loop_.now(), limits_.resolve));
}

void ResolveStage::on_resolved(const AddressList& addresses, bool complete) {
  if (complete) return finish(ResolvedAddresses{addresses, true});
  first_part_ = addresses;
  events_.done(ResolvedAddresses{addresses, false});
}

void ResolveStage::on_resolve_failed(Error error) {
  if (is_shortage(error.sys)) return wait_for_descriptor();
  error.phase = Phase::kResolve;
  finish(Unexpected{std::move(error)});
}

// All waits of the look-up together have timeouts.queue, as those of the connect stage.
void ResolveStage::wait_for_descriptor() {
  lookup_.reset();
  if (queue_until_ == kNever) queue_until_ = limit_end(loop_.now(), limits_.queue);
  deadline_.arm(queue_until_);
  descriptors_.join(place_);
  static_cast<void>(events_.entered(Phase::kQueue));  // destroyed or not, nothing follows
}

void ResolveStage::go_on() {
  deadline_.cancel();
  if (events_.entered(Phase::kResolve)) ask();
}

void ResolveStage::on_expired() {
  if (place_.is_linked()) return finish(Unexpected{no_descriptor("to look up " + host_)});
  if (!first_part_.empty()) return finish(ResolvedAddresses{std::move(first_part_), true});
  finish(Unexpected{limit_error(ErrorCode::kDnsTimeout, Phase::kResolve, "timeouts.resolve",
                                "no answer from DNS within the limit")});
}

void ResolveStage::finish(Result<ResolvedAddresses> result) {
  deadline_.cancel();
  place_.unlink();
  lookup_.reset();
  events_.done(std::move(result));
}

HandshakeStage::HandshakeStage(Loop& loop, std::unique_ptr<TlsStream> stream, Completion done)
    : loop_(loop),
      done_(done),
      deadline_(loop.timers(), Delegate<void()>::to<&HandshakeStage::on_expired>(*this)),
      stream_(std::move(stream)) {}

void HandshakeStage::start(std::optional<Duration> limit) {
  deadline_.arm(limit_end(loop_.now(), limit));
  stream_->set_handler(this);
  stream_->be_patient(true);
  step();
}

void HandshakeStage::step() {
  const IoStatus status = stream_->handshake().status;
  if (status == IoStatus::kWouldBlock) return;
  loop_.refresh_time();  // the last step alone takes up to a millisecond of computing
  if (status == IoStatus::kOk) {
    stream_->set_handler(nullptr);
    stream_->be_patient(false);
    return finish(std::move(stream_));
  }
  Error error = stream_->last_error();
  error.phase = Phase::kTlsHandshake;
  finish(Unexpected{std::move(error)});
}

void HandshakeStage::on_expired() {
  finish(Unexpected{limit_error(ErrorCode::kConnectionTimeout, Phase::kTlsHandshake,
                                "timeouts.tls_handshake",
                                "the TLS handshake did not end within the limit")});
}

void HandshakeStage::finish(Result<std::unique_ptr<TlsStream>> result) {
  deadline_.cancel();
  done_(std::move(result));
}

}  // namespace penstock
