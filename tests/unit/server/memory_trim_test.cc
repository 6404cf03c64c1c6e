// When memory goes back to the system: where much is held in vain, at two looks in a row.
#include "server/memory_trim.h"

#include <gtest/gtest.h>

#include <memory>
#include <vector>

#include "support/manual_clock.h"

namespace penstock {
namespace {

constexpr std::uint64_t kMiB = std::uint64_t{1} << 20;

class MemoryTrimTest : public testing::Test {
 protected:
  HeapUse use() { return use_; }
  void trim() {
    ++trims_;
    use_.resident = use_.in_use;
  }
  void look() { clock_.advance(MemoryTrim::kEvery + TimerWheel::kTick); }

  ManualClock clock_;
  HeapUse use_{.resident = 2 * kMiB, .in_use = 1 * kMiB};
  int trims_ = 0;
  MemoryTrim memory_{clock_.timers(),
                     clock_,
                     {.use = Delegate<HeapUse()>::to<&MemoryTrimTest::use>(*this),
                      .trim = Delegate<void()>::to<&MemoryTrimTest::trim>(*this)}};
};

TEST_F(MemoryTrimTest, TrimsOnceWhatABurstHasLeft) {
  memory_.start();
  use_ = {.resident = 90 * kMiB, .in_use = 40 * kMiB};
  look();
  EXPECT_EQ(trims_, 0) << "it may be about to be used";
  look();
  EXPECT_EQ(trims_, 1);
  look();
  look();
  EXPECT_EQ(trims_, 1);
  use_.resident = 90 * kMiB;
  look();
  look();
  EXPECT_EQ(trims_, 2);
}

TEST_F(MemoryTrimTest, LeavesABurstAlone) {
  memory_.start();
  for (int i = 0; i < 4; ++i) {
    use_ = {.resident = 90 * kMiB, .in_use = 40 * kMiB};
    look();
    use_ = {.resident = 90 * kMiB, .in_use = 80 * kMiB};
    look();
  }
  EXPECT_EQ(trims_, 0);
}

TEST_F(MemoryTrimTest, LeavesWhatIsLittleAlone) {
  memory_.start();
  for (const HeapUse little : {HeapUse{.resident = 17 * kMiB, .in_use = kMiB},
                               HeapUse{.resident = 500 * kMiB, .in_use = 400 * kMiB},
                               HeapUse{.resident = kMiB, .in_use = 40 * kMiB}}) {
    use_ = little;
    look();
    look();
  }
  EXPECT_EQ(trims_, 0);
}

TEST_F(MemoryTrimTest, LooksAtNothingBeforeItsStart) {
  use_ = {.resident = 90 * kMiB, .in_use = 40 * kMiB};
  look();
  look();
  EXPECT_EQ(trims_, 0);
}

// Pages between blocks that are still in use: what malloc does not give back by itself.
TEST(ProcessHeap, GivesBackWhatLiesBetween) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "the heap is the sanitizer's";
#endif
  ProcessHeap heap;
  std::vector<std::unique_ptr<char[]>> kept;
  std::vector<std::unique_ptr<char[]>> freed;
  for (int i = 0; i < 1000; ++i) {
    freed.push_back(std::make_unique<char[]>(40 * 1024));
    kept.push_back(std::make_unique<char[]>(1024));
  }
  const HeapUse burst = heap.use();
  EXPECT_GT(burst.resident, burst.in_use / 2);
  freed.clear();
  const HeapUse after = heap.use();
  EXPECT_LT(after.in_use + 35 * kMiB, burst.in_use);
  EXPECT_GT(after.resident + kMiB, burst.resident);
  heap.trim();
  EXPECT_LT(heap.use().resident + 30 * kMiB, after.resident);
}

}  // namespace
}  // namespace penstock
