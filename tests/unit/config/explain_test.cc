// Which upstream a URL reaches and where each of its values comes from.
#include "config/explain.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>

namespace penstock {
namespace {

constexpr std::string_view kFile =
    "defaults:\n"
    "  timeouts:\n"
    "    queue: 2s\n"
    "    total: 30s\n"
    "upstreams:\n"
    "  - name: payments\n"
    "    hosts: [payments.penstock, \"*.example\"]\n"
    "    origin: api.payments.example\n"
    "    connect_to: 127.0.0.1:8443\n"
    "    pool: {max_connections: 50}\n"
    "    timeouts: {total: 20s}\n"
    "  - name: plain\n"
    "    hosts: [plain.test]\n"
    "    scheme: http\n"
    "    tls: {verify: off}\n";

Explanation explained(std::string_view url) {
  const LoadResult loaded = load_text("p.yaml", kFile);
  EXPECT_TRUE(loaded.ok());
  return explain(loaded, url);
}

constexpr std::string_view kRoutes =
    "defaults:\n"
    "  timeouts: {queue: 2s, min_rate: {size: 1KiB}}\n"
    "upstreams:\n"
    "  - name: reports\n"
    "    hosts: [reports.test]\n"
    "    timeouts: {total: 20s}\n"
    "    routes:\n"
    "      - methods: [POST, PUT]\n"
    "        path_prefix: /reports\n"
    "        timeouts:\n"
    "          total: off\n"
    "          min_rate: off\n"
    "      - path_prefix: /?all\n"
    "        retry: {attempts: 0}\n";

Explanation explained_route(std::string_view url, std::string_view method) {
  const LoadResult loaded = load_text("p.yaml", kRoutes);
  EXPECT_TRUE(loaded.ok());
  return explain(loaded, url, method);
}

std::string line_of(const std::string& text, std::string_view start) {
  const std::size_t at = text.find('\n' + std::string(start));
  return at == std::string::npos ? "" : text.substr(at + 1, text.find('\n', at + 1) - at - 1);
}

TEST(Explain, NamesUpstreamPatternAuthorityAndDial) {
  const std::string text = explained("http://x.Example/path?q").to_text();
  EXPECT_TRUE(
      text.starts_with("url: http://x.Example/path?q\n"
                       "upstream: payments (hosts[1] \"*.example\")\n"
                       "authority: api.payments.example:443\n"
                       "tls: yes, verified as api.payments.example\n"
                       "dials: 127.0.0.1:8443\n\n"))
      << text;
}

TEST(Explain, NamesTheLineOfEachValue) {
  const std::string text = explained("payments.penstock").to_text();
  EXPECT_EQ(line_of(text, "timeouts.queue"),
            "timeouts.queue: 2s                        # defaults p.yaml:3");
  EXPECT_EQ(line_of(text, "timeouts.total"),
            "timeouts.total: 20s                       # p.yaml:11");
  EXPECT_EQ(line_of(text, "timeouts.connect"),
            "timeouts.connect: 5s                      # built-in");
  EXPECT_EQ(line_of(text, "pool.max_idle"), "pool.max_idle: 50                         # built-in");
  EXPECT_EQ(line_of(text, "pool.max_connections"),
            "pool.max_connections: 50                  # p.yaml:10");
}

TEST(Explain, NamesTheRouteAndTheLinesOfItsValues) {
  const std::string text = explained_route("http://reports.test/reports/1", "POST").to_text();
  EXPECT_EQ(line_of(text, "route:"), "route: routes[0] (POST, PUT /reports)");
  EXPECT_EQ(line_of(text, "timeouts.total"),
            "timeouts.total: off                       # route p.yaml:11");
  EXPECT_EQ(line_of(text, "timeouts.min_rate.size"),
            "timeouts.min_rate.size: off               # route p.yaml:12");
  EXPECT_EQ(line_of(text, "timeouts.min_rate.window"),
            "timeouts.min_rate.window: 20s             # built-in");
  EXPECT_EQ(line_of(text, "timeouts.queue"),
            "timeouts.queue: 2s                        # defaults p.yaml:2");
  EXPECT_EQ(line_of(text, "retry.attempts"),
            "retry.attempts: 1                         # built-in");
}

TEST(Explain, NamesNoRouteWhereNoneFits) {
  const std::string text = explained_route("http://reports.test/reports/1", "GET").to_text();
  EXPECT_EQ(line_of(text, "route:"), "route: none takes GET; the upstream's own values hold");
  EXPECT_EQ(line_of(text, "timeouts.total"),
            "timeouts.total: 20s                       # p.yaml:6");
  EXPECT_EQ(line_of(text, "timeouts.min_rate.size"),
            "timeouts.min_rate.size: 1KiB              # defaults p.yaml:2");
  EXPECT_EQ(line_of(explained("http://a.example").to_text(), "route:"), "");
}

TEST(Explain, ReadsThePathAsTheProxyDoes) {
  const auto route = [](std::string_view url, std::string_view method) {
    const auto found = explained_route(url, method).route;
    return found ? static_cast<int>(found->index) : -1;
  };
  EXPECT_EQ(route("reports.test/reports#x", "PUT"), 0);
  EXPECT_EQ(route("reports.test#/reports", "PUT"), -1);
  EXPECT_EQ(route("http://reports.test?all=1", "GET"), 1);
  EXPECT_EQ(route("http://reports.test/?all#x", "GET"), 1);
  EXPECT_EQ(route("http://reports.test", "GET"), -1);
  EXPECT_EQ(route("http://reports.test/?all", "CONNECT"), -1);
}

TEST(Explain, LeadsATunnelWhereItsTargetSays) {
  const LoadResult loaded = load_text("p.yaml", kFile);
  const std::string host = loaded.config->upstreams.front().hosts.front();
  const std::string text = explain(loaded, "https://" + host, "CONNECT").to_text();
  EXPECT_EQ(line_of(text, "authority:"), "authority: " + host + ":443");
  EXPECT_EQ(line_of(text, "tls:"), "tls: as the client speaks it through the tunnel");
  EXPECT_EQ(line_of(text, "dials:"), "dials: " + host + ":443") << "not the upstream's origin";
  const Explanation refused = explain(loaded, host + ":22", "CONNECT");
  EXPECT_EQ(line_of(refused.to_text(), "answer:"),
            "answer: 403, CONNECT to port 22 is not allowed; egress.connect_ports lists those that "
            "are");
  EXPECT_EQ(line_of(refused.to_text(), "dials:"), "");
  EXPECT_EQ(nlohmann::json::parse(refused.to_json())["refused"], refused.refused);
}

TEST(Explain, ReadsTheSchemeInAnyCase) {
  EXPECT_EQ(explained("HTTPS://a.example").authority, explained("https://a.example").authority);
  EXPECT_EQ(explained("HTTP://a.example").error, "");
}

TEST(Explain, RefusesWhatIsNoMethod) {
  EXPECT_EQ(explained_route("http://reports.test/", "post").error,
            "\"post\" has small letters; write POST");
  EXPECT_EQ(explained_route("http://reports.test/", "").error, "\"\" is no method");
}

TEST(Explain, SaysTheRouteInJson) {
  const auto json =
      nlohmann::json::parse(explained_route("http://reports.test/reports", "POST").to_json());
  EXPECT_EQ(json["method"], "POST");
  EXPECT_EQ(json["route"]["index"], 0);
  EXPECT_EQ(json["route"]["text"], "POST, PUT /reports");
  EXPECT_EQ(json["policy"]["timeouts.total"]["value"], "off");
  EXPECT_EQ(json["policy"]["timeouts.total"]["source"], "route");
  EXPECT_EQ(json["policy"]["timeouts.total"]["line"], 11);
  const auto none = nlohmann::json::parse(explained_route("reports.test", "GET").to_json());
  EXPECT_EQ(none["route"], nullptr);
}

TEST(Explain, SaysPlaintextAndUnverified) {
  EXPECT_NE(explained("http://plain.test").to_text().find("\ntls: no, plaintext\n"),
            std::string::npos);
  EXPECT_NE(explained("https://plain.test")
                .to_text()
                .find("\ntls: yes, NOT verified, named plain.test\n"),
            std::string::npos);
}

TEST(Explain, SaysThatAnUnknownHostIsRefused) {
  EXPECT_EQ(explained("http://other.org/").to_text(),
            "url: http://other.org/\nupstream: none has this host; the request is answered 403\n");
  EXPECT_EQ(nlohmann::json::parse(explained("http://other.org/").to_json())["upstream"], nullptr);
}

TEST(Explain, RefusesWhatIsNoUrl) {
  EXPECT_EQ(explained("ftp://a.example").error,
            "\"ftp://a.example\" is neither an http nor an https URL");
  EXPECT_FALSE(explained("http://").error.empty());
  EXPECT_FALSE(explained("http://user@a.example/").error.empty());
  EXPECT_FALSE(explained("http://a.example:99999/").error.empty());
  EXPECT_FALSE(explained("").error.empty());
}

TEST(Explain, SaysTheSameInJson) {
  const Explanation from = explained("http://a.example:8080/");
  const auto json = nlohmann::json::parse(from.to_json());
  EXPECT_EQ(json["upstream"], "payments");
  EXPECT_EQ(json["pattern"]["index"], 1);
  EXPECT_EQ(json["pattern"]["text"], "*.example");
  EXPECT_EQ(json["authority"], "api.payments.example:8080");
  EXPECT_EQ(json["tls"], true);
  EXPECT_EQ(json["server_name"], "api.payments.example");
  EXPECT_EQ(json["dials"], "127.0.0.1:8443");
  EXPECT_EQ(json["policy"]["timeouts.queue"]["source"], "defaults");
  EXPECT_EQ(json["policy"]["timeouts.queue"]["line"], 3);
  EXPECT_EQ(json["policy"]["timeouts.total"]["value"], "20s");
  EXPECT_EQ(json["policy"]["via"]["source"], "built-in");
  EXPECT_EQ(json["policy"].size(), from.policy.size());
}

TEST(Explain, SurvivesBytesThatAreNoText) {
  EXPECT_TRUE(nlohmann::json::accept(explained("http://a.example/\xff\xfe").to_json()));
  EXPECT_TRUE(nlohmann::json::accept(explained("\xff").to_json()));
}

TEST(Explain, ExplainsTheBuiltInConfiguration) {
  const LoadResult loaded = load_default();
  const Explanation from = explain(loaded, "http://any.example/");
  EXPECT_EQ(from.upstream, "default");
  EXPECT_EQ(from.authority, "any.example:443");
  EXPECT_TRUE(std::ranges::all_of(from.policy, [](const EffectiveValue& value) {
    return value.source == ValueSource::kBuiltIn;
  }));
}

}  // namespace
}  // namespace penstock
