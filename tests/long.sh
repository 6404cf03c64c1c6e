#!/usr/bin/env bash
# The patient run, for the night: the unit tests under ThreadSanitizer once, then unit and
# integration tests many times in a row, so that what fails one time in twenty shows.
#
#   tests/long.sh [ROUNDS]   (20)
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
rounds=${1:-20}

tests/run.sh --preset tsan --only build --only unit
tests/run.sh --only build --only structure
failed=0
for ((round = 1; round <= rounds; ++round)); do
  printf '\n==== round %s of %s\n' "$round" "$rounds"
  tests/run.sh --no-install --only unit --only integration || failed=$((failed + 1))
done
echo "$((rounds - failed)) passed, $failed failed"
[ $failed = 0 ]
