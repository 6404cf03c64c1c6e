#include "proxy/router.h"

#include <gtest/gtest.h>

#include <map>
#include <ostream>
#include <sstream>

#include "http/parser.h"

namespace penstock {
namespace {

UpstreamSettings upstream(std::string name, std::vector<std::string> hosts, SchemeMode scheme,
                          std::string origin = {}) {
  UpstreamSettings settings;
  settings.name = std::move(name);
  settings.hosts = std::move(hosts);
  settings.origin = std::move(origin);
  settings.policy.scheme = scheme;
  settings.policy.tls.verify = false;
  return settings;
}

// The listeners that the cases name; all listen on 127.0.0.1:3128.
enum class Door { kOpen, kOnlyApi, kBase, kBaseOrigin, kBaseBrowsers, kGone };

ListenerSettings settings_of(Door door) {
  ListenerSettings settings;
  switch (door) {
    case Door::kOpen:
      break;
    case Door::kOnlyApi:
      settings.upstreams = {"api"};
      break;
    case Door::kBaseOrigin:
      settings.upstream = "fixed";
      break;
    case Door::kGone:
      settings.upstream = "removed";
      break;
    case Door::kBaseBrowsers:
      settings.allow_browsers = true;
      [[fallthrough]];
    case Door::kBase:
      settings.upstream = "api";
      break;
  }
  return settings;
}

class RouterTest : public testing::Test {
 protected:
  void SetUp() override { make_table(true); }

  void make_table(bool with_catch_all) {
    Config config;
    config.upstreams = {
        upstream("api", {"api.test", "*.api.test"}, SchemeMode::kHttps),
        upstream("port", {"api.test:8443"}, SchemeMode::kHttps),
        upstream("fixed", {"alias.test", "second.test"}, SchemeMode::kHttps, "real.test"),
        upstream("moved", {"moved.test"}, SchemeMode::kHttp, "real.test:9000"),
        upstream("plain", {"plain.test"}, SchemeMode::kHttp),
        upstream("same", {"same.test"}, SchemeMode::kSame),
        upstream("v6", {"[::2]"}, SchemeMode::kHttp),
    };
    if (with_catch_all) {
      config.upstreams.push_back(upstream("rest", {"*"}, SchemeMode::kAuto));
    }
    TrustStores trust;
    auto made =
        RoutingTable::create(std::make_shared<const Config>(std::move(config)), trust, nullptr);
    ASSERT_TRUE(made.has_value()) << made.error();
    table = *made;
  }

  Result<void> route(Door door, std::string_view request) {
    RequestParser parser{ParseLimits{}};
    const ParseStep step = parser.next(request, head);
    EXPECT_EQ(step.event, ParseEvent::kHead) << parser.fault().reason;
    const ListenerSettings& settings = listeners.try_emplace(door, settings_of(door)).first->second;
    const SocketAddress local = *SocketAddress::from_ip("127.0.0.1", 3128);
    return route_request(*table, {settings, local}, head, "penstock-0badcafe", found);
  }

  // What came of the request, in words.
  std::string outcome(Door door, std::string_view request) {
    const auto routed = route(door, request);
    std::ostringstream out;
    if (!routed) {
      out << token(routed.error().code) << ' ' << routed.error().status << ' '
          << routed.error().detail << " (asked for " << found.authority.host << ')';
    } else if (found.for_us) {
      out << "for us";
    } else {
      out << found.upstream->settings->name << ' ' << found.choice.host << ':' << found.choice.port
          << (found.choice.tls ? " tls" : "") << (found.connect ? " connect" : "") << " Host "
          << found.host_field << " path " << (found.add_slash ? "/" : "") << found.path << " of "
          << found.authority.host << (found.catch_all ? " catch-all" : "") << " policy "
          << (found.policy == &found.upstream->settings->policy ? "" : "of a route");
    }
    out << " form " << static_cast<int>(found.form) << (found.web_page ? " page" : "");
    return out.str();
  }

