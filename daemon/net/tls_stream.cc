#include "net/tls_stream.h"

#include <openssl/err.h>
#include <sys/socket.h>

#include <algorithm>
#include <cassert>
#include <cerrno>
#include <cstring>
#include <utility>

#include "event/loop.h"
#include "net/tls_errors.h"

namespace penstock {
namespace {

constexpr std::size_t kMaxRecordBytes = SSL3_RT_MAX_PLAIN_LENGTH;
// Of the socket, within one call of OpenSSL. A record whose parts come one by one is done in two.
constexpr int kMostReadsPerCall = 4;

// Walks over the pieces of a write, record by record.
class PieceReader {
 public:
  explicit PieceReader(std::span<const std::string_view> pieces) : pieces_(pieces) { skip_empty(); }

  bool at_end() const { return pieces_.empty(); }
  bool has_more_than(std::size_t bytes) const {
    bytes += offset_;
    for (const std::string_view piece : pieces_) {
      if (bytes < piece.size()) return true;
      bytes -= piece.size();
    }
    return false;
  }

  // The next bytes, at most `max`: in place when they lie in one piece, else copied to `scratch`.
  std::string_view peek(std::size_t max, char* scratch) const {
    const std::string_view first = pieces_[0].substr(offset_, max);
    if (first.size() == max || pieces_.size() == 1) return first;
    std::memcpy(scratch, first.data(), first.size());
    std::size_t size = first.size();
    for (std::size_t i = 1; i < pieces_.size() && size < max; ++i) {
      size += pieces_[i].copy(scratch + size, max - size);
    }
    return {scratch, size};
  }

  void advance(std::size_t bytes) {
    offset_ += bytes;
    while (!at_end() && offset_ >= pieces_[0].size()) {
      offset_ -= pieces_[0].size();
      pieces_ = pieces_.subspan(1);
    }
  }

 private:
  void skip_empty() { advance(0); }

