// Delegate: calls the member it was made from, and knows whether there is one.
#include "base/delegate.h"

#include <gtest/gtest.h>

#include <memory>

namespace penstock {
namespace {

struct Target {
  int add(int a, int b) { return sum += a + b; }
  void take(std::unique_ptr<int> value) { sum = *value; }
  int sum = 0;
};

TEST(Delegate, CallsTheMemberOfItsObject) {
  Target one;
  Target other;
  const auto delegate = Delegate<int(int, int)>::to<&Target::add>(one);
  EXPECT_EQ(delegate(2, 3), 5);
  EXPECT_EQ(one.sum, 5);
  EXPECT_EQ(other.sum, 0);
}

TEST(Delegate, PassesOnWhatCanOnlyBeMoved) {
  Target target;
  Delegate<void(std::unique_ptr<int>)>::to<&Target::take>(target)(std::make_unique<int>(7));
  EXPECT_EQ(target.sum, 7);
}

TEST(Delegate, IsFalseUntilItHasATarget) {
  Target target;
  EXPECT_FALSE(Delegate<int(int, int)>());
  EXPECT_TRUE((Delegate<int(int, int)>::to<&Target::add>(target)));
}

}  // namespace
}  // namespace penstock
