// Bytes through a TlsStream and back, how connections end, and what happens under pressure.
#include "net/tls_stream.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <future>
#include <string>
#include <vector>

#include "support/segments_sent.h"
#include "support/test_ca.h"
#include "support/tls_test_server.h"
#include "unit/net/random_traffic.h"
#include "unit/net/tls_test_client.h"

namespace penstock {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;
using Serve = std::function<void(TlsTestConnection&)>;

// A door that one thread opens and another waits at.
class Gate {
 public:
  void open() {
    open_ = true;
    open_.notify_all();
  }
  void wait() { open_.wait(false); }

 private:
  std::atomic<bool> open_ = false;
};

int bytes_in_kernel(int fd) {
  int bytes = 0;
  ::ioctl(fd, FIONREAD, &bytes);
  return bytes;
}

class TlsStreamTest : public testing::TestWithParam<int> {
 protected:
  ~TlsStreamTest() override { gate_.open(); }

  std::unique_ptr<TlsTestServer> make_server(Serve serve, TlsTestServer::Options options) {
    options.identity = ca_.issue({.dns_names = {"good.test"}});
    options.min_version = options.max_version = GetParam();
    options.serve = std::move(serve);
    return std::make_unique<TlsTestServer>(std::move(options));
  }

  void start(Serve serve, TlsTestServer::Options options = {}) {
    server_ = make_server(std::move(serve), std::move(options));
    client_ = std::make_unique<TlsTestClient>(loop_, make_context(ca_.pem()), server_->port());
    ASSERT_TRUE(client_->handshake());
  }

  // A unix socket takes a write whole or not at all, and none once what it holds exceeds a send
  // buffer that was made smaller.
  void start_on_unix_socket(Serve serve) {
    server_ = make_server(std::move(serve), {.tickets = 0});
    client_ = std::make_unique<TlsTestClient>(loop_, make_context(ca_.pem()), unix_connection());
    ASSERT_TRUE(client_->handshake());
  }

  UniqueFd unix_connection() {
    int ends[2] = {-1, -1};
    EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    server_->adopt(UniqueFd(ends[0]));
    ::fcntl(ends[1], F_SETFL, O_NONBLOCK);
    return UniqueFd(ends[1]);
  }

  // The client is paused, and all of these records are in its kernel.
  void start_with_waiting(const std::vector<std::string>& records) {
    start(
        [this, records](TlsTestConnection& c) {
          c.read_some();  // the client has ended its handshake, and reads nothing ahead any more
          const std::size_t before = c.wire_bytes();
          for (const std::string& record : records) c.write_all(record);
          told_.set_value({static_cast<long>(c.wire_bytes() - before)});
          c.read_some();
        },
        {.tickets = 0});
    client_->stream().pause_read(PauseReason::kNotNow);
    ASSERT_TRUE(client_->send("go"));
    const long expected = told_.get_future().get().front();
    ASSERT_TRUE(client_->spin([&] { return bytes_in_kernel(client_->fd()) == expected; }));
  }

  static void shrink_send_buffer(int fd) {
    const int least = 1;
    ::setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &least, sizeof least);
  }

  // What the server told; waits for it, the loop turning meanwhile.
  std::vector<long> told() {
    auto outcome = told_.get_future();
    EXPECT_TRUE(client_->spin(
        [&] { return outcome.wait_for(std::chrono::seconds(0)) == std::future_status::ready; }));
    return outcome.get();
  }

  Loop loop_;
  const TestCa ca_;
  // Shared with the server's thread, so they outlive it.
  Gate gate_;
  std::string bytes_;
  std::promise<std::vector<long>> told_;
  std::unique_ptr<TlsTestServer> server_;
  std::unique_ptr<TlsTestClient> client_;
};

INSTANTIATE_TEST_SUITE_P(Tls12, TlsStreamTest, testing::Values(TLS1_2_VERSION));
INSTANTIATE_TEST_SUITE_P(Tls13, TlsStreamTest, testing::Values(TLS1_3_VERSION));

TEST_P(TlsStreamTest, CarriesAMebibyteBothWaysInRandomPieces) {
  for (unsigned seed = 1; seed <= 3; ++seed) {
    start([](TlsTestConnection& c) { c.echo(); });
    RandomTraffic traffic(client_->stream(), random_bytes(1 << 20, seed), seed);
    client_->stream().set_handler(&traffic);
    traffic.write();
    ASSERT_TRUE(client_->until([&] { return traffic.done(); })) << "seed " << seed;
    EXPECT_TRUE(traffic.intact()) << "seed " << seed;
    client_->stream().set_handler(nullptr);
  }
}

