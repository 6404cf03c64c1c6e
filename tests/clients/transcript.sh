#!/usr/bin/env bash
# curl, Python requests and Go through the built penstock (or $PENSTOCK_BIN), with proof of reuse.
set -euo pipefail
top=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
"$top/deploy/packages.sh" --install test
exec /usr/bin/python3 "$top/tests/clients/transcript.py"
