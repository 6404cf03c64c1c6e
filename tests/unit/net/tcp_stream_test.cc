// TcpStream, and with it WatchedSocket, on real loopback connections.
#include "net/tcp_stream.h"

#include <gtest/gtest.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <functional>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "support/loop_runner.h"
#include "support/tcp_pair.h"

namespace penstock {
namespace {

struct Recorder final : StreamHandler {
  void on_readable() override {
    ++readable;
    const auto action = then_readable;
    if (action) action();
  }
  void on_writable() override {
    ++writable;
    const auto action = then_writable;
    if (action) action();
  }

  int readable = 0;
  int writable = 0;
  std::function<void()> then_readable;
  std::function<void()> then_writable;
};

class TcpStreamTest : public testing::Test {
 protected:
  TcpStreamTest() {
    TcpPair pair = tcp_pair();
    peer_ = std::move(pair.peers);
    const int small = 128 * 1024;
    ::setsockopt(pair.ours.get(), SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
    stream_ = std::make_unique<TcpStream>(loop_, pair.ours.release());
  }

  void peer_sends(const std::string& bytes) {
    ASSERT_EQ(::send(peer_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL),
              static_cast<ssize_t>(bytes.size()));
  }
  // Until the end, or an errno.
  std::string peer_reads_all(int* sys = nullptr) {
    std::string all;
    std::array<char, 65536> some;
    for (;;) {
      const ssize_t got = ::recv(peer_.get(), some.data(), some.size(), 0);
      if (got < 0 && sys != nullptr) *sys = errno;
      if (got <= 0) return all;
      all.append(some.data(), static_cast<std::size_t>(got));
    }
  }
  std::size_t peer_reads_queued(std::string* into = nullptr) {
    std::array<char, 65536> some;
    std::size_t all = 0;
    ssize_t got = 0;
    while ((got = ::recv(peer_.get(), some.data(), some.size(), MSG_DONTWAIT)) > 0) {
      if (into != nullptr) into->append(some.data(), static_cast<std::size_t>(got));
      all += static_cast<std::size_t>(got);
    }
    return all;
  }
  void fill() {
    const std::string chunk(65536, 'f');
    while (stream_->write(chunk).status == IoStatus::kOk) {
    }
  }
  std::string read_some() {
    std::array<char, 1024> into;
    const IoResult result = stream_->read(into);
    return result.status == IoStatus::kOk ? std::string(into.data(), result.bytes) : "";
  }

  Loop loop_;
  LoopRunner runner_{loop_};
  UniqueFd peer_;
  std::unique_ptr<TcpStream> stream_;
  Recorder recorder_;
};

TEST_F(TcpStreamTest, IsReadableWhenBytesHaveCome) {
  stream_->set_handler(&recorder_);
  runner_.turn(2);
  EXPECT_EQ(recorder_.readable, 0);
  std::string got;
  recorder_.then_readable = [&] { got += read_some(); };
  peer_sends("hello");
  EXPECT_TRUE(runner_.until([&] { return got == "hello"; }));
  std::array<char, 8> into;
  EXPECT_EQ(stream_->read(into).status, IoStatus::kWouldBlock);
}

TEST_F(TcpStreamTest, IsNotWatchedWithoutAHandler) {
  stream_->set_handler(&recorder_);
  peer_sends("x");
  EXPECT_TRUE(runner_.until([&] { return recorder_.readable > 0; }));
  stream_->set_handler(nullptr);
  const int calls = recorder_.readable;
  runner_.turn(3);
  EXPECT_EQ(recorder_.readable, calls);
  stream_->set_handler(&recorder_);
  EXPECT_TRUE(runner_.until([&] { return recorder_.readable > calls; }));
}

TEST_F(TcpStreamTest, StaysPausedUntilTheLastReasonIsGone) {
  stream_->pause_read(PauseReason::kBackpressure);
  stream_->pause_read(PauseReason::kNotNow);
  stream_->pause_read(PauseReason::kNotNow);
  stream_->set_handler(&recorder_);
  peer_sends("x");
  runner_.turn(3);
  stream_->resume_read(PauseReason::kNotNow);
  runner_.turn(3);
  EXPECT_EQ(recorder_.readable, 0);
  stream_->resume_read(PauseReason::kBackpressure);
  EXPECT_TRUE(runner_.until([&] { return recorder_.readable > 0; }));
}

TEST_F(TcpStreamTest, StopsAtOnceWhenPausedInItsCallback) {
  stream_->set_handler(&recorder_);
  recorder_.then_readable = [&] { stream_->pause_read(PauseReason::kBackpressure); };
  peer_sends("x");
  EXPECT_TRUE(runner_.until([&] { return recorder_.readable == 1; }));
  runner_.turn(3);
  EXPECT_EQ(recorder_.readable, 1);
}

TEST_F(TcpStreamTest, DoesNotAnnounceRoomThatNobodyLacked) {
  stream_->set_handler(&recorder_);
  EXPECT_EQ(stream_->write("small").bytes, 5u);
  runner_.turn(3);
  EXPECT_EQ(recorder_.writable, 0);
}

TEST_F(TcpStreamTest, AnnouncesRoomOnceAfterAShortWrite) {
  stream_->set_handler(&recorder_);
  fill();
  runner_.turn(3);
  EXPECT_EQ(recorder_.writable, 0);
  EXPECT_TRUE(runner_.until([&] {
    peer_reads_queued();
    return recorder_.writable > 0;
  }));
  while (peer_reads_queued() > 0) runner_.turn();
  runner_.turn(3);
  EXPECT_EQ(recorder_.writable, 1);
}

TEST_F(TcpStreamTest, AnnouncesRoomWhileReadingIsPaused) {
  stream_->pause_read(PauseReason::kEndSeen);
  stream_->set_handler(&recorder_);
  fill();
  EXPECT_TRUE(runner_.until([&] {
    peer_reads_queued();
    return recorder_.writable > 0;
  }));
  EXPECT_EQ(recorder_.readable, 0);
}

TEST_F(TcpStreamTest, SendsPiecesInOrder) {
  const std::vector<std::string_view> pieces = {"GET", "", " / ", "HTTP", "/1.1"};
  EXPECT_EQ(stream_->write(pieces).bytes, 14u);
  stream_.reset();
  EXPECT_EQ(peer_reads_all(), "GET / HTTP/1.1");
}

TEST_F(TcpStreamTest, WritesNothingForNoBytes) {
  const IoResult result = stream_->write(std::vector<std::string_view>{"", ""});
  EXPECT_EQ(result.status, IoStatus::kOk);
  EXPECT_EQ(result.bytes, 0u);
}

TEST_F(TcpStreamTest, SaysHowMuchItTookOfVeryManyPieces) {
  stream_->set_handler(&recorder_);
  const std::vector<std::string_view> pieces(1000, "ab");
  const IoResult result = stream_->write(pieces);
  EXPECT_EQ(result.status, IoStatus::kOk);
  EXPECT_GT(result.bytes, 0u);
  EXPECT_LT(result.bytes, 2000u);
  EXPECT_TRUE(runner_.until([&] { return recorder_.writable == 1; }));
}

// Pieces of random sizes against a peer that reads random amounts: what arrives is what was sent.
TEST_F(TcpStreamTest, CarriesFourMebibytesThroughShortWrites) {
  std::mt19937 random(7);
  std::string sent(4 << 20, '\0');
  std::generate(sent.begin(), sent.end(), [&] { return static_cast<char>(random()); });
  std::size_t offset = 0;
  const auto send_more = [&] {
    while (offset < sent.size()) {
      const std::string_view rest = std::string_view(sent).substr(offset);
      const std::size_t cut = std::min<std::size_t>(rest.size(), random() % 50000 + 1);
      const std::array pieces = {rest.substr(0, cut), rest.substr(cut).substr(0, random() % 90000)};
      const IoResult result = stream_->write(pieces);
      if (result.status == IoStatus::kWouldBlock) return;
      ASSERT_EQ(result.status, IoStatus::kOk);
      offset += result.bytes;
      if (result.bytes < pieces[0].size() + pieces[1].size()) return;
    }
  };
  recorder_.then_writable = send_more;
  stream_->set_handler(&recorder_);
  send_more();
  std::string received;
  EXPECT_TRUE(runner_.until([&] {
    peer_reads_queued(&received);
    return received.size() >= sent.size();
  }));
  EXPECT_GT(recorder_.writable, 0);
  EXPECT_TRUE(received == sent);
}

TEST_F(TcpStreamTest, ReadsTheEndAfterTheLastByte) {
  stream_->set_handler(&recorder_);
  peer_sends("bye");
  peer_.reset();
  std::string got;
  bool ended = false;
  recorder_.then_readable = [&] {
    std::array<char, 8> into;
    const IoResult result = stream_->read(into);
    got.append(into.data(), result.bytes);
    if (result.status != IoStatus::kEof) return;
    ended = true;
    stream_->pause_read(PauseReason::kEndSeen);
  };
  EXPECT_TRUE(runner_.until([&] { return ended; }));
  EXPECT_EQ(got, "bye");
  const int calls = recorder_.readable;
  runner_.turn(3);
  EXPECT_EQ(recorder_.readable, calls);
}

TEST_F(TcpStreamTest, TellsAResetFromAnEnd) {
  stream_->set_handler(&recorder_);
  const linger reset{.l_onoff = 1, .l_linger = 0};
  ::setsockopt(peer_.get(), SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
  peer_.reset();
  IoResult result{IoStatus::kWouldBlock};
  recorder_.then_readable = [&] {
    std::array<char, 8> into;
    result = stream_->read(into);
    stream_->set_handler(nullptr);
  };
  EXPECT_TRUE(runner_.until([&] { return recorder_.readable > 0; }));
  EXPECT_EQ(result.status, IoStatus::kError);
  EXPECT_EQ(result.sys, ECONNRESET);
  EXPECT_EQ(stream_->last_error().code, ErrorCode::kConnectionTerminated);
  EXPECT_EQ(stream_->last_error().sys, ECONNRESET);
  EXPECT_FALSE(stream_->last_error().detail.empty());
}

TEST_F(TcpStreamTest, FailsWithoutASignalWhenThePeerIsGone) {
  const linger reset{.l_onoff = 1, .l_linger = 0};
  ::setsockopt(peer_.get(), SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
  peer_.reset();
  IoResult result{IoStatus::kOk};
  EXPECT_TRUE(runner_.until([&] {
    result = stream_->write("x");
    return result.status == IoStatus::kError;
  }));
  EXPECT_EQ(stream_->write("x").sys, EPIPE);
  EXPECT_EQ(stream_->last_error().sys, EPIPE);
}

TEST_F(TcpStreamTest, ClosesInOrderWhenItEnds) {
  EXPECT_EQ(stream_->write("last").bytes, 4u);
  stream_.reset();
  int sys = 0;
  EXPECT_EQ(peer_reads_all(&sys), "last");
  EXPECT_EQ(sys, 0);
}

TEST_F(TcpStreamTest, ResetsTheConnectionAfterAbort) {
  stream_->abort();
  stream_.reset();
  int sys = 0;
  EXPECT_EQ(peer_reads_all(&sys), "");
  EXPECT_EQ(sys, ECONNRESET);
}

TEST_F(TcpStreamTest, KeepsReadingAfterItEndedItsOwnDirection) {
  stream_->set_handler(&recorder_);
  EXPECT_EQ(stream_->write("question").bytes, 8u);
  stream_->shutdown_write();
  EXPECT_EQ(peer_reads_all(), "question");
  peer_sends("answer");
  EXPECT_TRUE(runner_.until([&] { return recorder_.readable > 0; }));
  EXPECT_EQ(read_some(), "answer");
}

TEST_F(TcpStreamTest, MayEndInsideOnReadableWithRoomToAnnounce) {
  stream_->set_handler(&recorder_);
  fill();
  peer_sends("x");
  recorder_.then_readable = [&] { stream_.reset(); };
  recorder_.then_writable = [&] { FAIL() << "called after its end"; };
  peer_reads_queued();
  EXPECT_TRUE(runner_.until([&] { return stream_ == nullptr; }));
  runner_.turn(3);
  EXPECT_EQ(recorder_.readable, 1);
}

TEST_F(TcpStreamTest, MayEndInsideOnWritable) {
  stream_->pause_read(PauseReason::kNotNow);
  stream_->set_handler(&recorder_);
  fill();
  recorder_.then_writable = [&] { stream_.reset(); };
  EXPECT_TRUE(runner_.until([&] {
    peer_reads_queued();
    return stream_ == nullptr;
  }));
  runner_.turn(3);
  EXPECT_EQ(recorder_.writable, 1);
}

// The handler that pauses in on_readable and asks for room must still hear of it.
TEST_F(TcpStreamTest, ServesBothDirectionsInOneEvent) {
  stream_->set_handler(&recorder_);
  fill();
  peer_sends("x");
  recorder_.then_readable = [&] { stream_->pause_read(PauseReason::kBackpressure); };
  EXPECT_TRUE(runner_.until([&] {
    peer_reads_queued();
    return recorder_.writable == 1;
  }));
  EXPECT_EQ(recorder_.readable, 1);
}

}  // namespace
}  // namespace penstock
