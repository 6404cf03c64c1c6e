// A TLS server for tests, on threads of its own: 127.0.0.1 and a port that the kernel picks.
//
// Every connection gets a thread, a handshake and one call of Options::serve, and is closed when
// that returns, without close_notify unless it was sent. The destructor ends all connections and
// waits for their threads. It makes the process ignore SIGPIPE, as the daemon does.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <list>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "net/tls_ptr.h"
#include "net/unique_fd.h"
#include "support/test_ca.h"

namespace penstock {

// A blocking socket that listens on 127.0.0.1, on a port that the kernel picks.
UniqueFd listen_on_loopback(std::uint16_t* port, int backlog = 128);

// The server's end of one connection. All calls block; false or "" once the peer has gone.
class TlsTestConnection {
 public:
  explicit TlsTestConnection(SSL* ssl) : ssl_(ssl) {}

  std::string read_some(std::size_t max = 16 * 1024);  // the bytes of one record at most
  std::string read_exactly(std::size_t bytes);
  bool write_all(std::string_view bytes);
  void close_notify();
  void reset_on_close();  // a RST instead of a FIN
  bool send_ticket();
  bool request_key_update();
  bool update_key();                // of its own direction alone
  void echo();                      // until the peer ends, then close_notify
  std::string server_name() const;  // what SNI said
  std::string alpn() const;         // what was agreed
  std::size_t wire_bytes() const;   // written to the socket so far
  SSL* ssl() { return ssl_; }

 private:
  SSL* ssl_;
};

class TlsTestServer {
 public:
  struct Options {
    TestIdentity identity{};
    int min_version = TLS1_2_VERSION;
    int max_version = TLS1_3_VERSION;
    int tickets = 2;              // of TLS 1.3, after the handshake
    std::string client_ca_pem{};  // not empty: a certificate of it is demanded
    std::function<void(TlsTestConnection&)> serve = [](TlsTestConnection& c) { c.echo(); };
  };

  explicit TlsTestServer(Options options);
  TlsTestServer(const TlsTestServer&) = delete;
  TlsTestServer& operator=(const TlsTestServer&) = delete;
  ~TlsTestServer();

  std::uint16_t port() const { return port_; }
  // Serves a connection that did not come by the port.
  void adopt(UniqueFd fd);
  int accepted() const { return accepted_; }
  int handshakes() const { return handshakes_; }
  // Waits until so many handshakes have failed; what the last of them failed with.
  std::string wait_for_failure(int count = 1);

 private:
  void accept_loop();
  void run_connection(int fd);
  void keep_failure();

  const Options options_;
  SslContextPtr context_;
  UniqueFd listener_;
  std::uint16_t port_ = 0;
  std::atomic<int> accepted_ = 0;
  std::atomic<int> handshakes_ = 0;
  std::mutex mutex_;
  std::condition_variable changed_;
  // Protected by mutex_.
  std::vector<int> open_fds_;
  std::list<std::thread> connections_;
  std::vector<std::string> failures_;

  std::thread acceptor_;
};

}  // namespace penstock
