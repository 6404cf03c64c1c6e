// Dials through real sockets with a resolver that answers as it is told: what comes back, how each
// stage fails, that limits fire and not before their time, and that cancelling is silent.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/tcp.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "net/net_dialer.h"
#include "net/tcp_stream.h"
#include "support/test_ca.h"
#include "support/tls_test_server.h"
#include "unit/net/tls_test_client.h"

namespace penstock {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::HasSubstr;

// Answers at once, on a later turn, or never.
class FakeResolver final : public Resolver {
 public:
  std::variant<AddressList, Pending, Error> resolve(const std::string& host,
                                                    ResolveHandler& handler) override {
    asked.push_back(host);
    if (at_once && error) return *error;
    if (at_once) return addresses;
    waiting = &handler;
    return std::make_unique<Lookup>(*this);
  }
  void answer() {
    ResolveHandler* handler = std::exchange(waiting, nullptr);
    if (error) {
      handler->on_resolve_failed(*error);
    } else {
      handler->on_resolved(addresses);
    }
  }

  AddressList addresses;
  std::optional<Error> error;
  bool at_once = true;
  std::vector<std::string> asked;
  ResolveHandler* waiting = nullptr;

 private:
  struct Lookup final : PendingOperation {
    explicit Lookup(FakeResolver& r) : resolver(r) {}
    ~Lookup() override { resolver.waiting = nullptr; }
    FakeResolver& resolver;
  };
};

class Recorder final : public DialHandler {
 public:
  explicit Recorder(Loop& loop) : loop_(loop) {}

  void on_dial_phase(Phase phase) override {
    EXPECT_FALSE(inside_dial) << "called back inside dial()";
    phases.push_back(phase);
    if (phase == cancel_at) pending.reset();
  }
  void on_dialed(Dialed result) override {
    ended(result.times);
    dialed = std::move(result);
  }
  void on_dial_failed(Error failure, DialTimes when) override {
    ended(when);
    error = std::move(failure);
  }
  bool over() const { return ends > 0; }
  std::string_view code() const { return error ? token(error->code) : "none"; }

  Pending pending;
  bool inside_dial = false;
  std::optional<Phase> cancel_at;
  std::vector<Phase> phases;
  std::optional<Dialed> dialed;
  std::optional<Error> error;
  DialTimes times;
  MonotonicTime ended_at;
  int ends = 0;

 private:
  void ended(const DialTimes& when) {
    EXPECT_FALSE(inside_dial) << "called back inside dial()";
    ++ends;
    times = when;
    ended_at = loop_.now();
    pending.reset();  // destroys the dial inside its own callback
  }
  Loop& loop_;
};

// A port of 127.0.0.1 on which nobody listens: bound, so that nobody else can be given it.
class ClosedPort {
 public:
  ClosedPort() : fd_(listen_on_loopback(&port_, 1)) {
    holder_ = UniqueFd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    const int on = 1;
    ::setsockopt(holder_.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    fd_.reset();
    const auto address = *SocketAddress::from_ip("127.0.0.1", port_);
    EXPECT_EQ(::bind(holder_.get(), address.data(), address.length()), 0);
  }
  std::uint16_t port() const { return port_; }

 private:
  std::uint16_t port_ = 0;
  UniqueFd fd_, holder_;
};

// A listener whose queue is full: what connects now waits for an answer to its SYN.
class FullListener {
 public:
  FullListener() : listener_(listen_on_loopback(&port_, 0)) {
    const auto address = *SocketAddress::from_ip("127.0.0.1", port_);
    for (int i = 0; i < 8; ++i) {
      UniqueFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
      ::connect(fd.get(), address.data(), address.length());
      waiting_.push_back(std::move(fd));
    }
  }
  std::uint16_t port() const { return port_; }