TEST_P(TlsStreamTest, RepeatsABlockedWriteUntilThePeerTakesIt) {
  bytes_ = random_bytes(8 << 20, 7);
  start([&](TlsTestConnection& c) {
    gate_.wait();
    c.write_all(c.read_exactly(bytes_.size()) == bytes_ ? "same" : "different");
  });
  RandomTraffic traffic(client_->stream(), bytes_, 7);
  client_->stream().set_handler(&traffic);
  traffic.write();
  EXPECT_EQ(traffic.short_writes(), 1);
  gate_.open();
  ASSERT_TRUE(client_->until([&] { return traffic.received().size() >= 4; }));
  EXPECT_EQ(traffic.received(), "same");
  EXPECT_GT(traffic.short_writes(), 1);
  client_->stream().set_handler(nullptr);
}

TEST_P(TlsStreamTest, SendsHeadAndSmallBodyAsOneRecord) {
  start([](TlsTestConnection& c) { c.write_all(std::to_string(c.read_some().size())); });
  const std::string head(300, 'h'), body(1000, 'b');
  const std::string_view pieces[] = {head, "", body};
  EXPECT_EQ(client_->stream().write(pieces).bytes, 1300u);
  ASSERT_TRUE(client_->receive(4));
  EXPECT_EQ(client_->received, "1300");
}

TEST_P(TlsStreamTest, FillsTheFirstRecordFromALargeBody) {
  start([](TlsTestConnection& c) {
    const std::string first = c.read_some(20000);
    c.read_exactly(40300 - first.size());
    c.write_all(std::to_string(first.size()));
  });
  const std::string head(300, 'h'), body(40000, 'b');
  const std::string_view pieces[] = {head, body};
  EXPECT_EQ(client_->stream().write(pieces).bytes, 40300u);
  ASSERT_TRUE(client_->receive(5));
  EXPECT_EQ(client_->received, "16384");
}

