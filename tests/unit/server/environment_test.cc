// What `penstock env` prints in each format, and which listener it names.
#include "server/environment.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace penstock {
namespace {

struct Listening {
  std::string address;
  std::string upstream{};
};

Config with_listeners(const std::vector<Listening>& listeners) {
  Config config;
  for (const Listening& one : listeners) {
    config.listeners.emplace_back().address = one.address;
    config.listeners.back().upstream = one.upstream;
  }
  return config;
}

TEST(Environment, ShellsGetBothSpellings) {
  EXPECT_EQ(environment_text(EnvFormat::kSh, "127.0.0.1:3128"),
            "export http_proxy=http://127.0.0.1:3128\nexport HTTP_PROXY=http://127.0.0.1:3128\n"
            "export no_proxy=localhost,127.0.0.1,::1\nexport NO_PROXY=localhost,127.0.0.1,::1\n");
  EXPECT_EQ(environment_text(EnvFormat::kFish, "[::1]:3128"),
            "set -gx http_proxy http://[::1]:3128\nset -gx HTTP_PROXY http://[::1]:3128\n"
            "set -gx no_proxy localhost,127.0.0.1,::1\nset -gx NO_PROXY localhost,127.0.0.1,::1\n");
}

TEST(Environment, SystemdGetsADropIn) {
  EXPECT_EQ(environment_text(EnvFormat::kSystemd, "127.0.0.1:3128"),
            "[Service]\nEnvironment=\"http_proxy=http://"
            "127.0.0.1:3128\"\nEnvironment=\"HTTP_PROXY=http://127.0.0.1:3128\"\n"
            "Environment=\"no_proxy=localhost,127.0.0.1,::1\"\nEnvironment=\"NO_PROXY=localhost,"
            "127.0.0.1,::1\"\n");
}

TEST(Environment, ComposeGetsAMapping) {
  EXPECT_EQ(environment_text(EnvFormat::kCompose, "127.0.0.1:3128"),
            "environment:\n  http_proxy: \"http://127.0.0.1:3128\"\n  HTTP_PROXY: "
            "\"http://127.0.0.1:3128\"\n"
            "  no_proxy: \"localhost,127.0.0.1,::1\"\n  NO_PROXY: \"localhost,127.0.0.1,::1\"\n");
}

TEST(Environment, KubernetesLeavesTheClustersServicesAlone) {
  EXPECT_EQ(environment_text(EnvFormat::kKubernetes, "127.0.0.1:3128"),
            "env:\n  - name: http_proxy\n    value: \"http://127.0.0.1:3128\"\n  - name: "
            "HTTP_PROXY\n    value: \"http://127.0.0.1:3128\"\n"
            "  - name: no_proxy\n    value: \"localhost,127.0.0.1,::1,.svc,.cluster.local\"\n"
            "  - name: NO_PROXY\n    value: \"localhost,127.0.0.1,::1,.svc,.cluster.local\"\n");
}

TEST(Environment, JavaGetsOptions) {
  EXPECT_EQ(environment_text(EnvFormat::kJava, "127.0.0.1:3128"),
            "-Dhttp.proxyHost=127.0.0.1 -Dhttp.proxyPort=3128 "
            "-Dhttp.nonProxyHosts=localhost|127.*|[::1]\n");
  EXPECT_TRUE(environment_text(EnvFormat::kJava, "[::1]:3128")
                  .starts_with("-Dhttp.proxyHost=::1 -Dhttp.proxyPort=3128 "));
}

TEST(Environment, EveryNamedFormatIsKnownAndNoOther) {
  EXPECT_EQ(env_format("sh"), EnvFormat::kSh);
  EXPECT_EQ(env_format("java"), EnvFormat::kJava);
  EXPECT_FALSE(env_format("csh"));
  EXPECT_FALSE(env_format(""));
}

TEST(Environment, TheFirstListenerThatIsAProxyIsNamed) {
  const Config config =
      with_listeners({{"unix:/run/p.sock"}, {"127.0.0.1:1", "a"}, {"127.0.0.1:2"}});
  const auto authority = proxy_authority(config, "");
  ASSERT_TRUE(authority) << authority.error();
  EXPECT_EQ(*authority, "127.0.0.1:2");
}

TEST(Environment, AListenerCanBeChosenByItsAddress) {
  const Config config = with_listeners({{"127.0.0.1:1"}, {"[::1]:2"}});
  EXPECT_EQ(*proxy_authority(config, "[::1]:2"), "[::1]:2");
}

TEST(Environment, AWildcardIsReachedByLoopback) {
  EXPECT_EQ(*proxy_authority(with_listeners({{"0.0.0.0:3128"}}), ""), "127.0.0.1:3128");
  EXPECT_EQ(*proxy_authority(with_listeners({{"[::]:3128"}}), ""), "[::1]:3128");
}

TEST(Environment, WhatCannotBeNamedIsSaid) {
  const Config config = with_listeners({{"unix:/run/p.sock"}});
  EXPECT_EQ(proxy_authority(config, "127.0.0.1:9").error(),
            "no listener has the address 127.0.0.1:9 (there are: unix:/run/p.sock)");
  EXPECT_EQ(proxy_authority(config, "unix:/run/p.sock").error(),
            "unix:/run/p.sock is no host and port, which is all that http_proxy can name");
  EXPECT_EQ(proxy_authority(config, "").error(),
            "no listener has a host and port and is without `upstream`; --listener ADDRESS names "
            "one of: unix:/run/p.sock");
}

}  // namespace
}  // namespace penstock
