// What a scrape says is well formed, complete, and adds the workers up, also while they count.
#include <gtest/gtest.h>

#include <atomic>
#include <limits>
#include <map>
#include <sstream>
#include <string>
#include <thread>

#include "support.h"
#include "telemetry/metrics.h"

namespace penstock {
namespace {

using Series = std::map<std::string, double>;

// A strict reader of the format: HELP and TYPE once and first, no series twice, only known lines.
class Scrape {
 public:
  explicit Scrape(const std::string& text) {
    EXPECT_EQ(text.back(), '\n');
    for (const std::string& line : lines_of(text)) take(line);
  }

  const Series& series() const { return series_; }
  const std::map<std::string, std::string>& types() const { return types_; }
  double operator[](const std::string& name) const {
    const auto found = series_.find(name);
    if (found == series_.end()) ADD_FAILURE() << "no series " << name;
    return found == series_.end() ? -1 : found->second;
  }
  bool has(const std::string& name) const { return series_.count(name) != 0; }

 private:
  void take(const std::string& line) {
    std::istringstream words(line);
    std::string mark;
    std::string kind;
    std::string name;
    words >> mark >> kind >> name;
    if (mark != "#") return take_sample(line);
    if (kind == "HELP") {
      EXPECT_FALSE(words.eof()) << "no text: " << line;
      described_ = name;
      return;
    }
    EXPECT_EQ(kind, "TYPE") << line;
    EXPECT_EQ(name, described_);
    std::string type;
    words >> type;
    EXPECT_TRUE(type == "counter" || type == "gauge" || type == "histogram") << line;
    EXPECT_TRUE(types_.emplace(name, type).second) << line;
    family_ = name;
  }
  void take_sample(const std::string& line) {
    const std::size_t name_end = line.find_first_not_of("abcdefghijklmnopqrstuvwxyz_");
    ASSERT_NE(name_end, std::string::npos) << line;
    EXPECT_TRUE(belongs(line.substr(0, name_end))) << line;
    const std::size_t labels_end = end_of_labels(line, name_end);
    ASSERT_LT(labels_end, line.size()) << line;
    ASSERT_EQ(line[labels_end], ' ') << line;
    std::size_t parsed = 0;
    const std::string value = line.substr(labels_end + 1);
    const double number = std::stod(value, &parsed);
    EXPECT_EQ(parsed, value.size()) << line;
    EXPECT_TRUE(series_.emplace(line.substr(0, labels_end), number).second) << line;
  }
  // Reads {name="value",...}, if it is there; the line's size when it is malformed.
  static std::size_t end_of_labels(const std::string& line, std::size_t at) {
    if (line[at] != '{') return at;
    do {
      const std::size_t value = line.find_first_not_of("abcdefghijklmnopqrstuvwxyz_", at + 1);
      if (value == std::string::npos || value == at + 1) return line.size();
      if (line.compare(value, 2, "=\"") != 0) return line.size();
      at = value + 2;
      for (; at < line.size() && line[at] != '"'; ++at) {
        if (line[at] != '\\') continue;
        if (++at == line.size() || std::string("\\\"n").find(line[at]) == std::string::npos) {
          return line.size();
        }
      }
      if (++at >= line.size()) return line.size();
    } while (line[at] == ',');
    return line[at] == '}' ? at + 1 : line.size();
  }
  bool belongs(const std::string& name) const {
    const auto type = types_.find(family_);
    if (type == types_.end()) return false;
    if (type->second != "histogram") return name == family_;
    return name == family_ + "_bucket" || name == family_ + "_sum" || name == family_ + "_count";
  }

