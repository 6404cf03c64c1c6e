// Which pattern takes a host.
#include "config/host_matcher.h"

#include <gtest/gtest.h>

#include "unit/config/counting_new.h"

namespace penstock {
namespace {

HostMatcher matcher_of(const std::vector<std::vector<std::string>>& patterns) {
  std::vector<UpstreamSettings> upstreams;
  for (const auto& hosts : patterns) upstreams.emplace_back().hosts = hosts;
  return HostMatcher(upstreams);
}

const std::vector<std::vector<std::string>> kUpstreams = {
    {"api.example", "*.example"},
    {"*.api.example", "api.example:8443", "10.0.0.1"},
    {"*"},
    {"[::1]", "[::1]:8443", "a.b.c.d.e.f.example", "single"},
};

struct MatchCase {
  std::string_view host;
  std::uint16_t port;
  HostMatch match;
};

TEST(HostMatcher, PrefersExactThenLongestSuffixThenAny) {
  const HostMatcher matcher = matcher_of(kUpstreams);
  const std::vector<MatchCase> cases = {
      {"api.example", 80, {0, 0}},
      {"api.example", 8443, {1, 1}},
      {"api.example", 8444, {0, 0}},
      {"www.example", 80, {0, 1}},
      {"v1.api.example", 80, {1, 0}},
      {"x.y.z.api.example", 80, {1, 0}},
      {"a.b.c.d.e.f.example", 80, {3, 2}},
      {"b.c.d.e.f.example", 80, {0, 1}},
      {"10.0.0.1", 80, {1, 2}},
      {"::1", 80, {3, 0}},
      {"::1", 8443, {3, 1}},
      {"single", 80, {3, 3}},
      {"example", 80, {2, 0}},
      {"badexample", 80, {2, 0}},
      {"api.example.org", 80, {2, 0}},
      {"10.0.0.2", 80, {2, 0}},
      {"", 80, {2, 0}},
      {".example", 80, {0, 1}},
      {"*.example", 80, {0, 1}},
  };
  for (const MatchCase& each : cases) {
    EXPECT_EQ(matcher.match(each.host, each.port), each.match) << each.host << ':' << each.port;
  }
}

TEST(HostMatcher, MatchesNothingWithoutAPatternForIt) {
  const HostMatcher matcher = matcher_of({{"a.example", "*.b.example", "c.example:443"}});
  for (const std::string_view host :
       {"b.example", "x.a.example", "example", "other", "c.example"}) {
    EXPECT_EQ(matcher.match(host, 80), std::nullopt) << host;
  }
  EXPECT_EQ(matcher.match("c.example", 443), (HostMatch{0, 2}));
  EXPECT_EQ(HostMatcher({}).match("a", 80), std::nullopt);
}

TEST(HostMatcher, NamedMatchesLeaveOutTheCatchAll) {
  const HostMatcher matcher = matcher_of(kUpstreams);
  EXPECT_EQ(matcher.match_named("other.org", 80), std::nullopt);
  EXPECT_EQ(matcher.match_named("www.example", 80), (HostMatch{0, 1}));
}

TEST(HostMatcher, SuffixesDoNotDependOnTheirOrder) {
  const HostMatcher matcher = matcher_of({{"*.c"}, {"*.a.b.c"}, {"*.b.c"}});
  EXPECT_EQ(matcher.match("x.a.b.c", 80)->upstream, 1U);
  EXPECT_EQ(matcher.match("a.b.c", 80)->upstream, 2U);
  EXPECT_EQ(matcher.match("b.c", 80)->upstream, 0U);
  EXPECT_EQ(matcher.match("c", 80), std::nullopt);
}

TEST(HostMatcher, LooksUpWithoutAllocating) {
  const HostMatcher matcher = matcher_of(kUpstreams);
  const std::string deep = "a-label-that-is-longer-than-any-short-string.b.c.d.e.v1.api.example";
  const std::size_t before = allocation_count();
  const auto match = matcher.match(deep, 443);
  const std::size_t after = allocation_count();
  EXPECT_EQ(match, (HostMatch{1, 0}));
  EXPECT_EQ(after, before);
}

TEST(HostMatcher, CopesWithAHostOfDotsOnly) {
  EXPECT_EQ(matcher_of(kUpstreams).match(std::string(253, '.'), 80), (HostMatch{2, 0}));
}

}  // namespace
}  // namespace penstock
