#!/usr/bin/env bash
# 1,000 upstreams that hang while a healthy one is served: its p99 beside them and alone, and penstock's
# loop lag. hanging.py says how; --help lists its options.
set -euo pipefail
top=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
if [ "${1:-}" != --help ]; then "$top/deploy/packages.sh" --install test; fi
exec /usr/bin/python3 "$top/tests/bench/hanging.py" "$@"
