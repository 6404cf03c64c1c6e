#include "net/tls_session_cache.h"

#include <algorithm>
#include <chrono>
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

bool expired(const SSL_SESSION* session, WallTime now) {
  using std::chrono::seconds;
  const WallTime made{seconds(SSL_SESSION_get_time(session))};
  return now >= made + seconds(lifetime(session));
}

}  // namespace

void TlsSessionCache::put(const TlsSessionKey& key, SSL_SESSION* session) {
  if (capacity_ == 0 || SSL_SESSION_is_resumable(session) == 0) return;
  SslSessionPtr copy(SSL_SESSION_dup(session));
  if (copy == nullptr) return;
  const std::lock_guard lock(mutex_);
  auto& sessions = touch(key)->sessions;
  if (sessions.size() == kTicketsPerHost) sessions.erase(sessions.begin());
  sessions.push_back(std::move(copy));
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
    return SslSessionPtr(SSL_SESSION_dup(host->sessions.back().get()));
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
