#include "proxy/response_drain.h"

#include <cassert>

#include "proxy/proxy.h"

namespace penstock {

bool leaves_connection_usable(const ResponseHead& head) {
  return head.keep_alive && head.version == HttpVersion::k11 &&
         head.framing.kind != FramingKind::kUntilClose;
}

namespace {

// Nothing that leaves the connection unusable, or to one client alone.
bool is_harmless(const ResponseHead& head) {
  if (head.informational()) return head.status != 101;
  return leaves_connection_usable(head) && !head.binds_connection;
}

}  // namespace

ResponseDrain::ResponseDrain(Proxy& proxy, Lease lease, ResponseParser parser, bool interim,
                             std::string_view received)
    : proxy_(proxy),
      lease_(std::move(lease)),
      parser_(std::move(parser)),
      interim_(interim),
      input_(proxy.blocks()),
      deadline_(proxy.timers(), Delegate<void()>::to<&ResponseDrain::on_deadline>(*this)) {
  // Room for a head that is not whole yet, as the exchange had it.
  input_.set_max_bytes(std::max(Buffer::kDefaultMaxBytes, received.size() + 1));
  input_.append(received);
  lease_.begin_drain();
  lease_->stream().set_handler(this);
  lease_->stream().resume_read(PauseReason::kBackpressure);
}

ResponseDrain::~ResponseDrain() { assert(!lease_); }

void ResponseDrain::start(const DrainSettings& limits) {
  left_ = limits.size;
  deadline_.arm(limits.time ? proxy_.now() + *limits.time : kForever);
  if (parse()) on_readable();
}

void ResponseDrain::on_readable() {
  while (read() && parse()) {
  }
}

bool ResponseDrain::read() {
  const std::span<char> space = input_.prepare();
  if (space.empty()) {  // a head that does not fit
    close(CloseReason::kError);
    return false;
  }
  const IoResult result = lease_->stream().read(space);
  if (result.status == IoStatus::kWouldBlock) return false;
  if (result.status != IoStatus::kOk) {
    close(CloseReason::kServerClose);
    return false;
  }
  input_.commit(result.bytes);
  if (result.bytes <= left_) {
    left_ -= result.bytes;
    return true;
  }
  close(CloseReason::kError);
  return false;
}

bool ResponseDrain::parse() {
  for (;;) {
    const ParseStep step = parser_.next(input_.readable(), head_);
    input_.consume(step.consumed);
    switch (step.event) {
      case ParseEvent::kNeedMore:
        input_.release_if_empty();
        return true;
      case ParseEvent::kBody:
        break;
      case ParseEvent::kHead:
        interim_ = head_.informational();
        if (is_harmless(head_)) break;
        close(CloseReason::kServerClose);
        return false;
      case ParseEvent::kEnd:
        if (interim_) break;
        finish();
        return false;
      case ParseEvent::kFault:
        close(CloseReason::kError);
        return false;
    }
  }
}

void ResponseDrain::finish() {
  if (!input_.empty() || lease_->stream().has_pending()) {
    close(CloseReason::kUnexpectedData);
    return;
  }
  end();
  lease_.release();
}

void ResponseDrain::close(CloseReason reason) {
  end();
  lease_.close(reason);
}

void ResponseDrain::end() {
  deadline_.cancel();
  input_.clear();
  input_.release_if_empty();
  unlink();
  proxy_.drain_ended(*this);
}

}  // namespace penstock
