// The parameters of Keep-Alive, as servers write them and as none should.
#include "http/keep_alive.h"

#include <gtest/gtest.h>

#include <string_view>
#include <vector>

namespace penstock {
namespace {

KeepAlive read(const std::vector<std::string_view>& values) {
  FieldList fields;
  fields.add("Server", "timeout=9");
  for (const std::string_view value : values) fields.add("keep-ALIVE", value);
  return read_keep_alive(fields);
}

TEST(KeepAlive, TakesBothParameters) {
  EXPECT_EQ(read({}), (KeepAlive{}));
  EXPECT_EQ(read({"timeout=5, max=100"}), (KeepAlive{5, 100}));
  EXPECT_EQ(read({"max=0"}), (KeepAlive{std::nullopt, 0}));
  EXPECT_EQ(read({"TimeOut = 5 ,\tMAX=7"}), (KeepAlive{5, 7}));
}

TEST(KeepAlive, TakesTheSmallestOfSeveral) {
  EXPECT_EQ(read({"timeout=9", "timeout=5, max=3", "max=4"}), (KeepAlive{5, 3}));
  EXPECT_EQ(read({"timeout=9, timeout=60"}), (KeepAlive{9, std::nullopt}));
}

TEST(KeepAlive, PassesOverWhatIsNotPlainDigits) {
  for (const std::string_view value :
       {"timeout=-1", "timeout=+5", "timeout=5s", "timeout=\"5\"", "timeout=", "timeout", "=5", "5",
        ",,", "timeout=0x5", "timeout=5.5", "timeouts=5", "timeout=1 2"}) {
    EXPECT_EQ(read({value}), (KeepAlive{})) << value;
  }
  EXPECT_EQ(read({"timeout=x, max=2"}), (KeepAlive{std::nullopt, 2}));
}

TEST(KeepAlive, TakesNumbersBeyondAnyUseAsTheLargest) {
  EXPECT_EQ(read({"timeout=99999999999999999999"}), (KeepAlive{UINT32_MAX, std::nullopt}));
}

}  // namespace
}  // namespace penstock
