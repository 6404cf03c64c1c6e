// Whom a listener admits: at the door, and after a reload those who are in already.
#include "unit/proxy/proxy_fixture.h"

namespace penstock {
namespace {

constexpr std::string_view kGet = "GET http://api.test/x HTTP/1.1\r\nHost: api.test\r\n\r\n";
constexpr std::string_view kOk = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

class AdmissionTest : public ProxyTest {
 protected:
  AdmissionTest() { start(); }

  FakePeer& connect_as(const Peer& peer) {
    FakePeer& client = *clients.emplace_back(std::make_unique<FakePeer>());
    proxy->accept(client.connect(), endpoint, peer);
    settle();
    return client;
  }
  void allow(const std::vector<std::string>& uids, const std::vector<std::string>& addresses) {
    endpoint->filter = ClientFilter(uids, addresses);
    proxy->on_filter_changed(*endpoint);
    settle();
  }
  std::uint64_t turned_away() const {
    return endpoint->metrics->rejected[RejectReason::kNotAllowed].value();
  }
  static Peer user(std::uint32_t uid) { return {*SocketAddress::from_unix_path("/client"), uid}; }
};

TEST_F(AdmissionTest, OthersAreDisconnectedAndCounted) {
  allow({"33"}, {"private"});
  EXPECT_TRUE(connect_as(address("10.0.0.1", 50000)).open());
  EXPECT_TRUE(connect_as(user(33)).open());
  EXPECT_EQ(turned_away(), 0U);
  FakePeer& stranger = connect_as(address("192.0.2.1", 50000));
  EXPECT_FALSE(stranger.open());
  EXPECT_EQ(stranger.written(), "");
  EXPECT_FALSE(connect_as(user(34)).open());
  EXPECT_EQ(turned_away(), 2U);
  EXPECT_EQ(proxy->session_count(), 2U);
}

TEST_F(AdmissionTest, TheRecordNamesTheUser) {
  keep_records();
  FakePeer& client = connect_as(user(33));
  client.send(kGet);
  settle();
  answer(open_upstream(), kOk);
  EXPECT_NE(records().find("\"client\":\"unix\",\"client_uid\":33,"), std::string::npos);
}

TEST_F(AdmissionTest, AChangeClosesIdleConnectionsAndLetsBusyOnesFinish) {
  FakePeer& idle = connect_as(address("10.0.0.1", 50000));
  FakePeer& busy = connect_as(address("10.0.0.1", 50001));
  FakePeer& welcome = connect_as(address("10.0.0.2", 50000));
  busy.send(kGet);
  settle();
  allow({}, {"10.0.0.2"});
  EXPECT_FALSE(idle.open());
  EXPECT_TRUE(busy.open());
  EXPECT_TRUE(welcome.open());
  answer(open_upstream(), kOk);
  EXPECT_TRUE(busy.written().ends_with("ok"));
  EXPECT_TRUE(busy.write_shut()) << "no other request is served";
}

TEST_F(AdmissionTest, AChangeOfAnotherListenerDisturbsNobody) {
  FakePeer& client = connect_as(address("10.0.0.1", 50000));
  Endpoint other = *endpoint;
  other.filter = ClientFilter({}, {"10.0.0.2"});
  proxy->on_filter_changed(other);
  EXPECT_TRUE(client.open());
}

}  // namespace
}  // namespace penstock