 private:
  std::uint16_t port_ = 0;
  UniqueFd listener_;
  std::vector<UniqueFd> waiting_;
};

std::size_t open_descriptors() {
  const std::filesystem::directory_iterator fds("/proc/self/fd");
  return static_cast<std::size_t>(std::distance(begin(fds), end(fds)));
}

class NetDialerTest : public testing::Test {
 protected:
  DialTarget target(const std::string& host, std::uint16_t port) {
    return {.host = host, .port = port, .server_name = "good.test", .authority_port = 443};
  }

  Recorder& start(DialTarget to, const DialLimits& limits = {}) {
    recorder_.inside_dial = true;
    recorder_.pending =
        dialer_.dial(std::make_shared<const DialTarget>(std::move(to)), limits, recorder_);
    recorder_.inside_dial = false;
    return recorder_;
  }

  Recorder& dial(DialTarget to, const DialLimits& limits = {}) {
    start(std::move(to), limits);
    EXPECT_TRUE(runner_.until([&] { return recorder_.over(); }));
    EXPECT_EQ(recorder_.ends, 1);
    return recorder_;
  }

  static std::vector<SocketAddress> addresses(std::vector<std::string> ips) {
    std::vector<SocketAddress> list;
    for (const auto& ip : ips) list.push_back(*SocketAddress::from_ip(ip, 0));
    return list;
  }

  void forbid(const std::vector<std::string>& deny) {
    dialer_.set_egress(std::make_shared<const EgressPolicy>(deny, std::vector<std::string>{},
                                                            std::vector<SocketAddress>{}));
  }

