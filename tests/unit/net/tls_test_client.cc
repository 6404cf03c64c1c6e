#include "unit/net/tls_test_client.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <sys/socket.h>

#include <array>
#include <stdexcept>

namespace penstock {

ClientContext make_context(const std::string& ca_pem, const TlsSettings& settings) {
  TrustStores stores;
  auto context = TlsClientContext::create(settings, ca_pem, "", "", "", stores);
  if (!context) throw std::runtime_error(context.error().detail);
  return *context;
}

TlsSettings unverified() {
  TlsSettings settings;
  settings.verify = false;
  return settings;
}

TlsSettings at_least_tls13() {
  TlsSettings settings;
  settings.min_version = 13;
  return settings;
}

TlsSettings without_sessions() {
  TlsSettings settings;
  settings.session_cache = 0;
  return settings;
}

UniqueFd connect_to(std::uint16_t port) {
  UniqueFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const int send_buffer_bytes = 64 * 1024;
  ::setsockopt(fd.get(), SOL_SOCKET, SO_SNDBUF, &send_buffer_bytes, sizeof send_buffer_bytes);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (::connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) {
    throw std::runtime_error("connect");
  }
  ::fcntl(fd.get(), F_SETFL, O_NONBLOCK);
  return fd;
}

TlsTestClient::TlsTestClient(Loop& loop, ClientContext context, std::uint16_t port,
                             const std::string& server_name)
    : TlsTestClient(loop, std::move(context), connect_to(port), server_name) {}

TlsTestClient::TlsTestClient(Loop& loop, ClientContext context, UniqueFd fd,
                             const std::string& server_name)
    : loop_(loop),
      runner_(loop),
      fd_(fd.release()),
      stream_(std::make_unique<TlsStream>(loop, fd_, std::move(context), server_name, 443)) {}

bool TlsTestClient::handshake() {
  handshake_.emplace(loop_, std::move(stream_),
                     HandshakeStage::Completion::to<&TlsTestClient::on_handshaken>(*this));
  handshake_->start(std::nullopt);
  if (!runner_.until([this] { return stream_ != nullptr || error.has_value(); })) {
    throw std::runtime_error("the handshake does not end");
  }
  handshake_.reset();
  if (stream_ != nullptr) stream_->set_handler(this);
  return stream_ != nullptr;
}

void TlsTestClient::on_handshaken(Result<std::unique_ptr<TlsStream>> result) {
  if (result) {
    stream_ = *std::move(result);
  } else {
    error = std::move(result).error();
  }
}

bool TlsTestClient::send(std::string_view bytes) {
  while (!bytes.empty()) {
    const int calls = writable_calls;
    const IoResult result = stream_->write(bytes);
    if (result.status == IoStatus::kError) error = stream_->last_error();
    if (result.status == IoStatus::kError) return false;
    bytes.remove_prefix(result.bytes);
    if (!bytes.empty() && !runner_.until([&] { return writable_calls != calls; })) return false;
  }
  return true;
}

bool TlsTestClient::receive(std::size_t bytes) {
  return runner_.until([&] { return received.size() >= bytes; });
}

bool TlsTestClient::ended() {
  return runner_.until([&] { return eof || error.has_value(); });
}

void TlsTestClient::on_readable() {
  ++readable_calls;
  std::array<char, 20000> bytes;
  for (;;) {
    const IoResult result = stream_->read(bytes);
    if (result.status == IoStatus::kWouldBlock) return;
    if (result.status == IoStatus::kEof) eof = true;
    if (result.status == IoStatus::kError) error = stream_->last_error();
    if (result.status != IoStatus::kOk) return stream_->pause_read(PauseReason::kEndSeen);
    received.append(bytes.data(), result.bytes);
    if (!result.more) return;
  }
}

}  // namespace penstock
