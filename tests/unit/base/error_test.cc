// The names that logs, metrics and Proxy-Status share: one each, lower case, no two alike.
#include "base/error.h"

#include <gtest/gtest.h>

#include <set>
#include <string>

namespace penstock {
namespace {

void expect_token(std::string_view name) {
  EXPECT_FALSE(name.empty());
  EXPECT_EQ(name.find_first_not_of("abcdefghijklmnopqrstuvwxyz_"), std::string_view::npos) << name;
}

TEST(ErrorCode, HasATokenOfItsOwn) {
  std::set<std::string_view> seen;
  for (int i = 0; i < kErrorCodeCount; ++i) {
    const std::string_view name = token(static_cast<ErrorCode>(i));
    expect_token(name);
    EXPECT_TRUE(seen.insert(name).second) << name;
  }
  EXPECT_EQ(token(static_cast<ErrorCode>(kErrorCodeCount)), "");
}

TEST(ErrorCode, IsNamedAsInRfc9209) {
  EXPECT_EQ(token(ErrorCode::kDnsTimeout), "dns_timeout");
  EXPECT_EQ(token(ErrorCode::kDestinationIpProhibited), "destination_ip_prohibited");
  EXPECT_EQ(token(ErrorCode::kHttpResponseHeaderSectionSize), "http_response_header_section_size");
  EXPECT_EQ(token(ErrorCode::kProxyLoopDetected), "proxy_loop_detected");
}

TEST(Phase, HasANameOfItsOwn) {
  std::set<std::string_view> seen;
  for (int i = 0; i < kPhaseCount; ++i) {
    const std::string_view name = to_string(static_cast<Phase>(i));
    expect_token(name);
    EXPECT_TRUE(seen.insert(name).second) << name;
  }
}

}  // namespace
}  // namespace penstock
