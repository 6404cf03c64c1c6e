// The floor of the benchmark: a relay that moves bytes without looking at one. Clients come in
// plaintext, each has a TCP or TLS 1.3 connection to the origin for itself, and the kernel and
// OpenSSL do all the work there is. What a proxy costs beyond this, its HTTP costs.
//
//   floor PORT ORIGIN_PORT WORKERS BUFFER_KIB [CA_FILE NAME]     without CA_FILE: plaintext
//
// Per request and response: read, SSL_write, SSL_read, write, and what epoll_wait takes. Plaintext
// is not even copied: splice. The
// connection of a client that left goes to the next one, so that a client that comes anew for each
// request costs no handshake. A blind relay can do that only because the load it is measured with
// leaves after whole responses. It ends by SIGTERM.

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

namespace {

constexpr std::size_t kRecordBytes = 16384;  // the most that one SSL_read returns
constexpr int kPipeBytes = 1048576;          // of plaintext, per direction
constexpr int kWouldBlock = -1;
constexpr int kOver = 0;

[[noreturn]] void fail(const char* what) {
  std::perror(what);
  std::exit(1);
}

struct Relay;

// One side of a relay, with what came from it and the other side has not taken yet.
struct End {
  Relay* relay = nullptr;
  End* peer = nullptr;
  int fd = -1;
  SSL* ssl = nullptr;  // of the origin's side, unless that is plaintext
  std::uint32_t watched = 0;
  std::size_t begin = 0;
  std::size_t end = 0;
  std::vector<char> buffer;
  std::array<int, 2> pipe{-1, -1};  // in place of the buffer where both sides are plaintext
};

enum class Stage { kConnecting, kHandshaking, kRelaying, kSpare, kDead };

struct Relay {
  explicit Relay(std::size_t buffer_bytes) {
    client.buffer.resize(buffer_bytes);
    origin.buffer.resize(buffer_bytes);
    client.relay = origin.relay = this;
    client.peer = &origin;
    origin.peer = &client;
  }
  End client;
  End origin;
  Stage stage = Stage::kConnecting;
  bool answered = false;  // the last bytes came from the origin
};

sockaddr_in loopback(int port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<std::uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

void no_delay(int fd) {
  const int on = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
}

int listen_on(int port) {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  const int on = 1;
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on));
  no_delay(fd);  // accepted sockets inherit it
  const sockaddr_in address = loopback(port);
  if (bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) fail("bind");
  if (listen(fd, 4096) != 0) fail("listen");
  return fd;
}

SSL_SESSION* last_session = nullptr;

SSL_CTX* verifying_context(const char* ca_file) {
  SSL_CTX* context = SSL_CTX_new(TLS_client_method());
  SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION);
  SSL_CTX_set_verify(context, SSL_VERIFY_PEER, nullptr);
  if (SSL_CTX_load_verify_locations(context, ca_file, nullptr) != 1) fail(ca_file);
  SSL_CTX_set_read_ahead(context, 1);
  SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL_STORE);
  SSL_CTX_sess_set_new_cb(context, [](SSL*, SSL_SESSION* session) {
    SSL_SESSION_free(last_session);
    last_session = session;
    return 1;
  });
  return context;
}

class Worker {
 public:
  Worker(int listener, int origin_port, std::size_t buffer_bytes, SSL_CTX* context,
         const char* name)
      : listener_(listener),
        origin_port_(origin_port),
        buffer_bytes_(buffer_bytes),
        context_(context),
        name_(name),
        poll_(epoll_create1(EPOLL_CLOEXEC)) {
    epoll_event event{.events = EPOLLIN, .data = {.ptr = nullptr}};
    if (epoll_ctl(poll_, EPOLL_CTL_ADD, listener_, &event) != 0) fail("epoll_ctl");
  }

  [[noreturn]] void run() {
    std::array<epoll_event, 512> events;
    for (;;) {
      const int count = epoll_wait(poll_, events.data(), events.size(), -1);
      for (int i = 0; i < count; ++i) {
        if (events[i].data.ptr == nullptr) {
          accept_one();
        } else {
          on_event(*static_cast<End*>(events[i].data.ptr), events[i].events);
        }
      }
      dead_.clear();  // only now: a later event of the batch may have named one of them
    }
  }

 private:
  void accept_one() {
    const int fd = accept4(listener_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) return;
    if (spares_.empty()) {
      dial(fd);
      return;
    }
    Relay* relay = spares_.back();
    spares_.pop_back();
    relay->client.fd = fd;
    start_relaying(*relay);
  }

