// TLS sessions kept to make the next handshake with the same host cheaper.
//
// The key is the name that was verified and the port, so that a ticket never serves another name;
// there is one cache per TlsClientContext, so that it never serves another identity either. A TLS
// 1.3 ticket is handed out once (RFC 8446 appendix C.4), a TLS 1.2 session as often as it is
// asked for. What is kept and what is handed out are copies: no SSL_SESSION is shared by two
// connections, which may live on two threads.
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

  // Keeps sessions of `capacity` hosts, those used last; 0 keeps none.
  explicit TlsSessionCache(std::size_t capacity) : capacity_(capacity) {}
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

  Hosts::iterator touch(const TlsSessionKey& key);
  void remove(Hosts::iterator host);

  const std::size_t capacity_;
  mutable std::mutex mutex_;
  // Protected by mutex_.
  Hosts by_use_;  // used last first
  std::map<TlsSessionKey, Hosts::iterator> by_key_;
};

}  // namespace penstock
