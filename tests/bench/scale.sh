#!/usr/bin/env bash
# What a connection costs while it is idle, what a second worker brings, whether hosts and requests by the
# million cost anything. scale.py says how; --help lists its options.
set -euo pipefail
top=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
if [ "${1:-}" != --help ]; then "$top/deploy/packages.sh" --install build test bench; fi
exec /usr/bin/python3 "$top/tests/bench/scale.py" "$@"
