// NTLM and Negotiate authenticate a connection: from then on it is one client's alone.
#include "unit/proxy/proxy_fixture.h"

namespace penstock {
namespace {

constexpr std::string_view kGet = "GET http://api.test/x HTTP/1.1\r\nHost: api.test\r\n\r\n";
constexpr std::string_view kOk = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";

class PinnedTest : public ProxyTest {
 protected:
  static std::string with(std::string_view field) {
    return join({"GET http://api.test/x HTTP/1.1\r\nHost: api.test\r\n", field, "\r\n\r\n"});
  }
};

TEST_F(PinnedTest, ARequestThatAuthenticatesItsConnectionKeepsItToItself) {
  for (const std::string_view field :
       {"Authorization: NTLM TlRMTVNTUAAB", "authorization: negotiate YII=", "Authorization: NTLM",
        "Authorization: NTLM\tTlRM"}) {
    SCOPED_TRACE(field);
    FakePeer& client = ask(with(field));
    FakePeer& upstream = open_upstream();
    answer(upstream, kOk);
    EXPECT_EQ(pool_state().idle, 0U);
    EXPECT_EQ(pool_state().busy, 1U);
    // Another client gets another connection.
    ask(kGet);
    FakePeer& other = open_upstream();
    EXPECT_FALSE(other.written().empty());
    // The same client gets the same one, with a field and without, pool or no pool.
    for (const std::string& again : {std::string(kGet), with(field)}) {
      upstream.take_written();
      client.send(again);
      settle();
      EXPECT_TRUE(upstream.written().starts_with("GET /x HTTP/1.1\r\n"));
      answer(upstream, kOk);
    }
    client.send_eof();
    settle();
    EXPECT_FALSE(upstream.open()) << "it ends with its client";
    other.send_eof();
    settle();
    EXPECT_EQ(pool_state().busy, 0U);
  }
}

TEST_F(PinnedTest, AnAnswerThatOffersItDoesSoToo) {
  for (const std::string_view field :
       {"WWW-Authenticate: NTLM", "WWW-Authenticate: Basic realm=\"a\", Negotiate",
        "Www-Authenticate: Basic realm=\"a\"\r\nWWW-Authenticate: Negotiate"}) {
    SCOPED_TRACE(field);
    FakePeer& client = get();
    FakePeer& upstream = open_upstream();
    answer(upstream, join({"HTTP/1.1 401 U\r\nContent-Length: 0\r\n", field, "\r\n\r\n"}));
    EXPECT_EQ(pool_state().busy, 1U);
    upstream.take_written();
    client.send(with("Authorization: NTLM TlRMTVNTUAAB"));
    settle();
    EXPECT_FALSE(upstream.written().empty());
    client.send_eof();
    settle();
    EXPECT_FALSE(upstream.open());
  }
}

TEST_F(PinnedTest, OtherSchemesShare) {
  for (const std::string_view field :
       {"Authorization: Basic NTLM", "Authorization: NTLMX abc", "X-Authorization: NTLM abc"}) {
    SCOPED_TRACE(field);
    ask(with(field));
    FakePeer& upstream = open_upstream();
    answer(upstream, kOk);
    EXPECT_EQ(pool_state().idle, 1U);
    upstream.send_eof();
    settle();
  }
}

TEST_F(PinnedTest, AnotherHostOfTheSameClientGetsAnotherConnection) {
  config.upstreams.push_back(plain_upstream("other", {"other.test"}));
  FakePeer& client = ask(with("Authorization: NTLM a"));
  FakePeer& upstream = open_upstream();
  answer(upstream, kOk);
  client.send("GET http://other.test/ HTTP/1.1\r\nHost: other.test\r\n\r\n");
  settle();
  FakePeer& other = open_upstream();
  answer(other, kOk);
  upstream.take_written();
  client.send(kGet);
  settle();
  EXPECT_FALSE(upstream.written().empty()) << "the first is still this client's";
}

TEST_F(PinnedTest, ClosesWhenTheUpstreamDoesOrSpeaksUnasked) {
  for (const bool speaks : {false, true}) {
    FakePeer& client = ask(with("Authorization: NTLM a"));
    FakePeer& upstream = open_upstream();
    answer(upstream, kOk);
    speaks ? upstream.send("HTTP/1.1 408 T\r\n\r\n") : upstream.send_eof();
    settle();
    EXPECT_FALSE(upstream.open());
    EXPECT_EQ(pool_state().busy, 0U);
    client.take_written();
    client.send(kGet);
    settle();
    FakePeer& next = open_upstream();
    answer(next, kOk);
    EXPECT_TRUE(client.written().starts_with("HTTP/1.1 200 OK\r\n"));
    next.send_eof();
    settle();
  }
}

// It closed while the request was on its way: nobody has authenticated the one that replaces it.
TEST_F(PinnedTest, TheNewConnectionOfAnotherTryIsNobodysOwn) {
  FakePeer& client = ask(with("Authorization: NTLM a"));
  FakePeer& upstream = open_upstream();
  answer(upstream, kOk);
  client.send(kGet);
  upstream.send_eof();
  settle();
  answer(open_upstream(), kOk);
  EXPECT_EQ(pool_state().busy, 0U);
  EXPECT_EQ(pool_state().idle, 1U);
}

TEST_F(PinnedTest, AReloadThatChangesWhatAConnectionIsEndsItsUse) {
  FakePeer& client = ask(with("Authorization: NTLM a"));
  FakePeer& upstream = open_upstream();
  answer(upstream, kOk);
  EXPECT_EQ(pool_state().busy, 1U);
  policy().connect_to = "192.0.2.7:99";
  policy().pool.max_connections = 1;  // the old one must not stand in the new one's way
  reload();
  client.send(kGet);
  settle();
  FakePeer& next = open_upstream();
  EXPECT_FALSE(next.written().empty());
}

TEST_F(PinnedTest, TheFirstRequestThatAuthenticatesIsNotDrainedEither) {
  FakePeer& client = ask(with("Authorization: Negotiate YII="));
  FakePeer& upstream = open_upstream();
  client.send_eof();
  settle();
  EXPECT_FALSE(upstream.open()) << "the next one on it would be that user";
}

TEST_F(PinnedTest, AnAbandonedOneIsNotDrained) {
  FakePeer& client = ask(with("Authorization: NTLM a"));
  FakePeer& upstream = open_upstream();
  answer(upstream, kOk);
  client.send(kGet);
  settle();
  client.send_eof();
  settle();
  EXPECT_FALSE(upstream.open());
  EXPECT_EQ(pool_state().draining, 0U);
}

}  // namespace
}  // namespace penstock
