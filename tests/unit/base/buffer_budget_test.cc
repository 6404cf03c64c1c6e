// What the buffers of the process hold, told in large steps, and from where on it is tight.
#include "base/buffer_budget.h"

#include <gtest/gtest.h>

#include <memory>
#include <vector>

#include "base/buffer.h"

namespace penstock {
namespace {

constexpr std::uint64_t kMiB = std::uint64_t{1} << 20;

TEST(BufferBudget, TightensByEighths) {
  BufferBudget budget;
  budget.set_limit(8 * kMiB);
  EXPECT_EQ(budget.pressure(), BufferPressure::kNone);
  budget.add(6 * kMiB - 1);
  EXPECT_EQ(budget.pressure(), BufferPressure::kNone);
  budget.add(1);
  EXPECT_EQ(budget.pressure(), BufferPressure::kRequestsWait);
  budget.add(kMiB);
  EXPECT_EQ(budget.pressure(), BufferPressure::kRequestsRefused);
  budget.add(kMiB);
  EXPECT_EQ(budget.pressure(), BufferPressure::kResponsesWait);
  budget.add(-static_cast<std::ptrdiff_t>(8 * kMiB));
  EXPECT_EQ(budget.pressure(), BufferPressure::kNone);
}

TEST(BufferBudget, HasNoLimitUntilOneIsSet) {
  BufferBudget budget;
  budget.add(PTRDIFF_MAX / 2);
  EXPECT_EQ(budget.pressure(), BufferPressure::kNone);
}

TEST(BufferBudget, IsToldWhatBuffersHold) {
  BufferBudget budget;
  {
    BlockPool pool(&budget);
    std::vector<std::unique_ptr<Buffer>> buffers;
    for (int i = 0; i < 100; ++i) {
      buffers.push_back(std::make_unique<Buffer>(pool));
      buffers.back()->append("x");
    }
    const auto held = static_cast<std::ptrdiff_t>(100 * BlockPool::kBlockBytes);
    EXPECT_NEAR(static_cast<double>(budget.used()), static_cast<double>(held),
                BufferBudget::kReportBytes);
    buffers.clear();
    EXPECT_LT(budget.used(), BufferBudget::kReportBytes);
  }
  EXPECT_EQ(budget.used(), 0U);
}

TEST(BufferBudget, IsToldOfBuffersLargerThanABlock) {
  BufferBudget budget;
  BlockPool pool(&budget);
  {
    Buffer buffer(pool, 4 * kMiB);
    buffer.append(std::string(2 * kMiB, 'x'));
    EXPECT_GE(budget.used(), 2 * kMiB);
  }
  EXPECT_LT(budget.used(), BufferBudget::kReportBytes);
}

}  // namespace
}  // namespace penstock
