#!/usr/bin/env bash
# What the time limits add to a request, in instructions: all off, the defaults, all set. timers.py says how.
set -euo pipefail
top=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
if [ "${1:-}" != --help ]; then "$top/deploy/packages.sh" --install build test bench; fi
exec /usr/bin/python3 "$top/tests/bench/timers.py" "$@"
