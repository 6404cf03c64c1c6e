// What is read ahead of what the client was given: ends, and what is behind a 101.
#include "base/buffer.h"
#include "unit/proxy/proxy_fixture.h"

namespace penstock {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t kRecordBytes = 16 * std::size_t{1024};

class ReadAheadTest : public ProxyTest {
 protected:
  Parties open_upgrade() {
    return open(
        "GET http://api.test/x HTTP/1.1\r\nHost: api.test\r\nUpgrade: x\r\n"
        "Connection: upgrade\r\n\r\n");
  }
  // As if it had come over TLS at once: OpenSSL has all of it after the first read.
  static void send_records(FakePeer& upstream, std::string_view bytes) {
    upstream.read_at_most(kRecordBytes);
    upstream.send(bytes);
    upstream.take_from_kernel(bytes.size() - 1);
  }
};

std::string switching(std::size_t bytes_behind) {
  return "HTTP/1.1 101 S\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n" +
         std::string(bytes_behind, 'x');
}

TEST_F(ReadAheadTest, AnEndThatWasReadAsTheTurnEndedIsNotForgotten) {
  for (std::size_t kib = 200; kib <= 360; kib += 10) {
    SCOPED_TRACE(kib);
    const Parties parties = open();
    send_records(parties.upstream,
                 "HTTP/1.1 200 OK\r\nDate: d\r\n\r\n" + std::string(kib * 1024, 'x'));
    parties.upstream.send_close_notify();
    settle();
    EXPECT_TRUE(parties.client.written().ends_with("\r\n0\r\n\r\n"));
    part(parties);
    settle();
  }
}

// The client leaves before it has taken it all, and what is left of the response is known.
TEST_F(ReadAheadTest, AConnectionWhoseEndWasReadIsNotKept) {
  std::string response = "HTTP/1.1 200 OK\r\nDate: d\r\nTransfer-Encoding: chunked\r\n\r\n";
  for (int i = 0; i < 3; ++i) response += "2000\r\n" + std::string(0x2000, 'x') + "\r\n";
  const Parties parties = open();
  parties.client.set_room(0);
  send_records(parties.upstream, response + "0\r\n\r\n");
  parties.upstream.send_close_notify();
  parties.upstream.turn();
  parties.client.send_eof();
  settle();
  EXPECT_EQ(pool_state().idle, 0U);
  EXPECT_FALSE(parties.upstream.open());
}

TEST_F(ReadAheadTest, AnEndBehindA101LeavesTheClientsWayOpen) {
  for (const std::size_t size : {std::size_t{1000}, BlockPool::kBlockBytes - switching(0).size(),
                                 BlockPool::kBlockBytes, BlockPool::kLargeBlockBytes}) {
    for (const bool tls : {false, true}) {
      SCOPED_TRACE(testing::Message() << size << (tls ? " by TLS" : " by TCP"));
      const Parties parties = open_upgrade();
      if (tls) {
        send_records(parties.upstream, switching(size));
        parties.upstream.send_close_notify();
      } else {
        parties.upstream.send(switching(size));
        parties.upstream.send_eof();
      }
      settle();
      EXPECT_TRUE(parties.client.written().ends_with(std::string(size, 'x')));
      EXPECT_TRUE(parties.client.write_shut());
      parties.client.send("still here");
      settle();
      EXPECT_TRUE(parties.upstream.written().ends_with("still here"));
      part(parties);
      settle();
    }
  }
}

TEST_F(ReadAheadTest, AResetBehindA101IsNoCleanEnd) {
  for (const std::size_t size : {std::size_t{1000}, BlockPool::kBlockBytes - switching(0).size(),
                                 BlockPool::kLargeBlockBytes - switching(0).size()}) {
    SCOPED_TRACE(size);
    const Parties parties = open_upgrade();
    parties.upstream.send(switching(size));
    parties.upstream.fail_reads();
    // A socket tells of its reset once.
    bool told = false;
    std::function<void()> before_each = [&] {
      if (parties.upstream.unread_bytes() == 0 && std::exchange(told, true))
        parties.upstream.send_eof();
      parties.upstream.before_read = before_each;
    };
    parties.upstream.before_read = before_each;
    settle();
    EXPECT_TRUE(parties.client.aborted());
    parties.upstream.before_read = {};
    part(parties);
    settle();
  }
}

TEST_F(ReadAheadTest, AllThatIsBehindA101IsTheTunnels) {
  for (const std::size_t kib : {10, 100, 400, 1000}) {
    SCOPED_TRACE(kib);
    const Parties parties = open_upgrade();
    parties.upstream.send(switching(kib * 1024));
    settle();
    EXPECT_TRUE(parties.client.written().ends_with(std::string(kib * 1024, 'x')));
    EXPECT_FALSE(parties.client.aborted());
    EXPECT_TRUE(parties.upstream.open());
    part(parties);
    settle();
  }
}

TEST_F(ReadAheadTest, AClientThatIsSlowToTakeWhatIsBehindA101IsNotCut) {
  config.client.write_stall = 10s;
  const Parties parties = open_upgrade();
  parties.client.set_room(1000);
  parties.upstream.send(switching(5000));
  settle();
  for (int i = 0; i < 30; ++i) {
    parties.client.set_room(10);
    advance(1s);
  }
  EXPECT_FALSE(parties.client.aborted());
  parties.client.set_room(FakePeer::kUnlimited);
  settle();
  parties.upstream.send("more");
  settle();
  EXPECT_TRUE(parties.client.written().ends_with("xmore"));
}

// A block is held for what waits, and for no longer.
TEST_F(ReadAheadTest, AResponseThatPausesHoldsNoBuffer) {
  policy().pool.max_connections = 100;
  for (int i = 0; i < 100; ++i) {
    const Parties parties = open();
    parties.client.set_room(1000);
    send_records(parties.upstream,
                 "HTTP/1.1 200 OK\r\nContent-Length: 999999\r\n\r\n" + std::string(400000, 'x'));
    settle();
    EXPECT_TRUE(parties.client.write_blocked());
    parties.client.set_room(FakePeer::kUnlimited);
    settle();
  }
  EXPECT_LT(buffers.used(), 2 * BufferBudget::kReportBytes);
}

}  // namespace
}  // namespace penstock
