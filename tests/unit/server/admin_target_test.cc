// What the targets of admin requests say: names of upstreams come percent-encoded.
#include "server/admin_target.h"

#include <gtest/gtest.h>

namespace penstock {
namespace {

TEST(AdminTarget, PercentDecodes) {
  EXPECT_EQ(percent_decoded("everything-else"), "everything-else");
  EXPECT_EQ(percent_decoded("a%20b%2Fc%2f"), "a b/c/");
  EXPECT_EQ(percent_decoded("%00").value().size(), 1U);
}

TEST(AdminTarget, RefusesWhatIsNotEncodedWell) {
  for (const char* text : {"%", "%2", "a%", "%zz", "%-1", "%+1", "% 1", "%0x"})
    EXPECT_FALSE(percent_decoded(text)) << text;
}

TEST(AdminTarget, PercentEncodesWhatMayNotStandInAPath) {
  EXPECT_EQ(percent_encoded("pay-ments_2.~"), "pay-ments_2.~");
  EXPECT_EQ(percent_encoded("a b/?\r\n\xff"), "a%20b%2F%3F%0D%0A%FF");
}

TEST(AdminTarget, FindsAValueOfTheQuery) {
  EXPECT_EQ(query_value("/pools?upstream=api", "upstream"), "api");
  EXPECT_EQ(query_value("/pools?x=1&upstream=a%20b&y", "upstream"), "a b");
  EXPECT_EQ(query_value("/pools?upstreams=api", "upstream"), "");
  EXPECT_EQ(query_value("/pools?upstream", "upstream"), "");
  EXPECT_EQ(query_value("/pools?upstream=%", "upstream"), "");
  EXPECT_EQ(query_value("/pools", "upstream"), "");
}

}  // namespace
}  // namespace penstock
