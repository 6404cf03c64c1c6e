#include "server/connection_limits.h"

#include <gtest/gtest.h>

namespace penstock {
namespace {

TEST(ConnectionLimits, AreHalfForClientsAndWhatIsLeftForUpstreams) {
  const ConnectionLimits limits = connection_limits(Config{}, 1064);
  EXPECT_EQ(limits.clients, 500U);
  EXPECT_EQ(limits.upstreams.max_connections, 500U);
  EXPECT_EQ(limits.descriptors, 1064U);
}

TEST(ConnectionLimits, GiveClientsNoMoreThanTenThousand) {
  const ConnectionLimits limits = connection_limits(Config{}, 50064);
  EXPECT_EQ(limits.clients, 10000U);
  EXPECT_EQ(limits.upstreams.max_connections, 40000U);
}

TEST(ConnectionLimits, TakeWhatTheFileSays) {
  Config config;
  config.client.max_connections = 100;
  config.process.max_idle_connections = 7;
  ConnectionLimits limits = connection_limits(config, 1064);
  EXPECT_EQ(limits.clients, 100U);
  EXPECT_EQ(limits.upstreams.max_connections, 900U);
  EXPECT_EQ(limits.upstreams.max_idle, 7U);

  config.process.max_upstream_connections = 2000;
  limits = connection_limits(config, 1064);
  EXPECT_EQ(limits.upstreams.max_connections, 2000U);
  EXPECT_EQ(limits.descriptors, 2164U);  // more than there are: the daemon warns
}

TEST(ConnectionLimits, LeaveOneOfEachWhereThereIsNothingToShare) {
  const ConnectionLimits limits = connection_limits(Config{}, 10);
  EXPECT_EQ(limits.clients, 1U);
  EXPECT_EQ(limits.upstreams.max_connections, 1U);
}

}  // namespace
}  // namespace penstock