  void dial(int client) {
    auto* relay = new Relay(buffer_bytes_);
    relay->client.fd = client;
    relay->origin.fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    no_delay(relay->origin.fd);
    const sockaddr_in address = loopback(origin_port_);
    if (connect(relay->origin.fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) !=
            0 &&
        errno != EINPROGRESS) {
      fail("connect");
    }
    add(relay->origin, EPOLLOUT);
  }

  void on_event(End& end, std::uint32_t events) {
    Relay& relay = *end.relay;
    switch (relay.stage) {
      case Stage::kConnecting:
        on_connected(relay, events);
        break;
      case Stage::kHandshaking:
        shake_hands(relay);
        break;
      case Stage::kRelaying:
        if ((events & EPOLLOUT) != 0) pump(*end.peer);
        if (relay.stage == Stage::kRelaying && (events & ~EPOLLOUT) != 0) pump(end);
        break;
      case Stage::kSpare:
        check_spare(relay);
        break;
      case Stage::kDead:
        break;
    }
  }

  void on_connected(Relay& relay, std::uint32_t events) {
    if ((events & (EPOLLERR | EPOLLHUP)) != 0) {
      drop(relay);
    } else if (context_ == nullptr) {
      start_relaying(relay);
    } else {
      start_tls(relay);
    }
  }

  void start_tls(Relay& relay) {
    relay.origin.ssl = SSL_new(context_);
    SSL_set_fd(relay.origin.ssl, relay.origin.fd);
    SSL_set_tlsext_host_name(relay.origin.ssl, name_);
    SSL_set1_host(relay.origin.ssl, name_);
    if (last_session != nullptr) SSL_set_session(relay.origin.ssl, last_session);
    relay.stage = Stage::kHandshaking;
    shake_hands(relay);
  }

  void shake_hands(Relay& relay) {
    const int result = SSL_connect(relay.origin.ssl);
    if (result == 1) {
      start_relaying(relay);
      return;
    }
    const int error = SSL_get_error(relay.origin.ssl, result);
    if (error == SSL_ERROR_WANT_READ) {
      watch(relay.origin, EPOLLIN);
    } else if (error == SSL_ERROR_WANT_WRITE) {
      watch(relay.origin, EPOLLOUT);
    } else {
      drop(relay);
    }
  }

  void open_pipes(Relay& relay) {
    for (End* end : {&relay.client, &relay.origin}) {
      if (pipe2(end->pipe.data(), O_NONBLOCK | O_CLOEXEC) != 0) fail("pipe2");
      fcntl(end->pipe[1], F_SETPIPE_SZ, kPipeBytes);
    }
  }

  void start_relaying(Relay& relay) {
    if (splices()) open_pipes(relay);
    relay.stage = Stage::kRelaying;
    relay.answered = true;
    watch(relay.origin, EPOLLIN);
    add(relay.client, EPOLLIN);
  }

  // Moves what `from` has to its peer. A short read tells that there is no more: one call less.
  void pump(End& from) {
    for (;;) {
      if (from.begin == from.end && !fill(from)) return;
      const bool filled = from.end == (splices() ? kPipeBytes : from.buffer.size());
      if (!empty(from)) return;
      const bool more = from.ssl != nullptr ? SSL_has_pending(from.ssl) == 1 : filled;
      if (!more) return;
    }
  }

  bool fill(End& from) {
    const int count = splices() ? move(from.fd, from.pipe[1], kPipeBytes) : receive(from);
    if (count == kWouldBlock) return false;
    if (count == kOver) {
      end_relay(from);
      return false;
    }
    from.begin = 0;
    from.end = static_cast<std::size_t>(count);
    from.relay->answered = &from == &from.relay->origin;
    return true;
  }

  // False while the peer does not take all; then `from` is not read until it does.
  bool empty(End& from) {
    End& to = *from.peer;
    const std::size_t left = from.end - from.begin;
    const int count = splices() ? move(from.pipe[0], to.fd, left)
                                : send(to, from.buffer.data() + from.begin, left);
    if (count == kOver) {
      drop(*from.relay);
      return false;
    }
    if (count > 0) from.begin += static_cast<std::size_t>(count);
    const bool all = from.begin == from.end;
    watch(from, all ? from.watched | EPOLLIN : from.watched & ~EPOLLIN);
    watch(to, all ? to.watched & ~EPOLLOUT : to.watched | EPOLLOUT);
    return all;
  }

  bool splices() const { return context_ == nullptr; }

