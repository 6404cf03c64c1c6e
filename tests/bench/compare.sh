#!/usr/bin/env bash
# Penstock beside nginx doing the same job against the same TLS origin, in one run: user-space
# instructions, system calls and CPU time per request. compare.py says how; --help lists its options.
set -euo pipefail
top=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
if [ "${1:-}" != --help ]; then "$top/deploy/packages.sh" --install build test bench; fi
exec /usr/bin/python3 "$top/tests/bench/compare.py" "$@"
