#!/usr/bin/env bash
# 100,000 clients that connect anew for each request, as PHP does, and what the origin sees of them.
# reconnect.py --help lists the options.
set -euo pipefail
top=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
if [ "${1:-}" != --help ]; then "$top/deploy/packages.sh" --install test bench; fi
exec /usr/bin/python3 "$top/tests/bench/reconnect.py" "$@"
