// A TLS client connection on a socket of its own.
//
// OpenSSL reads and writes the socket itself (no memory BIOs: they cost another copy), which raises
// SIGPIPE when the peer has gone: the process ignores that signal.
// A write gathers small pieces into one record of up to 16 KiB; what no longer fits in the socket
// is kept encrypted by OpenSSL, and reported as written only when it has left.
// End of file is a close_notify. A connection that ends without one was cut, and is an error
// (RFC 8446 section 6.1). A session ticket that comes by itself makes the socket readable and
// read() say kWouldBlock.
//
// Owner: a dial, then a session or a pooled connection. Thread: its loop's. The destructor sends
// close_notify unless the connection failed or was aborted, and closes.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "net/socket.h"
#include "net/stream.h"
#include "net/tls_bio.h"
#include "net/tls_context.h"

namespace penstock {

class Loop;

class TlsStream final : public Stream, private StreamHandler {
 public:
  // Takes the descriptor, connected and non-blocking. `server_name` is what is verified, and with
  // `port` the key of kept sessions.
  TlsStream(Loop& loop, int fd, std::shared_ptr<const TlsClientContext> context,
            std::string server_name, std::uint16_t port);
  ~TlsStream() override;

  // One step of the handshake. kOk: it is done. kWouldBlock: to be called again from the handler's
  // on_readable(). kError: last_error() says why. Nothing else may be called before it is done.
  IoResult handshake();
  // While it is not done its events may wait for the next turn (Watcher::be_patient()).
  void be_patient(bool patient) { socket_.be_patient(patient); }
  // Of the finished handshake: "TLSv1.3".
  const char* tls_version() const { return SSL_get_version(ssl_.get()); }
  bool resumed() const { return SSL_session_reused(ssl_.get()) == 1; }

  void set_handler(StreamHandler* handler) override;
  IoResult read(std::span<char> into) override;
  IoResult write(std::span<const std::string_view> pieces) override;
  using Stream::write;
  bool has_pending() const override { return SSL_has_pending(ssl_.get()) == 1; }
  bool is_announced() const override { return !has_pending() || socket_.has_input(); }
  void pause_read(PauseReason reason) override { socket_.pause_read(reason); }
  void resume_read(PauseReason reason) override { socket_.resume_read(reason); }
  void rest(const std::shared_ptr<WatchGate>& gate) override { socket_.rest(gate); }
  void wake() override { socket_.wake(); }
  bool move_to(Loop& loop, WatchGate& gate) override;
  void abandon(WatchGate& gate) override;
  void shutdown_write() override;
  void allow_stalls() override { socket_.allow_stalls(); }
  void abort() override;
  Error last_error() const override;

 private:
  enum class End : std::uint8_t { kOpen, kCloseNotifyBlocked, kCloseNotifySent, kAborted, kFailed };

  // Between the socket and its handler only while close_notify waits for room.
  void on_readable() override;
  void on_writable() override;

  IoResult write_record(std::string_view bytes);
  IoResult read_stopped(int result);
  int error_of(int result) const;  // as SSL_get_error() says it
  void free_handshake_buffers();
  IoResult fail(int ssl_error, int sys);
  IoResult fail_chatter();
  void send_close_notify();
  void route_events();

  const std::shared_ptr<const TlsClientContext> context_;  // outlives ssl_: its sessions go there
  TlsPeer peer_;
  WatchedSocket socket_;
  BioSocket bio_socket_;                  // socket_'s descriptor
  SslPtr ssl_;                            // ends before both
  StreamHandler* handler_ = nullptr;      // borrowed: the stream's owner
  std::size_t blocked_record_bytes_ = 0;  // of the write that OpenSSL wants repeated as it was
  End end_ = End::kOpen;
  bool established_ = false;  // OpenSSL forgets it once anything has failed
  std::optional<Error> error_;
};

}  // namespace penstock
