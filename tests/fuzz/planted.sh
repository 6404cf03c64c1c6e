#!/usr/bin/env bash
# Whether the fuzz targets find bugs: one is planted for each (planted/TARGET.patch, in a copy of the
# file), and the target has to find it within a minute of processor time. Prints by what and how soon.
#
#   tests/fuzz/planted.sh [--seconds N] [--only TARGET] [--no-install]
#     --seconds  for each target (60)
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

seconds=60
install=yes
build_dir=build/fuzz
mapfile -t targets < <(cd tests/fuzz/planted && printf '%s\n' *.patch | sed 's/\.patch$//')
while [ $# -gt 0 ]; do
  case $1 in
    --seconds) seconds=$2; shift 2 ;;
    --only) targets=("$2"); shift 2 ;;
    --no-install) install=no; shift ;;
    -h|--help) sed -n '2,6s/^# \{0,1\}//p' "$0"; exit 0 ;;
    *) echo "$0: unknown option $1 (try --help)" >&2; exit 64 ;;
  esac
done

# Each in a folder of its own: what the sound targets find is kept apart from it.
logs=$build_dir/planted
mkdir -p "$logs"

# find_bug TARGET: true when it stopped at a failure; sets `took`, in seconds of processor time, which
# do not depend on what else the machine does.
find_bug() {
  local target=$1 dictionary=tests/fuzz/dictionaries/$1.dict seeds=() user system
  [ -e "$dictionary" ] || dictionary=tests/fuzz/dictionaries/http.dict
  [ ! -d "tests/fuzz/corpus/$target" ] || seeds+=("tests/fuzz/corpus/$target")
  [ "$target" != roundtrip ] || seeds+=(tests/fuzz/corpus/request_parser tests/fuzz/corpus/response_parser)
  rm -rf "$logs/$target" && mkdir -p "$logs/$target/corpus"
  local TIMEFORMAT='%U %S'
  { time (
    ulimit -t "$seconds"
    "$build_dir/planted_$target" -timeout=10 -rss_limit_mb=2048 -max_len=4096 -seed=1 \
      -dict="$dictionary" -artifact_prefix="$logs/$target/" "$logs/$target/corpus" "${seeds[@]}" \
      >"$logs/$target/log" 2>&1
  ) || true; } 2>"$logs/$target/time"
  read -r user system < <(tail -n 1 "$logs/$target/time")
  took=$(awk -v u="$user" -v s="$system" 'BEGIN { printf "%.2f", u + s }')
  grep -q 'Test unit written to' "$logs/$target/log"
}

found_by() {
  grep -q '^#[0-9]*.INITED' "$logs/$1/log" && echo fuzzing || echo 'a seed'
}

[ $install = no ] || deploy/packages.sh --install build fuzz
cmake --preset fuzz -B "$build_dir" >/dev/null
cmake --build "$build_dir" -j "$(nproc)" --target "${targets[@]/#/planted_}"
failed=0
printf '%-17s %-9s %8s  %s\n' target by seconds bug
for target in "${targets[@]}"; do
  bug=$(head -n 1 "tests/fuzz/planted/$target.patch")
  if find_bug "$target"; then
    printf '%-17s %-9s %8s  %s\n' "$target" "$(found_by "$target")" "$took" "$bug"
  else
    printf '%-17s %-9s %8s  %s\n' "$target" NOTHING "$took" "$bug"
    failed=1
  fi
done
exit $failed
