// Quantiles out of buckets: interpolated within one, honest beyond the last.
#include "telemetry/quantile.h"

#include <gtest/gtest.h>

namespace penstock {
namespace {

using std::chrono::milliseconds;

// Counts from the first bucket on; the rest are empty.
BucketCounts counts(std::initializer_list<std::uint64_t> first) {
  BucketCounts all{};
  std::copy(first.begin(), first.end(), all.begin());
  return all;
}

TEST(Quantile, IsInterpolatedWithinItsBucket) {
  struct Case {
    BucketCounts counts;
    double share;
    Duration expected;
  };
  const Case cases[] = {
      {counts({100}), 0.5, std::chrono::microseconds(500)},
      {counts({0, 100}), 0.5, milliseconds(3)},                           // halfway from 1 to 5 ms
      {counts({50, 50}), 0.5, milliseconds(1)},                           // the bound itself
      {counts({90, 0, 0, 10}), 0.95, std::chrono::microseconds(62'500)},  // from 25 to 100 ms
      {counts({0, 0, 0, 0, 0, 0, 0, 4}), 1, milliseconds(60'000)},
      {counts({0, 8}), 0, milliseconds(1)},
  };
  for (const Case& each : cases) {
    const auto found = quantile(each.counts, each.share);
    ASSERT_TRUE(found);
    EXPECT_EQ(found->value, each.expected);
    EXPECT_FALSE(found->beyond);
  }
}

TEST(Quantile, BeyondTheLastBoundIsSaid) {
  const auto found = quantile(counts({1, 0, 0, 0, 0, 0, 0, 0, 9}), 0.5);
  ASSERT_TRUE(found);
  EXPECT_TRUE(found->beyond);
  EXPECT_EQ(found->value, milliseconds(60'000));
}

TEST(Quantile, OfNothingIsNone) { EXPECT_FALSE(quantile(BucketCounts{}, 0.5)); }

TEST(Quantile, ReadsAHistogram) {
  Histogram histogram;
  histogram.observe(milliseconds(3));
  histogram.observe(std::chrono::minutes(2));
  const BucketCounts read = bucket_counts(histogram);
  EXPECT_EQ(read[1], 1u);
  EXPECT_EQ(read[8], 1u);
}

}  // namespace
}  // namespace penstock
