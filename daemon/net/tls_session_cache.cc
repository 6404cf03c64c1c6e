#include "net/tls_session_cache.h"

#include <openssl/err.h>

#include <algorithm>
#include <chrono>
#include <ctime>
#include <utility>

namespace penstock {
namespace {

bool single_use(const SSL_SESSION* session) {
  return SSL_SESSION_get_protocol_version(session) >= TLS1_3_VERSION;
}

// Seconds. A TLS 1.3 hint of 0 means at once, a TLS 1.2 one means unspecified (RFC 5077 section
// 3.3, RFC 8446 section 4.6.1).
long lifetime(const SSL_SESSION* session) {
  const long ours = SSL_SESSION_get_timeout(session);
  if (SSL_SESSION_has_ticket(session) == 0) return ours;
  const auto hint = static_cast<long>(SSL_SESSION_get_ticket_lifetime_hint(session));
  if (hint == 0 && !single_use(session)) return ours;
  return std::min(ours, hint);
}

bool certificate_has_expired(SSL_SESSION* session, WallTime now) {
  const X509* certificate = SSL_SESSION_get0_peer(session);
  if (certificate == nullptr) return false;
  std::time_t at = std::chrono::floor<std::chrono::seconds>(now).time_since_epoch().count();
  return X509_cmp_time(X509_get0_notAfter(certificate), &at) <= 0;  // 0: it cannot be read
}

}  // namespace

void TlsSessionCache::put(const TlsSessionKey& key, SSL_SESSION* session) {
  if (capacity_ == 0 || SSL_SESSION_is_resumable(session) == 0) return;
  SslSessionPtr copy(SSL_SESSION_dup(session));
  if (copy == nullptr) {
    ERR_clear_error();  // it goes without, within a read that goes well
    return;
  }
  const std::lock_guard lock(mutex_);
  auto& sessions = touch(key)->sessions;
  if (sessions.size() == kTicketsPerHost) sessions.erase(sessions.begin());
  sessions.push_back(std::move(copy));
}

bool TlsSessionCache::expired(SSL_SESSION* session, WallTime now) const {
  using std::chrono::seconds;
  const WallTime made{seconds(SSL_SESSION_get_time(session))};
  if (now >= made + seconds(lifetime(session))) return true;
  return verified_ && certificate_has_expired(session, now);
}

SslSessionPtr TlsSessionCache::take(const TlsSessionKey& key, WallTime now) {
  const std::lock_guard lock(mutex_);
  const auto found = by_key_.find(key);
  if (found == by_key_.end()) return nullptr;
  const auto host = found->second;
  std::erase_if(host->sessions,
                [&](const SslSessionPtr& kept) { return expired(kept.get(), now); });
  if (host->sessions.empty()) {
    remove(host);
    return nullptr;
  }
  by_use_.splice(by_use_.begin(), by_use_, host);
  if (!single_use(host->sessions.back().get())) {
    SslSessionPtr copy(SSL_SESSION_dup(host->sessions.back().get()));
    if (copy == nullptr) ERR_clear_error();
    return copy;
  }
  SslSessionPtr taken = std::move(host->sessions.back());
  host->sessions.pop_back();
  if (host->sessions.empty()) remove(host);
  return taken;
}

std::size_t TlsSessionCache::hosts() const {
  const std::lock_guard lock(mutex_);
  return by_use_.size();
}

TlsSessionCache::Hosts::iterator TlsSessionCache::touch(const TlsSessionKey& key) {
  const auto found = by_key_.find(key);
  if (found != by_key_.end()) {
    by_use_.splice(by_use_.begin(), by_use_, found->second);
    return found->second;
  }
  if (by_use_.size() == capacity_) remove(std::prev(by_use_.end()));
  by_use_.push_front(Host{key, {}});
  by_key_.emplace(key, by_use_.begin());
  return by_use_.begin();
}

void TlsSessionCache::remove(Hosts::iterator host) {
  by_key_.erase(host->key);
  by_use_.erase(host);
}

}  // namespace penstock
