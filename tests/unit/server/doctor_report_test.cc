// What `penstock doctor` says of an access log: the table, the counts, and each hint where it
// belongs and nowhere else. The first test feeds it lines as the access log's formatter writes
// them.
#include "server/doctor_report.h"

#include <gtest/gtest.h>

#include <array>
#include <chrono>
#include <string>
#include <string_view>

#include "telemetry/line_format.h"

namespace penstock {
namespace {

using std::chrono::milliseconds;

constexpr std::string_view kTime = "2026-01-02T03:04:05.000000Z ";

std::string line(std::string_view text) { return std::string(kTime) + std::string(text) + '\n'; }

// A request that went well.
std::string good(std::string_view target, int connection, bool reused, int client_port,
                 std::string_view more = "") {
  return line("200 GET " + std::string(target) +
              " connect_ms=0.100 total_ms=1.500 status_source=upstream upstream=api" +
              " conn_id=" + std::to_string(connection) + " conn_requests=1 reused=" +
              (reused ? "true" : "false") + " client=127.0.0.1:" + std::to_string(client_port) +
              " form=absolute" + std::string(more));
}

std::string report(std::string access_log, std::vector<std::string> command = {"app"},
                   std::string no_proxy = "", std::string daemon_log = "") {
  return doctor_report({.command = std::move(command),
                        .ending = "exit 0",
                        .access_log = std::move(access_log),
                        .daemon_log = std::move(daemon_log),
                        .no_proxy = std::move(no_proxy)});
}

bool says(const std::string& text, std::string_view part) {
  return text.find(part) != std::string::npos;
}

int hints_in(const std::string& text) {
  int hints = 0;
  for (std::size_t at = text.find("hint: "); at != std::string::npos;
       at = text.find("hint: ", at + 1))
    ++hints;
  return hints;
}

std::string formatted(const ExchangeRecord& record) {
  std::array<char, kMaxLineBytes> space;
  LineFormatter formatter;
  char* const end = formatter.write(space.data(), record, {.json = false, .query = false});
  return std::string(space.data(), end);
}

TEST(DoctorReport, ReadsWhatTheAccessLogWrites) {
  Timeline timeline;
  timeline.add(Phase::kConnect, milliseconds(2));
  timeline.add(Phase::kTlsHandshake, milliseconds(7));
  ExchangeRecord record{.timeline = timeline};
  record.client = "127.0.0.1:50000";
  record.form = Form::kAbsolute;
  record.method = "GET";
  record.host = "api.test";
  record.path = "/a b?secret";
  record.status = 200;
  record.status_source = StatusSource::kUpstream;
  record.conn_id = 7;
  const std::string text = report(formatted(record));
  EXPECT_EQ(text,
            "penstock doctor: app ended with exit 0; 1 request over 1 connection to the proxy; "
            "upstream 1 connection opened, 0 reused\n"
            "  #  came as   request              answer  connection  ms\n"
            "  1  absolute  GET api.test/a\\x20b  200     new 7       connect 2.000, tls 7.000\n");
}

TEST(DoctorReport, CountsWhatWasReused) {
  const std::string text =
      report(good("a.test/1", 1, false, 5000) + good("a.test/2", 1, true, 5000) +
             good("a.test/3", 1, true, 5000));
  EXPECT_TRUE(says(
      text, "3 requests over 1 connection to the proxy; upstream 1 connection opened, 2 reused\n"))
      << text;
  EXPECT_TRUE(says(text, "GET a.test/2  200     reused 1")) << text;
  EXPECT_EQ(hints_in(text), 0) << text;
}

TEST(DoctorReport, LongLogsAreCutAndSaidToBe) {
  std::string log;
  for (int i = 0; i < 45; ++i) log += good("a.test/", 1, i > 0, 5000);
  const std::string text = report(log);
  EXPECT_TRUE(says(text, "\n  40  ")) << text;
  EXPECT_FALSE(says(text, "\n  41  ")) << text;
  EXPECT_TRUE(says(text, "... and 5 more\n")) << text;
}

TEST(DoctorReport, SilenceNamesEveryUsualReason) {
  const std::string text = report("", {"/opt/app"}, "internal.test");
  EXPECT_TRUE(
      text.starts_with("penstock doctor: app ended with exit 0; nothing came to the proxy\n"))
      << text;
  for (const std::string_view part :
       {"may not read http_proxy", "write http://", "localhost",
        "no_proxy go past the proxy; it is set to internal.test", "clears its environment"}) {
    EXPECT_TRUE(says(text, part)) << part << " is not in " << text;
  }
}

TEST(DoctorReport, SilenceOfAKnownProgramSaysWhatThatProgramNeeds) {
  EXPECT_TRUE(says(report("", {"/usr/bin/node", "app.js"}), "NODE_USE_ENV_PROXY=1"));
  EXPECT_TRUE(says(report("", {"java", "App"}), "penstock env --format java"));
  EXPECT_TRUE(says(report("", {"php8.2", "app.php"}), "request_fulluri"));
  EXPECT_TRUE(says(report("", {"python3.11", "app.py"}), "trust_env=True"));
}

TEST(DoctorReport, SilenceQuotesTheUrlThatWentPast) {
  EXPECT_TRUE(
      says(report("", {"curl", "https://api.test/v1"}), "the command has https://api.test/v1"));
  EXPECT_TRUE(says(report("", {"app", "http://localhost:8080/"}),
                   "the command has http://localhost:8080/"));
}

TEST(DoctorReport, ATunnelCannotBePooled) {
  const std::string text = report(
      line("200 CONNECT api.test:443 status_source=proxy client=127.0.0.1:5000 form=connect"));
  EXPECT_TRUE(says(text,
                   "api.test came as a CONNECT tunnel: it cannot be pooled. Write http://api.test/ "
                   "instead of https://"))
      << text;
  EXPECT_TRUE(says(text, "tunnel")) << text;
}

TEST(DoctorReport, ARefusedTunnelIsOneToo) {
  const std::string text = report(
      line("501 CONNECT - error=http_request_error status_source=proxy client=127.0.0.1:5000"));
  EXPECT_TRUE(
      says(text, "A request came as a CONNECT tunnel: it cannot be pooled. Write http://HOST/"))
      << text;
}

TEST(DoctorReport, ATunnelToPort80IsTheClientsHabit) {
  const std::string text = report(
      line("200 CONNECT api.test:80 status_source=proxy client=127.0.0.1:5000 form=connect"));
  EXPECT_TRUE(says(text, "proxyTunnel: false")) << text;
  EXPECT_FALSE(says(text, "https://")) << text;
}

TEST(DoctorReport, AnUnwrappedRequestStandsForItsTunnelAndIsPooled) {
  const std::string tunnel =
      line("200 CONNECT a.test:80/ status_source=proxy client=127.0.0.1:5000 form=connect");
  std::string log = tunnel + good("a.test/1", 1, false, 5000) + good("a.test/2", 1, true, 5000);
  for (std::size_t at = log.find("absolute"); at != std::string::npos; at = log.find("absolute")) {
    log.replace(at, 8, "unwrapped");
  }
  const std::string text = report(log);
  EXPECT_TRUE(says(text,
                   "2 requests over 1 connection to the proxy; upstream 1 connection opened, "
                   "1 reused\n"))
      << text;
  EXPECT_TRUE(says(text, "  1  unwrapped  GET a.test/1")) << text;
  EXPECT_TRUE(says(text, "penstock looks inside and pools them")) << text;
  EXPECT_EQ(hints_in(text), 1) << text;
}

TEST(DoctorReport, OriginFormThatWasRefusedMeansABaseUrl) {
  const std::string text =
      report(line("400 GET 127.0.0.1:4000/v1 error=http_request_error status_source=proxy "
                  "client=127.0.0.1:5000 form=origin"));
  EXPECT_TRUE(says(text, "came in origin form: the client has the proxy as its base URL")) << text;
}

TEST(DoctorReport, AFailureNamesTokenPhaseAndLimit) {
  const std::string text =
      report(line("504 GET a.test/slow error=http_response_timeout error_phase=await_head "
                  "error_limit=timeouts.total total_ms=1000.000 status_source=proxy "
                  "client=127.0.0.1:5000 form=absolute"));
  EXPECT_TRUE(says(text, "504 http_response_timeout in await_head")) << text;
  EXPECT_TRUE(
      says(text, "hint: GET a.test/slow failed with http_response_timeout, limit timeouts.total"))
      << text;
}

TEST(DoctorReport, TheSameHintIsGivenOnce) {
  const std::string tunnel =
      line("200 CONNECT api.test:443 status_source=proxy client=127.0.0.1:5000 form=connect");
  EXPECT_EQ(hints_in(report(tunnel + tunnel)), 1);
}

TEST(DoctorReport, SomethingThatIsNoHttpPointsToTheLog) {
  const std::string text =
      report(line("- - - error=http_request_error status_source=none client=127.0.0.1:5000"),
             {"app"}, "", "warning: TLS was spoken\n");
  EXPECT_TRUE(says(text, "no HTTP")) << text;
  EXPECT_TRUE(says(text, "never https:// or socks://")) << text;
  EXPECT_TRUE(text.ends_with("log of the instance:\nwarning: TLS was spoken\n")) << text;
}

TEST(DoctorReport, NoReuseGivesTheReasonForTheCloses) {
  const std::string closed = " close_reason=server_close";
  EXPECT_TRUE(says(
      report(good("a.test/", 1, false, 5000, closed) + good("a.test/", 2, false, 5000, closed)),
      "No connection to a.test was reused: the server closes after each response"));
  EXPECT_TRUE(says(report(good("a.test/", 1, false, 5000) + good("a.test/", 2, false, 5000)),
                   "under way at the same time"));
  EXPECT_TRUE(says(report(good("a.test/", 1, false, 5000, " close_reason=max_requests") +
                          good("a.test/", 2, false, 5000)),
                   "they were closed (max_requests)"));
}

TEST(DoctorReport, OneRequestPerHostIsNoLackOfReuse) {
  EXPECT_EQ(hints_in(report(good("a.test/", 1, false, 5000) + good("b.test/", 2, false, 5000))), 0);
}

TEST(DoctorReport, AConnectionPerRequestIsCheapAndSaidToBe) {
  const std::string text = report(good("a.test/", 1, false, 5000) + good("a.test/", 1, true, 5001));
  EXPECT_TRUE(says(text, "opens a connection to the proxy for each request (no keep-alive)"))
      << text;
}

}  // namespace
}  // namespace penstock
