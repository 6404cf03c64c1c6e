// Listening sockets and accepting: bursts, pauses, exhaustion, and endings from inside callbacks.
#include "net/listener.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>

#include <cerrno>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "support/loop_runner.h"
#include "support/no_descriptors.h"
#include "support/tcp_pair.h"

namespace penstock {
namespace {

using namespace std::chrono_literals;

const SocketAddress kAnyPort = *SocketAddress::from_ip("127.0.0.1", 0);

class ListenerTest : public testing::Test {
 protected:
  ListenerTest() { listener_ = make_listener(); }

  std::unique_ptr<Listener> make_listener(UniqueFd fd = listening_socket()) {
    return std::make_unique<Listener>(loop_, fd.release(),
                                      Listener::OnAccepted::to<&ListenerTest::on_accepted>(*this),
                                      Listener::OnError::to<&ListenerTest::on_error>(*this));
  }
  void on_accepted(int fd, const SocketAddress& peer) {
    accepted_.emplace_back(fd);
    peer_ = peer;
    const auto action = then_;
    if (action) action();
  }
  void on_error(int sys) { errors_.push_back(sys); }

  // The kernel puts them in the queue.
  void connect_clients(int count) {
    for (int i = 0; i < count; ++i) clients_.push_back(connect_to(listener_->local_address()));
  }
  [[nodiscard]] bool accepts(std::size_t count) {
    return runner_.until([&] { return accepted_.size() >= count; });
  }

