// A Stream without a socket, and its far end, which the test plays.
//
// FakePeer is the far end: it queues bytes, an end of file or an error to be read, decides how much
// a write takes, and remembers all that was written and done. It outlives the stream, so that a
// test can still ask how it ended. Nothing calls back by itself: turn() is one turn of a loop and
// keeps to the contract of net/stream.h (level-triggered, silent while paused or without a handler,
// writable only after a write came back short).
#pragma once

#include <algorithm>
#include <cassert>
#include <cerrno>
#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "net/stream.h"

namespace penstock {

class FakePeer {
 public:
  static constexpr std::size_t kUnlimited = std::numeric_limits<std::size_t>::max();

  FakePeer() = default;
  FakePeer(const FakePeer&) = delete;
  FakePeer& operator=(const FakePeer&) = delete;
  ~FakePeer() { assert(!open_ && "a peer outlives its stream"); }

  // Once per peer.
  std::unique_ptr<Stream> connect();

  // What the stream will read, in order: bytes, then the end or the error.
  void send(std::string_view bytes) { incoming_.append(bytes); }
  void send_eof() {
    end_ = IoResult{.status = IoStatus::kEof};
    end_is_announced_ = true;
  }
  // The end of TLS without that of TCP: it has come with the bytes, and makes no event of its own.
  void send_close_notify() {
    end_ = IoResult{.status = IoStatus::kEof};
    end_is_announced_ = end_was_read_ = false;
  }
  void fail_reads(int sys, Error error) {
    end_ = IoResult{.status = IoStatus::kError, .sys = sys};
    end_is_announced_ = true;
    error_ = std::move(error);
  }
  void fail_reads(int sys = ECONNRESET) { fail_reads(sys, terminated(sys)); }
  // As if TLS had taken the first `bytes` that wait from the kernel: has_pending() says so, and
  // they alone are not announced.
  void take_from_kernel(std::size_t bytes) { pending_ = std::min(bytes, incoming_.size()); }
  void read_at_most(std::size_t bytes) { read_limit_ = bytes; }
  // An event without bytes, as a TLS session ticket makes one.
  void send_nothing() { nudged_ = true; }
  std::function<void()> before_read;   // called once, in the next read
  std::function<void()> before_close;  // called in the stream's destructor

  // How many bytes writes take from now on; 0 blocks them.
  void set_room(std::size_t bytes) { room_ = bytes; }
  void fail_writes(int sys, Error error) {
    write_error_ = sys;
    error_ = std::move(error);
  }
  void fail_writes(int sys = EPIPE) { fail_writes(sys, terminated(sys)); }

  // Calls on_readable() and then on_writable(), each at most once; false when neither was due.
  bool turn();
  // Turns until the stream has nothing to tell any more; for handlers that read all there is.
  void turn_until_quiet() {
    while (turn()) continue;
  }

  const std::string& written() const { return written_; }
  const std::vector<std::string>& writes() const { return writes_; }  // each write that took bytes
  std::string take_written() { return std::exchange(written_, {}); }
  std::size_t unread_bytes() const { return incoming_.size(); }
  // Bytes or an end wait to be read, whoever looks.
  bool has_input() const { return !incoming_.empty() || end_ || nudged_; }
  // turn() would call somebody.
  bool due() const { return readable_due() || writable_due(); }
  bool open() const { return open_; }            // the stream is not destroyed yet
  bool connected() const { return connected_; }  // there was one
  bool aborted() const { return aborted_; }
  bool write_shut() const { return write_shut_; }
  bool paused() const { return pauses_ != 0; }
  bool paused_for(PauseReason reason) const { return (pauses_ & static_cast<int>(reason)) != 0; }
  bool write_blocked() const { return write_blocked_; }
  StreamHandler* handler() const { return handler_; }

 private:
  friend class FakeStream;

  static Error terminated(int sys) {
    return {.code = ErrorCode::kConnectionTerminated, .sys = sys, .detail = "the fake peer failed"};
  }
  bool readable_due() const {
    const bool ended = end_ && end_is_announced_;
    const bool something = incoming_.size() > pending_ || ended || nudged_;
    return open_ && watched_ && handler_ != nullptr && pauses_ == 0 && something;
  }
  bool writable_due() const {
    return open_ && handler_ != nullptr && write_blocked_ && (room_ > 0 || write_error_);
  }

  bool has_pending() const {
    const bool end_is_pending = end_ && !end_is_announced_ && !end_was_read_;
    return pending_ > 0 || (end_is_pending && incoming_.empty());
  }

