#!/usr/bin/env bash
# What the committed seeds alone cover of daemon/http, by file; fails below 90 % of its lines.
#
#   tests/fuzz/coverage.sh [--build-dir DIR] [--at-least PERCENT]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

build_dir=build/fuzz-coverage
at_least=90
while [ $# -gt 0 ]; do
  case $1 in
    --build-dir) build_dir=$2; shift 2 ;;
    --at-least) at_least=$2; shift 2 ;;
    -h|--help) sed -n '2,5s/^# \{0,1\}//p' "$0"; exit 0 ;;
    *) echo "$0: unknown option $1 (try --help)" >&2; exit 64 ;;
  esac
done
targets=(request_parser response_parser chunked authority_target roundtrip)
corpus=tests/fuzz/corpus

# Without the sanitizers: they are no part of the question, and it builds in half the time.
cmake --preset fuzz -B "$build_dir" -DPENSTOCK_SANITIZE= \
  -DCMAKE_CXX_FLAGS_DEBUG='-O1 -g1 -fprofile-instr-generate -fcoverage-mapping' >/dev/null
cmake --build "$build_dir" -j "$(nproc)" --target "${targets[@]/#/fuzz_}"

objects=()
for target in "${targets[@]}"; do
  seeds=("$corpus/$target")
  [ "$target" != roundtrip ] || seeds+=("$corpus/request_parser" "$corpus/response_parser")
  LLVM_PROFILE_FILE=$build_dir/$target.profraw "$build_dir/fuzz_$target" -runs=0 "${seeds[@]}" \
    -artifact_prefix="$build_dir/" 2>"$build_dir/$target.log" || { tail -n 20 "$build_dir/$target.log" >&2; exit 1; }
  [ "$target" = roundtrip ] || objects+=(-object "$build_dir/fuzz_$target")
done
llvm-profdata merge -o "$build_dir/seeds.profdata" "$build_dir"/*.profraw

# Columns of the report: regions and functions before lines, branches behind.
llvm-cov report "$build_dir/fuzz_roundtrip" "${objects[@]}" -instr-profile="$build_dir/seeds.profdata" |
  awk -v least="$at_least" '
    function row(name, lines, missed) {
      printf "%-24s %5d lines %5d missed %7.2f %%\n", name, lines, missed, 100 * (lines - missed) / lines
    }
    $1 ~ /(^|\/)daemon\/http\/[^\/]*$/ && $8 > 0 {
      sub(".*/", "", $1)
      row($1, $8, $9)
      lines += $8
      missed += $9
    }
    END {
      row("daemon/http", lines, missed)
      if (100 * (lines - missed) >= least * lines) exit 0
      printf "at least %s %% are wanted\n", least
      exit 1
    }'
