// What the session cache keeps, hands out and forgets, shown on sessions made by hand.
#include "net/tls_session_cache.h"

#include <gtest/gtest.h>

#include <atomic>
#include <string>
#include <thread>
#include <vector>

namespace penstock {
namespace {

constexpr long kMade = 1'700'000'000;

WallTime at(long seconds) { return WallTime(std::chrono::seconds(kMade + seconds)); }

SslSessionPtr make_session(unsigned char id, int version = TLS1_3_VERSION, long timeout = 100) {
  SslSessionPtr session(SSL_SESSION_new());
  SSL_SESSION_set1_id(session.get(), &id, 1);
  SSL_SESSION_set_protocol_version(session.get(), version);
  SSL_SESSION_set_time(session.get(), kMade);
  SSL_SESSION_set_timeout(session.get(), timeout);
  return session;
}

int id_of(const SslSessionPtr& session) {
  if (session == nullptr) return -1;
  unsigned int size = 0;
  return SSL_SESSION_get_id(session.get(), &size)[0];
}

void put(TlsSessionCache& cache, const TlsSessionKey& key, unsigned char id,
         int version = TLS1_3_VERSION) {
  cache.put(key, make_session(id, version).get());
}

const TlsSessionKey kHost{"a.test", 443};

TEST(TlsSessionCache, HandsATls13TicketOutOnce) {
  TlsSessionCache cache(10, true);
  put(cache, kHost, 1);
  EXPECT_EQ(id_of(cache.take(kHost, at(1))), 1);
  EXPECT_EQ(cache.take(kHost, at(1)), nullptr);
  EXPECT_EQ(cache.hosts(), 0u);
}

TEST(TlsSessionCache, HandsATls12SessionOutAgain) {
  TlsSessionCache cache(10, true);
  put(cache, kHost, 1, TLS1_2_VERSION);
  const SslSessionPtr first = cache.take(kHost, at(1));
  const SslSessionPtr second = cache.take(kHost, at(1));
  EXPECT_EQ(id_of(first), 1);
  EXPECT_EQ(id_of(second), 1);
  EXPECT_NE(first, second) << "two connections share a session object";
}

TEST(TlsSessionCache, KeepsACopyAndNotTheConnectionsSession) {
  TlsSessionCache cache(10, true);
  const SslSessionPtr session = make_session(1);
  cache.put(kHost, session.get());
  EXPECT_NE(cache.take(kHost, at(1)), session);
}

TEST(TlsSessionCache, KeepsTheFourNewestTicketsAndGivesTheNewestFirst) {
  TlsSessionCache cache(10, true);
  for (unsigned char id = 1; id <= 6; ++id) put(cache, kHost, id);
  std::vector<int> taken;
  while (const SslSessionPtr session = cache.take(kHost, at(1))) taken.push_back(id_of(session));
  EXPECT_EQ(taken, (std::vector<int>{6, 5, 4, 3}));
}

TEST(TlsSessionCache, NeverServesAnotherNameOrPort) {
  TlsSessionCache cache(10, true);
  put(cache, kHost, 1);
  EXPECT_EQ(cache.take({"b.test", 443}, at(1)), nullptr);
  EXPECT_EQ(cache.take({"a.test", 8443}, at(1)), nullptr);
  EXPECT_EQ(id_of(cache.take(kHost, at(1))), 1);
}

TEST(TlsSessionCache, DropsWhatHasExpired) {
  TlsSessionCache cache(10, true);
  put(cache, kHost, 1);
  cache.put(kHost, make_session(2, TLS1_3_VERSION, 50).get());
  EXPECT_EQ(id_of(cache.take(kHost, at(50))), 1);
  put(cache, kHost, 3);
  EXPECT_EQ(cache.take(kHost, at(100)), nullptr);
  EXPECT_EQ(cache.hosts(), 0u);
}

TEST(TlsSessionCache, ForgetsTheHostUsedLeastRecently) {
  TlsSessionCache cache(2, true);
  const TlsSessionKey other{"b.test", 443};
  put(cache, kHost, 1, TLS1_2_VERSION);
  put(cache, other, 2, TLS1_2_VERSION);
  ASSERT_NE(cache.take(kHost, at(1)), nullptr);
  put(cache, {"c.test", 443}, 3);
  EXPECT_EQ(cache.hosts(), 2u);
  EXPECT_EQ(cache.take(other, at(1)), nullptr);
  EXPECT_EQ(id_of(cache.take(kHost, at(1))), 1);
}

TEST(TlsSessionCache, KeepsNothingWithoutCapacity) {
  TlsSessionCache cache(0, true);
  put(cache, kHost, 1);
  EXPECT_EQ(cache.take(kHost, at(1)), nullptr);
}

TEST(TlsSessionCache, KeepsNoSessionThatCannotBeResumed) {
  TlsSessionCache cache(10, true);
  const SslSessionPtr nameless(SSL_SESSION_new());
  cache.put(kHost, nameless.get());
  EXPECT_EQ(cache.hosts(), 0u);
}

TEST(TlsSessionCache, GivesEveryTicketToOneOfManyThreads) {
  TlsSessionCache cache(1000, true);
  constexpr int kThreads = 4, kPerThread = 200;
  std::atomic<int> taken = 0;
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&cache, &taken, t] {
      for (int i = 0; i < kPerThread; ++i) {
        put(cache, {std::to_string(i), static_cast<std::uint16_t>(t)}, 1);
      }
      for (int i = 0; i < kPerThread; ++i) {
        for (int port = 0; port < kThreads; ++port) {
          const TlsSessionKey key{std::to_string(i), static_cast<std::uint16_t>(port)};
          if (cache.take(key, at(1)) != nullptr) ++taken;
        }
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (int i = 0; i < kPerThread; ++i) {
    for (int port = 0; port < kThreads; ++port) {
      const TlsSessionKey key{std::to_string(i), static_cast<std::uint16_t>(port)};
      if (cache.take(key, at(1)) != nullptr) ++taken;
    }
  }
  EXPECT_EQ(taken, kThreads * kPerThread);
}

}  // namespace
}  // namespace penstock
