// What a reload changes, and what keeps its connections.
#include "config/diff.h"

#include <gtest/gtest.h>

#include <functional>
#include <set>

#include "config/identity.h"
#include "config/loader.h"

namespace penstock {
namespace {

Config load(std::string_view text) {
  const LoadResult result = load_text("p.yaml", text);
  for (const auto& line : result.fault_lines()) ADD_FAILURE() << line;
  return result.ok() ? *result.config : Config{};
}

constexpr std::string_view kBefore =
    "upstreams:\n"
    "  - {name: a, hosts: [a.example], pool: {max_connections: 50}}\n"
    "  - {name: b, hosts: [b.example]}\n";

TEST(Diff, OfEqualFilesIsEmpty) {
  const ConfigDiff same = diff(load(kBefore), load(kBefore));
  EXPECT_TRUE(same.empty());
  ASSERT_EQ(same.upstreams.size(), 2U);
  EXPECT_EQ(same.upstreams[0].fate, UpstreamFate::kKept);
}

TEST(Diff, TellsLimitsFromIdentityAndNamesTheKeys) {
  const ConfigDiff changes =
      diff(load(kBefore),
           load("listeners: [{address: 127.0.0.1:1}]\n"
                "admin: {address: 127.0.0.1:2}\n"
                "log: {level: debug}\n"
                "upstreams:\n"
                "  - {name: c, hosts: [c.example]}\n"
                "  - {name: a, hosts: [a.example, a2.example], pool: {max_connections: 20}}\n"
                "  - {name: b, hosts: [b.example], connect_to: 127.0.0.1:1, via: off}\n"));
  EXPECT_EQ(
      changes.lines(),
      (std::vector<std::string>{
          "listener 127.0.0.1:1: added", "listener 127.0.0.1:3128: removed", "upstream c: added",
          "upstream a: changed, its connections stay (hosts, pool.max_connections, "
          "pool.max_idle)",
          "upstream b: dialled otherwise from now on, its idle connections are closed "
          "(connect_to, via)",
          "changed: log.level", "changed, applied only by a restart: admin.address"}));
}

TEST(Diff, TellsRemovedUpstreamsAndChangedListeners) {
  const ConfigDiff changes =
      diff(load(kBefore), load("listeners: [{allow_browsers: true}]\n"
                               "upstreams:\n  - {name: b, hosts: [b.example]}\n"));
  ASSERT_EQ(changes.upstreams.size(), 2U);
  EXPECT_EQ(changes.upstreams[1].name, "a");
  EXPECT_EQ(changes.upstreams[1].fate, UpstreamFate::kRemoved);
  ASSERT_EQ(changes.listeners.size(), 1U);
  EXPECT_EQ(changes.listeners[0].fate, ListenerFate::kChanged);
  EXPECT_FALSE(changes.empty());
}

TEST(Diff, TellsAnUpstreamWhoseRoutesChanged) {
  const auto load_with = [](const std::string& rest) {
    return load("upstreams:\n  - {name: a, hosts: [a.example]" + rest + "}\n");
  };
  const std::string route = ", routes: [{path_prefix: /r, timeouts: {total: 9s}}]";
  const Config before = load_with(route);
  EXPECT_TRUE(diff(before, load_with(route)).empty());
  const std::vector<std::string> others = {
      "",
      ", routes: [{path_prefix: /q, timeouts: {total: 9s}}]",
      ", routes: [{path_prefix: /r, methods: [GET], timeouts: {total: 9s}}]",
      ", routes: [{path_prefix: /r, timeouts: {total: 8s}}]",
      ", routes: [{path_prefix: /r, timeouts: {total: off}}]",
      ", routes: [{path_prefix: /r, timeouts: {total: 9s}, retry: {attempts: 0}}]",
      ", routes: [{path_prefix: /r, timeouts: {total: 9s}}, {path_prefix: /q, retry: {attempts: "
      "0}}]",
  };
  for (const std::string& other : others) {
    const UpstreamChange change = diff(before, load_with(other)).upstreams.at(0);
    EXPECT_EQ(change.fate, UpstreamFate::kChanged) << other;
    EXPECT_EQ(change.keys, std::vector<std::string_view>{"routes"}) << other;
    EXPECT_EQ(diff(load_with(other), before).upstreams.at(0).keys, change.keys) << other;
  }
}

TEST(Diff, DoesNotBlameRoutesForWhatTheyInherit) {
  const auto load_with = [](const std::string& timeouts) {
    return load("upstreams:\n  - {name: a, hosts: [a.example], timeouts: " + timeouts +
                ", routes: [{path_prefix: /r, timeouts: {total: 9s}}]}\n");
  };
  EXPECT_EQ(diff(load_with("{connect: 1s}"), load_with("{connect: 2s}")).upstreams.at(0).keys,
            std::vector<std::string_view>{"timeouts.connect"});
  EXPECT_EQ(diff(load_with("{total: 9s}"), load_with("{total: 5s}")).upstreams.at(0).keys,
            std::vector<std::string_view>{"timeouts.total"});
}

TEST(Diff, SeesAFileWhoseContentChanged) {
  Config before = load(kBefore);
  before.upstreams[0].policy.tls.ca_file = "ca.pem";
  before.upstreams[0].policy.ca_pem = "old";
  Config after = before;
  after.upstreams[0].policy.ca_pem = "new";
  const ConfigDiff changes = diff(before, after);
  EXPECT_EQ(changes.upstreams[0].fate, UpstreamFate::kRetired);
  EXPECT_EQ(changes.upstreams[0].keys, std::vector<std::string_view>{"tls.ca_file"});
}

using Change = std::function<void(UpstreamSettings&)>;

TEST(Identity, ChangesWithWhatIsDialledAndHow) {
  const std::vector<Change> changes = {
      [](auto&) {},
      [](auto& u) { u.policy.scheme = SchemeMode::kSame; },
      [](auto& u) { u.origin = "x"; },
      [](auto& u) { u.policy.connect_to = "x"; },
      [](auto& u) { u.policy.source_address = "x"; },
      [](auto& u) { u.policy.tls.server_name = "x"; },
      [](auto& u) { u.policy.tls.min_version = 13; },
      [](auto& u) { u.policy.tls.verify = false; },
      [](auto& u) { u.policy.tls.session_cache = 7; },
      [](auto& u) { u.policy.ca_pem = "x"; },
      [](auto& u) { u.policy.extra_ca_pem = "x"; },
      [](auto& u) { u.policy.cert_pem = "x"; },
      [](auto& u) { u.policy.key_pem = "x"; },
      [](auto& u) { u.policy.cert_pem = "xy", u.policy.key_pem = "z"; },
      [](auto& u) { u.policy.cert_pem = "x", u.policy.key_pem = "yz"; },
  };
  std::set<std::uint64_t> hashes;
  for (const Change& change : changes) {
    UpstreamSettings upstream;
    change(upstream);
    hashes.insert(identity_hash(upstream));
  }
  EXPECT_EQ(hashes.size(), changes.size());
}

TEST(Identity, ChangesWithTheSystemsCasWhereTheyDecide) {
  const auto depends = [](const UpstreamSettings& upstream) {
    return identity_hash(upstream, "some") != identity_hash(upstream, "others");
  };
  UpstreamSettings upstream;
  EXPECT_TRUE(depends(upstream));
  upstream.policy.extra_ca_pem = "x";
  EXPECT_TRUE(depends(upstream));
  upstream.policy.scheme = SchemeMode::kHttp;
  EXPECT_FALSE(depends(upstream));
  upstream.policy.scheme = SchemeMode::kAuto;
  upstream.policy.tls.verify = false;
  EXPECT_FALSE(depends(upstream));
  upstream.policy.tls.verify = true;
  upstream.policy.ca_pem = "x";
  EXPECT_FALSE(depends(upstream));
}

TEST(Identity, StaysWithNamesLimitsAndFileNames) {
  const std::vector<Change> changes = {
      [](auto& u) { u.name = "x"; },
      [](auto& u) { u.hosts = {"x"}; },
      [](auto& u) { u.policy.pool.max_connections = 1; },
      [](auto& u) { u.policy.timeouts.connect = std::nullopt; },
      [](auto& u) { u.policy.timeouts_set = 1; },
      [](auto& u) { u.policy.timeouts.exchange = std::chrono::seconds(1); },
      [](auto& u) { u.routes.emplace_back(); },
      [](auto& u) { u.policy.via = false; },
      [](auto& u) { u.policy.tls.ca_file = "elsewhere.pem"; },
  };
  for (const Change& change : changes) {
    UpstreamSettings upstream;
    change(upstream);
    EXPECT_EQ(identity_hash(upstream), identity_hash(UpstreamSettings()));
  }
}

std::vector<std::string> explain(std::string_view before, std::string_view after) {
  return explain_diff(load(before), load(after));
}

TEST(Diff, ExplainedSaysNothingOfWhatIsKept) {
  EXPECT_EQ(explain(kBefore, kBefore), std::vector<std::string>());
}

TEST(Diff, ExplainedHasBothValuesOfEachKey) {
  EXPECT_EQ(
      explain(kBefore,
              "workers: 3\n"
              "listeners: [{address: 127.0.0.1:3128, allow_browsers: true}]\n"
              "reload: {watch: 5s}\n"
              "upstreams:\n"
              "  - {name: a, hosts: [a.example], pool: {max_connections: 50}, "
              "connect_to: 127.0.0.1:1}\n"
              "  - {name: c, hosts: [b.example]}\n"),
      (std::vector<std::string>{
          "listener 127.0.0.1:3128: changed, its socket stays", "  allow_browsers: false -> true",
          "upstream a: dialled otherwise from now on, its idle connections are closed",
          "  connect_to: off -> 127.0.0.1:1", "upstream c: added", "upstream b: removed",
          "the daemon: changed", "  reload.watch: off -> 5s",
          "the daemon: changed, applied only by a restart", "  workers: auto -> 3"}));
}

TEST(Diff, ExplainedNamesWhatHasNoOneValue) {
  constexpr std::string_view kRoutes =
      "upstreams:\n"
      "  - name: a\n"
      "    hosts: [a.example]\n"
      "    pool: {max_connections: 50}\n"
      "    routes: [{methods: [POST], timeouts: {total: 1s}}]\n"
      "  - {name: b, hosts: [b.example]}\n";
  EXPECT_EQ(explain(kBefore, kRoutes),
            (std::vector<std::string>{"upstream a: changed, its connections stay",
                                      "  routes: other content"}));
}

}  // namespace
}  // namespace penstock
