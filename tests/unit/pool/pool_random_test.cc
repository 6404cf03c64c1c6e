// Random requests, dials, failures, idle closes, reloads and turns of the clock, on one worker and
// on two, with handlers that act inside their callbacks. After each step the books must agree with
// what the fakes saw; at the end nothing may be left.
//
// A failure names its seed; PENSTOCK_POOL_SEED=N replays that one alone, PENSTOCK_POOL_SEEDS=N
// tries that many.
#include <gtest/gtest.h>

#include <cstdlib>
#include <string>

#include "random_world.h"

namespace penstock {
namespace {

constexpr int kSteps = 300;

std::uint64_t number_from_environment(const char* name, std::uint64_t otherwise) {
  const char* text = std::getenv(name);
  return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}

void run(std::uint64_t seed) {
  SCOPED_TRACE("seed " + std::to_string(seed));
  RandomWorld world(seed);
  for (int step = 0; step < kSteps && !testing::Test::HasFailure(); ++step) {
    SCOPED_TRACE("step " + std::to_string(step));
    world.step();
    world.check();
  }
}

TEST(HostPoolAtRandom, BooksAgreeAfterEveryStepAndNothingIsLeft) {
  if (const std::uint64_t seed = number_from_environment("PENSTOCK_POOL_SEED", 0); seed != 0) {
    run(seed);
    return;
  }
  const std::uint64_t count = number_from_environment("PENSTOCK_POOL_SEEDS", 2000);
  for (std::uint64_t seed = 1; seed <= count && !HasFailure(); ++seed) run(seed);
}

}  // namespace
}  // namespace penstock
