#include "proxy/client_session.h"

#include <algorithm>
#include <array>
#include <cassert>
#include <chrono>

#include "proxy/exchange.h"
#include "proxy/proxy.h"

namespace penstock {

namespace {

// Our own responses must not be lost to a reset that unread input causes: after the last response
// the writing side is shut and so much input, for so long, is discarded before the close.
constexpr std::uint32_t kMaxDiscardedBytes = 1024 * 1024;
constexpr Duration kMaxLinger = std::chrono::seconds(2);

// Fairness: requests that are answered here take no turn of the loop each, as others do.
constexpr int kMaxRequestsPerTurn = 64;

// How long a drain waits for the next request of a client that has not been told to go. A client
// that sends it just as we close cannot know whether it was served.
constexpr Duration kNextRequestInDrain = std::chrono::milliseconds(500);

}  // namespace

ClientSession::ClientSession(Proxy& proxy, std::unique_ptr<Stream> stream, EndpointRef endpoint,
                             const Peer& peer)
    : proxy_(proxy),
      endpoint_(std::move(endpoint)),
      client_address_(peer.to_string()),
      stream_(std::move(stream)),
      input_(proxy.blocks()),
      output_(proxy.blocks()),
      deadline_(proxy.timers(), Delegate<void()>::to<&ClientSession::on_deadline>(*this)),
      peer_(peer) {
  endpoint_->metrics->client_connections.add(1);
  stream_->set_handler(this);
  become_idle();
}

ClientSession::~ClientSession() {
  assert(exchange_ == nullptr);
  endpoint_->metrics->client_connections.add(-1);
}

ClientSession::Extras& ClientSession::extras() {
  if (extras_ == nullptr) extras_ = std::make_unique<Extras>(*this);
  return *extras_;
}

// Input

void ClientSession::on_readable() {
  switch (state_) {
    case State::kIdle:
    case State::kActive:
      if (!read_some()) return;
      if (state_ == State::kActive) {
        exchange_->on_client_input();
      } else {
        serve();
      }
      return;
    case State::kLingering:
      discard_input();
      return;
    case State::kEnded:
      return;
  }
}

// A head is always read to its end, so that what becomes of it can be told, and a client that waits
// for its response is read, since it may leave. A body waits for room, and so does what comes
// behind a request that was sent ahead.
bool ClientSession::held_by_full_buffers() {
  if (state_ != State::kActive || !proxy_.buffer_gate().holds_requests()) return false;
  if (!exchange_->awaits_body() && (!exchange_->has_head() || input_.empty())) return false;
  stream_->pause_read(PauseReason::kNoBuffers);
  if (!waits_for_buffers()) proxy_.buffer_gate().wait_with_request(extras().buffer_wait);
  exchange_->on_client_held();
  proxy_.warn_of_full_buffers();
  return true;
}

void ClientSession::on_buffers_free() {
  stream_->resume_read(PauseReason::kNoBuffers);
  if (state_ == State::kActive) exchange_->on_client_let_go();
  on_readable();
}

void ClientSession::stop_waiting_for_buffers() {
  if (!waits_for_buffers()) return;
  extras_->buffer_wait.cancel();
  stream_->resume_read(PauseReason::kNoBuffers);
}

bool ClientSession::read_some() {
  if (held_by_full_buffers()) return false;
  if (state_ == State::kIdle) size_input();
  const std::span<char> space = input_.prepare();
  if (space.empty()) {
    stream_->pause_read(PauseReason::kBackpressure);
    return false;
  }
  const IoResult result = stream_->read(space);
  switch (result.status) {
    case IoStatus::kOk:
      input_.commit(result.bytes);
      return true;
    case IoStatus::kWouldBlock:
      input_.release_if_empty();
      return false;
    case IoStatus::kEof:
      on_input_end();
      return false;
    case IoStatus::kError:
      client_left();
      return false;
  }
  return false;
}

// Whether a client that sends no more has left or waits cannot be seen. An exchange that lacks a
// part of its request finds out when it asks for more.
void ClientSession::on_input_end() {
  if (state_ != State::kActive || !proxy_.client_settings().half_close) {
    client_left();
    return;
  }
  input_ended_ = true;
  stream_->pause_read(PauseReason::kEndSeen);
  exchange_->on_client_input();
}

bool ClientSession::has_left_unseen() const {
  const bool stands_still = input_.full() || waits_for_buffers();
  return stands_still && !proxy_.client_settings().half_close && stream_->peer_has_ended();
}

void ClientSession::input_consumed() {
  if (!input_.full()) stream_->resume_read(PauseReason::kBackpressure);
}

// Requests that the client sent ahead are served in a loop, not in a recursion; when it has had its
// share, the rest waits for the next tick.
void ClientSession::serve() {
  if (serving_) return;
  serving_ = true;
  for (int i = 0; i < kMaxRequestsPerTurn && state_ == State::kIdle && !input_.empty(); ++i) {
    state_ = State::kActive;
    exchange_ = proxy_.take_exchange();
    exchange_->begin(*this);
    exchange_->on_client_input();
  }
  serving_ = false;
  if (state_ != State::kIdle) return;
  if (!input_.empty()) {
    deadline_.arm(proxy_.now());
    return;
  }
  if (input_ended_) {
    end();
    return;
  }
  input_.release_if_empty();
  output_.release_if_empty();
}

// Output

bool ClientSession::send(std::span<const std::string_view> pieces) {
  constexpr std::size_t kMaxPieces = 4;
  assert(pieces.size() < kMaxPieces);
  std::array<std::string_view, kMaxPieces> all;
  std::size_t count = 0;
  if (!output_.empty()) all[count++] = output_.readable();
  for (const std::string_view piece : pieces) all[count++] = piece;
  if (count == 0) return true;
  const IoResult result = stream_->write(std::span<const std::string_view>(all.data(), count));
  if (result.status == IoStatus::kError || result.status == IoStatus::kEof) return false;
  std::size_t sent = result.status == IoStatus::kOk ? result.bytes : 0;
  const std::size_t from_output = std::min(sent, output_.size());
  output_.consume(from_output);
  sent -= from_output;
  for (std::string_view piece : pieces) {
    const std::size_t from_piece = std::min(sent, piece.size());
    sent -= from_piece;
    output_.append(piece.substr(from_piece));
  }
  blocked_ = !output_.empty();
  return true;
}

void ClientSession::on_writable() {
  if (state_ != State::kActive) return;
  if (flush()) {
    exchange_->on_client_writable();
  } else {
    client_left();
  }
}

// Ends

void ClientSession::exchange_finished(After after) {
  stop_waiting_for_buffers();
  proxy_.give_back(std::move(exchange_));
  switch (after) {
    case After::kNextRequest:
      if (dismissed_) {
        start_lingering();
        return;
      }
      become_idle();
      input_consumed();
      serve();
      return;
    case After::kLinger:
      start_lingering();
      return;
    case After::kClose:
      end();
      return;
    case After::kAbort:
      stream_->abort();
      end();
      return;
  }
}

// The limits are those of now: a reload may have come since the last request, or none at all.
void ClientSession::become_idle() {
  state_ = State::kIdle;
  size_input();
  const Limit& idle = proxy_.client_settings().idle_timeout;
  deadline_.arm(idle ? proxy_.now() + *idle : kForever);
  if (draining()) begin_drain();
}

// A whole head must fit, or it would never be too large.
void ClientSession::size_input() {
  input_.set_max_bytes(
      std::max(Buffer::kDefaultMaxBytes, proxy_.client_settings().max_header_size + 1));
}

void ClientSession::start_lingering() {
  if (input_ended_) {  // all of it is read: a close is no reset
    end();
    return;
  }
  state_ = State::kLingering;
  stream_->shutdown_write();
  input_.clear();
  input_.release_if_empty();
  output_.release_if_empty();
  stream_->resume_read(PauseReason::kBackpressure);
  deadline_.arm(proxy_.now() + kMaxLinger);
}

void ClientSession::discard_input() {
  std::array<char, 16 * 1024> discarded;
  const IoResult result = stream_->read(discarded);
  switch (result.status) {
    case IoStatus::kWouldBlock:
      return;
    case IoStatus::kOk:
      discarded_bytes_ += static_cast<std::uint32_t>(result.bytes);
      if (discarded_bytes_ > kMaxDiscardedBytes) end();
      return;
    case IoStatus::kEof:
    case IoStatus::kError:
      end();
      return;
  }
}

void ClientSession::on_deadline() {
  switch (state_) {
    case State::kIdle:
      end_unless_asked();
      return;
    case State::kLingering:
      end();
      return;
    case State::kActive:  // left armed when the request came: the exchange has limits of its own
    case State::kEnded:
      return;
  }
}

// The loop may have turned to the deadline first when a request had come too.
void ClientSession::end_unless_asked() {
  if (input_.empty() && !read_some()) {
    if (state_ == State::kIdle) end();
    return;
  }
  become_idle();
  serve();
}

void ClientSession::client_left() {
  switch (state_) {
    case State::kActive:
      exchange_->on_client_left();
      return;
    case State::kIdle:
    case State::kLingering:
      end();
      return;
    case State::kEnded:
      return;
  }
}

void ClientSession::begin_drain() {
  if (state_ != State::kIdle) return;
  deadline_.arm(std::min(deadline_.expiry(), proxy_.now() + kNextRequestInDrain));
}

bool ClientSession::draining() const { return proxy_.draining() || endpoint_->removed; }

void ClientSession::dismiss() {
  dismissed_ = true;
  if (state_ == State::kIdle) end();
}

void ClientSession::abort() {
  switch (state_) {
    case State::kActive:
      exchange_->on_shutdown();
      if (state_ != State::kEnded) end();
      return;
    case State::kIdle:
    case State::kLingering:
      end();
      return;
    case State::kEnded:
      return;
  }
}

void ClientSession::end() {
  state_ = State::kEnded;
  deadline_.cancel();
  if (extras_) {
    extras_->buffer_wait.cancel();
    extras_->pinned.close(CloseReason::kClientAbort);
  }
  stream_.reset();
  input_.clear();
  input_.release_if_empty();
  output_.clear();
  output_.release_if_empty();
  proxy_.session_ended(*this);
}

}  // namespace penstock
