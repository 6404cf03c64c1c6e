// The client side of TLS as one set of settings asks for it, and the trust it rests on.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "base/result.h"
#include "base/time.h"
#include "config/settings.h"
#include "net/tls_bio.h"
#include "net/tls_ptr.h"
#include "net/tls_session_cache.h"

namespace penstock {

// The sets of CA certificates in use, one X509_STORE per content however many contexts trust it:
// the system's alone takes megabytes and tens of milliseconds to load, so do that off the loop.
//
// Owner: the Daemon, one per process. Thread: any. It only remembers: a store ends with the last
// context that uses it.
class TrustStores {
 public:
  // From now on the system's CAs are those that there are now. What it gives is equal as long as
  // they do not change.
  std::string look_at_system();
  // `ca_pem` replaces the system's CAs (OpenSSL's default paths, SSL_CERT_FILE and SSL_CERT_DIR)
  // unless empty; `extra_ca_pem` adds to either. Any certificate given is trusted as it stands, an
  // intermediate too.
  Result<std::shared_ptr<X509_STORE>> get(const std::string& ca_pem,
                                          const std::string& extra_ca_pem);

 private:
  std::mutex mutex_;
  std::string system_;                                           // protected by mutex_
  std::map<std::string, std::weak_ptr<X509_STORE>> by_content_;  // protected by mutex_
};

// What the callbacks of one connection know of it. Owned by its TlsStream, which outlives the SSL.
struct TlsPeer {
  TlsSessionKey key;
  std::string certificate_fault;  // why verification failed, once it has
  bool handshake_spoke = false;   // it has taken buffers for both directions, used or not
  int idle_messages = 0;          // of the handshake, since application data was read

  // A peer sends a few tickets at a time and rarely a new key; each costs more than data does.
  static constexpr int kMostIdleMessages = 32;
  bool chatters() const { return idle_messages > kMostIdleMessages; }
};

// An SSL_CTX: TLS 1.2 or later, the peer's chain, dates, purpose and name verified, no
// renegotiation, the client certificate, and the sessions kept for resumption.
//
// Immutable but for the session cache, which locks for itself; shared by the targets and the
// connections that were dialled with it. Thread: any. Ends with the last of them.
class TlsClientContext {
 public:
  // The errors are faults of the settings and name the key.
  static Result<std::shared_ptr<const TlsClientContext>> create(
      const TlsSettings& settings, const std::string& ca_pem, const std::string& extra_ca_pem,
      const std::string& cert_pem, const std::string& key_pem, TrustStores& stores);
  TlsClientContext(const TlsClientContext&) = delete;
  TlsClientContext& operator=(const TlsClientContext&) = delete;

  // A client on a connected socket, before its handshake, with a kept session when there is one.
  // Null when there is no name to verify or no memory. `socket` and `peer` must outlive it.
  SslPtr open(BioSocket& socket, TlsPeer& peer, WallTime now) const;

  // When the first of the certificates that we show of ourselves ends; nullopt when there is none.
  std::optional<WallTime> certificate_not_after() const { return certificate_not_after_; }

 private:
  TlsClientContext(const TlsSettings& settings, std::shared_ptr<X509_STORE> store);
  Result<void> configure(const TlsSettings& settings);
  Result<void> use_chain(const std::string& pem);
  Result<void> use_identity(const std::string& cert_pem, const std::string& key_pem);
  bool expect_name(SSL* ssl, const std::string& server_name) const;

  static int on_verified(int ok, X509_STORE_CTX* verification);
  static int on_new_session(SSL* ssl, SSL_SESSION* session);
  static void on_progress(const SSL* ssl, int event, int value);

  const bool verify_;
  const std::shared_ptr<X509_STORE> store_;  // null when nothing is verified
  const SslContextPtr context_;
  std::optional<WallTime> certificate_not_after_;
  mutable TlsSessionCache sessions_;
};

}  // namespace penstock
