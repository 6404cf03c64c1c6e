// The limits over several phases (exchange, total, what the app sets), the rate of a body, routes,
// and which of two limits ends a request.
#include <functional>

#include "unit/proxy/proxy_fixture.h"

namespace penstock {
namespace {

constexpr Duration kTick = TimerWheel::kTick;
constexpr std::string_view kGet = "GET http://api.test/x HTTP/1.1\r\nHost: api.test\r\n\r\n";
constexpr std::string_view kPost =
    "POST http://api.test/x HTTP/1.1\r\nHost: api.test\r\nContent-Length: 10\r\n\r\n";
constexpr std::string_view kOk = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
constexpr std::string_view kLongHead = "HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n";

std::string get_with(std::string_view fields) {
  return join({"GET http://api.test/x HTTP/1.1\r\nHost: api.test\r\n", fields, "\r\n\r\n"});
}

class TimeTest : public ProxyTest {
 protected:
  TimeTest() {
    keep_records();
    config.client.header_timeout = config.client.body_stall = config.client.write_stall = 1h;
    TimeoutSettings& all = timeouts();
    all.queue = all.resolve = all.connect = all.tls_handshake = 1h;
    all.write_stall = all.response_header = all.body_stall = 1h;
  }
  // Nothing until just before `limit` has passed; then the request is over.
  void expect_end_after(FakePeer& client, Duration limit) {
    advance(limit - 1ns);
    EXPECT_TRUE(client.open());
    EXPECT_EQ(client.written().find("Proxy-Status"), std::string::npos) << client.written();
    advance(kTick + 1ns);
    EXPECT_TRUE(!client.open() || client.written().find("Proxy-Status") != std::string::npos);
  }
  void expect_record(std::string_view what, std::size_t count = 1) {
    const std::vector<std::string> lines = lines_of(records(count));
    ASSERT_EQ(lines.size(), count);
    EXPECT_NE(lines.back().find(what), std::string::npos) << lines.back();
  }
};

TEST_F(TimeTest, ExchangeRunsFromTheFirstByteWrittenToTheLastByteRead) {
  timeouts().exchange = 1s;
  FakePeer& client = ask(kGet);
  advance(10s);  // to connect is not part of it
  FakePeer& upstream = open_upstream();
  expect_end_after(client, 1s);
  EXPECT_NE(client.written().find("phase=await_head limit=timeouts.exchange 1s spent=1.00"),
            std::string::npos)
      << client.written();
  EXPECT_FALSE(upstream.open());
  expect_record(
      "\"error\":\"http_response_timeout\",\"error_phase\":\"await_head\","
      "\"error_limit\":\"timeouts.exchange\"");
}

TEST_F(TimeTest, ExchangeEndsAnUploadAndAResponseToo) {
  timeouts().exchange = 1s;
  FakePeer& sending = ask(kPost);
  open_upstream();
  expect_end_after(sending, 1s);
  expect_record("\"error_phase\":\"send\",\"error_limit\":\"timeouts.exchange\"");
  FakePeer& receiving = ask(kGet);
  FakePeer& upstream = open_upstream();
  advance(500ms);
  answer(upstream, kLongHead);
  expect_end_after(receiving, 500ms);
  EXPECT_TRUE(receiving.aborted());
  expect_record("\"error_phase\":\"receive\",\"error_limit\":\"timeouts.exchange\"", 2);
}

TEST_F(TimeTest, ExchangeIsOverWithTheLastByteReadHoweverSlowTheClient) {
  timeouts().exchange = 1s;
  FakePeer& client = ask(kGet);
  FakePeer& upstream = open_upstream();
  client.set_room(0);
  answer(upstream, kOk);
  advance(10s);
  client.set_room(FakePeer::kUnlimited);
  settle();
  EXPECT_TRUE(client.written().ends_with("ok"));
}

TEST_F(TimeTest, ExchangeOfAnotherTryBeginsAnew) {
  timeouts().exchange = 1s;
  FakePeer& client = ask(kGet);
  answer(open_upstream(), kOk);
  client.take_written();
  client.send(kGet);
  settle();
  advance(900ms);
  dialer.peer(0).send_eof();
  settle();
  advance(10s);
  FakePeer& second = open_upstream();
  advance(900ms);
  answer(second, kOk);
  EXPECT_TRUE(client.written().ends_with("ok"));
}

// What the app sets itself

TEST_F(TimeTest, AnAppShortensItsOwnTotal) {
  timeouts().total = 10s;
  for (const std::string_view field : {"X-Penstock-Timeout: 1s", "x-penstock-timeout: 1000ms"}) {
    FakePeer& client = ask(get_with(field));
    FakePeer& upstream = open_upstream();
    EXPECT_EQ(upstream.written().find("enstock-"), upstream.written().find("enstock-0badcafe"))
        << "it goes no further: " << upstream.written();
    expect_end_after(client, 1s);
    EXPECT_NE(client.written().find("phase=await_head limit=client.deadline_header 1s"),
              std::string::npos)
        << client.written();
    upstream.send_eof();
    settle();
  }
  expect_record("\"error_limit\":\"client.deadline_header\"", 2);
}

TEST_F(TimeTest, AnAppCannotMakeItLonger) {
  timeouts().total = 1s;
  FakePeer& client = ask(get_with("X-Penstock-Timeout: 1h"));
  open_upstream();
  expect_end_after(client, 1s);
  expect_record("\"error_limit\":\"timeouts.total\"");
}

TEST_F(TimeTest, AMalformedDeadlineIsRefusedAndNothingIsDialled) {
  for (const std::string_view field :
       {"X-Penstock-Timeout:", "X-Penstock-Timeout: 5", "X-Penstock-Timeout: 0s",
        "X-Penstock-Timeout: -1s", "X-Penstock-Timeout: 25h", "X-Penstock-Timeout: soon",
        "X-Penstock-Timeout: 1s, 2s", "X-Penstock-Timeout: 1s\r\nX-Penstock-Timeout: 1s"}) {
    FakePeer& client = ask(get_with(field));
    EXPECT_TRUE(client.written().starts_with("HTTP/1.1 400 ")) << field << client.written();
    EXPECT_NE(client.written().find("X-Penstock-Timeout"), std::string::npos) << field;
    EXPECT_EQ(client.written().find("phase"), std::string::npos) << "it never got that far";
  }
  EXPECT_EQ(dialer.started(), 0U);
}

TEST_F(TimeTest, TheFieldHasTheNameOfTheFileOrNone) {
  config.client.deadline_header = "X-Patience";
  FakePeer& other = ask(get_with("X-Penstock-Timeout: junk"));
  FakePeer& upstream = open_upstream();
  EXPECT_NE(upstream.written().find("X-Penstock-Timeout: junk\r\n"), std::string::npos);
  upstream.send_eof();
  settle();
  FakePeer& client = ask(get_with("x-patience: 1s"));
  open_upstream();
  expect_end_after(client, 1s);
  EXPECT_TRUE(other.written().starts_with("HTTP/1.1 502 "));
  config.client.deadline_header.clear();
  reload();
  ask(get_with("X-Patience: junk"));
  EXPECT_NE(open_upstream().written().find("X-Patience: junk\r\n"), std::string::npos);
}

TEST_F(TimeTest, AGrpcTimeoutIsKeptAndPassedOnLessWhatWasSpent) {
  FakePeer& client = ask(get_with("Grpc-Timeout: 2S"));
  advance(500ms);
  FakePeer& upstream = open_upstream();
  EXPECT_NE(upstream.written().find("Grpc-Timeout: 1500m\r\n"), std::string::npos)
      << upstream.written();
  expect_end_after(client, 1500ms);
  expect_record(
      "\"error\":\"http_response_timeout\",\"error_phase\":\"await_head\","
      "\"error_limit\":\"grpc-timeout\"");
}

TEST_F(TimeTest, AGrpcTimeoutThatIsNonePassesAsItCame) {
  for (const std::string_view value : {"1", "S", "1s", "123456789S", "-1S", "1.5S", ""}) {
    ask(get_with(join({"grpc-timeout: ", value})));
    FakePeer& upstream = open_upstream();
    EXPECT_NE(upstream.written().find(join({"grpc-timeout: ", value, "\r\n"})), std::string::npos)
        << upstream.written();
    upstream.send_eof();
    settle();
  }
}

TEST_F(TimeTest, ADeadlineEndsARequestInEveryPhase) {
  policy().drain.size = 0;
  const std::string get = get_with("X-Penstock-Timeout: 1s");
  FakePeer& dialing = ask(get);
  expect_end_after(dialing, 1s);
  EXPECT_TRUE(dialing.written().starts_with("HTTP/1.1 504 ")) << dialing.written();
  EXPECT_EQ(dialer.in_flight(), 1U) << "the dial is the pool's";
  FakePeer& sending =
      ask("POST http://api.test/x HTTP/1.1\r\nHost: api.test\r\nContent-Length: 9\r\n"
          "X-Penstock-Timeout: 1s\r\n\r\n");
  open_upstream();
  expect_end_after(sending, 1s);
  FakePeer& receiving = ask(get);
  answer(open_upstream(), kLongHead);
  expect_end_after(receiving, 1s);
  EXPECT_TRUE(receiving.aborted());
  const std::vector<std::string> lines = lines_of(records(3));
  ASSERT_EQ(lines.size(), 3U);
  const std::string_view phases[] = {"resolve", "send", "receive"};
  for (std::size_t i = 0; i < std::size(phases); ++i) {
    EXPECT_NE(lines[i].find(join({"\"error_phase\":\"", phases[i],
                                  "\",\"error_limit\":\"client.deadline_header\""})),
              std::string::npos)
        << lines[i];
  }
}

TEST_F(TimeTest, TinyDeadlinesDoNotChurnThePool) {
  for (int i = 0; i < 20; ++i) {
    ask(get_with("X-Penstock-Timeout: 10ms"));
    if (i == 0) open_upstream();
    advance(10ms + kTick);
    EXPECT_EQ(pool_state().draining, 1U);
    answer(dialer.peer(0), kOk);  // soon after
    EXPECT_EQ(pool_state().idle, 1U);
  }
  EXPECT_EQ(dialer.started(), 1U);
}

// The rate of a body

class RateTest : public TimeTest {
 protected:
  RateTest() {
    timeouts().min_rate_size = 1000;
    timeouts().min_rate_window = 10s;
  }
};

TEST_F(RateTest, ABodyThatIsSlowerInOneWindowIsCut) {
  FakePeer& client = ask(kGet);
  FakePeer& upstream = open_upstream();
  advance(10min);  // before the head the rate is nobody's business
  answer(upstream, kLongHead);
  for (int window = 0; window < 5; ++window) {
    advance(9s);
    answer(upstream, std::string(1000, 'x'));
    advance(1s);
  }
  EXPECT_TRUE(client.open());
  answer(upstream, std::string(999, 'x'));
  advance(9s);
  EXPECT_TRUE(client.open());
  advance(1s + 6 * kTick);  // each window begins a tick late at most
  EXPECT_TRUE(client.aborted());
  expect_record(
      "\"status\":200,\"status_source\":\"upstream\",\"error\":\"connection_read_timeout\","
      "\"error_phase\":\"receive\",\"error_limit\":\"timeouts.min_rate\"");
}

TEST_F(RateTest, TheTimeInWhichTheClientTakesNothingDoesNotCount) {
  FakePeer& client = ask(kGet);
  FakePeer& upstream = open_upstream();
  client.set_room(0);
  answer(upstream, join({kLongHead, std::string(500, 'x')}));
  advance(1h - 1s);
  EXPECT_TRUE(client.open());
  client.set_room(FakePeer::kUnlimited);
  settle();
  advance(10s - 1ns);
  EXPECT_TRUE(client.open());
  advance(kTick + 1ns);
  EXPECT_TRUE(client.aborted());
}

TEST_F(RateTest, NotForWhatIsSilentByDesign) {
  for (const std::string_view type :
       {"text/event-stream", "Text/Event-Stream; charset=utf-8", "application/grpc+proto"}) {
    FakePeer& client = ask(kGet);
    FakePeer& upstream = open_upstream();
    answer(upstream, join({"HTTP/1.1 200 OK\r\nContent-Type: ", type,
                           "\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n"}));
    advance(30min);
    EXPECT_TRUE(client.open()) << type;
    answer(upstream, "0\r\n\r\n");
    upstream.send_eof();
    settle();
  }
}

TEST_F(RateTest, ABodyThatIsOverInTimeIsNot) {
  FakePeer& client = ask(kGet);
  FakePeer& upstream = open_upstream();
  answer(upstream, kOk);
  advance(1min);
  EXPECT_TRUE(client.written().ends_with("ok"));
  EXPECT_TRUE(client.open());
}

// Routes

TEST_F(TimeTest, ARouteHasItsOwnLimits) {
  timeouts().response_header = 1s;
  RouteSettings reports{.methods = {"POST"}, .path_prefix = "/reports", .policy = policy()};
  reports.policy.timeouts.response_header = 3s;
  config.upstreams[0].routes.push_back(reports);
  const auto ask_for = [&](std::string_view method, std::string_view path) -> FakePeer& {
    return ask(join({method, " http://api.test", path,
                     " HTTP/1.1\r\nHost: api.test\r\nContent-Length: 0\r\n\r\n"}));
  };
  const std::tuple<std::string_view, std::string_view, Duration> cases[] = {
      {"POST", "/reports", 3s},
      {"POST", "/reports/7?x", 3s},
      {"GET", "/reports", 1s},
      {"POST", "/report", 1s},
      {"POST", "", 1s}};
  for (const auto& [method, path, limit] : cases) {
    SCOPED_TRACE(join({method, path}));
    FakePeer& client = ask_for(method, path);
    open_upstream();
    expect_end_after(client, limit);
  }
}

// Which of two

struct Rival {
  std::string_view key;
  std::function<void(TimeoutSettings&, Duration)> set;
  std::string_view field;  // instead: the request's own
};

const Rival kResponseHeader{
    "timeouts.response_header", [](auto& t, Duration d) { t.response_header = d; }, {}};
const Rival kBodyStall{"timeouts.body_stall", [](auto& t, Duration d) { t.body_stall = d; }, {}};
const Rival kMinRate{"timeouts.min_rate",
                     [](auto& t, Duration d) {
                       t.min_rate_size = 1;
                       t.min_rate_window = d;
                     },
                     {}};
const Rival kWriteStall{"timeouts.write_stall", [](auto& t, Duration d) { t.write_stall = d; }, {}};
const Rival kQueue{"timeouts.queue", [](auto& t, Duration d) { t.queue = d; }, {}};
const Rival kExchange{"timeouts.exchange", [](auto& t, Duration d) { t.exchange = d; }, {}};
const Rival kTotal{"timeouts.total", [](auto& t, Duration d) { t.total = d; }, {}};
const Rival kDeadline{"client.deadline_header", {}, "X-Penstock-Timeout"};
const Rival kGrpc{"grpc-timeout", {}, "grpc-timeout"};

enum class Stage { kQueued, kSending, kAwaiting, kReceiving };

class RivalsTest : public TimeTest, public testing::WithParamInterface<Stage> {
 protected:
  std::vector<Rival> rivals() const {
    switch (GetParam()) {
      case Stage::kQueued:
        return {kQueue, kTotal, kDeadline, kGrpc};
      case Stage::kSending:
        return {kWriteStall, kExchange, kTotal, kDeadline, kGrpc};
      case Stage::kAwaiting:
        return {kResponseHeader, kExchange, kTotal, kDeadline, kGrpc};
      case Stage::kReceiving:
        return {kBodyStall, kMinRate, kExchange, kTotal, kDeadline, kGrpc};
    }
    return {};
  }
  // A tunnel has the only connection; no limit ends it.
  void hold_the_connection() {
    policy().pool.max_connections = 1;
    ask(get_with("Upgrade: x\r\nConnection: upgrade"));
    answer(open_upstream(), "HTTP/1.1 101 S\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n");
  }
  // Brings a request to the stage at one instant.
  FakePeer& bring(std::string_view fields) {
    const bool sends = GetParam() == Stage::kSending;
    FakePeer& client =
        ask(join({sends ? "POST" : "GET", " http://api.test/x HTTP/1.1\r\nHost: api.test\r\n",
                  sends ? "Content-Length: 9\r\n" : "", fields, "\r\n"}));
    if (GetParam() == Stage::kQueued) return client;
    FakePeer& upstream = open_upstream();
    if (sends) {
      upstream.set_room(0);
      client.send("12345");
      settle();
    }
    if (GetParam() == Stage::kReceiving) answer(upstream, kLongHead);
    return client;
  }
  // The limit of the file, or the field that sets it for this request.
  void set(const Rival& rival, Duration limit, std::string& fields) {
    if (rival.set) {
      rival.set(timeouts(), limit);
    } else {
      const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(limit).count();
      const bool grpc = rival.field == "grpc-timeout";
      fields += join({rival.field, ": ", std::to_string(ms), grpc ? "m" : "ms", "\r\n"});
    }
  }
};

TEST_P(RivalsTest, TheEarlierOfEachPairEndsTheRequestToTheTick) {
  if (GetParam() == Stage::kQueued) hold_the_connection();
  policy().drain.size = 0;
  const TimeoutSettings untouched = timeouts();
  std::size_t count = 0;
  start();
  for (const Rival& first : rivals()) {
    for (const Rival& second : rivals()) {
      if (first.key == second.key) continue;
      SCOPED_TRACE(join({first.key, " before ", second.key}));
      timeouts() = untouched;
      std::string fields;
      set(first, 1s, fields);
      set(second, 1s + kTick, fields);
      reload();
      expect_end_after(bring(fields), 1s);
      expect_record(join({"\"error_limit\":\"", first.key, "\""}), ++count);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Stages, RivalsTest,
                         testing::Values(Stage::kQueued, Stage::kSending, Stage::kAwaiting,
                                         Stage::kReceiving));

}  // namespace
}  // namespace penstock