  // the stream's side
  IoResult read(std::span<char> into);
  IoResult write(std::span<const std::string_view> pieces);

  std::string incoming_;
  std::size_t pending_ = 0;  // of incoming_, no longer in the kernel
  bool nudged_ = false;
  bool watched_ = true;  // not once the gate said that it was taken, until it is adopted
  std::size_t read_limit_ = kUnlimited;
  std::optional<IoResult> end_;
  bool end_is_announced_ = true;
  bool end_was_read_ = false;
  std::size_t room_ = kUnlimited;
  std::optional<int> write_error_;
  Error error_ = terminated(0);

  std::string written_;
  std::vector<std::string> writes_;
  StreamHandler* handler_ = nullptr;
  std::shared_ptr<WatchGate> gate_;  // while the stream rests
  int pauses_ = 0;
  bool write_blocked_ = false;
  bool connected_ = false;
  bool open_ = false;
  bool aborted_ = false;
  bool write_shut_ = false;
};

class FakeStream final : public Stream {
 public:
  explicit FakeStream(FakePeer& peer) : peer_(peer) { peer_.open_ = true; }
  ~FakeStream() override {
    if (peer_.before_close) peer_.before_close();
    peer_.open_ = false;
    peer_.handler_ = nullptr;
    peer_.gate_.reset();
  }

  void set_handler(StreamHandler* handler) override { peer_.handler_ = handler; }
  IoResult read(std::span<char> into) override { return peer_.read(into); }
  using Stream::write;
  IoResult write(std::span<const std::string_view> pieces) override { return peer_.write(pieces); }
  bool has_pending() const override { return peer_.has_pending(); }
  bool peer_has_ended() const override { return peer_.end_.has_value(); }
  void pause_read(PauseReason reason) override { peer_.pauses_ |= static_cast<int>(reason); }
  void resume_read(PauseReason reason) override { peer_.pauses_ &= ~static_cast<int>(reason); }
  void rest(const std::shared_ptr<WatchGate>& gate) override { peer_.gate_ = gate; }
  void wake() override {
    peer_.gate_.reset();
    peer_.watched_ = true;
  }
  bool move_to(Loop&, WatchGate&) override {
    wake();
    return true;
  }
  void abandon(WatchGate&) override { peer_.gate_.reset(); }
  void shutdown_write() override { peer_.write_shut_ = true; }
  void abort() override { peer_.aborted_ = true; }
  Error last_error() const override { return peer_.error_; }

 private:
  FakePeer& peer_;
};

inline std::unique_ptr<Stream> FakePeer::connect() {
  assert(!connected_);
  connected_ = true;
  return std::make_unique<FakeStream>(*this);
}

inline bool FakePeer::turn() {
  const bool readable = readable_due();
  const bool writable = writable_due();
  if ((readable || writable) && gate_ != nullptr) {
    const std::shared_ptr<WatchGate> gate = std::move(gate_);
    watched_ = gate->enter();
    if (!watched_) return true;
  }
  if (readable) handler_->on_readable();
  if (writable && writable_due()) {  // the handler before may have ended or emptied the stream
    write_blocked_ = false;
    handler_->on_writable();
  }
  return readable || writable;
}

inline IoResult FakePeer::read(std::span<char> into) {
  nudged_ = false;
  if (const auto call = std::exchange(before_read, {})) call();
  if (incoming_.empty()) {
    end_was_read_ = end_.has_value();
    return end_.value_or(IoResult{.status = IoStatus::kWouldBlock});
  }
  const std::size_t bytes = std::min({into.size(), incoming_.size(), read_limit_});
  std::copy_n(incoming_.begin(), bytes, into.begin());
  incoming_.erase(0, bytes);
  pending_ -= std::min(pending_, bytes);
  return {.status = IoStatus::kOk, .bytes = bytes, .more = bytes == into.size() || has_pending()};
}

inline IoResult FakePeer::write(std::span<const std::string_view> pieces) {
  if (write_error_) return {.status = IoStatus::kError, .sys = *write_error_};
  std::string offered;
  for (const std::string_view piece : pieces) offered.append(piece);
  const std::size_t taken = std::min(offered.size(), room_);
  if (taken < offered.size()) write_blocked_ = true;
  if (taken == 0 && !offered.empty()) return {.status = IoStatus::kWouldBlock};
  if (room_ != kUnlimited) room_ -= taken;
  offered.resize(taken);
  written_ += offered;
  if (taken > 0) writes_.push_back(std::move(offered));
  return {.status = IoStatus::kOk, .bytes = taken};
}

}  // namespace penstock
