// Every value that is in force, and the line of the file that says it.
#include "config/effective.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "config/key_table.h"

namespace penstock {
namespace {

constexpr std::string_view kFile =
    "listeners:\n"
    "  - address: 127.0.0.1:1\n"
    "  - address: unix:/run/p.sock\n"
    "    mode: '0660'\n"
    "workers: 2\n"
    "defaults:\n"
    "  pool: {max_idle: 7}\n"
    "upstreams:\n"
    "  - name: a\n"
    "    hosts: [a.test]\n"
    "    timeouts: {total: 3s}\n"
    "    routes:\n"
    "      - methods: [POST]\n"
    "        timeouts: {total: off}\n"
    "  - name: b\n"
    "    hosts: [b.test]\n";

const LoadResult& loaded() {
  static const LoadResult result = load_text("p.yaml", kFile);
  EXPECT_TRUE(result.ok());
  return result;
}

// "value, who says it, where", or "not there".
std::string shown(const EffectiveValues& values, std::string_view key) {
  const auto at = std::ranges::find(values, key, &EffectiveValue::key);
  if (at == values.end()) return "not there";
  return at->value + ", " + std::string(to_string(at->source)) + ", " + std::to_string(at->line);
}

std::size_t rows_in(KeyScope place) {
  return static_cast<std::size_t>(std::ranges::count_if(
      key_rows(), [&](const KeyRow& row) { return stands_in(row.scope, place); }));
}

TEST(EffectiveValues, AreAllOfTheProcess) {
  const EffectiveValues values = process_values(loaded());
  EXPECT_EQ(values.size(), rows_in(KeyScope::kTop));
  EXPECT_EQ(shown(values, "workers"), "2, process, 5");
  EXPECT_EQ(shown(values, "client.half_close"), "false, built-in, 0");
}

TEST(EffectiveValues, AreThoseOfEachListener) {
  EXPECT_EQ(listener_values(loaded(), 0).size(), rows_in(KeyScope::kListener));
  EXPECT_EQ(shown(listener_values(loaded(), 0), "mode"), "0600, built-in, 0");
  EXPECT_EQ(shown(listener_values(loaded(), 1), "mode"), "0660, listener, 4");
}

TEST(EffectiveValues, AreThoseOfEachUpstreamWithItsDefaults) {
  const EffectiveValues a = upstream_values(loaded(), 0);
  EXPECT_EQ(a.size(), rows_in(KeyScope::kUpstream));
  EXPECT_EQ(shown(a, "hosts"), "[a.test], upstream, 10");
  EXPECT_EQ(shown(a, "pool.max_idle"), "7, defaults, 7");
  EXPECT_EQ(shown(a, "timeouts.total"), "3s, upstream, 11");
  EXPECT_EQ(shown(upstream_values(loaded(), 1), "timeouts.total"), "off, built-in, 0");
}

TEST(EffectiveValues, OfARouteAreItsOwn) {
  const EffectiveValues values = route_values(loaded(), 0, 0);
  EXPECT_EQ(values.size(), 2u);
  EXPECT_EQ(shown(values, "methods"), "[POST], route, 13");
  EXPECT_EQ(shown(values, "timeouts.total"), "off, route, 14");
}

TEST(EffectiveValues, AreBuiltInWithoutAFile) {
  const LoadResult built_in = load_default();
  const auto is_built_in = [](const EffectiveValue& value) {
    return value.source == ValueSource::kBuiltIn && value.line == 0;
  };
  EXPECT_TRUE(std::ranges::all_of(process_values(built_in), is_built_in));
  EXPECT_TRUE(std::ranges::all_of(listener_values(built_in, 0), is_built_in));
  EXPECT_TRUE(std::ranges::all_of(upstream_values(built_in, 0), is_built_in));
}

}  // namespace
}  // namespace penstock
