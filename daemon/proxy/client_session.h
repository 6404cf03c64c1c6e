// One client connection: its stream, the bytes that came and were not parsed yet, the bytes that
// are on their way out, and the exchange that is under way.
//
// Requests of one connection are served one after the other; what a client sends ahead waits in the
// input buffer. Between requests the session holds no buffer, no parser and no exchange, and what
// few clients ever need it has only from when they do: there are thousands that are idle.
//
// Owner: the Proxy's list of sessions. Thread: its worker's. It ends when the client leaves or is
// sent away: it takes itself out of the list and is deleted on a later turn.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/buffer.h"
#include "base/intrusive_list.h"
#include "event/executor.h"
#include "event/timer_wheel.h"
#include "http/authority.h"
#include "net/stream.h"
#include "proxy/buffer_gate.h"
#include "proxy/endpoint.h"
#include "proxy/pinned_connection.h"

namespace penstock {

class Exchange;
class Proxy;

class ClientSession final : public ListNode<>, public DeferredDeletable, private StreamHandler {
 public:
  ClientSession(Proxy& proxy, std::unique_ptr<Stream> stream, EndpointRef endpoint,
                const Peer& peer);
  ~ClientSession() override;

  const Endpoint& endpoint() const { return *endpoint_; }
  const Peer& peer() const { return peer_; }
  const std::string& client_address() const { return client_address_; }

  // A CONNECT to this authority's port 80 was answered: what comes inside are requests to it.
  void unwrap(const Authority& authority) { extras().unwrapped = authority; }
  const Authority* unwrapped() const {
    return extras_ && extras_->unwrapped ? &*extras_->unwrapped : nullptr;
  }

  // The exchange that is under way; null between requests.
  Exchange* exchange() const { return exchange_.get(); }

  // For the exchange.
  // A tunnel takes over its events, until exchange_finished().
  Stream& stream() { return *stream_; }
  // The rest of the request is awaited: a client that holds it back until its head is acknowledged
  // (urllib3 does, with Nagle's algorithm on) sends it now.
  void await_more() { stream_->acknowledge_now(); }
  Buffer& input() { return input_; }
  // The client has shut its writing side and waits for the response (client.half_close): what is in
  // input() is all there will be.
  bool input_ended() const { return input_ended_; }
  // An empty line came and no head behind it yet: only one is forgiven (RFC 9112 section 2.2), also
  // when each comes alone.
  bool empty_line_seen() const { return empty_line_seen_; }
  void note_empty_line(bool seen) { empty_line_seen_ = seen; }
  // Called after bytes were taken from input(): reading goes on if it stood still for lack of room.
  void input_consumed();
  // Where nobody reads, the client's end is not seen: it has left, and what waits in input() is of
  // no use to it (half_close apart). A system call where reading stands still.
  bool has_left_unseen() const;
  // Reading stands still since the buffers of the process are nearly full: it is not the client
  // that is slow.
  bool waits_for_buffers() const { return extras_ && extras_->buffer_wait.waits(); }
  // Whoever takes the stream over reads by himself.
  void stop_waiting_for_buffers();
  Buffer& output() { return output_; }
  // Sends output() and then the pieces; what the client does not take now is kept in output(),
  // which must have room for it. False when the connection is gone.
  bool send(std::span<const std::string_view> pieces);
  bool flush() { return send({}); }
  // The client took less than it was sent; on_client_writable() follows when it takes more.
  bool output_blocked() const { return blocked_; }

  // The upstream connection that is this client's alone (PinnedConnection).
  void pin(Lease lease, const Route& route) { extras().pinned.hold(std::move(lease), route); }
  Lease take_pinned(const Route& route) { return extras_ ? extras_->pinned.take(route) : Lease(); }

  // What becomes of the connection once its exchange is over: it serves the next request; or it
  // closes so that the client can still read the response; or it just closes; or it is cut.
  enum class After : std::uint8_t { kNextRequest, kLinger, kClose, kAbort };
  // Last call of an exchange, which is given back to the Proxy's pool in it.
  void exchange_finished(After after);

  // Draining: a connection ends after its next response, which says so; an idle one has a moment
  // for that request, since it may be on its way. One that was promised more by the response under
  // way is idle after it.
  void begin_drain();
  bool draining() const;
  // The client is not welcome any more: ends the connection after the present exchange.
  void dismiss();
  // Cuts the connection, whatever is under way.
  void abort();

 private:
  enum class State : std::uint8_t { kIdle, kActive, kLingering, kEnded };

  // What few clients ever need.
  struct Extras {
    explicit Extras(ClientSession& session)
        : buffer_wait(Delegate<void()>::to<&ClientSession::on_buffers_free>(session)) {}

    BufferWait buffer_wait;
    PinnedConnection pinned;
    std::optional<Authority> unwrapped;
  };

  void on_readable() override;
  void on_writable() override;
  void on_deadline();

  Extras& extras();
  bool held_by_full_buffers();
  void on_buffers_free();
  bool read_some();
  void serve();
  void discard_input();
  void become_idle();
  void size_input();
  void start_lingering();
  void on_input_end();
  void end_unless_asked();
  void client_left();
  void end();

  // borrowed: outlives us
  Proxy& proxy_;

  const EndpointRef endpoint_;
  const std::string client_address_;  // of the peer, for logs
  std::unique_ptr<Stream> stream_;
  Buffer input_;
  Buffer output_;
  std::unique_ptr<Extras> extras_;
  std::unique_ptr<Exchange> exchange_;  // while kActive
  Deadline deadline_;                   // of the idle time and of lingering
  const Peer peer_;
  State state_ = State::kIdle;
  bool blocked_ = false;  // the last write came back short
  bool serving_ = false;  // serve() is on the stack
  bool input_ended_ = false;
  bool empty_line_seen_ = false;
  bool dismissed_ = false;
  std::uint32_t discarded_bytes_ = 0;
};

}  // namespace penstock