  std::span<const std::string_view> pieces_;
  std::size_t offset_ = 0;  // in the first of them
};

}  // namespace

TlsStream::TlsStream(Loop& loop, int fd, std::shared_ptr<const TlsClientContext> context,
                     std::string server_name, std::uint16_t port)
    : context_(std::move(context)),
      peer_{.key = {std::move(server_name), port}, .certificate_fault = {}},
      socket_(loop, fd),
      bio_socket_{.fd = fd},
      ssl_(context_->open(bio_socket_, peer_, loop.wall_now())) {}

TlsStream::~TlsStream() {
  if (end_ == End::kOpen && ssl_ != nullptr && SSL_is_init_finished(ssl_.get()) == 1) {
    send_close_notify();
  }
}

IoResult TlsStream::handshake() {
  if (ssl_ == nullptr) {
    ERR_clear_error();
    error_ = Error{.code = ErrorCode::kProxyInternalError,
                   .source = ErrorSource::kInternal,
                   .detail = "no TLS connection for the name \"" + peer_.key.server_name + '"'};
    return {.status = IoStatus::kError};
  }
  ERR_clear_error();
  bio_socket_.reads_left = kMostReadsPerCall;
  const int result = SSL_do_handshake(ssl_.get());
  established_ = result == 1;
  const IoResult stopped = result == 1 ? IoResult{.status = IoStatus::kOk} : read_stopped(result);
  ERR_clear_error();  // what it tried in vain on its way
  if (stopped.status != IoStatus::kEof) return stopped;
  error_ = Error{.code = ErrorCode::kConnectionTerminated,
                 .detail = "the upstream ended the connection within the TLS handshake"};
  return {.status = IoStatus::kError};
}

void TlsStream::set_handler(StreamHandler* handler) {
  handler_ = handler;
  route_events();
}

bool TlsStream::move_to(Loop& loop, WatchGate& gate) {
  const bool moved = socket_.move_to(loop, gate);
  if (moved) {
    bio_socket_.fd = socket_.fd();
  } else {
    end_ = End::kAborted;  // no descriptor for close_notify
  }
  return moved;
}

void TlsStream::abandon(WatchGate& gate) {
  socket_.abandon(gate);
  end_ = End::kAborted;
}

IoResult TlsStream::read(std::span<char> into) {
  std::size_t bytes = 0;
  bio_socket_.reads_left = kMostReadsPerCall;
  const int result = SSL_read_ex(ssl_.get(), into.data(), into.size(), &bytes);
  const IoResult got = result == 1 ? IoResult{.status = IoStatus::kOk,
                                              .bytes = bytes,
                                              .more = bio_socket_.filled || has_pending()}
                                   : read_stopped(result);
  if (result == 1) peer_.idle_messages = 0;
  if (peer_.handshake_spoke) free_handshake_buffers();
  return got;
}

// SSL_MODE_RELEASE_BUFFERS frees the one for writing only after a write: 16 KiB would stay with
// every connection that was sent a session ticket and is idle. They come back when they are needed.
void TlsStream::free_handshake_buffers() {
  const bool freed = !has_pending() && SSL_free_buffers(ssl_.get()) == 1;
  peer_.handshake_spoke = !freed;
}

IoResult TlsStream::write(std::span<const std::string_view> pieces) {
  if (end_ == End::kFailed) return {.status = IoStatus::kError, .sys = error_->sys};
  bio_socket_.reads_left = kMostReadsPerCall;
  char scratch[kMaxRecordBytes];
  PieceReader reader(pieces);
  std::size_t written = 0;
  while (!reader.at_end()) {
    const std::size_t max = blocked_record_bytes_ != 0 ? blocked_record_bytes_ : kMaxRecordBytes;
    // The segments of a record that another follows are filled up with that, so that a head and
    // its small body, a little longer than a record, are one for the network and for the peer.
    bio_socket_.corked = reader.has_more_than(max);
    const IoResult record = write_record(reader.peek(max, scratch));
    bio_socket_.corked = false;
    if (record.status != IoStatus::kOk) {
      if (written == 0) return record;
      // Whoever writes the rest is told of an error then.
      if (record.status == IoStatus::kError) socket_.want_writable();
      break;
    }
    written += record.bytes;
    reader.advance(record.bytes);
  }
  return {.status = IoStatus::kOk, .bytes = written};
}

IoResult TlsStream::write_record(std::string_view bytes) {
  std::size_t written = 0;
  const int result = SSL_write_ex(ssl_.get(), bytes.data(), bytes.size(), &written);
  const int sys = errno;
  if (result == 1) {
    blocked_record_bytes_ = 0;
    return {.status = IoStatus::kOk, .bytes = written};
  }
  const int ssl_error = error_of(result);
  if (ssl_error != SSL_ERROR_WANT_WRITE && ssl_error != SSL_ERROR_WANT_READ) {
    return fail(ssl_error, sys);
  }
  blocked_record_bytes_ = bytes.size();
  if (ssl_error == SSL_ERROR_WANT_WRITE) {
    socket_.want_writable();
  } else {
    socket_.want_readable_to_write();
  }
  return {.status = IoStatus::kWouldBlock};
}

// SSL_get_error() looks into this thread's queue of errors before anything else, but emptying that
// before each call costs more than the call's own books. So nobody leaves anything in it
// (handshake(), tls_error()), and it is not asked about what ends most reads.
int TlsStream::error_of(int result) const {
  const bool no_bytes = SSL_want_read(ssl_.get()) && BIO_should_read(SSL_get_rbio(ssl_.get()));
  return no_bytes ? SSL_ERROR_WANT_READ : SSL_get_error(ssl_.get(), result);
}

IoResult TlsStream::read_stopped(int result) {
  const int sys = errno;
  if (peer_.chatters()) return fail_chatter();
  const int ssl_error = error_of(result);
  switch (ssl_error) {
    case SSL_ERROR_ZERO_RETURN:
      return {.status = IoStatus::kEof};
    case SSL_ERROR_WANT_READ:
      return {.status = IoStatus::kWouldBlock};
    case SSL_ERROR_WANT_WRITE:
      socket_.want_writable_to_read();
      return {.status = IoStatus::kWouldBlock};
    default:
      return fail(ssl_error, sys);
  }
}

IoResult TlsStream::fail(int ssl_error, int sys) {
  if (ssl_error == SSL_ERROR_SYSCALL) {
    ERR_clear_error();
    error_ = terminated_error(sys != 0 ? sys : ECONNRESET);
  } else {
    error_ = tls_error(peer_.certificate_fault);
    // A server without TLS may also just hang up on what it does not understand.
    if (error_->code == ErrorCode::kConnectionTerminated && !established_) {
      error_->detail =
          "unexpected eof: the upstream closed during the TLS handshake; if it speaks plaintext on "
          "this port, set scheme: http";
    }
  }
  if (end_ != End::kAborted) end_ = End::kFailed;
  return {.status = IoStatus::kError, .sys = error_->sys};
}

IoResult TlsStream::fail_chatter() {
  ERR_clear_error();
  error_ =
      Error{.code = ErrorCode::kTlsProtocolError,
            .detail = "the upstream sent more than " + std::to_string(TlsPeer::kMostIdleMessages) +
                      " TLS messages in a row without data (key updates, session tickets)"};
  if (end_ != End::kAborted) end_ = End::kFailed;
  return {.status = IoStatus::kError, .sys = error_->sys};
}

void TlsStream::shutdown_write() {
  if (end_ != End::kOpen) return;
  send_close_notify();
  if (end_ == End::kCloseNotifySent) {
    socket_.shutdown_write();
  } else if (end_ == End::kCloseNotifyBlocked) {
    route_events();
    socket_.want_writable();
  }
}

void TlsStream::send_close_notify() {
  ERR_clear_error();
  const int result = SSL_shutdown(ssl_.get());
  if (result >= 0) {
    end_ = End::kCloseNotifySent;
  } else if (SSL_get_error(ssl_.get(), result) == SSL_ERROR_WANT_WRITE) {
    end_ = End::kCloseNotifyBlocked;
  } else {
    end_ = End::kFailed;
  }
  ERR_clear_error();
}

void TlsStream::abort() {
  end_ = End::kAborted;
  socket_.abort();
}

Error TlsStream::last_error() const {
  assert(error_.has_value());
  return *error_;
}

void TlsStream::route_events() {
  const bool between = handler_ != nullptr && end_ == End::kCloseNotifyBlocked;
  socket_.set_handler(between ? this : handler_);
}

void TlsStream::on_readable() { handler_->on_readable(); }

void TlsStream::on_writable() {
  send_close_notify();
  if (end_ == End::kCloseNotifyBlocked) {
    socket_.want_writable();
    return;
  }
  if (end_ == End::kCloseNotifySent) socket_.shutdown_write();
  route_events();
}

}  // namespace penstock
