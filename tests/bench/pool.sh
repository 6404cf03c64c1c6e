#!/usr/bin/env bash
# What the pool promises, with figures; pool_shows.py says which, --help lists them. many_hosts.py is
# its companion for 100,000 different hosts.
set -euo pipefail
top=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
if [ "${1:-}" != --help ]; then "$top/deploy/packages.sh" --install test bench; fi
/usr/bin/python3 "$top/tests/bench/pool_shows.py" "$@"
if [ $# = 0 ]; then /usr/bin/python3 "$top/tests/bench/many_hosts.py"; fi
