// PoolRegistry: one HostPool per upstream, host and port, under the present configuration's limits.
#include "pool/registry.h"

#include <gtest/gtest.h>

#include "pool_world.h"

namespace penstock {
namespace {

constexpr HostKeyView kKey{"payments", "api.test", 443};

PoolPolicies policies(std::uint32_t max_connections, std::uint64_t identity = kIdentity) {
  const HostLimits limits{
      .max_connections = max_connections, .max_idle = 3, .max_waiting = 5, .idle_timeout = {}};
  return {{"payments", {limits, identity}}};
}

HostLimits limits_of(const PoolRegistry& registry) {
  return registry.snapshot(kNever).at(0).limits;
}

TEST(PoolRegistry, SameKeyIsTheSamePool) {
  PoolRegistry registry(1);
  EXPECT_EQ(registry.find_or_create(kKey), registry.find_or_create(kKey));
}

TEST(PoolRegistry, EveryPartOfTheKeyMakesAnotherPool) {
  PoolRegistry registry(1);
  const auto pool = registry.find_or_create(kKey);
  EXPECT_NE(pool, registry.find_or_create({"orders", "api.test", 443}));
  EXPECT_NE(pool, registry.find_or_create({"payments", "www.test", 443}));
  EXPECT_NE(pool, registry.find_or_create({"payments", "api.test", 8443}));
  EXPECT_EQ(registry.snapshot(kNever).size(), 4U);
}

TEST(PoolRegistry, NewPoolHasTheLimitsOfItsUpstream) {
  PoolRegistry registry(1);
  registry.apply(policies(17));
  registry.find_or_create(kKey);
  EXPECT_EQ(limits_of(registry).max_connections, 17U);
  EXPECT_EQ(limits_of(registry).max_idle, 3U);
  EXPECT_EQ(limits_of(registry).max_waiting, 5U);
}

TEST(PoolRegistry, NewConfigurationReachesPoolsThatExist) {
  PoolRegistry registry(1);
  registry.apply(policies(17));
  registry.find_or_create(kKey);
  registry.apply(policies(18));
  EXPECT_EQ(limits_of(registry).max_connections, 18U);
}

TEST(PoolRegistry, PoolOfAVanishedUpstreamKeepsNothingIdleAndReusesNothing) {
  PoolRegistry registry(1);
  registry.apply(policies(17));
  registry.find_or_create(kKey);
  registry.apply({});
  const HostLimits limits = limits_of(registry);
  EXPECT_EQ(limits.max_idle, 0U);
  EXPECT_FALSE(limits.reuse);
  EXPECT_GE(limits.max_connections, 1U) << "running exchanges must still end";
}

TEST(PoolRegistry, PauseIsKnownByNameThroughReloads) {
  PoolRegistry registry(1);
  registry.apply(policies(17));
  EXPECT_EQ(registry.set_paused("payments", true), 0U);
  registry.find_or_create(kKey);
  registry.apply(policies(18));
  EXPECT_TRUE(registry.is_paused("payments"));
  EXPECT_EQ(registry.paused(), UpstreamNames{"payments"});
  EXPECT_EQ(registry.set_paused("payments", false), 1U);
  EXPECT_FALSE(registry.is_paused("payments"));
}

TEST(PoolRegistry, PauseEndsWithItsUpstreamAndUnknownOnesHaveNone) {
  PoolRegistry registry(1);
  registry.apply(policies(17));
  registry.set_paused("payments", true);
  registry.set_paused("nobody", true);
  EXPECT_EQ(registry.paused(), UpstreamNames{"payments"});
  registry.apply({});
  registry.apply(policies(17));
  EXPECT_FALSE(registry.is_paused("payments"));
}

TEST(PoolRegistry, RemovedPoolIsMadeAnew) {
  PoolRegistry registry(1);
  const auto old_pool = registry.find_or_create(kKey);
  registry.remove(*old_pool);
  EXPECT_TRUE(registry.snapshot(kNever).empty());
  EXPECT_NE(registry.find_or_create(kKey), old_pool);
}

TEST(PoolRegistry, RemovingAPoolTwiceLeavesItsSuccessor) {
  PoolRegistry registry(1);
  const auto old_pool = registry.find_or_create(kKey);
  registry.remove(*old_pool);
  const auto successor = registry.find_or_create(kKey);
  registry.remove(*old_pool);
  EXPECT_EQ(registry.find_or_create(kKey), successor);
}

TEST(HostLimitsOfSettings, FollowTheSettings) {
  PoolSettings settings;
  settings.max_connections = 40;
  settings.max_idle = 30;
  settings.max_waiting = 20;
  settings.idle_timeout = std::chrono::seconds(10);
  settings.reuse = false;
  const HostLimits limits = host_limits(settings);
  EXPECT_EQ(limits.max_connections, 40U);
  EXPECT_EQ(limits.max_idle, 30U);
  EXPECT_EQ(limits.max_waiting, 20U);
  EXPECT_EQ(limits.idle_timeout, std::chrono::seconds(10));
  EXPECT_FALSE(limits.reuse);
}

TEST(HostLimitsOfSettings, KeepNoMoreIdleThanThereMayBe) {
  PoolSettings settings;
  settings.max_connections = 4;
  settings.max_idle = 100;
  EXPECT_EQ(host_limits(settings).max_idle, 4U);
}

}  // namespace
}  // namespace penstock
