// The rest of a response that nobody waits for any more, read to its end so that the connection can
// serve others: so much of it and for so long as `drain` says. The other way out would be a close
// (RFC 9112 section 9.3), and a new handshake.
//
// Owner: the Proxy's list of drains. Thread: its worker's. It ends by itself, giving the connection
// back or closing it, and is deleted on a later turn; close() ends it before its time.
#pragma once

#include <cstdint>
#include <string_view>

#include "base/buffer.h"
#include "base/intrusive_list.h"
#include "config/settings.h"
#include "event/executor.h"
#include "event/timer_wheel.h"
#include "http/head.h"
#include "http/parser.h"
#include "net/stream.h"
#include "pool/lease.h"
#include "telemetry/close_reason.h"

namespace penstock {

class Proxy;

class ResponseDrain final : public ListNode<>, public DeferredDeletable, private StreamHandler {
 public:
  // `parser` stands somewhere before the end of the response; `interim`: the last head that it gave
  // was a 1xx, whose end may still be to come. `received` are the bytes that were read and not
  // parsed.
  ResponseDrain(Proxy& proxy, Lease lease, ResponseParser parser, bool interim,
                std::string_view received);
  ~ResponseDrain() override;

  // Reads what is there, and from now on what comes.
  void start(const DrainSettings& limits);
  void close(CloseReason reason);

 private:
  void on_readable() override;
  void on_writable() override {}
  void on_deadline() { close(CloseReason::kTimeout); }
  // Each false when the drain has ended.
  bool parse();
  bool read();
  void finish();
  void end();

  // borrowed: outlives us
  Proxy& proxy_;

  Lease lease_;
  ResponseParser parser_;
  ResponseHead head_;  // empty when it was read before
  bool interim_;       // the present message is a 1xx
  Buffer input_;
  Deadline deadline_;
  std::uint64_t left_ = 0;  // bytes that may still be read
};

// Whether the connection may be used again once this response has ended (RFC 9112 section 9.3).
bool leaves_connection_usable(const ResponseHead& head);

}  // namespace penstock
