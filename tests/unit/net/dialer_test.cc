// Dials through real sockets that succeed: what comes back, by which stages, with which options.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <optional>
#include <string>

#include "net/tcp_stream.h"
#include "support/test_ca.h"
#include "support/tls_test_server.h"
#include "unit/net/dial_fixture.h"
#include "unit/net/tls_test_client.h"

namespace penstock {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;

int socket_option(int fd, int level, int option) {
  int value = -1;
  socklen_t size = sizeof value;
  ::getsockopt(fd, level, option, &value, &size);
  return value;
}

TEST_F(NetDialerTest, ConnectsToALiteralWithoutALookup) {
  std::uint16_t port = 0;
  const UniqueFd listener = listen_on_loopback(&port);
  Recorder& result = dial(target("127.0.0.1", port));
  ASSERT_TRUE(result.dialed) << result.error->detail;
  EXPECT_TRUE(resolver_.asked.empty());
  EXPECT_THAT(result.phases, ElementsAre(Phase::kConnect));
  EXPECT_EQ(result.dialed->address.to_string(), "127.0.0.1:" + std::to_string(port));
  EXPECT_EQ(result.times.resolved, kNever);
  EXPECT_EQ(result.times.handshaken, kNever);
  EXPECT_NE(result.times.started, kNever);
  EXPECT_GE(result.times.connected, result.times.started);

  const UniqueFd peer(::accept(listener.get(), nullptr, nullptr));
  EXPECT_EQ(result.dialed->stream->write("hello").bytes, 5u);
  char bytes[5];
  EXPECT_EQ(::recv(peer.get(), bytes, 5, MSG_WAITALL), 5);
}

TEST_F(NetDialerTest, ResolvesConnectsAndShakesHands) {
  const TestCa ca;
  TlsTestServer server({.identity = ca.issue({.dns_names = {"good.test"}})});
  for (const bool at_once : {true, false}) {
    resolver_.at_once = at_once;
    resolver_.addresses = addresses({"127.0.0.1"});
    DialTarget to = target("origin.test", server.port());
    to.tls = make_context(ca.pem());
    recorder_.phases.clear();
    recorder_.ends = 0;
    start(std::move(to));
    if (!at_once) {
      ASSERT_TRUE(runner_.until([&] { return resolver_.waiting != nullptr; }));
      resolver_.answer();
    }
    ASSERT_TRUE(runner_.until([&] { return recorder_.over(); }));
    ASSERT_TRUE(recorder_.dialed) << recorder_.error->detail;
    EXPECT_EQ(resolver_.asked.back(), "origin.test");
    EXPECT_THAT(recorder_.phases,
                ElementsAre(Phase::kResolve, Phase::kConnect, Phase::kTlsHandshake));
    const DialTimes& times = recorder_.times;
    EXPECT_NE(times.started, kNever);
    EXPECT_LE(times.started, times.resolved);
    EXPECT_LE(times.resolved, times.connected);
    EXPECT_LT(times.connected, times.handshaken);
    EXPECT_FALSE(recorder_.dialed->tls_resumed);
  }
}

TEST_F(NetDialerTest, ResumesOnTheSecondDialOfATarget) {
  const TestCa ca;
  TlsTestServer server({.identity = ca.issue({.dns_names = {"good.test"}}),
                        .serve = [](TlsTestConnection& c) { c.write_all("x"); }});
  DialTarget to = target("127.0.0.1", server.port());
  to.tls = make_context(ca.pem());
  ASSERT_TRUE(dial(to).dialed);
  EXPECT_FALSE(recorder_.dialed->tls_resumed);
  char byte = 0;
  ASSERT_TRUE(runner_.until([&] {  // the tickets come before it
    loop_.post(std::make_unique<NoTask>());
    if (byte == 0) recorder_.dialed->stream->read({&byte, 1});
    return byte == 'x';
  }));
  recorder_.ends = 0;
  ASSERT_TRUE(dial(to).dialed);
  EXPECT_TRUE(recorder_.dialed->tls_resumed);
}

TEST_F(NetDialerTest, SetsNoDelayAndKeepAlive) {
  std::uint16_t port = 0;
  const UniqueFd listener = listen_on_loopback(&port);
  const struct {
    std::optional<Duration> keepalive;
    int on, seconds;
  } cases[] = {{std::nullopt, 0, 0}, {30s, 1, 30}, {1ms, 1, 1}, {1500ms, 1, 2}, {24h, 1, 32767}};
  for (const auto& c : cases) {
    DialTarget to = target("127.0.0.1", port);
    to.tcp_keepalive = c.keepalive;
    recorder_.ends = 0;
    ASSERT_TRUE(dial(to).dialed);
    const int fd = dynamic_cast<TcpStream&>(*recorder_.dialed->stream).fd();
    EXPECT_EQ(socket_option(fd, IPPROTO_TCP, TCP_NODELAY), 1);
    EXPECT_EQ(socket_option(fd, SOL_SOCKET, SO_KEEPALIVE), c.on);
    if (c.on == 0) continue;
    EXPECT_EQ(socket_option(fd, IPPROTO_TCP, TCP_KEEPIDLE), c.seconds);
    EXPECT_EQ(socket_option(fd, IPPROTO_TCP, TCP_KEEPINTVL), c.seconds);
  }
}

TEST_F(NetDialerTest, TriesTheNextAddressAfterAFailure) {
  std::uint16_t port = 0;
  const UniqueFd listener = listen_on_loopback(&port);
  resolver_.addresses = addresses({"127.0.0.2", "127.0.0.3", "127.0.0.1"});
  ASSERT_TRUE(dial(target("origin.test", port)).dialed);
  EXPECT_EQ(recorder_.dialed->address.ip(), "127.0.0.1");
}

TEST_F(NetDialerTest, DialsAUnixSocket) {
  const auto path = std::filesystem::temp_directory_path() /
                    ("penstock-dialer-" + std::to_string(::getpid()) + ".sock");
  DialTarget to = target("ignored.test", 1);
  to.unix_path = path.string();
  EXPECT_EQ(dial(to).code(), "connection_refused");

  const auto address = *SocketAddress::from_unix_path(path.string());
  const UniqueFd listener(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  ASSERT_EQ(::bind(listener.get(), address.data(), address.length()), 0);
  ASSERT_EQ(::listen(listener.get(), 8), 0);
  recorder_.ends = 0;
  forbid({"any"});  // is about addresses of the network
  EXPECT_TRUE(dial(to).dialed);
  EXPECT_TRUE(resolver_.asked.empty());
  std::filesystem::remove(path);

  to.unix_path = std::string(200, 'x');
  recorder_.ends = 0;
  EXPECT_EQ(dial(to).code(), "proxy_internal_error");
}

}  // namespace
}  // namespace penstock
