// Buffer: what goes in comes out in order, never more than the bound, and storage goes back.
#include "base/buffer.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <random>
#include <string>

namespace penstock {
namespace {

class BufferTest : public testing::Test {
 protected:
  BlockPool pool_;
};

TEST_F(BufferTest, GivesBackWhatWasPutIn) {
  Buffer buffer(pool_);
  EXPECT_TRUE(buffer.empty());
  buffer.append("hello ");
  buffer.append("world");
  EXPECT_EQ(buffer.readable(), "hello world");
  buffer.consume(6);
  EXPECT_EQ(buffer.readable(), "world");
  EXPECT_EQ(buffer.size(), 5u);
}

TEST_F(BufferTest, AddsOnlyWhatWasCommitted) {
  Buffer buffer(pool_);
  const std::span<char> space = buffer.prepare(100);
  ASSERT_GE(space.size(), 100u);
  std::memcpy(space.data(), "abcdef", 6);
  EXPECT_TRUE(buffer.empty());
  buffer.commit(3);
  EXPECT_EQ(buffer.readable(), "abc");
}

TEST_F(BufferTest, OffersNoSpaceBeyondItsBound) {
  Buffer buffer(pool_, 10);
  EXPECT_EQ(buffer.prepare(1000).size(), 10u);
  buffer.append("0123456789");
  EXPECT_TRUE(buffer.full());
  EXPECT_EQ(buffer.room(), 0u);
  EXPECT_TRUE(buffer.prepare().empty());
  buffer.consume(4);
  EXPECT_EQ(buffer.room(), 4u);
  EXPECT_EQ(buffer.prepare(4).size(), 4u);
  EXPECT_EQ(buffer.readable(), "456789");
}

TEST_F(BufferTest, HasNoBoundAbove4GiB) {
  Buffer buffer(pool_, std::size_t{5} << 30);
  EXPECT_EQ(buffer.max_bytes(), UINT32_MAX);
  buffer.set_max_bytes(SIZE_MAX);
  EXPECT_EQ(buffer.room(), UINT32_MAX);
}

TEST_F(BufferTest, OffersNoSpaceOnceTheBoundIsLoweredBelowItsSize) {
  Buffer buffer(pool_, 100);
  buffer.append("0123456789");
  buffer.set_max_bytes(5);
  EXPECT_EQ(buffer.room(), 0u);
  EXPECT_TRUE(buffer.prepare().empty());
  EXPECT_EQ(buffer.readable(), "0123456789");
}

TEST_F(BufferTest, GrowsPastItsFirstBlock) {
  Buffer buffer(pool_, 1 << 20);
  const std::string large(BlockPool::kBlockBytes - 1, 'a');
  buffer.append(large);
  buffer.append(std::string(100000, 'b'));
  EXPECT_EQ(buffer.readable(), large + std::string(100000, 'b'));
}

TEST_F(BufferTest, ReusesTheBlockOfAnotherBuffer) {
  const char* data = nullptr;
  {
    Buffer first(pool_);
    first.append("x");
    data = first.readable().data();
    first.release_if_empty();
    EXPECT_EQ(first.readable(), "x");
    first.consume(1);
    first.release_if_empty();
  }
  Buffer second(pool_);
  second.append("y");
  EXPECT_EQ(second.readable().data(), data);
}

TEST_F(BufferTest, IsUsableAfterItsStorageWentBack) {
  Buffer buffer(pool_);
  for (int i = 0; i < 3; ++i) {
    buffer.append("round");
    buffer.clear();
    buffer.release_if_empty();
  }
  buffer.append("last");
  EXPECT_EQ(buffer.readable(), "last");
}

// Random appends and consumes against a string; bounds below, at and above the size of a block.
TEST_F(BufferTest, BehavesAsAQueueOfBytes) {
  std::mt19937 random(3);
  for (const std::size_t bound : {std::size_t{100}, BlockPool::kBlockBytes, std::size_t{200000}}) {
    Buffer buffer(pool_, bound);
    std::string model;
    for (int step = 0; step < 3000; ++step) {
      const std::size_t wanted = std::min<std::size_t>(random() % 30000, buffer.room());
      const std::string bytes(wanted, static_cast<char>('a' + step % 26));
      buffer.append(bytes);
      model += bytes;
      const std::size_t eaten = random() % (model.size() + 1);
      buffer.consume(eaten);
      model.erase(0, eaten);
      if (random() % 8 == 0) buffer.release_if_empty();
      ASSERT_TRUE(buffer.readable() == model);
      ASSERT_LE(buffer.size(), bound);
    }
  }
}

}  // namespace
}  // namespace penstock