  std::string described_;
  std::string family_;
  std::map<std::string, std::string> types_;
  Series series_;
};

ProcessInfo process() {
  return {.build = {{"version", "1.2.3"}, {"openssl", "3.0"}},
          .last_reload_successful = true,
          .last_reload = wall_micros(1'700'000'000'500'000),
          .dropped_lines = {{"access", 3}},
          .dns_lookups = {{"hit", 5}, {"miss", 1}},
          .loop_lags = {std::chrono::microseconds(2500), Duration()},
          .stats = {.cpu_seconds = 1.25,
                    .start_time_seconds = 1'700'000'000.5,
                    .resident_bytes = 4096,
                    .virtual_bytes = 8192,
                    .open_fds = 9,
                    .max_fds = 1024}};
}

TEST(Render, HasEveryFamilyWithItsType) {
  const Scrape scrape(MetricsRegistry().render({}, process()));
  const std::map<std::string, std::string> expected = {
      {"penstock_requests_total", "counter"},
      {"penstock_request_duration_seconds", "histogram"},
      {"penstock_exchange_duration_seconds", "histogram"},
      {"penstock_phase_duration_seconds", "histogram"},
      {"penstock_errors_total", "counter"},
      {"penstock_pool_connections", "gauge"},
      {"penstock_pool_connections_limit", "gauge"},
      {"penstock_pool_waiting", "gauge"},
      {"penstock_pool_oldest_wait_seconds", "gauge"},
      {"penstock_pool_paused", "gauge"},
      {"penstock_certificate_not_after_seconds", "gauge"},
      {"penstock_pool_acquires_total", "counter"},
      {"penstock_retries_total", "counter"},
      {"penstock_tunnels", "gauge"},
      {"penstock_connections_opened_total", "counter"},
      {"penstock_connections_closed_total", "counter"},
      {"penstock_tls_handshakes_total", "counter"},
      {"penstock_client_connections", "gauge"},
      {"penstock_client_rejected_total", "counter"},
      {"penstock_config_last_reload_successful", "gauge"},
      {"penstock_config_last_reload_timestamp_seconds", "gauge"},
      {"penstock_log_dropped_lines_total", "counter"},
      {"penstock_dns_lookups_total", "counter"},
      {"penstock_loop_lag_seconds", "gauge"},
      {"penstock_buffer_bytes", "gauge"},
      {"penstock_buffer_bytes_limit", "gauge"},
      {"penstock_build_info", "gauge"},
      {"process_cpu_seconds_total", "counter"},
      {"process_resident_memory_bytes", "gauge"},
      {"process_virtual_memory_bytes", "gauge"},
      {"process_open_fds", "gauge"},
      {"process_max_fds", "gauge"},
      {"process_start_time_seconds", "gauge"},
  };
  EXPECT_EQ(scrape.types(), expected);
}

TEST(Render, TellsOfTheProcess) {
  const Scrape scrape(MetricsRegistry().render({}, process()));
  EXPECT_EQ(scrape["penstock_config_last_reload_successful"], 1);
  EXPECT_EQ(scrape["penstock_config_last_reload_timestamp_seconds"], 1'700'000'000.5);
  EXPECT_EQ(scrape[R"(penstock_log_dropped_lines_total{log="access"})"], 3);
  EXPECT_EQ(scrape[R"(penstock_dns_lookups_total{result="hit"})"], 5);
  EXPECT_EQ(scrape[R"(penstock_loop_lag_seconds{worker="0"})"], 0.0025);
  EXPECT_EQ(scrape[R"(penstock_loop_lag_seconds{worker="1"})"], 0);
  EXPECT_EQ(scrape[R"(penstock_build_info{version="1.2.3",openssl="3.0"})"], 1);
  EXPECT_EQ(scrape["process_cpu_seconds_total"], 1.25);
  EXPECT_EQ(scrape["process_start_time_seconds"], 1'700'000'000.5);
  EXPECT_EQ(scrape["process_resident_memory_bytes"], 4096);
  EXPECT_EQ(scrape["process_virtual_memory_bytes"], 8192);
  EXPECT_EQ(scrape["process_open_fds"], 9);
  EXPECT_EQ(scrape["process_max_fds"], 1024);
}

TEST(Render, SaysThatTheLastReloadFailed) {
  ProcessInfo info = process();
  info.last_reload_successful = false;
  const Scrape scrape(MetricsRegistry().render({}, info));
  EXPECT_EQ(scrape["penstock_config_last_reload_successful"], 0);
}

TEST(Render, ShowsThePools) {
  const PoolGauges pools = {{.upstream = "payments",
                             .dialing = 1,
                             .idle = 2,
                             .busy = 3,
                             .draining = 5,
                             .upgraded = 4,
                             .limit = 50,
                             .waiting = 6,
                             .oldest_wait = std::chrono::milliseconds(1500),
                             .paused = true},
                            {.upstream = "rest", .limit = 1000}};
  const Scrape scrape(MetricsRegistry().render(pools, process()));
  EXPECT_EQ(scrape[R"(penstock_pool_connections{upstream="payments",state="dialing"})"], 1);
  EXPECT_EQ(scrape[R"(penstock_pool_connections{upstream="payments",state="idle"})"], 2);
  EXPECT_EQ(scrape[R"(penstock_pool_connections{upstream="payments",state="busy"})"], 3);
  EXPECT_EQ(scrape[R"(penstock_pool_connections{upstream="payments",state="draining"})"], 5);
  EXPECT_EQ(scrape[R"(penstock_pool_connections{upstream="payments",state="upgraded"})"], 4);
  EXPECT_EQ(scrape[R"(penstock_pool_connections_limit{upstream="payments"})"], 50);
  EXPECT_EQ(scrape[R"(penstock_pool_waiting{upstream="payments"})"], 6);
  EXPECT_EQ(scrape[R"(penstock_pool_oldest_wait_seconds{upstream="payments"})"], 1.5);
  EXPECT_EQ(scrape[R"(penstock_pool_paused{upstream="payments"})"], 1);
  EXPECT_EQ(scrape[R"(penstock_pool_paused{upstream="rest"})"], 0);
  EXPECT_EQ(scrape[R"(penstock_pool_connections{upstream="rest",state="busy"})"], 0);
}

TEST(Render, SaysThatALimitIsNone) {
  const PoolGauges pools = {{.upstream = "rest", .limit = std::numeric_limits<double>::infinity()}};
  const std::string text = MetricsRegistry().render(pools, process());
  EXPECT_NE(text.find("penstock_pool_connections_limit{upstream=\"rest\"} +Inf\n"),
            std::string::npos);
}

TEST(Render, ShowsTheEndOfACertificateWhereThereIsOne) {
  const PoolGauges pools = {
      {.upstream = "payments", .certificate_not_after = wall_micros(1'800'000'000'000'000)},
      {.upstream = "rest"}};
  const Scrape scrape(MetricsRegistry().render(pools, process()));
  EXPECT_EQ(scrape[R"(penstock_certificate_not_after_seconds{upstream="payments"})"], 1.8e9);
  EXPECT_FALSE(scrape.has(R"(penstock_certificate_not_after_seconds{upstream="rest"})"));
}

TEST(Render, ShowsEveryReasonToTurnAClientAwayBeforeItHappens) {
  MetricsRegistry registry;
  registry.add_worker().listener("127.0.0.1:3128").rejected[RejectReason::kWebPage].add();
  const Scrape scrape(registry.render({}, process()));
  const std::string series = "penstock_client_rejected_total{listener=\"127.0.0.1:3128\",reason=";
  EXPECT_EQ(scrape[series + "\"web_page\"}"], 1);
  EXPECT_EQ(scrape[series + "\"not_allowed\"}"], 0);
  EXPECT_EQ(scrape[series + "\"max_connections\"}"], 0);
  EXPECT_EQ(scrape[series + "\"file_descriptors\"}"], 0);
}

TEST(Render, AddsTheWorkersUp) {
  MetricsRegistry registry;
  const Timeline timeline = reused_timeline();
  for (const std::uint64_t share : {3, 4}) {
    WorkerMetrics& worker = registry.add_worker();
    for (std::uint64_t i = 0; i < share; ++i)
      record(worker.upstream("payments"), answered(timeline));
    UpstreamMetrics& upstream = worker.upstream("payments");
    upstream.acquires[AcquireResult::kIdle].add(share);
    upstream.connections_opened.add(share);
    upstream.connections_closed[CloseReason::kPeerClosedIdle].add(share);
    upstream.tls_full_handshakes.add(share);
    upstream.tls_resumed_handshakes.add(2 * share);
    worker.listener("127.0.0.1:3128").client_connections.add(10);
    worker.listener("127.0.0.1:3128").client_connections.add(-static_cast<std::int64_t>(share));
    worker.listener("127.0.0.1:3128").rejected[RejectReason::kMaxConnections].add(share);
  }
  const Scrape scrape(registry.render({}, process()));
  const auto of = [&](const std::string& name, const std::string& labels) {
    return scrape["penstock_" + name + "{upstream=\"payments\"" + labels + "}"];
  };
  EXPECT_EQ(of("requests_total", R"(,code_class="2xx",source="upstream")"), 7);
  EXPECT_EQ(of("pool_acquires_total", R"(,result="idle")"), 7);
  EXPECT_EQ(of("connections_opened_total", ""), 7);
  EXPECT_EQ(of("connections_closed_total", R"(,reason="peer_closed_idle")"), 7);
  EXPECT_EQ(of("tls_handshakes_total", R"(,resumed="false")"), 7);
  EXPECT_EQ(of("tls_handshakes_total", R"(,resumed="true")"), 14);
  EXPECT_EQ(of("request_duration_seconds_count", ""), 7);
  EXPECT_EQ(scrape[R"(penstock_client_connections{listener="127.0.0.1:3128"})"], 13);
  EXPECT_EQ(scrape[R"(penstock_client_rejected_total{listener="127.0.0.1:3128",)"
                   R"(reason="max_connections"})"],
            7);
}

TEST(Render, MakesHistogramsCumulative) {
  MetricsRegistry registry;
  Histogram& histogram = registry.add_worker().upstream("u").request_duration;
  for (const int millis : {1, 2, 3, 400, 70'000})
    histogram.observe(std::chrono::milliseconds(millis));
  const Scrape scrape(registry.render({}, process()));
  const std::pair<const char*, int> buckets[] = {{"0.001", 1}, {"0.005", 3}, {"0.025", 3},
                                                 {"0.1", 3},   {"0.5", 4},   {"2.5", 4},
                                                 {"10", 4},    {"60", 4},    {"+Inf", 5}};
  for (const auto& [bound, expected] : buckets) {
    EXPECT_EQ(scrape[R"(penstock_request_duration_seconds_bucket{upstream="u",le=")" +
                     std::string(bound) + "\"}"],
              expected);
  }
  EXPECT_EQ(scrape[R"(penstock_request_duration_seconds_count{upstream="u"})"], 5);
  EXPECT_EQ(scrape[R"(penstock_request_duration_seconds_sum{upstream="u"})"], 70.406);
}

TEST(Render, ShowsZerosOfWhatIsCommonAndNothingOfWhatIsRare) {
  MetricsRegistry registry;
  registry.add_worker().upstream("u");
  const Scrape scrape(registry.render({}, process()));
  EXPECT_EQ(scrape[R"(penstock_requests_total{upstream="u",code_class="5xx",source="upstream"})"],
            0);
  EXPECT_EQ(scrape[R"(penstock_requests_total{upstream="u",code_class="5xx",source="proxy"})"], 0);
  EXPECT_EQ(scrape[R"(penstock_requests_total{upstream="u",code_class="none",source="none"})"], 0);
  EXPECT_EQ(scrape[R"(penstock_phase_duration_seconds_count{upstream="u",phase="tls_handshake"})"],
            0);
  EXPECT_EQ(scrape[R"(penstock_pool_acquires_total{upstream="u",result="queued"})"], 0);
  for (const auto& [name, value] : scrape.series()) {
    EXPECT_FALSE(name.starts_with("penstock_errors_total")) << name;
    EXPECT_FALSE(name.starts_with("penstock_connections_closed_total")) << name;
  }
}

TEST(Render, ShowsErrorsWithTokenAndPhase) {
  MetricsRegistry registry;
  UpstreamMetrics& upstream = registry.add_worker().upstream("u");
  upstream.count_error(ErrorCode::kConnectionTimeout, Phase::kTlsHandshake);
  upstream.count_error(ErrorCode::kHttpRequestDenied, std::nullopt);
  const Scrape scrape(registry.render({}, process()));
  EXPECT_EQ(scrape[R"(penstock_errors_total{upstream="u",token="connection_timeout",)"
                   R"(phase="tls_handshake"})"],
            1);
  EXPECT_EQ(
      scrape[R"(penstock_errors_total{upstream="u",token="http_request_denied",phase="none"})"], 1);
}

TEST(Render, ShowsARareStatusWhenItHappened) {
  MetricsRegistry registry;
  registry.add_worker().upstream("u").requests[CodeClass::k3xx][StatusSource::kProxy].add();
  const Scrape scrape(registry.render({}, process()));
  EXPECT_EQ(scrape[R"(penstock_requests_total{upstream="u",code_class="3xx",source="proxy"})"], 1);
}

TEST(Render, EscapesLabels) {
  MetricsRegistry registry;
  registry.add_worker().upstream("a\\b\"c\nd}").connections_opened.add(2);
  const Scrape scrape(registry.render({}, process()));
  EXPECT_EQ(scrape[R"(penstock_connections_opened_total{upstream="a\\b\"c\nd}"})"], 2);
}

// Run under ThreadSanitizer too: two workers count and make upstreams while two threads scrape.
TEST(Render, MayRunWhileWorkersCount) {
  constexpr int kRounds = 2'000;
  MetricsRegistry registry;
  std::atomic<int> counting = 2;
  const auto count = [&] {
    WorkerMetrics& worker = registry.add_worker();
    const Timeline timeline = reused_timeline();
    const ExchangeRecord exchange = timed_out(timeline);
    for (int i = 0; i < kRounds; ++i) {
      record(worker.upstream("upstream-" + std::to_string(i % 20)), exchange);
      worker.listener("l").client_connections.add(1);
    }
    --counting;
  };
  const std::string total = R"(penstock_request_duration_seconds_count{upstream="upstream-0"})";
  const auto scrape = [&] {
    double last = 0;
    while (counting != 0) {
      const Scrape now(registry.render({}, process()));
      const double value = now.has(total) ? now[total] : 0;
      EXPECT_GE(value, last);
      last = value;
    }
  };
  std::thread threads[] = {std::thread(count), std::thread(count), std::thread(scrape),
                           std::thread(scrape)};
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(Scrape(registry.render({}, process()))[total], 2.0 * kRounds / 20);
}

}  // namespace
}  // namespace penstock