  std::shared_ptr<const RoutingTable> table;
  std::map<Door, ListenerSettings> listeners;
  RequestHead head;
  Route found;  // used again and again, as an exchange does
};

std::string request(std::string_view line, std::string_view fields) {
  return std::string(line) + " HTTP/1.1\r\n" + std::string(fields) + "\r\n";
}

// Routed: the upstream, where it leads, whether by TLS, and what is sent as Host and target.
struct Routed {
  Door door;
  std::string_view line;
  std::string_view fields;
  std::string_view upstream;
  std::string_view host;
  std::uint16_t port;
  bool tls;
  std::string_view host_field;
  std::string_view target;
};

TEST_F(RouterTest, LeadsEachRequestWhereItsFormHostAndListenerSay) {
  constexpr std::string_view kAny = "Host: other.test\r\n";
  const Routed cases[] = {
      // absolute-form: by the URL's host, whatever Host says
      {Door::kOpen, "GET http://api.test/x?y", kAny, "api", "api.test", 443, true, "api.test",
       "/x?y"},
      {Door::kOpen, "GET http://API.Test./x", kAny, "api", "api.test", 443, true, "api.test", "/x"},
      {Door::kOpen, "GET http://api.test", kAny, "api", "api.test", 443, true, "api.test", "/"},
      {Door::kOpen, "GET http://api.test?q", kAny, "api", "api.test", 443, true, "api.test", "/?q"},
      {Door::kOpen, "GET http://api.test/#part", kAny, "api", "api.test", 443, true, "api.test",
       "/"},
      {Door::kOpen, "GET http://api.test:80/", kAny, "api", "api.test", 443, true, "api.test", "/"},
      {Door::kOpen, "GET http://api.test:9000/", kAny, "api", "api.test", 9000, true,
       "api.test:9000", "/"},
      {Door::kOpen, "GET http://a.b.api.test/", kAny, "api", "a.b.api.test", 443, true,
       "a.b.api.test", "/"},
      {Door::kOpen, "GET http://api.test:3128/", kAny, "api", "api.test", 3128, true,
       "api.test:3128", "/"},
      {Door::kOpen, "GET http://api.test:8443/", kAny, "port", "api.test", 8443, true,
       "api.test:8443", "/"},
      {Door::kOpen, "GET https://api.test/", kAny, "api", "api.test", 443, true, "api.test", "/"},
      {Door::kOpen, "GET https://plain.test/", kAny, "plain", "plain.test", 443, true, "plain.test",
       "/"},
      {Door::kOpen, "GET https://plain.test:80/", kAny, "plain", "plain.test", 80, true,
       "plain.test:80", "/"},
      {Door::kOpen, "GET http://plain.test/", kAny, "plain", "plain.test", 80, false, "plain.test",
       "/"},
      {Door::kOpen, "GET http://same.test:443/", kAny, "same", "same.test", 443, false,
       "same.test:443", "/"},
      {Door::kOpen, "GET http://[::2]/", kAny, "v6", "::2", 80, false, "[::2]", "/"},
      {Door::kOpen, "GET http://[0:0::2]:81/", kAny, "v6", "::2", 81, false, "[::2]:81", "/"},
      {Door::kOpen, "GET http://alias.test/", kAny, "fixed", "real.test", 443, true, "real.test",
       "/"},
      {Door::kOpen, "GET http://moved.test:81/", kAny, "moved", "real.test", 9000, false,
       "real.test:9000", "/"},
      {Door::kOpen, "OPTIONS http://api.test", kAny, "api", "api.test", 443, true, "api.test", "*"},
      {Door::kOpen, "OPTIONS http://api.test/", kAny, "api", "api.test", 443, true, "api.test",
       "/"},
      // the catch-all believes the URL where TLS is unlikely
      {Door::kOpen, "GET http://other.test/", kAny, "rest", "other.test", 443, true, "other.test",
       "/"},
      {Door::kOpen, "GET http://other.test:8080/", kAny, "rest", "other.test", 8080, false,
       "other.test:8080", "/"},
      {Door::kOpen, "GET http://192.0.2.7/", kAny, "rest", "192.0.2.7", 80, false, "192.0.2.7",
       "/"},
      {Door::kOpen, "GET http://box/", kAny, "rest", "box", 80, false, "box", "/"},
      {Door::kOnlyApi, "GET http://api.test/", kAny, "api", "api.test", 443, true, "api.test", "/"},
      // origin-form on an ordinary listener: by a Host that an upstream names
      {Door::kOpen, "GET /x", "Host: api.test\r\n", "api", "api.test", 443, true, "api.test", "/x"},
      {Door::kOpen, "GET /x", "Host: api.test:3128\r\n", "api", "api.test", 443, true, "api.test",
       "/x"},
      {Door::kOpen, "GET /x", "Host: api.test:9000\r\n", "api", "api.test", 9000, true,
       "api.test:9000", "/x"},
      {Door::kOpen, "GET /x", "Host: a.api.test\r\n", "api", "a.api.test", 443, true, "a.api.test",
       "/x"},
      // base-URL mode: the Host where it names the upstream, else origin, else the only exact host
      {Door::kBase, "GET /x", "Host: a.api.test:3128\r\n", "api", "a.api.test", 443, true,
       "a.api.test", "/x"},
      {Door::kBase, "GET /x", "Host: localhost:3128\r\n", "api", "api.test", 443, true, "api.test",
       "/x"},
      {Door::kBase, "GET /x", "Host: localhost:8080\r\n", "api", "api.test", 443, true, "api.test",
       "/x"},
      {Door::kBase, "GET /x", "Host: 127.0.0.1:3128\r\n", "api", "api.test", 443, true, "api.test",
       "/x"},
      {Door::kBase, "GET /x", "Host: plain.test\r\n", "api", "api.test", 443, true, "api.test",
       "/x"},
      {Door::kBase, "GET http://elsewhere.test/x", kAny, "api", "api.test", 443, true, "api.test",
       "/x"},
      {Door::kBaseOrigin, "GET /x", "Host: localhost:3128\r\n", "fixed", "real.test", 443, true,
       "real.test", "/x"},
      {Door::kBaseOrigin, "GET /x", "Host: localhost:8080\r\n", "fixed", "real.test", 443, true,
       "real.test", "/x"},
      {Door::kBaseOrigin, "GET /x", "Host: alias.test:3128\r\n", "fixed", "real.test", 443, true,
       "real.test", "/x"},
      {Door::kBaseOrigin, "GET http://elsewhere.test:9000/x", kAny, "fixed", "real.test", 443, true,
       "real.test", "/x"},
  };
  for (const Routed& want : cases) {
    SCOPED_TRACE(std::string(want.line) + " | " + std::string(want.fields));
    const auto routed = route(want.door, request(want.line, want.fields));
    EXPECT_TRUE(routed.has_value());
    if (!routed) continue;
    EXPECT_EQ(found.upstream->settings->name, want.upstream);
    EXPECT_EQ(found.choice.host, want.host);
    EXPECT_EQ(found.choice.port, want.port);
    EXPECT_EQ(found.choice.tls, want.tls);
    EXPECT_EQ(found.host_field, want.host_field);
    EXPECT_EQ((found.add_slash ? "/" : "") + std::string(found.path), want.target);
    EXPECT_FALSE(found.web_page);
  }
}

struct Refused {
  Door door;
  std::string_view line;
  std::string_view fields;
  ErrorCode code;
  std::uint16_t status;  // 0: the code's usual one
  bool web_page;
};

TEST_F(RouterTest, RefusesWhatIsMalformedMisdirectedDeniedOrALoop) {
  constexpr ErrorCode kBad = ErrorCode::kHttpRequestError;
  constexpr ErrorCode kDenied = ErrorCode::kHttpRequestDenied;
  constexpr ErrorCode kLoop = ErrorCode::kProxyLoopDetected;
  const Refused cases[] = {
      // targets
      {Door::kOpen, "GET http://user@api.test/", "Host: x\r\n", kBad, 400, false},
      {Door::kOpen, "GET http:///x", "Host: x\r\n", kBad, 400, false},
      {Door::kOpen, "GET http://api.test:0/", "Host: x\r\n", kBad, 400, false},
      {Door::kOpen, "GET http://api.test:65536/", "Host: x\r\n", kBad, 400, false},
      {Door::kOpen, "GET http://127.1/", "Host: x\r\n", kBad, 400, false},
      {Door::kOpen, "GET http://0x7f000001/", "Host: x\r\n", kBad, 400, false},
      {Door::kOpen, "GET ftp://api.test/", "Host: x\r\n", kBad, 400, false},
      {Door::kOpen, "OPTIONS http://api.test/", "Host: x\r\nMax-Forwards: x\r\n", kBad, 400, false},
      {Door::kOpen, "OPTIONS http://api.test/", "Host: x\r\nMax-Forwards: -1\r\n", kBad, 400,
       false},
      {Door::kOpen, "TRACE http://api.test/", "Host: x\r\nMax-Forwards:\r\n", kBad, 400, false},
      // loops
      {Door::kOpen, "GET http://api.test/", "Host: x\r\nVia: 1.1 penstock-0badcafe\r\n", kLoop, 0,
       false},
      {Door::kOpen, "GET http://api.test/",
       "Host: x\r\nVia: 1.1 one\r\nVia: 1.0 two, 1.1 penstock-0badcafe (note)\r\n", kLoop, 0,
       false},
      // not this listener's
      {Door::kOnlyApi, "GET http://plain.test/", "Host: x\r\n", kDenied, 403, false},
      {Door::kOnlyApi, "GET http://other.test/", "Host: x\r\n", kDenied, 403, false},
      {Door::kOnlyApi, "GET /", "Host: plain.test\r\n", kDenied, 403, false},
      {Door::kGone, "GET http://api.test/", "Host: x\r\n", kDenied, 403, false},
      // the proxy's own port in a browser
      {Door::kOpen, "GET /", "Host: 127.0.0.1:3128\r\n", kBad, 400, false},
      {Door::kOpen, "GET /", "Host: localhost:3128\r\n", kBad, 400, false},
      {Door::kBase, "GET /", "Host:\r\n", kBad, 400, false},
      // a name that its owner made lead here
      {Door::kOpen, "GET /", "Host: other.test\r\n", kBad, 421, true},
      {Door::kBase, "GET /", "Host: other.test\r\n", kBad, 421, true},
      {Door::kBase, "GET /", "Host: 127.0.0.1\r\n", kBad, 421, true},
      {Door::kBase, "GET /", "Host: 127.0.0.2:3128\r\n", kBad, 421, true},
      {Door::kBase, "GET /", "Host: localhost.other.test\r\n", kBad, 421, true},
      {Door::kBaseBrowsers, "GET /", "Host: other.test\r\n", kBad, 421, true},
      // a page of another site
      {Door::kBase, "GET /", "Host: localhost\r\nSec-Fetch-Site: cross-site\r\n", kDenied, 403,
       true},
      {Door::kBase, "GET /", "Host: localhost\r\nSec-Fetch-Site: Same-Site\r\n", kDenied, 403,
       true},
      {Door::kBase, "GET /", "Host: localhost\r\nOrigin: null\r\n", kDenied, 403, true},
      {Door::kBase, "GET /", "Host: localhost\r\nOrigin: http://other.test\r\n", kDenied, 403,
       true},
      {Door::kBase, "GET /", "Host: localhost\r\nOrigin: http://127.0.0.1:8080\r\n", kDenied, 403,
       true},
      {Door::kBase, "GET /", "Host: localhost\r\nOrigin: http://x@localhost\r\n", kDenied, 403,
       true},
      {Door::kOpen, "GET /", "Host: api.test\r\nSec-Fetch-Site: cross-site\r\n", kDenied, 403,
       true},
      {Door::kOpen, "GET /", "Host: 127.0.0.1:3128\r\nSec-Fetch-Site: cross-site\r\n", kDenied, 403,
       true},
      {Door::kOpen, "GET /", "Host: 127.0.0.1:3128\r\nOrigin: http://other.test\r\n", kDenied, 403,
       true},
  };
  for (const Refused& want : cases) {
    SCOPED_TRACE(std::string(want.line) + " | " + std::string(want.fields));
    const auto routed = route(want.door, request(want.line, want.fields));
    EXPECT_FALSE(routed.has_value());
    if (routed) continue;
    EXPECT_EQ(token(routed.error().code), token(want.code)) << routed.error().detail;
    EXPECT_EQ(routed.error().status, want.status) << routed.error().detail;
    EXPECT_EQ(found.web_page, want.web_page) << routed.error().detail;
    EXPECT_FALSE(routed.error().detail.empty());
  }
}

TEST_F(RouterTest, ServesPagesOfOurOwnOriginAndOfBrowsersThatAreAllowed) {
  const std::pair<Door, std::string_view> cases[] = {
      {Door::kBase, "Host: localhost\r\nSec-Fetch-Site: same-origin\r\n"},
      {Door::kBase, "Host: localhost\r\nSec-Fetch-Site: none\r\n"},
      {Door::kBase, "Host: localhost\r\nOrigin: http://127.0.0.1:3128\r\n"},
      {Door::kBase, "Host: localhost\r\nOrigin: http://localhost:8080\r\n"},
      {Door::kBase, "Host: localhost\r\nOrigin: https://a.api.test\r\n"},
      {Door::kBaseBrowsers, "Host: localhost\r\nSec-Fetch-Site: cross-site\r\n"},
      {Door::kBaseBrowsers, "Host: localhost\r\nOrigin: null\r\n"},
      {Door::kOpen, "Host: api.test\r\nOrigin: http://api.test\r\n"},
  };
  for (const auto& [door, fields] : cases) {
    EXPECT_TRUE(route(door, request("GET /", fields)).has_value()) << fields;
  }
  // A page cannot send absolute-form; an app may well say what its page was.
  EXPECT_TRUE(route(Door::kOpen, request("GET http://api.test/",
                                         "Host: api.test\r\nOrigin: http://other.test\r\n"
                                         "Sec-Fetch-Site: cross-site\r\n")));
}

// An origin is remembered: whatever was routed before, the outcome is that of a fresh value.
TEST_F(RouterTest, NoRequestIsLedByTheOneBeforeIt) {
  const std::pair<Door, std::string> requests[] = {
      {Door::kOpen, request("GET http://api.test/x?y", "Host: other.test\r\n")},
      {Door::kOpen, request("GET http://api.test/x#part", "Host: other.test\r\n")},
      {Door::kOpen, request("GET http://api.test", "Host: api.test\r\n")},
      {Door::kOpen, request("GET http://api.test?q", "Host: api.test\r\n")},
      {Door::kOpen, request("GET http://api.test:9000/", "Host: api.test\r\n")},
      {Door::kOpen, request("GET http://api.test.", "Host: api.test\r\n")},
      {Door::kOpen, request("GET http://api.testing/", "Host: api.test\r\n")},
      {Door::kOpen, request("GET https://plain.test/", "Host: plain.test\r\n")},
      {Door::kOpen, request("GET http://plain.test/", "Host: plain.test\r\n")},
      {Door::kOpen, request("POST http://alias.test/a", "Host: alias.test\r\n")},
      {Door::kOpen, request("GET http://other.test/", "Host: other.test\r\n")},
      {Door::kOpen, request("GET /x", "Host: api.test\r\n")},
      {Door::kOpen, request("GET http://x@api.test/x", "Host: api.test\r\n")},
      {Door::kOpen, request("CONNECT api.test:443", "Host: api.test\r\n")},
      {Door::kOpen, request("OPTIONS *", "Host: api.test\r\n")},
      {Door::kOpen, request("OPTIONS http://api.test/x", "Host: x\r\nMax-Forwards: 0\r\n")},
      {Door::kOpen, request("TRACE http://api.test/x", "Host: x\r\nMax-Forwards: 1\r\n")},
      {Door::kOpen, request("GET http://api.test/x", "Host: x\r\nVia: penstock-0badcafe\r\n")},
      {Door::kOnlyApi, request("GET http://api.test/", "Host: api.test\r\n")},
      {Door::kOnlyApi, request("GET http://plain.test/", "Host: plain.test\r\n")},
      {Door::kBase, request("GET http://elsewhere.test/x", "Host: api.test\r\n")},
      {Door::kBaseOrigin, request("GET http://elsewhere.test/x", "Host: api.test\r\n")},
      {Door::kGone, request("GET http://api.test/", "Host: api.test\r\n")},
  };
  for (const auto& [door, text] : requests) {
    found = Route();
    const std::string fresh = outcome(door, text);
    for (const auto& [before, other] : requests) {
      found = Route();
      outcome(before, other);
      EXPECT_EQ(outcome(door, text), fresh) << text << "after\n" << other;
      EXPECT_EQ(outcome(door, text), fresh) << text << "twice, after\n" << other;
    }
  }
}

TEST_F(RouterTest, ANewTableIsAskedAnew) {
  const std::string text = request("GET http://box/x", "Host: box\r\n");
  EXPECT_TRUE(route(Door::kOpen, text).has_value());
  const auto old = table;  // lives on, as in an exchange
  make_table(false);
  EXPECT_FALSE(route(Door::kOpen, text).has_value());
}

TEST_F(RouterTest, DeniesUnknownHostsWithoutACatchAll) {
  make_table(false);
  const auto routed =
      route(Door::kOpen, request("GET http://other.test:81/", "Host: other.test\r\n"));
  ASSERT_FALSE(routed.has_value());
  EXPECT_EQ(routed.error().status, 403);
  EXPECT_NE(routed.error().detail.find("other.test:81"), std::string::npos);
}

TEST_F(RouterTest, TellsAClientThatTakesItForAServerHowToUseTheProxy) {
  const auto routed = route(Door::kOpen, request("GET /", "Host: 127.0.0.1:3128\r\n"));
  ASSERT_FALSE(routed.has_value());
  EXPECT_NE(routed.error().detail.find("http_proxy=http://127.0.0.1:3128"), std::string::npos);
}

TEST_F(RouterTest, A10ClientWithoutHostNeedsAnAbsoluteUrl) {
  EXPECT_TRUE(route(Door::kOpen, "GET http://api.test/ HTTP/1.0\r\n\r\n").has_value());
  const auto routed = route(Door::kOpen, "GET / HTTP/1.0\r\n\r\n");
  ASSERT_FALSE(routed.has_value());
  EXPECT_EQ(routed.error().status, 400);
}

TEST_F(RouterTest, TakesTheRouteThatExplainNames) {
  UpstreamSettings routed = upstream("api", {"api.test"}, SchemeMode::kHttp);
  routed.routes.resize(2);
  routed.routes[0].methods = {"CONNECT"};
  routed.routes[1].path_prefix = "/?x";
  Config config;
  config.upstreams = {std::move(routed)};
  TrustStores trust;
  table = *RoutingTable::create(std::make_shared<const Config>(std::move(config)), trust, nullptr);
  const auto taken = [&](std::string_view line) {
    EXPECT_TRUE(route(Door::kOpen, request(line, "Host: api.test\r\n")).has_value()) << line;
    const UpstreamSettings& settings = *found.upstream->settings;
    if (found.policy == &settings.policy) return -1;
    return found.policy == &settings.routes[0].policy ? 0 : 1;
  };
  EXPECT_EQ(taken("CONNECT api.test:443"), 0);
  EXPECT_EQ(taken("GET http://api.test?x=1"), 1);
  EXPECT_EQ(taken("GET http://api.test/?x=1"), 1);
  EXPECT_EQ(taken("GET http://api.test"), -1);
}

TEST_F(RouterTest, RemembersNothingOfTheRequestBefore) {
  ASSERT_TRUE(route(Door::kOpen, request("GET http://[::2]:81?q", "Host: x\r\n")).has_value());
  ASSERT_TRUE(route(Door::kOpen, request("GET /a", "Host: plain.test\r\n")).has_value());
  EXPECT_EQ(found.form, TargetForm::kOrigin);
  EXPECT_EQ(found.host_field, "plain.test");
  EXPECT_EQ(found.choice.port, 80);
  EXPECT_FALSE(found.add_slash);
  ASSERT_FALSE(route(Door::kOpen, request("GET ftp://a/", "Host: x\r\n")).has_value());
  EXPECT_EQ(found.form, TargetForm::kAuthority);
}

}  // namespace
}  // namespace penstock
