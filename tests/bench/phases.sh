#!/usr/bin/env bash
# Every time limit against what it is for: when it ends the request, with which status and token, and
# what Go's http.Transport and HAProxy do before the same obstacle. phases.py says how.
set -euo pipefail
top=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
if [ "${1:-}" != --help ]; then "$top/deploy/packages.sh" --install test phases; fi
exec /usr/bin/python3 "$top/tests/bench/phases.py" "$@"
