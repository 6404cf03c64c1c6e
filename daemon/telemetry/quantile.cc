#include "telemetry/quantile.h"

#include <numeric>

namespace penstock {

BucketCounts bucket_counts(const Histogram& histogram) {
  BucketCounts counts{};
  for (std::size_t i = 0; i < counts.size(); ++i) counts[i] = histogram.bucket(static_cast<int>(i));
  return counts;
}

std::optional<Quantile> quantile(const BucketCounts& counts, double share) {
  const auto total = std::accumulate(counts.begin(), counts.end(), std::uint64_t{0});
  if (total == 0) return std::nullopt;
  const double rank = share * static_cast<double>(total);
  double below = 0;
  for (std::size_t i = 0; i < Histogram::kBounds.size(); ++i) {
    const auto here = static_cast<double>(counts[i]);
    if (here > 0 && below + here >= rank) {
      const Duration from = i == 0 ? Duration::zero() : Histogram::kBounds[i - 1];
      const auto width = static_cast<double>((Histogram::kBounds[i] - from).count());
      const double part = width * (rank - below) / here;
      return Quantile{.value = from + Duration(static_cast<Duration::rep>(part))};
    }
    below += here;
  }
  return Quantile{.value = Histogram::kBounds.back(), .beyond = true};
}

}  // namespace penstock
