#!/usr/bin/env bash
# Installs what is missing, builds, and runs every test.
#
#   tests/run.sh [--preset NAME] [--build-dir DIR] [--no-install] [--only STAGE]...
#     stages: build unit structure integration (all, in this order)
#     --preset     release (default), dev, asan or tsan
#     --build-dir  default build/PRESET
# PENSTOCK_TIME_FACTOR widens the upper bounds of timing assertions; asan and tsan set their own.
set -euo pipefail
top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$top"

preset=release
build_dir=
install=yes
only=()
while [ $# -gt 0 ]; do
  case $1 in
    --preset) preset=$2; shift 2 ;;
    --build-dir) build_dir=$2; shift 2 ;;
    --no-install) install=no; shift ;;
    --only) only+=("$2"); shift 2 ;;
    -h|--help) sed -n '2,8s/^# \{0,1\}//p' "$0"; exit 0 ;;
    *) echo "$0: unknown option $1 (try --help)" >&2; exit 64 ;;
  esac
done
build_dir=$(realpath -m "${build_dir:-build/$preset}")
jobs=$(nproc)

sections=(build test)
case $preset in
  asan|tsan)
    sections+=(sanitizers)
    export PENSTOCK_TIME_FACTOR=${PENSTOCK_TIME_FACTOR:-4} ;;
  release)
    export PENSTOCK_OPTIMISED=yes ;;  # test_budget.py counts its instructions
esac
# A report must end the process with a failure that no test can overlook.
export ASAN_OPTIONS=detect_leaks=1:abort_on_error=0:exitcode=99:strict_string_checks=1
export UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1
export TSAN_OPTIONS=halt_on_error=1:exitcode=99:suppressions=$top/tests/tsan.supp

build() {
  cmake --preset "$preset" -B "$build_dir"
  cmake --build "$build_dir" -j "$jobs"
}

unit() {
  ctest --test-dir "$build_dir" --parallel "$jobs" --output-on-failure --no-tests=error --timeout 120
}

# The Python that Debian's packages belong to, whatever comes first in PATH.
pytest() { /usr/bin/python3 -m pytest -p no:cacheprovider "$@"; }

structure() { pytest tests/structure; }

# More at once than there are processors: most tests wait for time to pass.
integration() {
  PENSTOCK_BIN=${PENSTOCK_BIN:-$build_dir/penstock} pytest -n "$((jobs * 3 / 2))" --dist loadgroup tests/integration
}

wanted() { [ ${#only[@]} = 0 ] || [[ " ${only[*]} " == *" $1 "* ]]; }

stages=(build unit structure integration)
for stage in "${only[@]}"; do
  [[ " ${stages[*]} " == *" $stage "* ]] || { echo "$0: no stage $stage (${stages[*]})" >&2; exit 64; }
done

times=()
run_stage() {
  local begun=$SECONDS
  printf '\n== %s (%s)\n' "$1" "$preset"
  "$1"
  times+=("$1 $((SECONDS - begun)) s")
}

[ $install = no ] || deploy/packages.sh --install "${sections[@]}"
for stage in "${stages[@]}"; do
  if wanted "$stage"; then run_stage "$stage"; fi
done
printf '\n'
printf '%s: %s\n' "$preset" "$(IFS=,; echo "${times[*]}")"
