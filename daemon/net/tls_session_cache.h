// TLS sessions kept to make the next handshake with the same host cheaper.
//
// The key is the name that was verified and the port, so that a ticket never serves another name;
// there is one cache per TlsClientContext, so that it never serves another identity either. A TLS
// 1.3 ticket is handed out once (RFC 8446 appendix C.4), a TLS 1.2 session as often as it is
// asked for. A session ends with the certificate that was verified for it: nobody looks at that
// again when it is resumed. What is kept and what is handed out are copies: no SSL_SESSION is
// shared by two connections, which may live on two threads.
//
// Owner: its TlsClientContext. Thread: any; one small mutex. Ends with its owner.
#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <list>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "base/time.h"
#include "net/tls_ptr.h"

namespace penstock {

struct TlsSessionKey {
  std::string server_name;
  std::uint16_t port = 0;

  auto operator<=>(const TlsSessionKey&) const = default;
};

class TlsSessionCache {
 public:
  static constexpr std::size_t kTicketsPerHost = 4;

  // Keeps sessions of `capacity` hosts, those used last; 0 keeps none. `verified`: their servers'
  // certificates were.
  TlsSessionCache(std::size_t capacity, bool verified) : capacity_(capacity), verified_(verified) {}
  TlsSessionCache(const TlsSessionCache&) = delete;
  TlsSessionCache& operator=(const TlsSessionCache&) = delete;

  // Keeps a copy, in place of the host's oldest where it has kTicketsPerHost already.
  void put(const TlsSessionKey& key, SSL_SESSION* session);
  // The newest that has not expired at `now`; null when there is none.
  SslSessionPtr take(const TlsSessionKey& key, WallTime now);

  std::size_t hosts() const;

 private:
  struct Host {
    TlsSessionKey key;
    std::vector<SslSessionPtr> sessions;  // oldest first
  };
  using Hosts = std::list<Host>;

  bool expired(SSL_SESSION* session, WallTime now) const;
  Hosts::iterator touch(const TlsSessionKey& key);
  void remove(Hosts::iterator host);

  const std::size_t capacity_;
  const bool verified_;
  mutable std::mutex mutex_;
  // Protected by mutex_.
  Hosts by_use_;  // used last first
  std::map<TlsSessionKey, Hosts::iterator> by_key_;
};

}  // namespace penstock
