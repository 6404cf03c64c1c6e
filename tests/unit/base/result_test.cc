// Result: either of two, moved and not copied.
#include "base/result.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>

namespace penstock {
namespace {

Result<std::unique_ptr<int>> halve(int number) {
  if (number % 2 == 0) return std::make_unique<int>(number / 2);
  return Unexpected{Error{.code = ErrorCode::kHttpRequestError, .detail = "odd"}};
}

Result<void> check(int number) {
  if (number % 2 == 0) return {};
  return Unexpected{Error{.code = ErrorCode::kHttpRequestError, .detail = "odd"}};
}

TEST(Result, HoldsAValueThatCanOnlyBeMoved) {
  auto result = halve(8);
  ASSERT_TRUE(result);
  EXPECT_EQ(**result, 4);
  const std::unique_ptr<int> taken = *std::move(result);
  EXPECT_EQ(*taken, 4);
}

TEST(Result, HoldsTheErrorOtherwise) {
  const auto result = halve(7);
  ASSERT_FALSE(result.has_value());
  EXPECT_EQ(result.error().code, ErrorCode::kHttpRequestError);
  EXPECT_EQ(result.error().detail, "odd");
}

TEST(Result, TellsAValueFromAnErrorOfTheSameType) {
  const Result<std::string, std::string> good(std::string("yes"));
  const Result<std::string, std::string> bad(Unexpected{std::string("no")});
  EXPECT_TRUE(good.has_value());
  EXPECT_FALSE(bad.has_value());
  EXPECT_EQ(*good, "yes");
  EXPECT_EQ(bad.error(), "no");
}

TEST(Result, MayHoldNoValueAtAll) {
  EXPECT_TRUE(check(2).has_value());
  const Result<void> failed = check(3);
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().detail, "odd");
}

}  // namespace
}  // namespace penstock
