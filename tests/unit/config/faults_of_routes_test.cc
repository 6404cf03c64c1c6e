// Routes that fit nothing, hide one another or do nothing; what a rate and a deadline's field need.
#include "unit/config/fault_cases.h"

namespace penstock {
namespace {

// Below `upstreams`, in line 1; `routes` stands in line 2.
std::string with_routes(std::string_view routes) {
  return "upstreams: [{name: a, hosts: [a.example],\n routes: " + std::string(routes) + "}]\n";
}

struct RouteCase {
  std::string_view routes;
  std::vector<std::string> lines;
};

void expect_route_faults(const std::vector<RouteCase>& cases) {
  for (const RouteCase& each : cases) {
    const std::string text = with_routes(each.routes);
    const std::vector<FaultCase> one = {{text, each.lines}};
    expect_faults(one);
  }
}

TEST(Faults, OfRoutesNameTheirKeys) {
  expect_route_faults({
      {"[]", {"2:10: upstreams[0].routes: is an empty list (at least one, or leave the key out)"}},
      {"{methods: [GET]}", {"2:10: upstreams[0].routes: is a map (a list)"}},
      {"off", {"2:10: upstreams[0].routes: \"off\" is a single value (a list)"}},
      {"[/reports]",
       {"2:11: upstreams[0].routes[0]: \"/reports\" is a single value (a map of keys)"}},
      {"[{methods: [GET], timeouts: {totl: 1s}}]",
       {"2:39: upstreams[0].routes[0].timeouts.totl: unknown key; did you mean total?"}},
      {"[{method: [GET], timeouts: {total: 1s}}]",
       {"2:12: upstreams[0].routes[0].method: unknown key; did you mean methods?"}},
      {"[{methods: [GET], total: 1s}]",
       {"2:28: upstreams[0].routes[0].total: unknown key; did you mean timeouts.total?"}},
      {"[{methods: [GET], pool: {max_idle: 1}}]",
       {"2:28: upstreams[0].routes[0].pool: unknown key (methods, path_prefix, timeouts, retry)"}},
      {"[{methods: [GET], routes: []}]",
       {"2:28: upstreams[0].routes[0].routes: unknown key; did you mean upstreams[].routes?"}},
      {"[{methods: [GET], timeouts: {total: 5}}]",
       {"2:46: upstreams[0].routes[0].timeouts.total: \"5\" has no unit; write 5s (1ms to 24h, or "
        "off)"}},
      {"[{methods: [GET], methods: [PUT], retry: {attempts: 0}}]",
       {"2:28: upstreams[0].routes[0].methods: written twice (first in line 2)"}},
      {"[{methods: GET, timeouts: {total: 1s}}]",
       {"2:21: upstreams[0].routes[0].methods: \"GET\" is a single value (a list of methods in "
        "capitals, or all)"}},
      {"[{methods: [post, 'A B', ''], timeouts: {total: 1s}}]",
       {"2:22: upstreams[0].routes[0].methods[0]: \"post\" has small letters; write POST (a list "
        "of methods in capitals, or all)",
        "2:28: upstreams[0].routes[0].methods[1]: \"A B\" is no method (a list of methods in "
        "capitals, or all)",
        "2:35: upstreams[0].routes[0].methods[2]: \"\" is no method (a list of methods in "
        "capitals, or all)"}},
      {"[{path_prefix: reports, timeouts: {total: 1s}}]",
       {"2:25: upstreams[0].routes[0].path_prefix: \"reports\" does not begin with / (a text that "
        "begins with /, or all)"}},
      {"[{path_prefix: 'http://a/x', timeouts: {total: 1s}}]",
       {"2:25: upstreams[0].routes[0].path_prefix: \"http://a/x\" does not begin with / (a text "
        "that begins with /, or all)"}},
      {"[{path_prefix: /a#b, timeouts: {total: 1s}}]",
       {"2:25: upstreams[0].routes[0].path_prefix: \"/a#b\" has a fragment, which no request "
        "carries (a text that begins with /, or all)"}},
      {"[{path_prefix: '/a b', timeouts: {total: 1s}}, {path_prefix: /ü, retry: {attempts: 0}}]",
       {"2:25: upstreams[0].routes[0].path_prefix: \"/a b\" holds a character that a request has "
        "as %XX (a text that begins with /, or all)",
        "2:71: upstreams[0].routes[1].path_prefix: \"/ü\" holds a character that a request has as "
        "%XX (a text that begins with /, or all)"}},
      {"[{path_prefix: /a, timeouts: {min_rate: 5KiB}}]",
       {"2:50: upstreams[0].routes[0].timeouts.min_rate: \"5KiB\" is a single value (a map of "
        "keys, or off)"}},
      {"[{path_prefix: /a, timeouts: {resolve: 1s}}]",
       {"2:49: upstreams[0].routes[0].timeouts.resolve: dns.attempts × dns.attempt_timeout is 2s, "
        "which cannot end within timeouts.resolve, 1s (at most timeouts.resolve)"}},
      {"[{path_prefix: /a, timeouts: {min_rate: {window: 1s}}}]",
       {"2:59: upstreams[0].routes[0].timeouts.min_rate.window: stands without "
        "timeouts.min_rate.size (both, or min_rate: off)"}},
  });
}

TEST(Faults, OfRoutesNameTheOneThatHidesAnother) {
  constexpr std::string_view kAll =
      "takes every request, so that the upstream's own values would hold for none (methods, a "
      "path_prefix longer than /, or the values in the upstream itself)";
  constexpr std::string_view kNothing =
      "changes nothing (timeouts or retry; without them a route only keeps its requests from "
      "later routes, and no later one takes any of them)";
  const auto hidden = [](std::string_view by) {
    return "is never taken: " + std::string(by) +
           " takes all its requests before it (the narrower route goes first)";
  };
  const auto at = [](std::string_view place, std::string_view what) {
    return std::string(place) + ": " + std::string(what);
  };
  expect_route_faults({
      {"[{timeouts: {total: 1s}}]", {at("2:11: upstreams[0].routes[0]", kAll)}},
      {"[{path_prefix: /, timeouts: {total: 1s}}]", {at("2:11: upstreams[0].routes[0]", kAll)}},
      {"[{}]", {at("2:11: upstreams[0].routes[0]", kAll)}},
      {"[{path_prefix: /a, retry: {attempts: 0}},\n {path_prefix: /a/b, retry: {attempts: 0}}]",
       {at("3:2: upstreams[0].routes[1]", hidden("routes[0] (/a)"))}},
      {"[{methods: [PUT, POST], retry: {attempts: 0}},\n {methods: [GET], retry: {attempts: 0}},\n "
       "{methods: [POST], path_prefix: /a, timeouts: {total: 1s}}]",
       {at("4:2: upstreams[0].routes[2]", hidden("routes[0] (PUT, POST)"))}},
      {"[{path_prefix: /a},\n {path_prefix: /b, retry: {attempts: 0}}]",
       {at("2:11: upstreams[0].routes[0]", kNothing)}},
      {"[{methods: [GET], path_prefix: /a},\n {methods: [PUT], retry: {attempts: 0}}]",
       {at("2:11: upstreams[0].routes[0]", kNothing)}},
      {"[{path_prefix: /a, timeouts: {}, retry: }]",
       {at("2:11: upstreams[0].routes[0]", kNothing)}},
      {"[{path_prefix: a},\n {path_prefix: /b, timeouts: {total: 1}},\n {path_prefix: /b/c},\n "
       "{timeouts: {total: 2s}}]",
       {"2:25: upstreams[0].routes[0].path_prefix: \"a\" does not begin with / (a text that begins "
        "with /, or all)",
        "3:38: upstreams[0].routes[1].timeouts.total: \"1\" has no unit; write 1s (1ms to 24h, or "
        "off)",
        at("5:2: upstreams[0].routes[3]", kAll)}},
  });
}

TEST(Faults, OfKeysInTheWrongPlaceNameTheRoutes) {
  const std::vector<FaultCase> cases = {
      {"routes: []\n", {"1:1: routes: unknown key; did you mean upstreams[].routes?"}},
      {"defaults: {routes: []}\n",
       {"1:12: defaults.routes: unknown key; did you mean upstreams[].routes?"}},
      {"upstreams: [{name: a, hosts: [a.example], route: []}]\n",
       {"1:43: upstreams[0].route: unknown key; did you mean routes?"}},
      {"upstreams: [{name: a, hosts: [a.example], path_prefix: /x}]\n",
       {"1:43: upstreams[0].path_prefix: unknown key; did you mean routes[].path_prefix?"}},
  };
  expect_faults(cases);
}

TEST(Faults, OfRatesSayHowTheyAreSet) {
  const std::vector<FaultCase> cases = {
      {"defaults: {timeouts: {min_rate: 1KiB}}\n",
       {"1:33: defaults.timeouts.min_rate: \"1KiB\" is a single value (a map of keys, or off)"}},
      {"defaults: {timeouts: {min_rate: [off]}}\n",
       {"1:33: defaults.timeouts.min_rate: is a list (a map of keys, or off)"}},
      {"defaults: {timeouts: {min_rate: {size: 0}}}\n",
       {"1:40: defaults.timeouts.min_rate.size: \"0\" is too small (1B to 1GiB, or off)"}},
      {"defaults: {timeouts: {min_rate: {size: none}}}\n",
       {"1:40: defaults.timeouts.min_rate.size: \"none\"; for no limit write off (1B to 1GiB, or "
        "off)"}},
      {"defaults: {timeouts: {min_rate: {size: -1KiB}}}\n",
       {"1:40: defaults.timeouts.min_rate.size: \"-1KiB\" is negative; for no limit write off (1B "
        "to 1GiB, or off)"}},
      {"defaults: {timeouts: {min_rate: {size: 1KiB, window: off}}}\n",
       {"1:54: defaults.timeouts.min_rate.window: this time needs a bound (1ms to 24h)"}},
      {"upstreams: [{name: a, hosts: [a.example], timeouts: {min_rate: {window: 1s}}}]\n",
       {"1:73: upstreams[0].timeouts.min_rate.window: stands without timeouts.min_rate.size (both, "
        "or min_rate: off)"}},
      {"defaults: {timeouts: {exchange: 0}}\n",
       {"1:33: defaults.timeouts.exchange: \"0\" would end at once; for no limit write off (1ms to "
        "24h, or off)"}},
  };
  expect_faults(cases);
}

TEST(Faults, OfTheDeadlinesFieldNameTheOthersMeaning) {
  constexpr std::string_view kAllowed =
      " (the name of a field that means nothing else to the proxy, or off)";
  const auto refused = [&](const std::string& value, const std::string& what) {
    const std::string text = "client: {deadline_header: '" + value + "'}\n";
    const std::vector<FaultCase> one = {
        {text,
         {"1:27: client.deadline_header: \"" + value + "\" " + what + std::string(kAllowed)}}};
    expect_faults(one);
  };
  for (const char* name : {"Host", "content-length", "Connection", "Transfer-Encoding", "TE",
                           "Upgrade", "Expect", "Via", "Proxy-Authorization", "Keep-Alive",
                           "Content-Type", "grpc-timeout", "Cache-Control"}) {
    refused(name, "has a meaning of its own; write a name like X-Penstock-Timeout");
  }
  for (const char* name : {"X Timeout", "X-Timeout:", "", "a,b", "ü"}) {
    refused(name, "is no name of a field");
  }
}

}  // namespace
}  // namespace penstock