TEST_P(TlsStreamTest, SendsTheRecordsOfOneWriteInOneSegment) {
  start([](TlsTestConnection& c) {
    c.write_all("go");
    c.read_exactly(16500);
    c.write_all("done");
  });
  // A segment that comes between the records, as one with late tickets may, pushes out the first.
  ASSERT_TRUE(client_->receive(2));
  const std::string head(116, 'h'), body(16384, 'b');
  const std::string_view pieces[] = {head, body};
  const int on = 1;  // as the dialer has it
  ASSERT_EQ(::setsockopt(client_->fd(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on), 0);
  const std::uint32_t before = segments_sent(client_->fd());
  EXPECT_EQ(client_->stream().write(pieces).bytes, 16500u);
  EXPECT_EQ(segments_sent(client_->fd()) - before, 1u);  // of the 64 KiB that loopback allows
  ASSERT_TRUE(client_->receive(6));
}

TEST_P(TlsStreamTest, WritesNothingForNoBytes) {
  start([](TlsTestConnection& c) { c.echo(); });
  const std::string_view pieces[] = {"", ""};
  const IoResult result = client_->stream().write(pieces);
  EXPECT_EQ(result.status, IoStatus::kOk);
  EXPECT_EQ(result.bytes, 0u);
}

TEST_P(TlsStreamTest, SaysEofAfterCloseNotify) {
  start([](TlsTestConnection& c) {
    c.write_all("bye");
    c.close_notify();
  });
  ASSERT_TRUE(client_->ended());
  EXPECT_TRUE(client_->eof);
  EXPECT_EQ(client_->received, "bye");
}

TEST_P(TlsStreamTest, SaysErrorWhenTheEndWasCutOff) {
  start([](TlsTestConnection& c) { c.write_all("half a mess"); });
  ASSERT_TRUE(client_->ended());
  EXPECT_FALSE(client_->eof);
  EXPECT_EQ(client_->received, "half a mess");
  EXPECT_EQ(client_->error->code, ErrorCode::kConnectionTerminated);
  EXPECT_THAT(client_->error->detail,
              AllOf(HasSubstr("unexpected eof"), Not(HasSubstr("handshake"))));
}

TEST_P(TlsStreamTest, SaysErrorWhenThePeerResets) {
  start([](TlsTestConnection& c) { c.reset_on_close(); });
  ASSERT_TRUE(client_->ended());
  EXPECT_FALSE(client_->eof);
  EXPECT_EQ(client_->error->code, ErrorCode::kConnectionTerminated);
  EXPECT_EQ(client_->error->sys, ECONNRESET);
}

// Waits until the kernel knows that the connection is broken.
void wait_for_break(int fd) {
  pollfd watched{.fd = fd, .events = 0, .revents = 0};
  ASSERT_EQ(::poll(&watched, 1, 5000), 1);
}

TEST_P(TlsStreamTest, SaysErrorToWritesAfterThePeerHasGone) {
  start([](TlsTestConnection& c) { c.reset_on_close(); });
  wait_for_break(client_->fd());
  const IoResult result = client_->stream().write("request");
  EXPECT_EQ(result.status, IoStatus::kError);
  EXPECT_NE(result.sys, 0);
  EXPECT_EQ(client_->stream().last_error().code, ErrorCode::kConnectionTerminated);
  EXPECT_EQ(client_->stream().write("more").status, IoStatus::kError);
}

TEST_P(TlsStreamTest, CallsWhoeverWroteInPartToTellHimOfTheError) {
  start([&](TlsTestConnection& c) {
    gate_.wait();
    c.reset_on_close();
  });
  const std::string bytes(4 << 20, 'x');
  const IoResult taken = client_->stream().write(bytes);
  ASSERT_EQ(taken.status, IoStatus::kOk);
  client_->stream().pause_read(PauseReason::kBackpressure);
  gate_.open();
  EXPECT_FALSE(client_->send(std::string_view(bytes).substr(taken.bytes)));
  EXPECT_TRUE(client_->error.has_value());
}

TEST_P(TlsStreamTest, ClosesWithCloseNotify) {
  start([&](TlsTestConnection& c) {
    const std::string none = c.read_some();
    told_.set_value({SSL_get_error(c.ssl(), 0)});
  });
  client_->drop();
  EXPECT_THAT(told(), ElementsAre(SSL_ERROR_ZERO_RETURN));
}

TEST_P(TlsStreamTest, ClosesWithoutCloseNotifyAfterAbort) {
  start([&](TlsTestConnection& c) {
    c.write_all(c.read_some());
    char byte = 0;
    const int got = SSL_read(c.ssl(), &byte, 1);
    told_.set_value({SSL_get_error(c.ssl(), got)});
  });
  ASSERT_TRUE(client_->send("x") && client_->receive(1));
  client_->stream().abort();
  client_->drop();
  EXPECT_THAT(told(), ElementsAre(SSL_ERROR_SYSCALL));
}

TEST_P(TlsStreamTest, GoesOnReadingAfterItsOwnEnd) {
  start([](TlsTestConnection& c) {
    std::string all;
    for (std::string more = c.read_some(); !more.empty(); more = c.read_some()) all += more;
    c.write_all("got " + all);
    c.close_notify();
  });
  ASSERT_TRUE(client_->send("request"));
  client_->stream().shutdown_write();
  ASSERT_TRUE(client_->ended());
  EXPECT_TRUE(client_->eof);
  EXPECT_EQ(client_->received, "got request");
}

TEST_P(TlsStreamTest, SendsCloseNotifyOnceThereIsRoomForIt) {
  start_on_unix_socket([&](TlsTestConnection& c) {
    gate_.wait();
    long all = 0;
    for (std::string more = c.read_some(); !more.empty(); more = c.read_some()) {
      all += static_cast<long>(more.size());
    }
    told_.set_value({all, SSL_get_shutdown(c.ssl())});
  });
  const std::string record(1000, 'x');
  for (int i = 0; i < 20; ++i) ASSERT_EQ(client_->stream().write(record).bytes, record.size());
  shrink_send_buffer(client_->fd());
  client_->stream().shutdown_write();
  gate_.open();
  EXPECT_THAT(told(), ElementsAre(20000, SSL_RECEIVED_SHUTDOWN));
  EXPECT_EQ(client_->writable_calls, 0) << "the owner had asked for nothing";
}

// The client's certificates are several times as large as the socket.
TEST_P(TlsStreamTest, ShakesHandsThroughASocketThatIsFull) {
  std::string intermediate;
  TestIdentity own = ca_.issue_by_intermediate({.extended_key_usage = "clientAuth"}, &intermediate);
  for (int i = 0; i < 50; ++i) own.cert_pem += intermediate;
  TrustStores stores;
  const auto context =
      TlsClientContext::create({}, ca_.pem(), "", own.cert_pem, own.key_pem, stores);
  ASSERT_TRUE(context);
  server_ = make_server([](TlsTestConnection& c) { c.echo(); }, {.client_ca_pem = ca_.pem()});
  UniqueFd fd = unix_connection();
  shrink_send_buffer(fd.get());
  client_ = std::make_unique<TlsTestClient>(loop_, *context, std::move(fd));
  ASSERT_TRUE(client_->handshake()) << client_->error->detail;
  EXPECT_TRUE(client_->send("hello") && client_->receive(5));
}

TEST_P(TlsStreamTest, AnnouncesNothingWhilePaused) {
  start([](TlsTestConnection& c) { c.echo(); }, {.tickets = 0});
  client_->stream().pause_read(PauseReason::kBackpressure);
  ASSERT_TRUE(client_->send("hello"));
  ASSERT_TRUE(client_->spin([&] { return bytes_in_kernel(client_->fd()) > 0; }));
  EXPECT_EQ(client_->readable_calls, 0);
  client_->stream().resume_read(PauseReason::kBackpressure);
  EXPECT_TRUE(client_->receive(5));
}

TEST_P(TlsStreamTest, KnowsOfBytesThatTheKernelNoLongerHas) {
  ASSERT_NO_FATAL_FAILURE(start_with_waiting({"first", "second"}));
  std::array<char, 1000> bytes;
  const IoResult first = client_->stream().read(bytes);
  EXPECT_EQ(first.bytes, 5u);
  EXPECT_TRUE(first.more);
  EXPECT_TRUE(client_->stream().has_pending());
  EXPECT_EQ(bytes_in_kernel(client_->fd()), 0) << "one read should take it all";
  EXPECT_FALSE(client_->stream().is_announced()) << "no event will come for the second";
  const IoResult second = client_->stream().read(bytes);
  EXPECT_EQ(second.bytes, 6u);
  EXPECT_FALSE(second.more);
  EXPECT_FALSE(client_->stream().has_pending());
  EXPECT_TRUE(client_->stream().is_announced());
}

// Wherever the end of what OpenSSL takes from the kernel at a time falls among the records.
TEST_P(TlsStreamTest, SaysThatThereIsMoreUntilAllThatCameIsRead) {
  constexpr std::size_t kBytes = 5 * std::size_t{16384};
  ASSERT_NO_FATAL_FAILURE(start_with_waiting({std::string(kBytes, 'x')}));
  std::array<char, 20000> bytes;
  std::size_t received = 0;
  IoResult result{.status = IoStatus::kOk, .more = true};
  while (result.more) {
    result = client_->stream().read(bytes);
    received += result.bytes;
  }
  EXPECT_EQ(received, kBytes);
}

// A peer that always has more must not keep the loop for itself.
TEST_P(TlsStreamTest, LeavesWhatTheKernelWillAnnounceAgain) {
  start(
      [&](TlsTestConnection& c) {
        c.read_some();
        c.write_all(std::string(100'000, 'x'));
        told_.set_value({});
        c.read_some();
      },
      {.tickets = 0});
  client_->stream().pause_read(PauseReason::kNotNow);
  ASSERT_TRUE(client_->send("go"));
  told_.get_future().wait();
  std::array<char, 1000> bytes;
  ASSERT_EQ(client_->stream().read(bytes).status, IoStatus::kOk);
  EXPECT_TRUE(client_->stream().has_pending());
  EXPECT_TRUE(client_->stream().is_announced());
}

// OpenSSL skips each of these within one call (RFC 5246 section 7.4.1.1), for as long as they come.
TEST(TlsStream, LeavesTheRestOfAFloodOfHelloRequestsToTheNextTurn) {
  const std::string hello_request("\x16\x03\x03\x00\x04\x00\x00\x00\x00", 9);
  std::string flood;
  while (flood.size() < 64 * 1024) flood += hello_request;
  int ends[2] = {-1, -1};
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends), 0);
  const UniqueFd server(ends[0]);
  const int plenty = 1 << 20;
  ::setsockopt(server.get(), SOL_SOCKET, SO_SNDBUF, &plenty, sizeof plenty);
  while (::send(server.get(), flood.data(), flood.size() / 9 * 9, MSG_NOSIGNAL) ==
         static_cast<ssize_t>(flood.size() / 9 * 9)) {
  }
  Loop loop;
  TlsStream stream(loop, ends[1], make_context(TestCa().pem()), "good.test", 443);
  const int before = bytes_in_kernel(ends[1]);
  ASSERT_GT(before, 150'000);
  EXPECT_EQ(stream.handshake().status, IoStatus::kWouldBlock);
  EXPECT_GT(bytes_in_kernel(ends[1]), 0);
  const int after = bytes_in_kernel(ends[1]);
  EXPECT_LT(after, before);
  EXPECT_EQ(stream.handshake().status, IoStatus::kWouldBlock);
  EXPECT_LT(bytes_in_kernel(ends[1]), after);
}

class Tls13Stream : public TlsStreamTest {};
INSTANTIATE_TEST_SUITE_P(Tls13, Tls13Stream, testing::Values(TLS1_3_VERSION));

TEST_P(Tls13Stream, TakesATicketOnAnIdleConnectionAsNoData) {
  start([&](TlsTestConnection& c) {
    c.write_all(c.read_some());
    gate_.wait();
    c.send_ticket();
    c.read_some();
  });
  ASSERT_TRUE(client_->send("x") && client_->receive(1));
  const int calls = client_->readable_calls;
  gate_.open();
  ASSERT_TRUE(client_->until([&] { return client_->readable_calls > calls; }));
  EXPECT_EQ(client_->received, "x");
  EXPECT_FALSE(client_->eof);
  EXPECT_FALSE(client_->error.has_value());
  EXPECT_FALSE(client_->stream().has_pending());
}

TEST_P(Tls13Stream, AnswersAKeyUpdate) {
  start([](TlsTestConnection& c) {
    c.request_key_update();
    c.echo();
  });
  ASSERT_TRUE(client_->send("before") && client_->receive(6));
  ASSERT_TRUE(client_->send("after") && client_->receive(11));
  EXPECT_EQ(client_->received, "beforeafter");
}

// Key updates and tickets, one behind the other: each is worth a turn of its own to OpenSSL.
TEST_P(Tls13Stream, FailsWhenThePeerSendsKeyUpdatesAndNoData) {
  start(
      [&](TlsTestConnection& c) {
        for (int i = 0; i < 2 * TlsPeer::kMostIdleMessages; ++i) c.update_key();
        c.write_all("late");
        gate_.wait();
      },
      {.tickets = 0});
  ASSERT_TRUE(client_->ended());
  EXPECT_EQ(client_->received, "");
  ASSERT_TRUE(client_->error.has_value());
  EXPECT_EQ(client_->error->code, ErrorCode::kTlsProtocolError);
  EXPECT_THAT(client_->error->detail, HasSubstr("more than 32 TLS messages in a row without data"));
  EXPECT_EQ(client_->stream().write("request").status, IoStatus::kError);
}

TEST_P(Tls13Stream, FailsWhenThePeerSendsTicketsAndNoData) {
  start(
      [&](TlsTestConnection& c) {
        for (int i = 0; i < 2 * TlsPeer::kMostIdleMessages; ++i) c.send_ticket();
        gate_.wait();
      },
      {.tickets = 0});
  ASSERT_TRUE(client_->ended());
  EXPECT_EQ(client_->error->code, ErrorCode::kTlsProtocolError);
}

TEST_P(Tls13Stream, AllowsAnyNumberOfKeyUpdatesWithDataBetweenThem) {
  constexpr int kTimes = 4 * TlsPeer::kMostIdleMessages;
  start([](TlsTestConnection& c) {
    for (int i = 0; i < kTimes; ++i) {
      c.update_key();
      c.update_key();
      c.write_all("x");
    }
    c.read_some();
  });
  ASSERT_TRUE(client_->receive(kTimes));
  EXPECT_FALSE(client_->error.has_value());
}

// The answer to a key update finds the socket full, and a record of ours half sent.
TEST_P(Tls13Stream, AnswersAKeyUpdateThatFindsTheSocketFull) {
  bytes_ = random_bytes(8 << 20, 3);
  start([&](TlsTestConnection& c) {
    c.request_key_update();
    c.write_all("hello");
    gate_.wait();
    c.write_all(c.read_exactly(bytes_.size()) == bytes_ ? "same" : "different");
  });
  RandomTraffic traffic(client_->stream(), bytes_, 3);
  client_->stream().set_handler(&traffic);
  traffic.write();
  ASSERT_EQ(traffic.short_writes(), 1);
  ASSERT_TRUE(client_->until([&] { return traffic.done() || traffic.received().size() >= 5; }));
  gate_.open();
  ASSERT_TRUE(client_->until([&] { return traffic.done() || traffic.received().size() >= 9; }));
  EXPECT_EQ(traffic.received(), "hellosame");
  client_->stream().set_handler(nullptr);
}

// The server judges our certificate after our handshake, and has gone when we write.
TEST_P(Tls13Stream, StillReadsTheAlertAfterAFailedWrite) {
  start([](TlsTestConnection& c) { c.echo(); }, {.client_ca_pem = ca_.pem()});
  server_->wait_for_failure();
  client_->stream().write("request");  // finds nobody there, if it does not fail already
  wait_for_break(client_->fd());
  ASSERT_EQ(client_->stream().write("request").status, IoStatus::kError);
  ASSERT_TRUE(client_->ended());
  EXPECT_EQ(client_->error->code, ErrorCode::kTlsAlertReceived);
}

}  // namespace
}  // namespace penstock
