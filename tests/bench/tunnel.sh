#!/usr/bin/env bash
# What a GiB both ways through a tunnel costs beside HAProxy, and whether it arrives whole. tunnel.py says how;
# --help lists its options.
set -euo pipefail
top=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
if [ "${1:-}" != --help ]; then "$top/deploy/packages.sh" --install build test bench phases; fi
exec /usr/bin/python3 "$top/tests/bench/tunnel.py" "$@"
