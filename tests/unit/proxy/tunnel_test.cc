// Tunnel on real loopback connections: bytes by pipe and by buffer, backpressure, half-close,
// resets, and that a tunnel in which nothing moves holds neither pipe nor descriptor.
#include "proxy/tunnel.h"

#include <dirent.h>
#include <gtest/gtest.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <memory>
#include <optional>
#include <random>
#include <string>

#include "net/tcp_stream.h"
#include "support/loop_runner.h"
#include "support/tcp_pair.h"

namespace penstock {
namespace {

constexpr std::size_t kMany = 4 * 1024 * 1024;

std::string random_bytes(std::size_t count, unsigned seed) {
  std::mt19937 engine(seed);
  std::string bytes(count, '\0');
  std::generate(bytes.begin(), bytes.end(), [&] { return static_cast<char>(engine()); });
  return bytes;
}

std::size_t open_descriptors() {
  DIR* const folder = ::opendir("/proc/self/fd");
  std::size_t count = 0;
  while (::readdir(folder) != nullptr) ++count;
  ::closedir(folder);
  return count;
}

// One far end of the tunnel: sends and takes as much as goes without waiting.
struct Far {
  UniqueFd fd;
  std::string to_send{};
  std::size_t sent = 0;
  std::string got{};
  std::size_t most_at_once = 64 * 1024;
  bool saw_end = false;
  int broke = 0;

  void push() {
    while (sent < to_send.size()) {
      const std::size_t some = std::min(most_at_once, to_send.size() - sent);
      const ssize_t put =
          ::send(fd.get(), to_send.data() + sent, some, MSG_NOSIGNAL | MSG_DONTWAIT);
      if (put < 0) return;
      sent += static_cast<std::size_t>(put);
    }
  }
  void pull() {
    std::array<char, 65536> some;
    for (;;) {
      const ssize_t count =
          ::recv(fd.get(), some.data(), std::min(some.size(), most_at_once), MSG_DONTWAIT);
      saw_end = saw_end || count == 0;
      if (count < 0 && errno != EAGAIN) broke = errno;
      if (count <= 0) return;
      got.append(some.data(), static_cast<std::size_t>(count));
    }
  }
  void finish() { ::shutdown(fd.get(), SHUT_WR); }
  void reset() {
    const linger at_once{.l_onoff = 1, .l_linger = 0};
    ::setsockopt(fd.get(), SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    fd.reset();
  }
};

// A plaintext stream as it is in a sandbox that forbids splice(2).
class NoSplice final : public Stream {
 public:
  NoSplice(Loop& loop, int fd) : stream_(loop, fd) {}
  void set_handler(StreamHandler* handler) override { stream_.set_handler(handler); }
  IoResult read(std::span<char> into) override { return stream_.read(into); }
  IoResult write(std::span<const std::string_view> pieces) override {
    return stream_.write(pieces);
  }
  bool splices() const override { return true; }
  IoResult read_into_pipe(int, std::size_t) override {
    ++asked;
    return {IoStatus::kError, 0, EPERM};
  }
  bool has_pending() const override { return false; }
  void pause_read(PauseReason reason) override { stream_.pause_read(reason); }
  void resume_read(PauseReason reason) override { stream_.resume_read(reason); }
  void rest(const std::shared_ptr<WatchGate>& gate) override { stream_.rest(gate); }
  void wake() override { stream_.wake(); }
  bool move_to(Loop& loop, WatchGate& gate) override { return stream_.move_to(loop, gate); }
  void abandon(WatchGate& gate) override { stream_.abandon(gate); }
  void shutdown_write() override { stream_.shutdown_write(); }
  void abort() override { stream_.abort(); }
  Error last_error() const override { return stream_.last_error(); }

  int asked = 0;