  Loop loop_;
  LoopRunner runner_{loop_};
  FakeResolver resolver_;
  NetDialer dialer_{loop_, resolver_, std::make_shared<const EgressPolicy>()};
  Recorder recorder_{loop_};
};

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

TEST_F(NetDialerTest, SaysWhatTheResolverSaid) {
  for (const bool at_once : {true, false}) {
    resolver_.at_once = at_once;
    resolver_.error = Error{.code = ErrorCode::kDnsError, .detail = "no such name"};
    recorder_.ends = 0;
    start(target("origin.test", 1));
    if (!at_once) {
      ASSERT_TRUE(runner_.until([&] { return resolver_.waiting != nullptr; }));
      resolver_.answer();
    }
    ASSERT_TRUE(runner_.until([&] { return recorder_.over(); }));
    EXPECT_EQ(recorder_.code(), "dns_error");
    EXPECT_EQ(recorder_.error->phase, Phase::kResolve);
    EXPECT_EQ(recorder_.error->limit_key, "");
    EXPECT_EQ(recorder_.error->detail, "no such name");
    EXPECT_EQ(recorder_.times.resolved, kNever);
  }
}

TEST_F(NetDialerTest, SaysWhoRefused) {
  const ClosedPort closed;
  Recorder& result = dial(target("127.0.0.1", closed.port()));
  EXPECT_EQ(result.code(), "connection_refused");
  EXPECT_EQ(result.error->phase, Phase::kConnect);
  EXPECT_EQ(result.error->sys, ECONNREFUSED);
  EXPECT_THAT(result.error->detail, HasSubstr("127.0.0.1:" + std::to_string(closed.port())));
  EXPECT_EQ(result.times.connected, kNever);
}

TEST_F(NetDialerTest, SaysThatNoRouteLeadsThere) {
  // A multicast address is nowhere that TCP can go.
  EXPECT_EQ(dial(target("224.0.0.1", 80)).code(), "destination_ip_unroutable");
  EXPECT_EQ(recorder_.error->phase, Phase::kConnect);
}

TEST_F(NetDialerTest, DialsNothingThatEgressForbids) {
  std::uint16_t port = 0;
  const UniqueFd listener = listen_on_loopback(&port);
  ::fcntl(listener.get(), F_SETFL, O_NONBLOCK);
  forbid({"loopback"});
  resolver_.addresses = addresses({"127.0.0.1", "::1"});
  for (const std::string host : {"origin.test", "127.0.0.1"}) {
    recorder_.ends = 0;
    EXPECT_EQ(dial(target(host, port)).code(), "destination_ip_prohibited") << host;
    EXPECT_EQ(recorder_.error->phase, Phase::kConnect);
  }
  EXPECT_EQ(::accept(listener.get(), nullptr, nullptr), -1) << "something was connected";
}

TEST_F(NetDialerTest, DialsWhatEgressLeavesOver) {
  std::uint16_t port = 0;
  const UniqueFd listener = listen_on_loopback(&port);
  forbid({"127.0.0.2/32"});
  resolver_.addresses = addresses({"127.0.0.2", "127.0.0.1"});
  ASSERT_TRUE(dial(target("origin.test", port)).dialed);
  EXPECT_EQ(recorder_.dialed->address.ip(), "127.0.0.1");
}

TEST_F(NetDialerTest, SaysHowTheAllowedAddressFailedRatherThanWhichWasForbidden) {
  const ClosedPort closed;
  forbid({"127.0.0.2/32"});
  resolver_.addresses = addresses({"127.0.0.1", "127.0.0.2"});
  EXPECT_EQ(dial(target("origin.test", closed.port())).code(), "connection_refused");
}

TEST_F(NetDialerTest, SaysThatThisProcessHasNoDescriptorsLeft) {
  std::uint16_t port = 0;
  const UniqueFd listener = listen_on_loopback(&port);
  dial(target("127.0.0.1", port));
  recorder_.ends = 0;
  recorder_.dialed.reset();
  rlimit before{};
  ::getrlimit(RLIMIT_NOFILE, &before);
  const rlimit none{.rlim_cur = 0, .rlim_max = before.rlim_max};
  ::setrlimit(RLIMIT_NOFILE, &none);
  dial(target("127.0.0.1", port));
  ::setrlimit(RLIMIT_NOFILE, &before);
  EXPECT_EQ(recorder_.code(), "proxy_internal_error");
  EXPECT_EQ(recorder_.error->source, ErrorSource::kInternal);
  EXPECT_EQ(recorder_.error->sys, EMFILE);
}

// Each limit alone ends the dial that stalls in its stage, and not before its time.
TEST_F(NetDialerTest, EndsAStalledStageAtItsLimit) {
  constexpr Duration kLimit = 60ms;
  const FullListener full;
  std::uint16_t silent_port = 0;
  const UniqueFd silent = listen_on_loopback(&silent_port);
  DialTarget tls = target("127.0.0.1", silent_port);
  tls.tls = make_context("", unverified());
  resolver_.at_once = false;
  const struct {
    DialTarget to;
    DialLimits limits;
    std::string_view code, key;
    Phase phase;
  } cases[] = {
      {target("origin.test", 1),
       {.resolve = kLimit},
       "dns_timeout",
       "timeouts.resolve",
       Phase::kResolve},
      {target("127.0.0.1", full.port()),
       {.connect = kLimit},
       "connection_timeout",
       "timeouts.connect",
       Phase::kConnect},
      {tls,
       {.tls_handshake = kLimit},
       "connection_timeout",
       "timeouts.tls_handshake",
       Phase::kTlsHandshake},
  };
  for (const auto& c : cases) {
    recorder_.ends = 0;
    const auto before = loop_.now();
    dial(c.to, c.limits);
    EXPECT_EQ(recorder_.code(), c.code);
    EXPECT_EQ(recorder_.error->limit_key, c.key);
    EXPECT_EQ(recorder_.error->phase, c.phase);
    EXPECT_GE(recorder_.ended_at - before, kLimit) << c.key;
    EXPECT_LT(recorder_.ended_at - before, 2s) << c.key;
  }
}

TEST_F(NetDialerTest, CountsTheConnectLimitOverAllAddresses) {
  const FullListener full;
  resolver_.addresses = addresses({"127.0.0.1", "127.0.0.1", "127.0.0.1"});
  const auto before = loop_.now();
  dial(target("origin.test", full.port()), {.connect = 60ms});
  EXPECT_EQ(recorder_.error->limit_key, "timeouts.connect");
  EXPECT_GE(recorder_.ended_at - before, 60ms);
  EXPECT_LT(recorder_.ended_at - before, 160ms);
}

TEST_F(NetDialerTest, EndsWhereThePeerLeavesDuringTheHandshake) {
  std::uint16_t port = 0;
  const UniqueFd listener = listen_on_loopback(&port);
  DialTarget to = target("127.0.0.1", port);
  to.tls = make_context("", unverified());
  for (const bool reset : {false, true}) {
    std::thread peer([&] {
      const UniqueFd fd(::accept(listener.get(), nullptr, nullptr));
      char hello[4096];
      ::recv(fd.get(), hello, sizeof hello, 0);
      const linger abort{.l_onoff = reset, .l_linger = 0};
      ::setsockopt(fd.get(), SOL_SOCKET, SO_LINGER, &abort, sizeof abort);
    });
    recorder_.ends = 0;
    dial(to);
    peer.join();
    EXPECT_EQ(recorder_.code(), "connection_terminated");
    EXPECT_EQ(recorder_.error->phase, Phase::kTlsHandshake);
    EXPECT_NE(recorder_.times.connected, kNever);
    EXPECT_EQ(recorder_.times.handshaken, kNever);
  }
}

TEST_F(NetDialerTest, RefusesATlsTargetWithoutAName) {
  std::uint16_t port = 0;
  const UniqueFd listener = listen_on_loopback(&port);
  DialTarget to = target("127.0.0.1", port);
  to.tls = make_context(TestCa().pem());
  to.server_name.clear();
  EXPECT_EQ(dial(to).code(), "proxy_internal_error");
}

TEST_F(NetDialerTest, IsSilentWhenCancelledBeforeItBegan) {
  start(target("127.0.0.1", 1));
  recorder_.pending.reset();
  runner_.turn(5);
  EXPECT_TRUE(recorder_.phases.empty());
  EXPECT_EQ(recorder_.ends, 0);
}

// Cancelled while it waits in a stage, and from within the call that announces it.
TEST_F(NetDialerTest, IsSilentWhenCancelledInAnyStage) {
  const FullListener full;
  std::uint16_t silent_port = 0;
  const UniqueFd silent = listen_on_loopback(&silent_port);
  DialTarget tls = target("127.0.0.1", silent_port);
  tls.tls = make_context("", unverified());
  resolver_.at_once = false;
  const struct {
    DialTarget to;
    Phase phase;
  } cases[] = {{target("origin.test", 1), Phase::kResolve},
               {target("127.0.0.1", full.port()), Phase::kConnect},
               {tls, Phase::kTlsHandshake}};
  for (const auto& c : cases) {
    for (const bool inside : {false, true}) {
      const std::size_t descriptors = open_descriptors();
      recorder_.phases.clear();
      recorder_.cancel_at = inside ? std::optional(c.phase) : std::nullopt;
      start(c.to, {.resolve = 40ms, .connect = 40ms, .tls_handshake = 40ms});
      ASSERT_TRUE(runner_.until(
          [&] { return !recorder_.phases.empty() && recorder_.phases.back() == c.phase; }));
      recorder_.pending.reset();
      EXPECT_EQ(resolver_.waiting, nullptr);
      EXPECT_FALSE(runner_.until([&] { return recorder_.over(); }, 60ms)) << "a limit still fired";
      EXPECT_EQ(open_descriptors(), descriptors);
    }
  }
}

TEST_F(NetDialerTest, LeavesNothingBehindWhenTheLoopNeverTurns) { start(target("127.0.0.1", 1)); }

}  // namespace
}  // namespace penstock
