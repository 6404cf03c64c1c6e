// Which requests a route takes, and how routes start from their upstream's policy.
#include "config/route.h"

#include <gtest/gtest.h>

#include "config/key_table.h"
#include "config/loader.h"
#include "unit/config/counting_new.h"

namespace penstock {
namespace {

using namespace std::chrono_literals;

RouteSettings route(std::vector<std::string> methods, std::string prefix) {
  return {.methods = std::move(methods), .path_prefix = std::move(prefix), .policy = {}};
}

UpstreamSettings load(const std::string& rest) {
  const LoadResult result =
      load_text("p.yaml", "upstreams:\n  - name: a\n    hosts: [a.example]\n" + rest);
  for (const auto& line : result.fault_lines()) ADD_FAILURE() << line;
  return result.ok() ? result.config->upstreams[0] : UpstreamSettings{};
}

// The index of the route that takes the request; -1: none.
std::ptrdiff_t taken(const UpstreamSettings& upstream, std::string_view method,
                     std::string_view path) {
  const RouteSettings* found = find_route(upstream, method, path);
  return found == nullptr ? -1 : found - upstream.routes.data();
}

TEST(FindRoute, TakesTheFirstThatFits) {
  UpstreamSettings upstream;
  upstream.routes = {route({"POST", "PUT"}, "/reports"), route({}, "/reports/daily"),
                     route({"DELETE"}, "")};
  EXPECT_EQ(taken(upstream, "POST", "/reports"), 0);
  EXPECT_EQ(taken(upstream, "PUT", "/reports/daily?x=1"), 0);
  EXPECT_EQ(taken(upstream, "GET", "/reports/daily"), 1);
  EXPECT_EQ(taken(upstream, "DELETE", "/reports/daily"), 1);
  EXPECT_EQ(taken(upstream, "DELETE", "/"), 2);
  EXPECT_EQ(taken(upstream, "DELETE", "*"), 2);
  EXPECT_EQ(taken(upstream, "GET", "/reports"), -1);
  EXPECT_EQ(taken(upstream, "post", "/reports"), -1);
  EXPECT_EQ(taken(upstream, "POST", "/Reports"), -1);
  EXPECT_EQ(taken(upstream, "POST", "/report"), -1);
  EXPECT_EQ(taken(UpstreamSettings{}, "GET", "/"), -1);
}

TEST(FindRoute, TakesAPathThatTheAppLeftOutAsASlash) {
  UpstreamSettings upstream;
  upstream.routes = {route({"GET"}, "/?x"), route({"GET"}, "/"), route({}, "/reports")};
  EXPECT_EQ(taken(upstream, "GET", ""), 1);
  EXPECT_EQ(taken(upstream, "GET", "?x=1"), 0);
  EXPECT_EQ(taken(upstream, "GET", "?y"), 1);
  EXPECT_EQ(taken(upstream, "POST", ""), -1);
  EXPECT_EQ(taken(upstream, "OPTIONS", "*"), -1);
}

TEST(FindRoute, AllocatesNothing) {
  UpstreamSettings upstream;
  upstream.routes = {route({"POST"}, "/a/path/that/is/longer/than/a/short/string"), route({}, "/")};
  const std::size_t before = allocation_count();
  EXPECT_EQ(taken(upstream, "POST", "/a/path/that/is/longer/than/a/short/string/and/more"), 0);
  EXPECT_EQ(taken(upstream, "GET", "/a/path/that/is/longer/than/a/short/string"), 1);
  EXPECT_EQ(allocation_count(), before);
}

TEST(Route, CoversAnotherByMethodsAndPrefix) {
  struct Case {
    RouteSettings one, other;
    bool covers, overlap;
  };
  const std::vector<Case> cases = {
      {route({}, "/a"), route({}, "/a"), true, true},
      {route({}, "/a"), route({"GET"}, "/a/b"), true, true},
      {route({"GET"}, "/a"), route({}, "/a/b"), false, true},
      {route({"GET", "PUT"}, ""), route({"PUT"}, "/b"), true, true},
      {route({"GET"}, ""), route({"GET", "PUT"}, "/b"), false, true},
      {route({"GET"}, "/a"), route({"PUT"}, "/a"), false, false},
      {route({}, "/a/b"), route({}, "/a"), false, true},
      {route({}, "/a"), route({}, "/b"), false, false},
  };
  for (const Case& each : cases) {
    SCOPED_TRACE(to_string(each.one) + " and " + to_string(each.other));
    EXPECT_EQ(covers(each.one, each.other), each.covers);
    EXPECT_EQ(overlap(each.one, each.other), each.overlap);
    EXPECT_EQ(overlap(each.other, each.one), each.overlap);
  }
}

TEST(Route, SaysWhatItTakes) {
  EXPECT_EQ(to_string(route({"POST"}, "/reports")), "POST /reports");
  EXPECT_EQ(to_string(route({"POST", "PUT"}, "")), "POST, PUT");
  EXPECT_EQ(to_string(route({}, "/reports")), "/reports");
  EXPECT_EQ(to_string(route({}, "")), "all requests");
}

TEST(Routes, OverrideTheirUpstreamKeyByKeyWhereverTheyStand) {
  const UpstreamSettings upstream = load(
      "    routes:\n"
      "      - {methods: [POST], path_prefix: /r, timeouts: {total: off, min_rate: {size: 2KiB}},"
      " retry: {budget: {ratio: 5%}}}\n"
      "      - {path_prefix: /r, timeouts: {queue: 1s}}\n"
      "    timeouts: {total: 20s, connect: 2s}\n"
      "    retry: {attempts: 2}\n"
      "defaults: {timeouts: {exchange: 9s, total: 1s}}\n");
  ASSERT_EQ(upstream.routes.size(), 2U);
  const RequestPolicy& first = upstream.routes[0].policy;
  EXPECT_EQ(upstream.routes[0].methods, std::vector<std::string>{"POST"});
  EXPECT_EQ(upstream.routes[0].path_prefix, "/r");
  EXPECT_EQ(first.timeouts.total, std::nullopt);
  EXPECT_EQ(first.timeouts.min_rate_size, 2048U);
  EXPECT_EQ(first.timeouts.connect, 2s);
  EXPECT_EQ(first.timeouts.exchange, 9s);
  EXPECT_EQ(first.retry.budget_ratio, 0.05);
  EXPECT_EQ(first.retry.attempts, 2U);
  const RequestPolicy& second = upstream.routes[1].policy;
  EXPECT_EQ(second.timeouts.queue, 1s);
  EXPECT_EQ(second.timeouts.total, 20s);
  EXPECT_EQ(second.timeouts.min_rate_size, 0U);
  EXPECT_EQ(upstream.policy.timeouts.total, 20s);
  EXPECT_EQ(upstream.policy.timeouts.queue, 5s);
  EXPECT_EQ(upstream.policy.retry.budget_ratio, 0.2);
}

TEST(Routes, NoteWhichTimeoutsTheFileSets) {
  const UpstreamSettings upstream = load(
      "    timeouts: {connect: 2s}\n"
      "    routes: [{path_prefix: /r, timeouts: {total: 1s}, retry: {attempts: 0}}]\n"
      "defaults: {timeouts: {queue: 1s}}\n");
  const RequestPolicy& policy = upstream.routes.at(0).policy;
  EXPECT_EQ(policy.timeouts_set, timeout_bits("timeouts.queue") | timeout_bits("timeouts.connect") |
                                     timeout_bits("timeouts.total"));
  EXPECT_FALSE(is_timeout_set(upstream.policy, "timeouts.total"));
}

TEST(Routes, TakeAllMethodsWhereNoneIsNamed) {
  for (const char* methods : {"", "methods: [], ", "methods: all, "}) {
    const UpstreamSettings upstream = load("    routes: [{" + std::string(methods) +
                                           "path_prefix: /r, timeouts: {total: 1s}}]\n");
    EXPECT_TRUE(upstream.routes.at(0).methods.empty());
  }
  EXPECT_TRUE(load("    routes:\n").routes.empty());
}

TEST(Routes, ThatSetNothingKeepTheirRequestsFromLaterOnes) {
  const UpstreamSettings upstream = load(
      "    routes:\n"
      "      - {methods: [GET], path_prefix: /r/small}\n"
      "      - {path_prefix: /r, timeouts: {total: 1m}}\n");
  EXPECT_EQ(taken(upstream, "GET", "/r/small/1"), 0);
  EXPECT_EQ(taken(upstream, "GET", "/r/1"), 1);
  EXPECT_EQ(upstream.routes[0].policy.timeouts.total, std::nullopt);
}

TEST(MinRate, IsSwitchedOffAsAWhole) {
  for (const char* off : {"off", "false", "no", "{size: off}"}) {
    const UpstreamSettings upstream = load("    timeouts: {min_rate: " + std::string(off) +
                                           "}\n"
                                           "defaults: {timeouts: {min_rate: {size: 1KiB, window: "
                                           "5s}}}\n");
    EXPECT_EQ(upstream.policy.timeouts.min_rate_size, 0U) << off;
  }
  const UpstreamSettings inherited =
      load("defaults: {timeouts: {min_rate: {size: 1KiB, window: 5s}}}\n");
  EXPECT_EQ(inherited.policy.timeouts.min_rate_size, 1024U);
  EXPECT_EQ(inherited.policy.timeouts.min_rate_window, 5s);
}

TEST(MinRate, CountsAsSetByAnyOfItsKeys) {
  const auto is_set = [](const std::string& min_rate) {
    return is_timeout_set(load("    timeouts: {" + min_rate + "}\n").policy, "timeouts.min_rate");
  };
  EXPECT_TRUE(is_set("min_rate: off"));
  EXPECT_TRUE(is_set("min_rate: {size: 1B}"));
  EXPECT_TRUE(is_set("min_rate: {size: 1B, window: 1s}"));
  EXPECT_FALSE(is_set("min_rate: {}"));
  EXPECT_FALSE(is_set("total: 1s"));
}

TEST(MinRate, TakesAWindowInDefaultsForThoseWhoSetASize) {
  const UpstreamSettings upstream = load(
      "    timeouts: {min_rate: {size: 1MiB}}\n"
      "  - {name: b, hosts: [b.example]}\n"
      "defaults: {timeouts: {min_rate: {window: 5s}}}\n");
  EXPECT_EQ(upstream.policy.timeouts.min_rate_size, 1048576U);
  EXPECT_EQ(upstream.policy.timeouts.min_rate_window, 5s);
}

TEST(MinRate, TakesAWindowInAnUpstreamForItsRoutes) {
  const UpstreamSettings upstream = load(
      "    timeouts: {min_rate: {window: 5s}}\n"
      "    routes: [{path_prefix: /r, timeouts: {min_rate: {size: 1MiB}}}]\n");
  EXPECT_EQ(upstream.policy.timeouts.min_rate_size, 0U);
  EXPECT_EQ(upstream.routes.at(0).policy.timeouts.min_rate_size, 1048576U);
  EXPECT_EQ(upstream.routes.at(0).policy.timeouts.min_rate_window, 5s);
}

TEST(DeadlineHeader, IsAnyNameOrOff) {
  const auto header = [](const std::string& value) {
    const LoadResult result = load_text("p.yaml", "client: {deadline_header: " + value + "}\n");
    return result.ok() ? result.config->client.deadline_header : result.fault_lines().front();
  };
  EXPECT_EQ(default_config().client.deadline_header, "X-Penstock-Timeout");
  EXPECT_EQ(header("x-request-timeout"), "x-request-timeout");
  EXPECT_EQ(header("off"), "");
  EXPECT_EQ(header("false"), "");
}

}  // namespace
}  // namespace penstock
