// A reload while requests wait for a connection: each is routed again and keeps its place; what has
// begun keeps its policy.
#include "unit/proxy/proxy_fixture.h"

namespace penstock {
namespace {

constexpr std::string_view kOk = "HTTP/1.1 200 OK\r\nDate: d\r\nContent-Length: 2\r\n\r\nok";

class RerouteTest : public ProxyTest {
 protected:
  void reload() {
    ProxyTest::reload();
    settle();
  }
  // From now on the host belongs to an upstream of another name.
  void give_host_to(std::string name) { config.upstreams[0].name = std::move(name); }
  HostSnapshot state_of(std::string_view upstream) {
    for (HostSnapshot& host : registry.snapshot(clock.now())) {
      if (host.key.upstream == upstream) return host;
    }
    return {};
  }
};

bool ok(FakePeer& client) { return client.written().starts_with("HTTP/1.1 200 OK\r\n"); }

TEST_F(RerouteTest, WhoWaitsGoesToTheUpstreamThatHasTheHostNow) {
  policy().pool.max_connections = 1;
  FakePeer& first = get();
  FakePeer& old = open_upstream();
  FakePeer& second = get();
  give_host_to("other");
  reload();
  EXPECT_EQ(state_of("api").waiting, 0U);
  answer(open_upstream(), kOk);
  EXPECT_TRUE(ok(second));
  answer(old, kOk);
  EXPECT_TRUE(ok(first)) << "it had begun";
}

TEST_F(RerouteTest, ItKeepsItsPlaceAmongThoseWhoWaitThere) {
  policy().pool.max_connections = 1;
  config.upstreams.push_back(plain_upstream("other", {"other.test"}));
  config.upstreams[1].origin = "other.test";
  config.upstreams[1].policy.pool.max_connections = 1;
  FakePeer& busy_here = get();
  open_upstream();
  constexpr std::string_view kOther = "GET http://other.test/ HTTP/1.1\r\nHost: other.test\r\n\r\n";
  ask(kOther);
  FakePeer& there = open_upstream();
  FakePeer& older = get();
  advance(1s);
  FakePeer& younger = ask(kOther);
  config.upstreams.erase(config.upstreams.begin());
  config.upstreams[0].hosts = {"other.test", "api.test"};
  reload();
  EXPECT_EQ(busy_here.written(), "");
  answer(there, kOk);
  answer(there, kOk);
  EXPECT_TRUE(ok(older));
  EXPECT_FALSE(ok(younger));
}

TEST_F(RerouteTest, AChangedIdentityIsDialledInsteadOfTheOldOne) {
  policy().pool.max_connections = 1;
  policy().connect_to = "192.0.2.7:80";
  FakePeer& client = get();
  advance(1s);
  EXPECT_EQ(dialer.target().host, "192.0.2.7");
  policy().connect_to = "192.0.2.8:80";
  reload();
  ASSERT_EQ(dialer.in_flight(), 1U) << "the old dial holds no permit";
  EXPECT_EQ(dialer.target().host, "192.0.2.8");
  answer(open_upstream(), kOk);
  EXPECT_TRUE(ok(client));
}

TEST_F(RerouteTest, ADialToWhereTheRequestStillGoesIsKept) {
  FakePeer& client = get();
  timeouts().response_header = 3s;
  reload();
  EXPECT_EQ(dialer.started(), 1U);
  EXPECT_EQ(dialer.in_flight(), 1U);
  open_upstream();
  advance(3s + 10ms);
  EXPECT_TRUE(client.written().starts_with("HTTP/1.1 504")) << "by the limit of the new file";
}

TEST_F(RerouteTest, WhatHasBegunKeepsItsPolicy) {
  FakePeer& client = get();
  FakePeer& upstream = open_upstream();
  timeouts().response_header = 3s;
  reload();
  advance(4s);
  answer(upstream, kOk);
  EXPECT_TRUE(ok(client));
}

TEST_F(RerouteTest, AHostThatNoUpstreamHasAnyMoreIsRefused) {
  policy().pool.max_connections = 1;
  get();
  open_upstream();
  FakePeer& queued = get();
  config.upstreams[0].hosts = {"elsewhere.test"};
  reload();
  EXPECT_TRUE(queued.written().starts_with("HTTP/1.1 403 Forbidden\r\n")) << queued.written();
  EXPECT_EQ(pool_state().waiting, 0U);
}

TEST_F(RerouteTest, TheDialOfARefusedHostEnds) {
  keep_records();
  FakePeer& dialling = get();
  config.upstreams.clear();
  reload();
  EXPECT_TRUE(dialling.written().starts_with("HTTP/1.1 403")) << dialling.written();
  EXPECT_EQ(dialer.in_flight(), 0U);
  EXPECT_NE(records().find("\"error\":\"http_request_denied\""), std::string::npos) << records();
}

TEST_F(RerouteTest, ALoweredQueueIsNoReasonToRefuseWhoStandsInIt) {
  policy().pool.max_connections = 1;
  get();
  FakePeer& upstream = open_upstream();
  FakePeer& queued = get();
  policy().pool.max_waiting = 0;
  reload();
  EXPECT_EQ(queued.written(), "");
  answer(upstream, kOk);
  answer(upstream, kOk);
  EXPECT_TRUE(ok(queued));
}

TEST_F(RerouteTest, OrderWithinAQueueStays) {
  policy().pool.max_connections = 1;
  get();
  FakePeer& upstream = open_upstream();
  FakePeer& first = get();
  FakePeer& second = get();
  advance(1ms);
  FakePeer& third = get();
  reload();
  answer(upstream, kOk);
  answer(upstream, kOk);
  EXPECT_TRUE(ok(first));
  EXPECT_FALSE(ok(second));
  answer(upstream, kOk);
  EXPECT_TRUE(ok(second));
  EXPECT_FALSE(ok(third));
}

TEST_F(RerouteTest, TheQueuesLimitCountsFromWhenItBeganToWait) {
  policy().pool.max_connections = 1;
  timeouts().queue = 10s;
  get();
  open_upstream();
  FakePeer& queued = get();
  advance(4s);
  timeouts().queue = 5s;
  reload();
  advance(900ms);
  EXPECT_EQ(queued.written(), "");
  advance(200ms);
  EXPECT_NE(queued.written().find("limit=timeouts.queue"), std::string::npos) << queued.written();
}

TEST_F(RerouteTest, RaisedLimitsServeThoseWhoWait) {
  policy().pool.max_connections = 1;
  get();
  open_upstream();
  FakePeer& queued = get();
  policy().pool.max_connections = 2;
  reload();
  answer(open_upstream(), kOk);
  EXPECT_TRUE(ok(queued));
}

TEST_F(RerouteTest, AHeadThatIsNotReadYetIsRoutedByTheNewFile) {
  FakePeer& client = ask("GET http://api.test/x HTTP/1.1\r\nHost: ");
  config.upstreams[0].hosts = {"elsewhere.test"};
  reload();
  client.send("api.test\r\n\r\n");
  settle();
  EXPECT_TRUE(client.written().starts_with("HTTP/1.1 403")) << client.written();
}

// Another try is part of an exchange that has begun.
TEST_F(RerouteTest, ARetryGoesWhereItsRequestWent) {
  policy().connect_to = "192.0.2.7:80";
  FakePeer& client = get();
  FakePeer& upstream = open_upstream();
  answer(upstream, kOk);
  client.take_written();
  advance(1s);
  client.send("GET http://api.test/x HTTP/1.1\r\nHost: api.test\r\n\r\n");
  settle();
  upstream.send_eof();
  settle();
  ASSERT_EQ(dialer.in_flight(), 1U);
  policy().connect_to = "192.0.2.8:80";
  reload();
  ASSERT_EQ(dialer.in_flight(), 1U);
  EXPECT_EQ(dialer.target().host, "192.0.2.7");
  answer(open_upstream(), kOk);
  EXPECT_TRUE(ok(client));
}

TEST_F(RerouteTest, ATunnelThatMayNotBeOpenedAnyMoreIsRefused) {
  config.egress.connect_ports = {"443"};
  FakePeer& client = ask("CONNECT api.test:443 HTTP/1.1\r\nHost: api.test\r\n\r\n");
  ASSERT_EQ(dialer.in_flight(), 1U);
  config.egress.connect_ports = {"8443"};
  reload();
  EXPECT_TRUE(client.written().starts_with("HTTP/1.1 403")) << client.written();
}

}  // namespace
}  // namespace penstock
