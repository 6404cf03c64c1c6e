// How each stage of a dial fails, that limits fire and not before their time, and that cancelling
// is silent.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>

#include <chrono>
#include <filesystem>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "support/test_ca.h"
#include "support/tls_test_server.h"
#include "unit/net/dial_fixture.h"
#include "unit/net/tls_test_client.h"

namespace penstock {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;
using NetDialerFailureTest = NetDialerTest;

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

TEST_F(NetDialerFailureTest, SaysWhatTheResolverSaid) {
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

TEST_F(NetDialerFailureTest, SaysWhoRefused) {
  const ClosedPort closed;
  Recorder& result = dial(target("127.0.0.1", closed.port()));
  EXPECT_EQ(result.code(), "connection_refused");
  EXPECT_EQ(result.error->phase, Phase::kConnect);
  EXPECT_EQ(result.error->sys, ECONNREFUSED);
  EXPECT_THAT(result.error->detail, HasSubstr("127.0.0.1:" + std::to_string(closed.port())));
  EXPECT_EQ(result.times.connected, kNever);
}

TEST_F(NetDialerFailureTest, SaysThatNoRouteLeadsThere) {
  // A multicast address is nowhere that TCP can go.
  EXPECT_EQ(dial(target("224.0.0.1", 80)).code(), "destination_ip_unroutable");
  EXPECT_EQ(recorder_.error->phase, Phase::kConnect);
}

TEST_F(NetDialerFailureTest, DialsNothingThatEgressForbids) {
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

TEST_F(NetDialerFailureTest, DialsWhatEgressLeavesOver) {
  std::uint16_t port = 0;
  const UniqueFd listener = listen_on_loopback(&port);
  forbid({"127.0.0.2/32"});
  resolver_.addresses = addresses({"127.0.0.2", "127.0.0.1"});
  ASSERT_TRUE(dial(target("origin.test", port)).dialed);
  EXPECT_EQ(recorder_.dialed->address.ip(), "127.0.0.1");
}

TEST_F(NetDialerFailureTest, SaysHowTheAllowedAddressFailedRatherThanWhichWasForbidden) {
  const ClosedPort closed;
  forbid({"127.0.0.2/32"});
  resolver_.addresses = addresses({"127.0.0.1", "127.0.0.2"});
  EXPECT_EQ(dial(target("origin.test", closed.port())).code(), "connection_refused");
}

// Each limit alone ends the dial that stalls in its stage, and not before its time.
TEST_F(NetDialerFailureTest, EndsAStalledStageAtItsLimit) {
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

TEST_F(NetDialerFailureTest, EndsWhereThePeerLeavesDuringTheHandshake) {
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

TEST_F(NetDialerFailureTest, RefusesATlsTargetWithoutAName) {
  std::uint16_t port = 0;
  const UniqueFd listener = listen_on_loopback(&port);
  DialTarget to = target("127.0.0.1", port);
  to.tls = make_context(TestCa().pem());
  to.server_name.clear();
  EXPECT_EQ(dial(to).code(), "proxy_internal_error");
}

TEST_F(NetDialerFailureTest, IsSilentWhenCancelledBeforeItBegan) {
  start(target("127.0.0.1", 1));
  recorder_.pending.reset();
  runner_.turn(5);
  EXPECT_TRUE(recorder_.phases.empty());
  EXPECT_EQ(recorder_.ends, 0);
}

// Cancelled while it waits in a stage, and from within the call that announces it.
TEST_F(NetDialerFailureTest, IsSilentWhenCancelledInAnyStage) {
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

TEST_F(NetDialerFailureTest, LeavesNothingBehindWhenTheLoopNeverTurns) {
  start(target("127.0.0.1", 1));
}

}  // namespace
}  // namespace penstock
