#include "net/tls_bio.h"

#include <sys/socket.h>

#include <cerrno>

namespace penstock {
namespace {

constexpr int kAgain = -1;
constexpr int kEnd = 0;
constexpr int kDone = 1;

BioSocket& socket_of(BIO* bio) { return *static_cast<BioSocket*>(BIO_get_data(bio)); }

bool would_block() { return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR; }

int read_socket(BIO* bio, char* to, std::size_t size, std::size_t* bytes) {
  BIO_clear_retry_flags(bio);
  *bytes = 0;
  BioSocket& socket = socket_of(bio);
  if (socket.reads_left == 0) {
    BIO_set_retry_read(bio);
    return kAgain;
  }
  --socket.reads_left;
  const ssize_t got = ::recv(socket.fd, to, size, 0);
  socket.filled = got > 0 && static_cast<std::size_t>(got) == size;
  if (got > 0) {
    *bytes = static_cast<std::size_t>(got);
    return kDone;
  }
  if (got == 0) {
    BIO_set_flags(bio, BIO_FLAGS_IN_EOF);
    return kEnd;
  }
  if (would_block()) BIO_set_retry_read(bio);
  return kAgain;
}

int write_socket(BIO* bio, const char* from, std::size_t size, std::size_t* bytes) {
  BIO_clear_retry_flags(bio);
  *bytes = 0;
  const BioSocket& socket = socket_of(bio);
  const ssize_t sent = ::send(socket.fd, from, size, MSG_NOSIGNAL | (socket.corked ? MSG_MORE : 0));
  if (sent >= 0) {
    *bytes = static_cast<std::size_t>(sent);
    return kDone;
  }
  if (would_block()) BIO_set_retry_write(bio);
  return kAgain;
}

// Nothing is held back that a flush would have to send; all else that may be asked is answered no.
long control(BIO* bio, int command, long, void*) {
  if (command == BIO_CTRL_FLUSH) return 1;
  return command == BIO_CTRL_EOF && BIO_test_flags(bio, BIO_FLAGS_IN_EOF) != 0 ? 1 : 0;
}

struct SocketMethod {
  SocketMethod()
      : method(BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "penstock socket")) {
    if (method == nullptr) return;
    BIO_meth_set_read_ex(method, read_socket);
    BIO_meth_set_write_ex(method, write_socket);
    BIO_meth_set_ctrl(method, control);
  }
  SocketMethod(const SocketMethod&) = delete;
  SocketMethod& operator=(const SocketMethod&) = delete;
  ~SocketMethod() { BIO_meth_free(method); }

  BIO_METHOD* const method;
};

}  // namespace

BioPtr new_socket_bio(BioSocket& socket) {
  static const SocketMethod sockets;
  BioPtr bio(sockets.method == nullptr ? nullptr : BIO_new(sockets.method));
  if (bio != nullptr) BIO_set_data(bio.get(), &socket);
  return bio;
}

}  // namespace penstock
