// An upstream keeps its metrics and its retry budget through reloads, wherever it then stands.
#include "proxy/upstream_states.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

namespace penstock {
namespace {

std::shared_ptr<const RoutingTable> table_of(const std::vector<std::string>& names) {
  Config config;
  for (const std::string& name : names) {
    UpstreamSettings settings;
    settings.name = name;
    settings.hosts = {name + ".test"};
    settings.policy.tls.verify = false;
    config.upstreams.push_back(settings);
  }
  TrustStores trust;
  return *RoutingTable::create(std::make_shared<const Config>(std::move(config)), trust, nullptr);
}

TEST(UpstreamStates, AreInTheOrderOfTheTable) {
  WorkerMetrics metrics;
  RetryAllowances retries;
  UpstreamStates states(metrics, retries);
  const auto table = table_of({"a", "b", "c"});
  const UpstreamStateList list = states.of(*table);
  ASSERT_EQ(list->size(), 3u);
  for (const Upstream& upstream : table->upstreams()) {
    UpstreamState& state = *(*list)[table->index_of(upstream)];
    EXPECT_EQ(&state.metrics, &metrics.upstream(upstream.settings->name));
  }
}

TEST(UpstreamStates, StayThroughAReload) {
  WorkerMetrics metrics;
  RetryAllowances retries;
  UpstreamStates states(metrics, retries);
  const UpstreamStateList before = states.of(*table_of({"a", "b"}));
  const RetrySettings retry{.budget_ratio = 1, .budget_min_per_second = 0};
  (*before)[0]->retry_budget.on_request(retry);
  states.of(*table_of({"b"}));
  const UpstreamStateList after = states.of(*table_of({"new", "b", "a"}));
  EXPECT_EQ((*after)[1], (*before)[1]);
  EXPECT_EQ((*after)[2], (*before)[0]);
  const MonotonicTime now(std::chrono::hours(1));
  EXPECT_TRUE((*after)[2]->retry_budget.take(retry, now));
  EXPECT_FALSE((*after)[0]->retry_budget.take(retry, now));
}

// A second's tries are the upstream's, however many workers there are; those of a share stay where
// its requests were.
TEST(RetryBudget, IsOneForAllWorkers) {
  WorkerMetrics metrics[2];
  RetryAllowances retries;
  UpstreamStates workers[] = {{metrics[0], retries}, {metrics[1], retries}};
  const auto table = table_of({"a", "b"});
  const UpstreamStateList first = workers[0].of(*table), second = workers[1].of(*table);
  const RetrySettings retry{.budget_ratio = 0.5, .budget_min_per_second = 2};
  const MonotonicTime now(std::chrono::hours(1));
  EXPECT_TRUE((*first)[0]->retry_budget.take(retry, now));
  EXPECT_TRUE((*second)[0]->retry_budget.take(retry, now));
  EXPECT_FALSE((*first)[0]->retry_budget.take(retry, now));
  EXPECT_FALSE((*second)[0]->retry_budget.take(retry, now));
  EXPECT_TRUE((*first)[1]->retry_budget.take(retry, now)) << "another upstream has its own";
  for (int i = 0; i < 2; ++i) (*second)[0]->retry_budget.on_request(retry);
  EXPECT_FALSE((*first)[0]->retry_budget.take(retry, now));
  EXPECT_TRUE((*second)[0]->retry_budget.take(retry, now));
  EXPECT_TRUE((*first)[0]->retry_budget.take(retry, now + std::chrono::milliseconds(500)));
  EXPECT_FALSE((*second)[0]->retry_budget.take(retry, now + std::chrono::milliseconds(500)));
}

}  // namespace
}  // namespace penstock
