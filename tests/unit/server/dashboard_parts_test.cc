// The dashboard's markup: what its rows say, and that nothing anybody wrote becomes markup.
#include "server/dashboard_parts.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>

#include "config/settings.h"
#include "server/dashboard.h"

namespace penstock {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

bool has(const std::string& page, std::string_view what) {
  return page.find(what) != std::string::npos;
}

PoolGauge gauge(std::string name) {
  PoolGauge pool;
  pool.upstream = std::move(name);
  pool.limit = 50;
  pool.hosts = 1;
  return pool;
}

std::string upstreams(const PoolGauges& pools, const MetricsRegistry& metrics = {}) {
  const MetricsRegistry::Upstreams totals = metrics.upstreams();
  TrafficHistory history;
  history.add({.at = MonotonicTime(seconds(1)), .upstreams = {}});
  return upstreams_part(pools, totals, history,
                        traffic_of(totals, MonotonicTime(seconds(11)), WallTime{}));
}

TEST(Upstreams, ShowConnectionsAgainstTheLimit) {
  PoolGauge pool = gauge("payments");
  pool.busy = 3;
  pool.idle = 4;
  EXPECT_TRUE(has(upstreams({pool}), "<b>3</b> busy, <b>4</b> idle of 50<"));
  EXPECT_FALSE(has(upstreams({pool}), "dialing"));
  pool.dialing = 2;
  pool.upgraded = 1;
  pool.hosts = 3;
  pool.limit = 150;
  EXPECT_TRUE(has(upstreams({pool}), "<b>2</b> dialing, <b>1</b> tunnels of 150<"));
  EXPECT_TRUE(has(upstreams({pool}), "viewBox=\"0 0 150 1\""));
  pool.limit = std::numeric_limits<double>::infinity();
  EXPECT_TRUE(has(upstreams({pool}), "no limit<"));
  EXPECT_TRUE(has(upstreams({pool}), "viewBox=\"0 0 10 1\""));
}

TEST(Upstreams, OneOfAThousandCanBeSeen) {
  PoolGauge pool = gauge("payments");
  pool.limit = 1000;
  pool.busy = 1;
  pool.idle = 100;
  EXPECT_TRUE(has(upstreams({pool}),
                  "<rect class=\"busy\" x=\"0\" width=\"10\" height=\"1\"/>"
                  "<rect class=\"idle\" x=\"10\" width=\"100\" height=\"1\"/>"));
}

TEST(Upstreams, ShowTrafficReuseAndErrors) {
  MetricsRegistry registry;
  UpstreamMetrics& metrics = registry.add_worker().upstream("payments");
  metrics.requests[CodeClass::k2xx][StatusSource::kUpstream].add(20);
  for (int i = 0; i < 20; ++i) metrics.request_duration.observe(milliseconds(3));
  metrics.acquires[AcquireResult::kIdle].add(18);
  metrics.acquires[AcquireResult::kDialed].add(2);
  metrics.connections_opened.add(2);
  metrics.count_error(ErrorCode::kConnectionRefused, Phase::kConnect);
  metrics.count_error(ErrorCode::kHttpResponseTimeout, Phase::kAwaitHead);
  metrics.count_error(ErrorCode::kHttpResponseTimeout, std::nullopt);
  const std::string page = upstreams({gauge("payments")}, registry);
  for (const char* cell : {"2.00/s<", "3.00 ms<", "4.96 ms<", ">20<", "90.0%<"})
    EXPECT_TRUE(has(page, cell)) << cell;
  EXPECT_LT(page.find("<b>2</b> http_response_timeout"), page.find("<b>1</b> connection_refused"));
}

TEST(Upstreams, ThatWereNeverAskedHaveNoFigures) {
  const std::string page = upstreams({gauge("payments")});
  EXPECT_TRUE(has(page, "data-label=\"p99\" class=\"number\">–<"));
  EXPECT_TRUE(has(page, "data-label=\"Reuse\" class=\"number\">–<"));
}

TEST(Upstreams, RequestsThatWereNeverRoutedHaveARow) {
  MetricsRegistry registry;
  registry.add_worker().upstream("").count_error(ErrorCode::kHttpRequestError, std::nullopt);
  EXPECT_TRUE(has(upstreams({}, registry), "<i>not routed</i>"));
}

TEST(Alerts, SayWhatAnOperatorHasToKnow) {
  DaemonFacts facts{.version = {}, .state = "serving", .reload_error = {}, .pools = {}};
  EXPECT_EQ(alerts_part(facts), "");
  facts.state = "draining";
  facts.reload_error = "1 fault in <file>";
  facts.pools = {gauge("payments"), gauge("a&b")};
  for (PoolGauge& pool : facts.pools) pool.paused = true;
  const std::string alerts = alerts_part(facts);
  for (const char* part : {"is draining", "1 fault in &lt;file&gt;", "payments, a&amp;b"})
    EXPECT_TRUE(has(alerts, part)) << part;
}

TrafficStep step_of(std::uint64_t requests, Duration await_head) {
  TrafficStep step{.span = seconds(5), .requests = requests};
  step.means[static_cast<std::size_t>(Phase::kAwaitHead)] = await_head;
  step.total = await_head;
  return step;
}

TEST(Phases, AreScaledToTheHighestColumn) {
  const std::string page = phases_part({step_of(10, milliseconds(4)), step_of(1, milliseconds(2))});
  EXPECT_TRUE(has(page, "<span>5.00 ms</span><span>2.50 ms</span>"));
  EXPECT_TRUE(
      has(page, "<path class=\"p6\" d=\"M59 100.0h.9v-80.0h-.9zM60 100.0h.9v-40.0h-.9z\"/>"));
  EXPECT_TRUE(has(page, "10 requests, 4.00 ms\nawait_head 4.00 ms</title>"));
  EXPECT_TRUE(has(page, "await_head <b>3.82 ms</b>"));  // the mean of all eleven
}

TEST(Phases, StandOnThoseBeforeThem) {
  TrafficStep step = step_of(1, milliseconds(5));
  step.means[static_cast<std::size_t>(Phase::kQueue)] = milliseconds(5);
  step.total = milliseconds(10);
  const std::string page = phases_part({step});
  EXPECT_TRUE(has(page, "<path class=\"p0\" d=\"M60 100.0h.9v-50.0h-.9z\"/>"));
  EXPECT_TRUE(has(page, "<path class=\"p6\" d=\"M60 50.0h.9v-50.0h-.9z\"/>"));
}

TEST(Phases, WithoutRequestsAreEmpty) {
  for (const auto& steps : {std::vector<TrafficStep>{}, {step_of(0, {})}}) {
    const std::string page = phases_part(steps);
    EXPECT_FALSE(has(page, "d=\"M"));
    EXPECT_FALSE(has(page, "<title>"));
  }
}

TEST(Phases, NeverHaveMoreColumnsThanFit) {
  const std::string page = phases_part(std::vector(200, step_of(1, milliseconds(1))));
  EXPECT_TRUE(has(page, "<rect class=\"hit\" x=\"0\""));
  EXPECT_TRUE(has(page, "<rect class=\"hit\" x=\"60\""));
  EXPECT_FALSE(has(page, "<rect class=\"hit\" x=\"61\""));
}

TEST(Failures, WhereThereAreNoneItIsSaid) {
  EXPECT_TRUE(has(failures_part({}), "No request has failed."));
}

TEST(Failures, ShowWhatHappenedAndNothingOfItIsMarkup) {
  Timeline timeline;
  timeline.head_read = MonotonicTime(seconds(1));
  timeline.add(Phase::kConnect, milliseconds(2));
  timeline.add(Phase::kAwaitHead, milliseconds(6));
  timeline.finished = timeline.head_read + milliseconds(9);
  Failures failures(1);
  failures[0].assign({.timeline = timeline,
                      .client = "127.0.0.1:5",
                      .method = "G\"ET",
                      .host = "<script>alert(1)</script>",
                      .path = "/'\xff\x01?token=secret",
                      .upstream = "pay&ments",
                      .status = 504,
                      .status_source = StatusSource::kProxy,
                      .error = ErrorCode::kHttpResponseTimeout,
                      .error_phase = Phase::kAwaitHead,
                      .error_limit = "timeouts.response_header"});
  const std::string page = failures_part(failures);
  EXPECT_TRUE(has(page, "G&quot;ET &lt;script&gt;alert(1)&lt;/script&gt;/&#39;\\xff\\x01 <small>"));
  EXPECT_TRUE(has(page, "pay&amp;ments"));
  EXPECT_FALSE(has(page, "<script"));
  EXPECT_FALSE(has(page, "secret"));
  EXPECT_TRUE(
      has(page, "<b>504</b> http_response_timeout <small>await_head, timeouts.response_header"));
  EXPECT_TRUE(has(page,
                  "<rect class=\"p2\" x=\"0\" width=\"2000\" height=\"1\"/>"
                  "<rect class=\"p6\" x=\"2000\" width=\"6000\" height=\"1\"/>"));
  EXPECT_TRUE(has(page, "connect 2.00 ms, await_head 6.00 ms, total <b>9.00 ms</b>"));
}

TEST(Failures, ThatWereRefusedAtOnceHaveNoPhases) {
  const Timeline timeline;
  Failures failures(1);
  failures[0].assign({.timeline = timeline, .status = 400, .error = ErrorCode::kHttpRequestError});
  EXPECT_FALSE(has(failures_part(failures), "<svg"));
}

}  // namespace
}  // namespace penstock
