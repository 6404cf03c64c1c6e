#!/usr/bin/env bash
# Builds the libFuzzer targets, replays every seed, then lets each target look for more, and prints
# what each did. A crash leaves its input in build/fuzz/found/TARGET and the run fails.
#
#   tests/fuzz/run.sh [--seconds N] [--seed N] [--only TARGET]... [--build-dir DIR] [--no-install]
#     --seconds  for each target (45); 0 replays the seeds and nothing else
#     --seed     the same inputs in the same order each time, as far as the seconds reach, so that a
#                failure of CI is no luck and comes again; without it each run looks elsewhere
#     --only     this target; the others stay out
#
# For a night: tests/fuzz/run.sh --seconds 3600. What is found on the way is kept in build/fuzz/corpus
# and begun with the next time. What covers something new belongs into the repository:
#   build/fuzz/fuzz_TARGET -merge=1 tests/fuzz/corpus/TARGET build/fuzz/corpus/TARGET
# A crash becomes a vector or a test in tests/unit before it is fixed. The seeds that follow from
# vectors and keys are written by: build/fuzz/fuzz_seeds tests/fuzz
set -euo pipefail
top=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
cd "$top"

targets=(request_parser response_parser chunked authority_target roundtrip fields config_loader client_session)
seconds=45
seed=
build_dir=build/fuzz
install=yes
only=()
while [ $# -gt 0 ]; do
  case $1 in
    --seconds) seconds=$2; shift 2 ;;
    --seed) seed=$2; shift 2 ;;
    --only) only+=("$2"); shift 2 ;;
    --build-dir) build_dir=$2; shift 2 ;;
    --no-install) install=no; shift ;;
    -h|--help) sed -n '2,16s/^# \{0,1\}//p' "$0"; exit 0 ;;
    *) echo "$0: unknown option $1 (try --help)" >&2; exit 64 ;;
  esac
done
[[ $seed =~ ^([1-9][0-9]*)?$ ]] || { echo "$0: --seed takes a number from 1" >&2; exit 64; }
for target in "${only[@]}"; do
  [[ " ${targets[*]} " == *" $target "* ]] || { echo "$0: no target $target (${targets[*]})" >&2; exit 64; }
done
[ ${#only[@]} = 0 ] || targets=("${only[@]}")

export ASAN_OPTIONS=detect_leaks=1:strict_string_checks=1 UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1

seeds_of() {
  echo "tests/fuzz/corpus/$1"
  [ "$1" != roundtrip ] || echo tests/fuzz/corpus/request_parser tests/fuzz/corpus/response_parser
}

dictionary_of() {
  local own=tests/fuzz/dictionaries/$1.dict
  [ -e "$own" ] && echo "$own" || echo tests/fuzz/dictionaries/http.dict
}

# Where objects lie in memory has a say in what is tried next, and so have what another process finds
# and the order in which a folder happens to list its files.
same_each_time() {
  rm -rf "$corpus"
  find "${seeds[@]}" -type f | LC_ALL=C sort | paste -sd, >"$logs/$target.seeds"
  fixed=(-seed="$seed" -reload=0 -seed_inputs=@"$logs/$target.seeds")
  seeds=()
  if setarch -R true 2>/dev/null; then placed=(setarch -R); fi
}

# run_target TARGET SECONDS: its log is in LOGS/TARGET.
run_target() {
  local target=$1 corpus=$build_dir/corpus/$1 found=$build_dir/found/$1 seeds placed=() fixed=()
  read -ra seeds < <(seeds_of "$target" | xargs)
  [ -z "$seed" ] || { corpus=$build_dir/seeded/$1 && same_each_time; }
  mkdir -p "$corpus" "$found"
  "${placed[@]}" "$build_dir/fuzz_$target" "${fixed[@]}" -max_total_time="$2" -timeout=10 -rss_limit_mb=2048 -max_len=4096 \
    -print_final_stats=1 -dict="$(dictionary_of "$target")" -artifact_prefix="$found/" \
    "$corpus" "${seeds[@]}" >"$logs/$target" 2>&1
}

replay() {
  local seeds
  read -ra seeds < <(seeds_of "$1" | xargs)
  mkdir -p "$build_dir/found/$1"
  "$build_dir/fuzz_$1" -runs=0 -timeout=10 -artifact_prefix="$build_dir/found/$1/" "${seeds[@]}" >"$logs/$1" 2>&1
}

# each COMMAND: on all targets, as many at once as there are cores. False when one failed.
each() {
  local target pid failed=0
  local -A target_of=()
  for target in "${targets[@]}"; do
    while [ "$(jobs -rp | wc -l)" -ge "$(nproc)" ]; do wait -n || true; done
    "$@" "$target" & target_of[$!]=$target
  done
  for pid in "${!target_of[@]}"; do
    wait "$pid" || { report_failure "${target_of[$pid]}"; failed=1; }
  done
  return $failed
}

report_failure() {
  local input
  printf '\n%s: FAILED\n' "$1" >&2
  grep -E -m 20 'does not hold|ERROR|Assertion|runtime error|^ +#[0-9]+ .*penstock' "$logs/$1" >&2 || tail -n 20 "$logs/$1" >&2
  input=$(sed -n 's/.*Test unit written to //p' "$logs/$1" | tail -n 1)
  [ -z "$input" ] || printf 'again: %s/fuzz_%s %s\nit holds, in base64: %s\n' "$build_dir" "$1" "$input" "$(base64 -w0 "$input")" >&2
}

# A vector that was added or changed is a seed as well.
check_seeds() {
  local fresh=$build_dir/seeds stale
  rm -rf "$fresh"
  "$build_dir/fuzz_seeds" "$fresh"
  stale=$(cd "$fresh/corpus" && find . -type f -exec sh -c 'cmp -s "$1" "$2/$1" || echo "$1"' - {} "$top/tests/fuzz/corpus" \;)
  [ -z "$stale" ] && return
  printf 'the seeds are behind the vectors; run %s/fuzz_seeds tests/fuzz\n%s\n' "$build_dir" "$stale" >&2
  return 1
}

print_table() {
  local target last
  printf '%-17s %10s %12s %9s %9s %7s\n' target executions per_second coverage features inputs
  for target in "${targets[@]}"; do
    last=$(grep -E '^#[0-9]+.* cov: ' "$logs/$target" | tail -n 1 || true)
    printf '%-17s %10s %12s %9s %9s %7s\n' "$target" \
      "$(sed -n 's/^stat::number_of_executed_units: *//p' "$logs/$target")" \
      "$(sed -n 's/^stat::average_exec_per_sec: *//p' "$logs/$target")" \
      "$(sed -n 's/.* cov: \([0-9]*\).*/\1/p' <<<"$last")" \
      "$(sed -n 's/.* ft: \([0-9]*\).*/\1/p' <<<"$last")" \
      "$(sed -n 's/.* corp: \([0-9]*\).*/\1/p' <<<"$last")"
  done
}

[ $install = no ] || deploy/packages.sh --install build fuzz
cmake --preset fuzz -B "$build_dir" >/dev/null
cmake --build "$build_dir" -j "$(nproc)" --target fuzz_seeds "${targets[@]/#/fuzz_}"
logs=$build_dir/logs
mkdir -p "$logs"

check_seeds
begun=$SECONDS
each replay || exit 1
printf 'replayed every seed in %s s\n' $((SECONDS - begun))
[ "$seconds" -gt 0 ] || exit 0
fuzz() { run_target "$1" "$seconds"; }
status=0
each fuzz || status=1
print_table
exit $status
