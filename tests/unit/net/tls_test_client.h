// A TlsStream on a loop of the test's, with a handler that writes down what happens.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "event/loop.h"
#include "net/dial_stages.h"
#include "net/tls_stream.h"
#include "support/loop_runner.h"

namespace penstock {

using ClientContext = std::shared_ptr<const TlsClientContext>;

// Aborts the test by exception when the settings are not valid.
ClientContext make_context(const std::string& ca_pem, const TlsSettings& settings = {});

TlsSettings unverified();
TlsSettings at_least_tls13();
TlsSettings without_sessions();

// A connected, non-blocking socket to 127.0.0.1, with a small send buffer.
UniqueFd connect_to(std::uint16_t port);

struct NoTask final : Task {
  void run() override {}
};

class TlsTestClient final : public StreamHandler {
 public:
  TlsTestClient(Loop& loop, ClientContext context, std::uint16_t port,
                const std::string& server_name = "good.test");

  TlsTestClient(Loop& loop, ClientContext context, UniqueFd fd,
                const std::string& server_name = "good.test");

  // True when it succeeded; else `error` says why.
  bool handshake();
  // Writes it all, with the loop turning meanwhile; false when that fails.
  bool send(std::string_view bytes);
  bool receive(std::size_t bytes);  // waits until `received` is so long
  bool ended();                     // waits for eof or an error
  bool until(auto condition) { return runner_.until(condition); }
  // The same for what no event of the loop announces.
  bool spin(auto condition) {
    return runner_.until([&] {
      runner_.turn();
      loop_.post(std::make_unique<NoTask>());
      return condition();
    });
  }

  TlsStream& stream() { return *stream_; }
  void drop() { stream_.reset(); }
  int fd() const { return fd_; }

  std::string received;
  bool eof = false;
  std::optional<Error> error;
  int readable_calls = 0;
  int writable_calls = 0;

 private:
  void on_handshaken(Result<std::unique_ptr<TlsStream>> result);
  void on_readable() override;
  void on_writable() override { ++writable_calls; }

  Loop& loop_;
  LoopRunner runner_;
  const int fd_;  // the stream's
  std::optional<HandshakeStage> handshake_;
  std::unique_ptr<TlsStream> stream_;
};

}  // namespace penstock
