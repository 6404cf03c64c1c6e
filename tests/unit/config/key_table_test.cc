// The table of keys agrees with the structs it writes to.
#include "config/key_table.h"

#include <gtest/gtest.h>

#include <map>
#include <set>
#include <string>

#include "config/loader.h"
#include "config/suggestion.h"
#include "config/values.h"

namespace penstock {
namespace {

// The structs of a configuration without a file.
struct DefaultStructs {
  Config config = default_config();
  RouteSettings route;
  UpstreamPolicy policy;
  KeySource source{&config, config.listeners.data(), config.upstreams.data(), &route, &policy,
                   &policy};
};

// One of each, to write to and to read from.
struct Structs {
  Config config;
  ListenerSettings listener;
  UpstreamSettings upstream;
  RouteSettings route;
  UpstreamPolicy policy;
  KeyTarget target{&config, &listener, &upstream, &route, &policy, &policy};
  KeySource source{&config, &listener, &upstream, &route, &policy, &policy};
};

TEST(KeyTable, StatesTheDefaultsOfTheStructs) {
  const DefaultStructs defaults;
  for (const KeyRow& row : key_rows()) {
    EXPECT_EQ(row.get(row, defaults.source), row.default_text) << row.path;
  }
}

TEST(KeyTable, TakesItsOwnDefaults) {
  for (const KeyRow& row : key_rows()) {
    if (row.type == ValueType::kList) continue;
    Structs structs;
    EXPECT_EQ(row.set(row, structs.target, row.default_text), std::nullopt) << row.path;
    EXPECT_EQ(row.get(row, structs.source), row.default_text);
  }
}

// Another value than the default, by the row's type.
std::string other_value(const KeyRow& row) {
  switch (row.type) {
    case ValueType::kDuration:
      return "1.5s";
    case ValueType::kSize:
      return "8MiB";
    case ValueType::kCount:
      return row.default_text == "3" ? "4" : "3";
    case ValueType::kSwitch:
      return row.default_text == "true" ? "false" : "true";
    case ValueType::kShare:
      return "0.5";
    case ValueType::kWord:
      return std::string(row.words[row.words[0] == row.default_text ? 1 : 0]);
    case ValueType::kText:
    case ValueType::kList:
      break;
  }
  if (row.path == "source_address") return "127.0.0.1";
  if (row.path.find("address") != std::string_view::npos) return "127.0.0.1:7";
  if (row.path == "mode") return "0640";
  if (row.path == "allow_uids") return "33";
  if (row.path == "allow_clients") return "private";
  if (row.path == "methods") return "POST";
  if (row.path == "path_prefix") return "/other";
  if (row.path == "access_log.path") return "/var/log/penstock.log";
  if (row.path == "egress.connect_ports") return "8443";
  if (row.path == "dns.servers" || row.path.starts_with("egress.")) return "192.0.2.1";
  return "other";
}

TEST(KeyTable, EachRowWritesOnlyTheFieldItReads) {
  for (const KeyRow& row : key_rows()) {
    Structs structs;
    const KeyTarget& target = structs.target;
    const KeySource& source = structs.source;
    std::map<const KeyRow*, std::string> before;
    for (const KeyRow& each : key_rows()) before[&each] = each.get(each, source);

    const std::string value = other_value(row);
    if (row.type == ValueType::kList) row.clear(target);
    ASSERT_EQ(row.set(row, target, value), std::nullopt) << row.path << ' ' << value;

    const std::string shown = row.type == ValueType::kList ? '[' + value + ']' : value;
    EXPECT_EQ(row.get(row, source), shown) << row.path;
    for (const KeyRow& each : key_rows()) {
      if (&each == &row) continue;
      EXPECT_EQ(each.get(each, source), before[&each]) << row.path << " wrote " << each.path;
    }
  }
}

TEST(KeyTable, HasEachKeyOnceWithAllItsWords) {
  std::set<std::string> paths;
  for (const KeyRow& row : key_rows()) {
    EXPECT_TRUE(paths.insert(full_path(row)).second) << row.path;
    EXPECT_FALSE(row.doc.empty()) << row.path;
    EXPECT_TRUE(row.doc.ends_with('.')) << row.path;
    EXPECT_FALSE(allowed_text(row).empty()) << row.path;
    EXPECT_EQ(find_key(row.scope, row.path), &row);
    EXPECT_FALSE(is_later_key(row.scope, row.path)) << row.path;
    EXPECT_FALSE(is_section(row.scope, row.path)) << row.path;
  }
  EXPECT_GT(paths.size(), 60U);
}

TEST(KeyTable, FindsPolicyKeysInUpstreamsAndNowhereElse) {
  EXPECT_NE(find_key(KeyScope::kUpstream, "pool.max_idle"), nullptr);
  EXPECT_NE(find_key(KeyScope::kPolicy, "pool.max_idle"), nullptr);
  EXPECT_EQ(find_key(KeyScope::kTop, "pool.max_idle"), nullptr);
  EXPECT_EQ(find_key(KeyScope::kPolicy, "hosts"), nullptr);
  EXPECT_TRUE(is_section(KeyScope::kUpstream, "pool"));
  EXPECT_FALSE(is_section(KeyScope::kUpstream, "poo"));
  EXPECT_FALSE(is_section(KeyScope::kListener, "pool"));
}

TEST(KeyTable, FindsInRoutesWhatARequestMayHaveOfItsOwn) {
  for (const KeyScope place : {KeyScope::kPolicy, KeyScope::kUpstream, KeyScope::kRoute}) {
    EXPECT_NE(find_key(place, "timeouts.total"), nullptr);
    EXPECT_NE(find_key(place, "retry.budget.ratio"), nullptr);
    EXPECT_NE(find_section_switch(place, "timeouts.min_rate"), nullptr);
    EXPECT_EQ(find_section_switch(place, "timeouts"), nullptr);
  }
  EXPECT_NE(find_key(KeyScope::kRoute, "methods"), nullptr);
  EXPECT_EQ(find_key(KeyScope::kUpstream, "methods"), nullptr);
  EXPECT_EQ(find_key(KeyScope::kRoute, "pool.max_idle"), nullptr);
  EXPECT_EQ(find_key(KeyScope::kRoute, "hosts"), nullptr);
  EXPECT_EQ(find_key(KeyScope::kTop, "timeouts.total"), nullptr);
}

TEST(KeyTable, NumbersTheTimeoutsInTheirStructsOrder) {
  EXPECT_EQ(timeout_bits("timeouts.queue"), 1U);
  EXPECT_EQ(timeout_bits("timeouts.resolve"), 2U);
  EXPECT_EQ(timeout_bits("timeouts.min_rate.size"), 128U);
  EXPECT_EQ(timeout_bits("timeouts.min_rate"), 128U + 256U);
  EXPECT_EQ(timeout_bits("timeouts.total"), 1024U);
  EXPECT_EQ(timeout_bits("client.idle_timeout"), 0U);
}

TEST(Suggestions, MeanTheNearestKnownWordOrNone) {
  const std::vector<std::string> known = {"queue", "resolve", "connect", "max_idle"};
  EXPECT_EQ(nearest("qeue", known), "queue");
  EXPECT_EQ(nearest("quueue", known), "queue");
  EXPECT_EQ(nearest("reslove", known), "resolve");
  EXPECT_EQ(nearest("maxIdle", known), "max_idle");
  EXPECT_EQ(nearest("MAX-IDLE", known), "max_idle");
  EXPECT_EQ(nearest("handshake", known), std::nullopt);
  EXPECT_EQ(nearest("", known), std::nullopt);
  EXPECT_EQ(nearest(std::string(100'000, 'q'), known), std::nullopt);
}

}  // namespace
}  // namespace penstock
