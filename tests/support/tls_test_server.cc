#include "support/tls_test_server.h"

#include <netinet/in.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <sys/socket.h>

#include <algorithm>
#include <csignal>
#include <stdexcept>
#include <utility>

namespace penstock {
namespace {

void require(bool ok, const char* what) {
  if (!ok) throw std::runtime_error(std::string("tls test server: ") + what);
}

BioPtr reader(const std::string& pem) {
  return BioPtr(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
}

void use_identity(SSL_CTX* context, const TestIdentity& identity) {
  const BioPtr certs = reader(identity.cert_pem);
  const X509Ptr leaf(PEM_read_bio_X509(certs.get(), nullptr, nullptr, nullptr));
  require(SSL_CTX_use_certificate(context, leaf.get()) == 1, "certificate");
  while (const X509Ptr issuer{PEM_read_bio_X509(certs.get(), nullptr, nullptr, nullptr)}) {
    SSL_CTX_add1_chain_cert(context, issuer.get());
  }
  const BioPtr key_pem = reader(identity.key_pem);
  const PrivateKeyPtr key(PEM_read_bio_PrivateKey(key_pem.get(), nullptr, nullptr, nullptr));
  require(SSL_CTX_use_PrivateKey(context, key.get()) == 1, "key");
  ERR_clear_error();
}

void demand_client_certificate(SSL_CTX* context, const std::string& ca_pem) {
  const BioPtr pem = reader(ca_pem);
  const X509Ptr ca(PEM_read_bio_X509(pem.get(), nullptr, nullptr, nullptr));
  X509_STORE_add_cert(SSL_CTX_get_cert_store(context), ca.get());
  SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
}

// http/1.1 when it is offered, else nothing.
int select_alpn(SSL*, const unsigned char** chosen, unsigned char* size,
                const unsigned char* offered, unsigned int offered_size, void*) {
  static const unsigned char kHttp11[] = "\x08http/1.1";
  unsigned char* found = nullptr;
  const int result =
      SSL_select_next_proto(&found, size, kHttp11, sizeof kHttp11 - 1, offered, offered_size);
  *chosen = found;
  return result == OPENSSL_NPN_NEGOTIATED ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_NOACK;
}

}  // namespace

UniqueFd listen_on_loopback(std::uint16_t* port, int backlog) {
  UniqueFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  auto* generic = reinterpret_cast<sockaddr*>(&address);
  socklen_t size = sizeof address;
  require(::bind(fd.get(), generic, size) == 0 && ::listen(fd.get(), backlog) == 0, "listen");
  ::getsockname(fd.get(), generic, &size);
  *port = ntohs(address.sin_port);
  return fd;
}

std::string TlsTestConnection::read_some(std::size_t max) {
  std::string bytes(max, '\0');
  const int got = SSL_read(ssl_, bytes.data(), static_cast<int>(max));
  bytes.resize(got > 0 ? static_cast<std::size_t>(got) : 0);
  return bytes;
}

std::string TlsTestConnection::read_exactly(std::size_t bytes) {
  std::string all;
  while (all.size() < bytes) {
    const std::string more = read_some(std::min<std::size_t>(bytes - all.size(), 16 * 1024));
    if (more.empty()) break;
    all += more;
  }
  return all;
}

bool TlsTestConnection::write_all(std::string_view bytes) {
  return SSL_write(ssl_, bytes.data(), static_cast<int>(bytes.size())) > 0;
}

void TlsTestConnection::close_notify() { SSL_shutdown(ssl_); }

void TlsTestConnection::reset_on_close() {
  const linger reset{.l_onoff = 1, .l_linger = 0};
  ::setsockopt(SSL_get_fd(ssl_), SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
}

bool TlsTestConnection::send_ticket() {
  return SSL_new_session_ticket(ssl_) == 1 && SSL_do_handshake(ssl_) == 1;
}

bool TlsTestConnection::request_key_update() {
  return SSL_key_update(ssl_, SSL_KEY_UPDATE_REQUESTED) == 1 && SSL_do_handshake(ssl_) == 1;
}

bool TlsTestConnection::update_key() {
  return SSL_key_update(ssl_, SSL_KEY_UPDATE_NOT_REQUESTED) == 1 && SSL_do_handshake(ssl_) == 1;
}

void TlsTestConnection::echo() {
  for (std::string bytes = read_some(); !bytes.empty(); bytes = read_some()) {
    if (!write_all(bytes)) return;
  }
  close_notify();
}

std::string TlsTestConnection::server_name() const {
  const char* name = SSL_get_servername(ssl_, TLSEXT_NAMETYPE_host_name);
  return name != nullptr ? name : "";
}

std::string TlsTestConnection::alpn() const {
  const unsigned char* name = nullptr;
  unsigned int size = 0;
  SSL_get0_alpn_selected(ssl_, &name, &size);
  return {reinterpret_cast<const char*>(name), size};
}

std::size_t TlsTestConnection::wire_bytes() const { return BIO_number_written(SSL_get_wbio(ssl_)); }

TlsTestServer::TlsTestServer(Options options)
    : options_(std::move(options)), context_(SSL_CTX_new(TLS_server_method())) {
  std::signal(SIGPIPE, SIG_IGN);
  SSL_CTX* context = context_.get();
  SSL_CTX_set_min_proto_version(context, options_.min_version);
  SSL_CTX_set_max_proto_version(context, options_.max_version);
  SSL_CTX_set_session_id_context(context, reinterpret_cast<const unsigned char*>("test"), 4);
  SSL_CTX_set_num_tickets(context, static_cast<std::size_t>(options_.tickets));
  SSL_CTX_set_alpn_select_cb(context, select_alpn, nullptr);
  use_identity(context, options_.identity);
  if (!options_.client_ca_pem.empty()) demand_client_certificate(context, options_.client_ca_pem);
  listener_ = listen_on_loopback(&port_);
  acceptor_ = std::thread([this] { accept_loop(); });
}

TlsTestServer::~TlsTestServer() {
  ::shutdown(listener_.get(), SHUT_RDWR);
  acceptor_.join();
  {
    const std::lock_guard lock(mutex_);
    for (const int fd : open_fds_) ::shutdown(fd, SHUT_RDWR);
  }
  for (std::thread& connection : connections_) connection.join();
}

std::string TlsTestServer::wait_for_failure(int count) {
  std::unique_lock lock(mutex_);
  const auto enough = [&] { return failures_.size() >= static_cast<std::size_t>(count); };
  if (!changed_.wait_for(lock, std::chrono::seconds(5), enough)) return "(no failure)";
  return failures_.back();
}

void TlsTestServer::accept_loop() {
  for (;;) {
    UniqueFd fd(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
    if (!fd) return;
    ++accepted_;
    adopt(std::move(fd));
  }
}

void TlsTestServer::adopt(UniqueFd fd) {
  const std::lock_guard lock(mutex_);
  const int number = fd.release();
  open_fds_.push_back(number);
  connections_.emplace_back([this, number] { run_connection(number); });
}

void TlsTestServer::run_connection(int fd) {
  const UniqueFd owner(fd);
  {
    const SslPtr ssl(SSL_new(context_.get()));
    SSL_set_fd(ssl.get(), fd);
    if (SSL_accept(ssl.get()) == 1) {
      ++handshakes_;
      TlsTestConnection connection(ssl.get());
      options_.serve(connection);
    } else {
      keep_failure();
    }
  }
  const std::lock_guard lock(mutex_);
  std::erase(open_fds_, fd);
}

void TlsTestServer::keep_failure() {
  const unsigned long error = ERR_get_error();
  ERR_clear_error();
  const char* reason = ERR_reason_error_string(error);
  const std::lock_guard lock(mutex_);
  failures_.emplace_back(reason != nullptr ? reason : "closed");
  changed_.notify_all();
}

}  // namespace penstock
