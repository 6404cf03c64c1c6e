// source_address: which end the peer sees, which addresses are left out, and what cannot be bound;
// and when TCP itself gives a connection up.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <chrono>
#include <optional>
#include <string>

#include "net/tcp_stream.h"
#include "unit/net/dial_fixture.h"
#include "unit/net/dial_sites.h"

namespace penstock {
namespace {

using namespace std::chrono_literals;
using enum DialSites::Kind;
using testing::AllOf;
using testing::HasSubstr;

int socket_option(int fd, int level, int option) {
  int value = -1;
  socklen_t size = sizeof value;
  ::getsockopt(fd, level, option, &value, &size);
  return value;
}

class DialerSourceTest : public NetDialerTest {
 protected:
  Recorder& dial_from(const std::string& source, const std::string& host, const DialSites& sites) {
    DialTarget to = target(host, sites.port());
    to.source_address = SocketAddress::from_ip(source, 0);
    recorder_.ends = 0;
    recorder_.dialed.reset();
    return dial(std::move(to));
  }
  int dialed_fd() const { return dynamic_cast<TcpStream&>(*recorder_.dialed->stream).fd(); }
};

TEST_F(DialerSourceTest, DialsFromTheAddress) {
  const DialSites sites({{"127.0.0.1", kAnswers}, {"::1", kAnswers}});
  for (const auto& [source, host] : {std::pair{"127.0.0.9", "127.0.0.1"}, {"::1", "::1"}}) {
    ASSERT_TRUE(dial_from(source, host, sites).dialed) << recorder_.error->detail;
    EXPECT_EQ(sites.next_peer(host).ip(), source);
    EXPECT_EQ(socket_option(dialed_fd(), IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT), 1)
        << "or the ports of all destinations together are bounded";
  }
}

TEST_F(DialerSourceTest, TriesAddressesOfItsFamilyOnly) {
  const DialSites sites({{"127.0.0.1", kAnswers}, {"::1", kAnswers}});
  resolver_.addresses = addresses({"127.0.0.1", "::1"});
  ASSERT_TRUE(dial_from("127.0.0.9", "origin.test", sites).dialed);
  EXPECT_EQ(recorder_.dialed->address.ip(), "127.0.0.1");
  ASSERT_TRUE(dial_from("::1", "origin.test", sites).dialed);
  EXPECT_EQ(recorder_.dialed->address.ip(), "::1");
}

TEST_F(DialerSourceTest, SaysThatNoAddressHasItsFamily) {
  const DialSites sites({{"127.0.0.1", kAnswers}});
  resolver_.addresses = addresses({"127.0.0.1"});
  EXPECT_EQ(dial_from("::1", "origin.test", sites).code(), "destination_ip_unroutable");
  EXPECT_EQ(recorder_.error->phase, Phase::kConnect);
  EXPECT_THAT(recorder_.error->detail, AllOf(HasSubstr("source_address ::1"),
                                             HasSubstr("origin.test"), HasSubstr("family")));
}

// No other address would do better, and none is blamed for it.
TEST_F(DialerSourceTest, SaysThatItIsNoAddressOfThisMachine) {
  const DialSites sites({{"127.0.0.1", kAnswers}, {"127.0.0.2", kAnswers}});
  resolver_.addresses = addresses({"127.0.0.1", "127.0.0.2"});
  EXPECT_EQ(dial_from("192.0.2.1", "origin.test", sites).code(), "proxy_internal_error");
  EXPECT_EQ(recorder_.error->source, ErrorSource::kInternal);
  EXPECT_EQ(recorder_.error->sys, EADDRNOTAVAIL);
  EXPECT_THAT(recorder_.error->detail, HasSubstr("source_address 192.0.2.1: "));
}

// The kernel's own end of a connection: 4 keepalive intervals without a sign, but never before
// timeouts.write_stall, and none where that is off.
TEST_F(DialerSourceTest, GivesAVanishedPeerUpButNeverBeforeWriteStall) {
  const DialSites sites({{"127.0.0.1", kAnswers}});
  const struct {
    std::optional<Duration> keepalive, write_stall;
    int user_timeout_ms;
  } cases[] = {
      {30s, 30s, 120000},    {30s, 10min, 630000}, {10s, 45s, 55000}, {1ms, 1500ms, 4000},
      {30s, 48h, 172830000}, {30s, 24h * 365, 0},  {30s, {}, 0},      {{}, 30s, 0},
  };
  for (const auto& c : cases) {
    DialTarget to = target("127.0.0.1", sites.port());
    to.tcp_keepalive = c.keepalive;
    to.write_stall = c.write_stall;
    recorder_.ends = 0;
    ASSERT_TRUE(dial(to).dialed);
    EXPECT_EQ(socket_option(dialed_fd(), IPPROTO_TCP, TCP_USER_TIMEOUT), c.user_timeout_ms);
    recorder_.dialed->stream->allow_stalls();
    EXPECT_EQ(socket_option(dialed_fd(), IPPROTO_TCP, TCP_USER_TIMEOUT), 0);
    if (!c.keepalive) continue;
    EXPECT_EQ(socket_option(dialed_fd(), IPPROTO_TCP, TCP_KEEPCNT), 3);
  }
}

}  // namespace
}  // namespace penstock