  static int move(int from, int to, std::size_t count) {
    const auto moved = splice(from, nullptr, to, nullptr, count, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
    return moved >= 0 ? static_cast<int>(moved) : errno == EAGAIN ? kWouldBlock : kOver;
  }

  static int receive(End& end) {
    if (end.ssl == nullptr) {
      const auto count = read(end.fd, end.buffer.data(), end.buffer.size());
      return count >= 0 ? static_cast<int>(count) : errno == EAGAIN ? kWouldBlock : kOver;
    }
    return receive_records(end);
  }

  // Into a buffer for several: all records that are here, for one write.
  static int receive_records(End& end) {
    int total = 0;
    do {
      const int room = static_cast<int>(end.buffer.size()) - total;
      const int count = outcome(end.ssl, SSL_read(end.ssl, end.buffer.data() + total, room));
      if (count <= 0) return total > 0 ? total : count;
      total += count;
    } while (end.buffer.size() - static_cast<std::size_t>(total) >= kRecordBytes &&
             SSL_has_pending(end.ssl) == 1);
    return total;
  }

  static int send(End& end, const char* bytes, std::size_t count) {
    if (end.ssl == nullptr) {
      const auto sent = write(end.fd, bytes, count);
      return sent >= 0 ? static_cast<int>(sent) : errno == EAGAIN ? kWouldBlock : kOver;
    }
    return outcome(end.ssl, SSL_write(end.ssl, bytes, static_cast<int>(count)));
  }

  static int outcome(SSL* ssl, int result) {
    if (result > 0) return result;
    const int error = SSL_get_error(ssl, result);
    return error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE ? kWouldBlock : kOver;
  }

  void end_relay(End& end) {
    Relay& relay = *end.relay;
    const bool quiet = relay.client.begin == relay.client.end &&
                       relay.origin.begin == relay.origin.end && relay.answered;
    if (&end == &relay.origin || !quiet || context_ == nullptr) {
      drop(relay);
      return;
    }
    close(relay.client.fd);
    relay.client.fd = -1;
    relay.client.watched = 0;
    relay.stage = Stage::kSpare;
    spares_.push_back(&relay);
  }

  // An event of a spare: tickets come late, else the origin closed or talks out of turn.
  void check_spare(Relay& relay) {
    if (receive(relay.origin) == kWouldBlock) return;
    std::erase(spares_, &relay);
    drop(relay);
  }

  void drop(Relay& relay) {
    relay.stage = Stage::kDead;
    if (relay.client.fd >= 0) close(relay.client.fd);
    SSL_free(relay.origin.ssl);
    close(relay.origin.fd);
    for (End* end : {&relay.client, &relay.origin}) {
      for (const int fd : end->pipe) {
        if (fd >= 0) close(fd);
      }
    }
    dead_.emplace_back(&relay);
  }

  void add(End& end, std::uint32_t events) {
    end.watched = events;
    epoll_event event{.events = events, .data = {.ptr = &end}};
    if (epoll_ctl(poll_, EPOLL_CTL_ADD, end.fd, &event) != 0) fail("epoll_ctl");
  }

  void watch(End& end, std::uint32_t events) {
    if (end.watched == events) return;
    end.watched = events;
    epoll_event event{.events = events, .data = {.ptr = &end}};
    if (epoll_ctl(poll_, EPOLL_CTL_MOD, end.fd, &event) != 0) fail("epoll_ctl");
  }

  int listener_;
  int origin_port_;
  std::size_t buffer_bytes_;
  SSL_CTX* context_;  // null: plaintext
  const char* name_;
  int poll_;
  std::vector<Relay*> spares_;
  std::vector<std::unique_ptr<Relay>> dead_;
};

}  // namespace

int main(int argc, char** argv) {
  if (argc != 5 && argc != 7) {
    std::fputs("usage: floor PORT ORIGIN_PORT WORKERS BUFFER_KIB [CA_FILE NAME]\n", stderr);
    return 64;
  }
  signal(SIGPIPE, SIG_IGN);
  SSL_CTX* context = argc == 7 ? verifying_context(argv[5]) : nullptr;
  const int workers = std::atoi(argv[3]);
  for (int i = 1; i < workers; ++i) {
    if (fork() == 0) {
      prctl(PR_SET_PDEATHSIG, SIGTERM);
      break;
    }
  }
  Worker(listen_on(std::atoi(argv[1])), std::atoi(argv[2]),
         static_cast<std::size_t>(std::atoi(argv[4])) * 1024, context, argc == 7 ? argv[6] : "")
      .run();
}