  Loop loop_;
  LoopRunner runner_{loop_};
  std::unique_ptr<Listener> listener_;
  std::vector<UniqueFd> clients_;
  std::vector<UniqueFd> accepted_;
  std::vector<int> errors_;
  SocketAddress peer_;
  std::function<void()> then_;
};

TEST_F(ListenerTest, HandsOverReadySocketsAndTheirPeers) {
  connect_clients(1);
  ASSERT_TRUE(accepts(1));
  const int fd = accepted_[0].get();
  EXPECT_EQ(peer_, address_of(clients_[0].get()));
  EXPECT_NE(::fcntl(fd, F_GETFL) & O_NONBLOCK, 0);
  EXPECT_NE(::fcntl(fd, F_GETFD) & FD_CLOEXEC, 0);
  int no_delay = 0;
  socklen_t length = sizeof(no_delay);
  EXPECT_EQ(::getsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &no_delay, &length), 0);
  EXPECT_NE(no_delay, 0);
}

// Whether somebody who connects now has got through.
bool connects(const SocketAddress& address) {
  const UniqueFd client(::socket(address.family(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  EXPECT_TRUE(::connect(client.get(), address.data(), address.length()) == 0 ||
              errno == EINPROGRESS);
  pollfd ready{.fd = client.get(), .events = POLLOUT, .revents = 0};
  return ::poll(&ready, 1, 100) == 1;
}

TEST_F(ListenerTest, WhoComesToOneThatRefusesWaitsAndWhoHasComeIsAccepted) {
  for (const char* ip : {"127.0.0.1", "::1"}) {
    auto fd = listen_tcp(*SocketAddress::from_ip(ip, 0));
    ASSERT_TRUE(fd.has_value());
    listener_ = make_listener(UniqueFd(*fd));
    const SocketAddress local = listener_->local_address();
    const std::size_t before = accepted_.size();
    EXPECT_TRUE(connects(local)) << ip;
    clients_.push_back(connect_to(local));
    listener_->refuse_new();
    EXPECT_FALSE(connects(local)) << ip;
    listener_->drain_and_close();
    ASSERT_EQ(accepted_.size(), before + 2);
    ASSERT_EQ(::send(clients_.back().get(), "x", 1, MSG_NOSIGNAL), 1);
    char byte = 0;
    EXPECT_EQ(::recv(accepted_.back().get(), &byte, 1, 0), 1);
  }
}

TEST_F(ListenerTest, KnowsThePortTheKernelChose) {
  EXPECT_EQ(listener_->local_address().ip(), "127.0.0.1");
  EXPECT_NE(listener_->local_address().port(), 0);
}

TEST_F(ListenerTest, AcceptsABurst) {
  connect_clients(100);
  EXPECT_TRUE(accepts(100));
  runner_.turn(3);
  EXPECT_EQ(accepted_.size(), 100u);
}

TEST_F(ListenerTest, LeavesConnectionsInTheQueueWhilePaused) {
  listener_->pause();
  connect_clients(3);
  runner_.turn(3);
  EXPECT_EQ(accepted_.size(), 0u);
  listener_->resume();
  EXPECT_TRUE(accepts(3));
}

TEST_F(ListenerTest, AcceptsNoMoreAfterAPauseInsideTheCallback) {
  then_ = [&] { listener_->pause(); };
  connect_clients(5);
  ASSERT_TRUE(accepts(1));
  runner_.turn(3);
  EXPECT_EQ(accepted_.size(), 1u);
}

TEST_F(ListenerTest, MayEndInsideItsCallback) {
  connect_clients(5);
  then_ = [&] { listener_.reset(); };
  ASSERT_TRUE(accepts(1));
  runner_.turn(3);
  EXPECT_EQ(accepted_.size(), 1u);
}

TEST_F(ListenerTest, LeavesItsQueueToWhoeverElseHasTheSocket) {
  listener_->pause();
  connect_clients(3);
  auto successor = make_listener(listener_->duplicate());
  successor->pause();
  listener_->release();
  listener_->resume();
  runner_.turn(3);
  EXPECT_EQ(accepted_.size(), 0U);
  EXPECT_FALSE(listener_->duplicate()) << "it has none any more";
  clients_.push_back(connect_to(successor->local_address()));
  successor->resume();
  EXPECT_TRUE(accepts(4));
}

TEST_F(ListenerTest, DrainsItsQueueAndCloses) {
  connect_clients(40);
  const SocketAddress address = listener_->local_address();
  listener_->drain_and_close();
  EXPECT_EQ(accepted_.size(), 40u);
  UniqueFd late(::socket(AF_INET, SOCK_STREAM, 0));
  EXPECT_EQ(::connect(late.get(), address.data(), address.length()), -1);
  EXPECT_EQ(errno, ECONNREFUSED);
  runner_.turn(3);
  listener_->drain_and_close();
  EXPECT_EQ(accepted_.size(), 40u);
}

TEST_F(ListenerTest, DrainsWhatWasPaused) {
  listener_->pause();
  connect_clients(3);
  listener_->drain_and_close();
  EXPECT_EQ(accepted_.size(), 3u);
}

TEST_F(ListenerTest, DrainsInsideItsCallback) {
  connect_clients(5);
  bool drained = false;
  then_ = [&] {
    if (!std::exchange(drained, true)) listener_->drain_and_close();
  };
  ASSERT_TRUE(accepts(5));
  runner_.turn(3);
  EXPECT_EQ(accepted_.size(), 5u);
}

TEST_F(ListenerTest, MayEndWhileItDrains) {
  connect_clients(5);
  then_ = [&] { listener_.reset(); };
  listener_->drain_and_close();
  EXPECT_EQ(accepted_.size(), 1u);
}

TEST_F(ListenerTest, LooksAwayForAWhileWhenDescriptorsRunOut) {
  connect_clients(1);
  const MonotonicTime before = loop_.now();
  {
    const NoDescriptorsLeft limit;
    ASSERT_TRUE(runner_.until([&] { return !errors_.empty(); }));
    EXPECT_EQ(errors_, std::vector<int>{EMFILE});
    runner_.turn(5);
    EXPECT_EQ(errors_.size(), 1u);
  }
  ASSERT_TRUE(accepts(1));
  EXPECT_GE(loop_.now() - before, 100ms);
}

TEST(ListenTcp, SaysWhichAddressIsInUse) {
  const UniqueFd first = listening_socket();
  const auto second = listen_tcp(address_of(first.get()));
  ASSERT_FALSE(second.has_value());
  EXPECT_EQ(second.error().sys, EADDRINUSE);
  EXPECT_NE(second.error().detail.find(address_of(first.get()).to_string()), std::string::npos);
}

TEST(ListenTcp, SaysThatAnAddressIsNotOurs) {
  const auto fd = listen_tcp(*SocketAddress::from_ip("192.0.2.1", 0));
  ASSERT_FALSE(fd.has_value());
  EXPECT_EQ(fd.error().sys, EADDRNOTAVAIL);
}

TEST(ListenTcp, SeveralOnOneAddressTakeConnectionsAndNobodyJoinsThem) {
  const auto group = listen_tcp(kAnyPort, 3);
  ASSERT_TRUE(group.has_value()) << group.error().detail;
  ASSERT_EQ(group->size(), 3U);
  const SocketAddress address = address_of(group->front().get());
  for (const UniqueFd& fd : *group) EXPECT_EQ(address_of(fd.get()), address);
  for (const std::size_t count : {1, 2}) {
    const auto other = listen_tcp(address, count);
    ASSERT_FALSE(other.has_value()) << "a second daemon would take half of the clients";
    EXPECT_EQ(other.error().sys, EADDRINUSE);
  }
  std::vector<UniqueFd> clients;
  for (int i = 0; i < 64; ++i) clients.push_back(connect_to(address));
  int accepted = 0;
  int busy_sockets = 0;
  for (const UniqueFd& fd : *group) {
    const int before = accepted;
    while (UniqueFd(::accept(fd.get(), nullptr, nullptr))) ++accepted;
    busy_sockets += accepted > before ? 1 : 0;
  }
  EXPECT_EQ(accepted, 64);
  EXPECT_GT(busy_sockets, 1);
}

// RFC 793's TIME-WAIT of old connections must not keep a restarted daemon from its port.
TEST(ListenTcp, TakesAPortWhoseConnectionsLinger) {
  UniqueFd listener = listening_socket();
  const SocketAddress address = address_of(listener.get());
  UniqueFd client = connect_to(address);
  pollfd queue{.fd = listener.get(), .events = POLLIN, .revents = 0};
  ASSERT_EQ(::poll(&queue, 1, 5000), 1);
  UniqueFd accepted(::accept(listener.get(), nullptr, nullptr));
  accepted.reset();
  client.reset();
  listener.reset();
  const auto again = listen_tcp(address);
  ASSERT_TRUE(again.has_value()) << again.error().detail;
  const UniqueFd owner(*again);
}

}  // namespace
}  // namespace penstock
