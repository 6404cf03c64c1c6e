#!/usr/bin/env bash
# Plants faults in a copy of the tree, one by one, and shows that the simulation finds each.
#
#   tests/sim/mutants.sh [NAME]...   those patches of tests/sim/mutants alone, by number or name
#
# Fails when a fault is not found within SEEDS seeds (2000), when its patch does not apply any more,
# and when the simulation fails without one. The copy is kept in WORK_DIR, where that is set, so that
# the next call builds little.
set -uo pipefail
top=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
seeds=${SEEDS:-2000}
jobs=${JOBS:-$(nproc)}
work=${WORK_DIR:-}
if [ -z "$work" ]; then
  work=$(mktemp -d)
  trap 'rm -rf "$work"' EXIT
fi
tree=$work/tree
build=$work/build
export CCACHE_BASEDIR=$work CCACHE_NOHASHDIR=1
# What was freed is filled with this, so that a late use shows.
export MALLOC_PERTURB_=85

# With the time of now, so that nothing is taken as built of what a fault has changed.
copy_tree() {
  mkdir -p "$tree"
  (cd "$top" && git ls-files -z --cached --others --exclude-standard |
    tar --create --null --files-from=-) | tar --extract --touch --directory="$tree"
}

configure() {
  local launcher=()
  if command -v ccache >/dev/null; then launcher=(-DCMAKE_CXX_COMPILER_LAUNCHER=ccache -DCMAKE_C_COMPILER_LAUNCHER=ccache); fi
  cmake -S "$tree" -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=Debug -DCMAKE_CXX_FLAGS_DEBUG=-O1 \
    -DCMAKE_C_FLAGS_DEBUG=-O1 "${launcher[@]}" >"$work/configure.log"
}

build() { cmake --build "$build" -j "$jobs" --target sim_test >"$work/build.log" 2>&1; }

simulate() { PENSTOCK_SIM_SEEDS=$seeds "$build/sim_test" >"$work/run.log" 2>&1; }

row() { printf '%-40s %6s %6s  %s\n' "$@"; }

# The line that names seed and step; before it stands what an assertion says.
report() {
  local line seed step what
  line=$(grep -m1 -E '^seed [0-9]+ step [0-9]+: ' "$work/run.log") || return 1
  read -r _ seed _ step what <<<"$line"
  if [[ $what == Aborted* ]]; then
    what=$(grep -m1 -oE 'Assertion .*' "$work/run.log" || echo "$what")
  fi
  row "$1" "$seed" "${step%:}" "${what:0:110}"
}

wanted() {
  local name=$1 one
  shift
  [ $# = 0 ] && return 0
  for one in "$@"; do
    if [[ $name == "$one"* || $name == *"$one" ]]; then return 0; fi
  done
  return 1
}

# 0 when the fault is found.
try_fault() {
  local patch=$1 name
  name=$(basename "$patch" .patch)
  if ! patch --silent --strip=1 --fuzz=0 --directory="$tree" <"$patch" >"$work/patch.log" 2>&1; then
    row "$name" - - "the patch does not apply any more"
    return 1
  fi
  local found=1
  if ! build; then
    row "$name" - - "does not build: $(grep -m1 error "$work/build.log")"
  elif simulate; then
    row "$name" - - "SURVIVED $seeds seeds"
  elif report "$name"; then
    found=0
  else
    row "$name" - - "ended without a finding: $(tail -n1 "$work/run.log")"
  fi
  patch --silent --strip=1 --reverse --directory="$tree" <"$patch"
  return $found
}

main() {
  local begun=$SECONDS tried=0 failed=0 patch
  if ! { copy_tree && configure && build; }; then
    tail -n 20 -v "$work"/*.log
    exit 1
  fi
  if ! simulate; then
    echo "the simulation fails without a fault:"
    cat "$work/run.log"
    exit 1
  fi
  tail -n 2 "$work/run.log"
  row fault seed step "what was found"
  for patch in "$top"/tests/sim/mutants/*.patch; do
    wanted "$(basename "$patch" .patch)" "$@" || continue
    tried=$((tried + 1))
    try_fault "$patch" || failed=$((failed + 1))
  done
  echo "$((tried - failed)) of $tried faults found, $((SECONDS - begun)) s"
  [ $failed = 0 ]
}

main "$@"
