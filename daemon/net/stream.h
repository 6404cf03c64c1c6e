// A connected byte stream that is read and written when it is ready, and tells its handler then.
//
// Readiness is level-triggered for the socket: a handler that leaves bytes in the kernel is called
// again. Bytes that TLS has already taken from the kernel are not announced again: read until
// read() says kWouldBlock, or that there is no more. Whoever stops reading earlier pauses the
// stream, and reads by himself when he resumes it.
//
// Owner: a session or a pooled connection. Thread: its loop's. The destructor closes (TLS sends
// close_notify first); abort() before it makes the close a reset. No callback comes after the
// destructor, and it may run inside a callback.
#pragma once

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>

#include "base/error.h"
#include "event/watcher.h"

namespace penstock {

class Loop;

enum class IoStatus : std::uint8_t { kOk, kWouldBlock, kEof, kError };

struct IoResult {
  IoStatus status;
  std::size_t bytes = 0;  // moved, when kOk
  int sys = 0;            // errno, when kError
  bool more = false;      // of a read that is kOk: another one may find more at once
};

inline constexpr IoResult kNoSplice{IoStatus::kError, 0, ENOSYS};

class StreamHandler {
 public:
  virtual void on_readable() = 0;
  // Only after a write came back short or kWouldBlock, once room is there again.
  virtual void on_writable() = 0;

 protected:
  ~StreamHandler() = default;
};

// Why reading stands still; it goes on when no reason is left.
enum class PauseReason : std::uint8_t {
  kBackpressure = 1,  // the other side takes nothing
  kEndSeen = 2,       // end of file was read, the stream is kept for writing
  kNotNow = 4,        // the owner has no use for input in its present state
  kNoBuffers = 8,     // the buffers of the process are full
};

class Stream {
 public:
  virtual ~Stream() = default;

  // Who is told; null while nobody listens (the stream is then not watched for writing).
  virtual void set_handler(StreamHandler* handler) = 0;

  virtual IoResult read(std::span<char> into) = 0;
  // Writes the pieces in order, as one message where that saves a system call or a TLS record.
  // May take fewer bytes than offered; the rest must be offered again first, unchanged.
  virtual IoResult write(std::span<const std::string_view> pieces) = 0;
  IoResult write(std::string_view bytes) { return write(std::span(&bytes, 1)); }

  // Whether the kernel can move bytes between the socket and a pipe (splice(2)): they are the
  // stream's own, without TLS. The pipe is empty before read_into_pipe(), and has at least `bytes`
  // in it before write_from_pipe(); both do otherwise as read() and write() do.
  virtual bool splices() const { return false; }
  virtual IoResult read_into_pipe(int /*pipe*/, std::size_t /*max_bytes*/) { return kNoSplice; }
  virtual IoResult write_from_pipe(int /*pipe*/, std::size_t /*bytes*/) { return kNoSplice; }

  // True when read() would find bytes that the kernel no longer has.
  virtual bool has_pending() const = 0;
  // The peer sends no more, though bytes may wait to be read before its end. For whoever stopped
  // reading and so is not told; it may cost a system call.
  virtual bool peer_has_ended() const { return false; }
  // True when an event will come for what is left, if there is anything: whoever has had his turn
  // may stop there, unless a read has told him of the end. It may cost a system call.
  virtual bool is_announced() const { return !has_pending(); }

  virtual void pause_read(PauseReason reason) = 0;
  virtual void resume_read(PauseReason reason) = 0;

  // The peer has more to send and may be waiting to hear that what it sent has come (Nagle's
  // algorithm against delayed acknowledgements costs it 40 ms). A hint, one system call.
  virtual void acknowledge_now() {}

  // For tunnels: the peer may take nothing for as long as it likes. Otherwise the kernel gives a
  // dialled connection up some time after timeouts.write_stall.
  virtual void allow_stalls() {}

  // At rest it is idle, and the thread of another loop may take it by move_to(): an event asks the
  // gate before anything of the stream is touched, and whoever calls rest() touches nothing of it
  // afterwards. wake(): the same thread uses it again.
  virtual void rest(const std::shared_ptr<WatchGate>& gate) = 0;
  virtual void wake() = 0;
  // `gate`: the one that it rests behind, shut. False when it failed; then the stream can only be
  // destroyed.
  [[nodiscard]] virtual bool move_to(Loop& loop, WatchGate& gate) = 0;
  // Any thread that has taken it, instead of move_to(): the connection ends, and only the
  // destructor may follow.
  virtual void abandon(WatchGate& gate) = 0;

  // Ends our direction after what was written (FIN; TLS: close_notify first).
  virtual void shutdown_write() = 0;
  // Makes the destructor reset the connection (SO_LINGER 0), so that a cut message looks cut.
  virtual void abort() = 0;

  // For a read or write that said kError: what went wrong, with TLS's reason.
  virtual Error last_error() const = 0;
};

}  // namespace penstock
