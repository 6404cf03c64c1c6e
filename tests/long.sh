#!/usr/bin/env bash
# The patient run, for the night: the unit tests under ThreadSanitizer once, the simulation with all
# its seeds, faults planted for it and for the fuzz targets, which then look for ten minutes each, the
# Debian package on a booted system, a thousand reloads under load, then unit and integration tests
# many times in a row, so that what fails one time in twenty shows.
#
#   tests/long.sh [ROUNDS]   (20)
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
rounds=${1:-20}

tests/run.sh --preset tsan --only build --only unit
tests/run.sh --only build --only structure
PENSTOCK_SIM_SEEDS=10000 build/release/sim_test
tests/sim/mutants.sh
tests/fuzz/planted.sh
tests/fuzz/run.sh --seconds 600
deploy/packages.sh --install packaging
tests/packaging/nspawn.sh
PENSTOCK_RELOADS=1000 PENSTOCK_BIN=$PWD/build/release/penstock \
  /usr/bin/python3 -m pytest -p no:cacheprovider -q -s tests/integration/test_reload_storm.py
failed=0
for ((round = 1; round <= rounds; ++round)); do
  printf '\n==== round %s of %s\n' "$round" "$rounds"
  tests/run.sh --no-install --only unit --only integration || failed=$((failed + 1))
done
echo "$((rounds - failed)) passed, $failed failed"
[ $failed = 0 ]
