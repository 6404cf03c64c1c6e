#include "server/module_options.h"

#include <gtest/gtest.h>

namespace penstock {
namespace {

constexpr std::uint64_t kGiB = std::uint64_t{1} << 30;

TEST(BufferLimit, IsHalfTheMemoryOfTheCgroup) {
  EXPECT_EQ(buffer_limit({}, 4 * kGiB), 2 * kGiB);
  EXPECT_EQ(buffer_limit({}, std::nullopt), kGiB);
}

TEST(BufferLimit, IsWhatTheFileSays) {
  ProcessSettings settings;
  settings.max_buffers = 5;
  EXPECT_EQ(buffer_limit(settings, kGiB), 5U);
}

}  // namespace
}  // namespace penstock
