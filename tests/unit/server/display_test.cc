// Numbers on the dashboard.
#include "server/display.h"

#include <gtest/gtest.h>

#include <chrono>

namespace penstock {
namespace {

using namespace std::chrono_literals;

TEST(DurationText, HasThreeDigitsThatCountAndAUnit) {
  struct Case {
    Duration value;
    const char* expected;
  };
  const Case cases[] = {
      {0ns, "0 µs"},        {42us, "42 µs"},      {99'999ns, "100 µs"},  {100us, "0.10 ms"},
      {9'990us, "9.99 ms"}, {9'996us, "10.0 ms"}, {123'400us, "123 ms"}, {999'600us, "1.00 s"},
      {59'900ms, "59.9 s"}, {60s, "1 min 0 s"},   {3'725s, "1 h 2 min"}, {49h + 59min, "2 d 1 h"},
  };
  for (const Case& each : cases) EXPECT_EQ(duration_text(each.value), each.expected);
}

TEST(RateText, IsPerSecond) {
  EXPECT_EQ(rate_text(5, 2s), "2.50/s");
  EXPECT_EQ(rate_text(123'456, 60s), "2058/s");
  EXPECT_EQ(rate_text(7, 0s), "0.00/s");
}

TEST(ClockText, IsUtc) {
  const WallTime time{std::chrono::seconds(1'700'000'000)};
  EXPECT_EQ(clock_text(time), "22:13:20");
  EXPECT_EQ(date_text(time), "2023-11-14 22:13:20");
}

}  // namespace
}  // namespace penstock
