#!/usr/bin/env bash
# `penstock doctor` for Python, Node and Go, with what it says: transcript on standard output. Uses the
# built penstock (or $PENSTOCK_BIN).
set -euo pipefail
top=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
"$top/deploy/packages.sh" --install clients
exec /usr/bin/python3 "$top/tests/clients/doctor.py"
