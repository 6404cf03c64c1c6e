// What a histogram's buckets say about a quantile.
#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include "base/time.h"
#include "telemetry/metrics.h"

namespace penstock {

using BucketCounts = std::array<std::uint64_t, Histogram::kBoundCount + 1>;
BucketCounts bucket_counts(const Histogram& histogram);

struct Quantile {
  Duration value{};
  bool beyond = false;  // above the last bound, which `value` then is
};
// `share` in [0, 1]. Interpolated between the bounds of the bucket that it falls into, as if what
// is in there were spread evenly; nullopt when nothing was observed.
std::optional<Quantile> quantile(const BucketCounts& counts, double share);

}  // namespace penstock