 private:
  TcpStream stream_;
};

class TunnelTest : public testing::Test {
 protected:
  template <typename Near = TcpStream>
  std::unique_ptr<Stream> join(Far& far) {
    TcpPair pair = tcp_pair();
    const int small = 64 * 1024;
    for (const UniqueFd* fd : {&pair.ours, &pair.peers}) {
      ::setsockopt(fd->get(), SOL_SOCKET, SO_SNDBUF, &small, sizeof small);
      ::setsockopt(fd->get(), SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    }
    far.fd = std::move(pair.peers);
    return std::make_unique<Near>(loop_, pair.ours.release());
  }
  void open(PipePool& pipes) {
    client_stream_ = join(client_);
    upstream_stream_ = join(upstream_);
    start(pipes);
  }
  void start(PipePool& pipes) {
    tunnel_.emplace(Tunnel::Ends{.client = *client_stream_,
                                 .upstream = *upstream_stream_,
                                 .from_client = from_client_,
                                 .from_upstream = from_upstream_,
                                 .pipes = pipes,
                                 .client_ended = false},
                    loop_, loop_.timers(), std::nullopt,
                    Delegate<void(TunnelEnd)>::to<&TunnelTest::on_ended>(*this));
    end_ = tunnel_->start();
  }
  void on_ended(TunnelEnd end) {
    end_ = end;
    tunnel_.reset();
    // As an exchange does whose tunnel broke.
    client_stream_.reset();
    upstream_stream_.reset();
  }

  void on_tick() {}
  // Both far ends do what they can at every turn, and now and then without one: what comes late
  // for them is no event of the loop.
  template <typename Condition>
  bool until(Condition&& condition) {
    return runner_.until([&] {
      tick_.arm(loop_.now() + std::chrono::milliseconds(1));
      for (Far* far : {&client_, &upstream_}) {
        if (!far->fd) continue;
        far->push();
        far->pull();
        most_lent_ = std::max(most_lent_, pipes_.lent());
      }
      return condition();
    });
  }
  bool all_has_come() const {
    return client_.got.size() == upstream_.to_send.size() &&
           upstream_.got.size() == client_.to_send.size();
  }
  void expect_same() const {
    EXPECT_TRUE(upstream_.got == client_.to_send);
    EXPECT_TRUE(client_.got == upstream_.to_send);
  }
  void send_many_both_ways() {
    client_.to_send = random_bytes(kMany, 1);
    upstream_.to_send = random_bytes(kMany, 2);
  }
  // The upstream's end takes nothing until the tunnel holds what it cannot give away.
  void block_upwards() {
    client_.to_send = random_bytes(kMany, 3);
    std::size_t before = 0;
    ASSERT_TRUE(runner_.until([&] {
      before = client_.sent;
      client_.push();
      runner_.turn(3);
      tick_.arm(loop_.now() + std::chrono::milliseconds(1));
      return client_.sent == before && pipes_.lent() == 1;
    }));
  }

  Loop loop_;
  LoopRunner runner_{loop_};
  Deadline tick_{loop_.timers(), Delegate<void()>::to<&TunnelTest::on_tick>(*this)};
  BlockPool blocks_;
  PipePool pipes_;
  Buffer from_client_{blocks_};
  Buffer from_upstream_{blocks_};
  Far client_;
  Far upstream_;
  std::unique_ptr<Stream> client_stream_;
  std::unique_ptr<Stream> upstream_stream_;
  std::optional<Tunnel> tunnel_;
  std::optional<TunnelEnd> end_;
  std::size_t most_lent_ = 0;
};

TEST_F(TunnelTest, MovesMuchBothWaysByPipeAndGivesThemBack) {
  open(pipes_);
  send_many_both_ways();
  ASSERT_TRUE(until([&] { return all_has_come(); }));
  expect_same();
  EXPECT_GT(most_lent_, 0u);
  EXPECT_TRUE(until([&] { return pipes_.lent() == 0; }));
  EXPECT_EQ(tunnel_->bytes_from_client(), kMany);
  EXPECT_EQ(tunnel_->bytes_from_upstream(), kMany);
  client_.finish();
  upstream_.finish();
  ASSERT_TRUE(until([&] { return end_.has_value(); }));
  EXPECT_EQ(*end_, TunnelEnd::kDone);
}

TEST_F(TunnelTest, CopiesWhereNoPipeIsToBeHad) {
  PipePool none(0);
  open(none);
  send_many_both_ways();
  ASSERT_TRUE(until([&] { return all_has_come(); }));
  expect_same();
}

TEST_F(TunnelTest, CopiesWhereSpliceIsForbidden) {
  auto client = join<NoSplice>(client_);
  NoSplice& asked = static_cast<NoSplice&>(*client);
  client_stream_ = std::move(client);
  upstream_stream_ = join(upstream_);
  start(pipes_);
  send_many_both_ways();
  ASSERT_TRUE(until([&] { return all_has_come(); }));
  expect_same();
  EXPECT_EQ(asked.asked, 1);
  EXPECT_TRUE(until([&] { return pipes_.lent() == 0; }));
}

TEST_F(TunnelTest, SmallPiecesNeedNoPipe) {
  open(pipes_);
  for (int i = 0; i < 50; ++i) {
    client_.to_send += "question";
    upstream_.to_send += "answer";
    ASSERT_TRUE(until([&] { return all_has_come(); }));
  }
  expect_same();
  EXPECT_EQ(most_lent_, 0u);
}

TEST_F(TunnelTest, EarlyBytesComeBeforeTheOthers) {
  from_client_.append("early");
  open(pipes_);
  client_.to_send = random_bytes(kMany, 4);
  ASSERT_TRUE(until([&] { return upstream_.got.size() == kMany + 5; }));
  EXPECT_TRUE(upstream_.got == "early" + client_.to_send);
}

TEST_F(TunnelTest, AnEndComesBehindWhatAPipeHeldAndTheOtherDirectionLivesOn) {
  open(pipes_);
  block_upwards();
  ASSERT_TRUE(until([&] { return client_.sent == kMany; }));
  client_.finish();
  ASSERT_TRUE(until([&] { return upstream_.saw_end; }));
  EXPECT_TRUE(upstream_.got == client_.to_send);
  EXPECT_FALSE(end_.has_value());
  upstream_.to_send = random_bytes(kMany, 5);
  ASSERT_TRUE(until([&] { return client_.got.size() == kMany; }));
  EXPECT_TRUE(client_.got == upstream_.to_send);
  upstream_.finish();
  ASSERT_TRUE(until([&] { return end_.has_value(); }));
  EXPECT_EQ(*end_, TunnelEnd::kDone);
}

TEST_F(TunnelTest, AReaderThatTakesNothingHoldsBackTheSenderAndThenGetsAll) {
  open(pipes_);
  block_upwards();
  EXPECT_LT(client_.sent, kMany);
  ASSERT_TRUE(until([&] { return upstream_.got.size() == kMany; }));
  EXPECT_TRUE(upstream_.got == client_.to_send);
  EXPECT_TRUE(until([&] { return pipes_.lent() == 0; }));
}

TEST_F(TunnelTest, AResetOfTheReaderEndsItWithWhatAPipeHeld) {
  open(pipes_);
  block_upwards();
  upstream_.reset();
  ASSERT_TRUE(until([&] { return end_.has_value(); }));
  EXPECT_EQ(*end_, TunnelEnd::kUpstreamBroke);
  EXPECT_EQ(pipes_.lent(), 0u);
}

TEST_F(TunnelTest, AResetOfTheSenderIsSeenOnceItsBytesAreAway) {
  open(pipes_);
  client_.to_send = random_bytes(kMany, 6);
  ASSERT_TRUE(until([&] { return upstream_.got.size() >= kMany / 2; }));
  client_.reset();
  ASSERT_TRUE(until([&] { return end_.has_value(); }));
  EXPECT_EQ(*end_, TunnelEnd::kClientBroke);
  EXPECT_EQ(pipes_.lent(), 0u);
}

TEST_F(TunnelTest, APipeWithBytesInItIsNotLentAgain) {
  open(pipes_);
  const std::size_t before = open_descriptors();
  block_upwards();
  EXPECT_EQ(open_descriptors(), before + 2);
  tunnel_.reset();
  EXPECT_EQ(pipes_.lent(), 0u);
  EXPECT_EQ(open_descriptors(), before);
  client_stream_.reset();
  upstream_stream_.reset();
}

TEST_F(TunnelTest, NoMorePipesAreLentThanThePoolAllows) {
  PipePool two(2);
  auto first = two.lend();
  auto second = two.lend();
  EXPECT_EQ(two.lend(), nullptr);
  two.give_back(std::move(first));
  EXPECT_NE(first = two.lend(), nullptr);
  two.give_back(std::move(first));
  two.give_back(std::move(second));
}

}  // namespace
}  // namespace penstock
