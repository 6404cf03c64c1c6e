#include "net/tls_context.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <cassert>
#include <chrono>
#include <ctime>
#include <utility>

#include "net/address.h"
#include "net/digest.h"
#include "net/system_cas.h"
#include "net/tls_errors.h"
#include "net/tls_suites.h"

namespace penstock {
namespace {

// Two full records with their overhead. Measured on a stream of full records: 21 reads of the
// socket per MiB, with one record 32, with four 13 and no CPU time less for twice the memory.
constexpr std::size_t kReadBufferBytes = 2 * (16384 + 256 + 5);
constexpr unsigned char kAlpn[] = "\x08http/1.1";

Unexpected<Error> settings_error(std::string detail) {
  return Unexpected{Error{.code = ErrorCode::kProxyInternalError,
                          .source = ErrorSource::kInternal,
                          .detail = std::move(detail)}};
}

BioPtr reader(const std::string& text) {
  return BioPtr(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
}

// OpenSSL's macro for this holds a C cast; the name is copied.
bool set_sni(SSL* ssl, const std::string& name) {
  return SSL_ctrl(ssl, SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name,
                  const_cast<char*>(name.c_str())) == 1;
}

// A key that needs a password is refused; OpenSSL's own callback would ask on the terminal.
int no_password(char*, int, int, void*) { return -1; }

X509Ptr next_certificate(BIO* pem) {
  return X509Ptr(PEM_read_bio_X509(pem, nullptr, no_password, nullptr));
}

// True when the last PEM_read found no further block, rather than a broken one.
bool at_end_of_pem() {
  const unsigned long error = ERR_peek_last_error();
  return ERR_GET_LIB(error) == ERR_LIB_PEM && ERR_GET_REASON(error) == PEM_R_NO_START_LINE;
}

Result<void> add_certificates(X509_STORE* store, const std::string& pem, const std::string& key) {
  const BioPtr bio = reader(pem);
  ERR_clear_error();
  int count = 0;
  while (const X509Ptr certificate = next_certificate(bio.get())) {
    if (X509_STORE_add_cert(store, certificate.get()) != 1) break;
    ++count;
  }
  if (!at_end_of_pem())
    return settings_error(key + " holds a broken certificate: " + openssl_reason());
  ERR_clear_error();
  if (count == 0) return settings_error(key + " holds no PEM certificate");
  return {};
}

Result<std::shared_ptr<X509_STORE>> load_store(const std::string& ca_pem,
                                               const std::string& extra_ca_pem) {
  X509StorePtr store(X509_STORE_new());
  X509_STORE_set_flags(store.get(), X509_V_FLAG_PARTIAL_CHAIN);
  if (!ca_pem.empty()) {
    auto added = add_certificates(store.get(), ca_pem, "tls.ca_file");
    if (!added) return Unexpected{std::move(added).error()};
  } else if (X509_STORE_set_default_paths(store.get()) != 1) {
    return settings_error("the system's CA certificates cannot be loaded: " + openssl_reason());
  }
  if (!extra_ca_pem.empty()) {
    auto added = add_certificates(store.get(), extra_ca_pem, "tls.extra_ca_file");
    if (!added) return Unexpected{std::move(added).error()};
  }
  return std::shared_ptr<X509_STORE>(std::move(store));
}

std::optional<WallTime> end_of_validity(const X509* certificate) {
  std::tm utc{};
  if (ASN1_TIME_to_tm(X509_get0_notAfter(certificate), &utc) != 1) return std::nullopt;
  return std::chrono::time_point_cast<WallTime::duration>(
      std::chrono::system_clock::from_time_t(::timegm(&utc)));
}

std::optional<WallTime> earlier(std::optional<WallTime> a, std::optional<WallTime> b) {
  return a && b ? std::min(a, b) : a ? a : b;
}

}  // namespace

std::string TrustStores::look_at_system() {
  std::string stamp = system_ca_stamp();
  const std::lock_guard lock(mutex_);
  system_ = stamp;
  return stamp;
}

Result<std::shared_ptr<X509_STORE>> TrustStores::get(const std::string& ca_pem,
                                                     const std::string& extra_ca_pem) {
  const std::lock_guard lock(mutex_);
  const std::string content =
      (ca_pem.empty() ? system_ : digest_of(ca_pem)) + '+' + digest_of(extra_ca_pem);
  std::erase_if(by_content_, [](const auto& entry) { return entry.second.expired(); });
  if (const auto found = by_content_.find(content); found != by_content_.end()) {
    if (auto store = found->second.lock()) return store;
  }
  auto loaded = load_store(ca_pem, extra_ca_pem);
  if (loaded) by_content_[content] = *loaded;
  return loaded;
}

Result<std::shared_ptr<const TlsClientContext>> TlsClientContext::create(
    const TlsSettings& settings, const std::string& ca_pem, const std::string& extra_ca_pem,
    const std::string& cert_pem, const std::string& key_pem, TrustStores& stores) {
  std::shared_ptr<X509_STORE> store;
  if (settings.verify) {
    auto found = stores.get(ca_pem, extra_ca_pem);
    if (!found) return Unexpected{std::move(found).error()};
    store = *std::move(found);
  }
  const std::shared_ptr<TlsClientContext> context(new TlsClientContext(settings, std::move(store)));
  if (auto done = context->configure(settings); !done) return Unexpected{std::move(done).error()};
  if (auto done = context->use_identity(cert_pem, key_pem); !done) {
    return Unexpected{std::move(done).error()};
  }
  return std::shared_ptr<const TlsClientContext>(context);
}

TlsClientContext::TlsClientContext(const TlsSettings& settings, std::shared_ptr<X509_STORE> store)
    : verify_(settings.verify),
      store_(std::move(store)),
      context_(SSL_CTX_new(TLS_client_method())),
      sessions_(settings.session_cache, settings.verify) {}

Result<void> TlsClientContext::configure(const TlsSettings& settings) {
  SSL_CTX* context = context_.get();
  if (context == nullptr) return settings_error("no TLS context: " + openssl_reason());
  SSL_CTX_set_app_data(context, this);
  const int least = settings.min_version == 13 ? TLS1_3_VERSION : TLS1_2_VERSION;
  if (SSL_CTX_set_min_proto_version(context, least) != 1) {
    return settings_error("tls.min_version is not to be had: " + openssl_reason());
  }
  prefer_aes_128(context);
  SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
  SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                                SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  SSL_CTX_set_read_ahead(context, 1);
  SSL_CTX_set_default_read_buffer_len(context, kReadBufferBytes);
  SSL_CTX_set_alpn_protos(context, kAlpn, sizeof kAlpn - 1);
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
  SSL_CTX_sess_set_new_cb(context, on_new_session);
  SSL_CTX_set_info_callback(context, on_progress);
  if (verify_) {
    SSL_CTX_set1_cert_store(context, store_.get());
    SSL_CTX_set_purpose(context, X509_PURPOSE_SSL_SERVER);
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, on_verified);
  }
  return {};
}

Result<void> TlsClientContext::use_chain(const std::string& pem) {
  const BioPtr bio = reader(pem);
  ERR_clear_error();
  const X509Ptr leaf = next_certificate(bio.get());
  if (leaf == nullptr || SSL_CTX_use_certificate(context_.get(), leaf.get()) != 1) {
    return settings_error("tls.cert_file holds no usable certificate: " + openssl_reason());
  }
  certificate_not_after_ = end_of_validity(leaf.get());
  while (const X509Ptr issuer = next_certificate(bio.get())) {
    if (SSL_CTX_add1_chain_cert(context_.get(), issuer.get()) != 1) break;
    certificate_not_after_ = earlier(certificate_not_after_, end_of_validity(issuer.get()));
  }
  if (!at_end_of_pem()) return settings_error("tls.cert_file is broken: " + openssl_reason());
  ERR_clear_error();
  return {};
}

Result<void> TlsClientContext::use_identity(const std::string& cert_pem,
                                            const std::string& key_pem) {
  if (cert_pem.empty() && key_pem.empty()) return {};
  if (auto used = use_chain(cert_pem); !used) return used;
  const BioPtr bio = reader(key_pem);
  const PrivateKeyPtr key(PEM_read_bio_PrivateKey(bio.get(), nullptr, no_password, nullptr));
  if (key == nullptr) {
    return settings_error(
        "tls.key_file holds no usable private key (one with a password is not): " +
        openssl_reason());
  }
  if (SSL_CTX_use_PrivateKey(context_.get(), key.get()) != 1) {
    return settings_error("tls.key_file does not belong to tls.cert_file: " + openssl_reason());
  }
  return {};
}

SslPtr TlsClientContext::open(BioSocket& socket, TlsPeer& peer, WallTime now) const {
  SslPtr ssl(SSL_new(context_.get()));
  BioPtr bio = new_socket_bio(socket);
  if (ssl == nullptr || bio == nullptr) return nullptr;
  BIO* const both_ways = bio.release();
  SSL_set_bio(ssl.get(), both_ways, both_ways);
  if (!expect_name(ssl.get(), peer.key.server_name)) return nullptr;
  SSL_set_app_data(ssl.get(), &peer);
  if (const SslSessionPtr kept = sessions_.take(peer.key, now)) {
    SSL_set_session(ssl.get(), kept.get());
  }
  SSL_set_connect_state(ssl.get());
  return ssl;
}

// RFC 9110 section 4.3.4 and RFC 9525: only subjectAltName counts, an address needs an iPAddress
// entry; RFC 6066 section 3 keeps addresses out of SNI. OpenSSL takes an empty name for "any".
bool TlsClientContext::expect_name(SSL* ssl, const std::string& server_name) const {
  if (server_name.empty()) return !verify_;
  X509_VERIFY_PARAM* expected = SSL_get0_param(ssl);
  X509_VERIFY_PARAM_set_hostflags(
      expected, X509_CHECK_FLAG_NEVER_CHECK_SUBJECT | X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
  if (SocketAddress::from_ip(server_name, 0)) {
    return X509_VERIFY_PARAM_set1_ip_asc(expected, server_name.c_str()) == 1;
  }
  return X509_VERIFY_PARAM_set1_host(expected, server_name.data(), server_name.size()) == 1 &&
         set_sni(ssl, server_name);
}

int TlsClientContext::on_verified(int ok, X509_STORE_CTX* verification) {
  if (ok == 1) return 1;
  const auto* ssl = static_cast<const SSL*>(
      X509_STORE_CTX_get_ex_data(verification, SSL_get_ex_data_X509_STORE_CTX_idx()));
  auto* peer = static_cast<TlsPeer*>(SSL_get_app_data(ssl));
  peer->certificate_fault = describe_certificate_fault(verification, peer->key.server_name);
  return 0;
}

// OpenSSL keeps its own reference: 0 says that we took none.
int TlsClientContext::on_new_session(SSL* ssl, SSL_SESSION* session) {
  const auto* peer = static_cast<const TlsPeer*>(SSL_get_app_data(ssl));
  auto* self = static_cast<TlsClientContext*>(SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl)));
  self->sessions_.put(peer->key, session);
  return 0;
}

// Session tickets and key updates count as handshakes, each with this end (RFC 8446 section 4.6).
// After it OpenSSL goes on to the next record, and puts no bound to how many there are: it is made
// to believe in the peer's end, for it takes nothing that comes after that.
void TlsClientContext::on_progress(const SSL* ssl, int event, int value) {
  if (event != SSL_CB_CONNECT_EXIT || value != 1) return;
  auto* peer = static_cast<TlsPeer*>(SSL_get_app_data(ssl));
  peer->handshake_spoke = true;
  ++peer->idle_messages;
  if (peer->chatters()) SSL_set_shutdown(const_cast<SSL*>(ssl), SSL_RECEIVED_SHUTDOWN);
}

}  // namespace penstock
