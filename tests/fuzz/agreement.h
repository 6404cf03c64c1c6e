// What every parser target holds: the answer does not depend on how the bytes came.
#pragma once

#include "fuzz/check.h"
#include "fuzz/pieces.h"
#include "unit/http/driver.h"

namespace penstock::fuzz {

// Byte by byte is a cut at every offset at once; it costs the square of the length.
inline constexpr std::size_t kMostBytesOneByOne = 256;

// `run(cuts)` gives an Outcome.
template <typename Run>
void check_the_same_however_cut(const Plan& plan, Run run) {
  const test::Outcome whole = run({});
  const auto check = [&](const test::Outcome& cut) {
    FUZZ_CHECK(whole.log == cut.log);
    FUZZ_CHECK(whole.body == cut.body);
    FUZZ_CHECK(whole.rest == cut.rest || whole.fault.status != 0);
  };
  check(run(plan.cuts));
  if (plan.bytes.size() <= kMostBytesOneByOne) check(run(test::every_byte(plan.bytes.size())));
}

}  // namespace penstock::fuzz
