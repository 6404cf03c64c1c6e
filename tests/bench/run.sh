#!/usr/bin/env bash
# What a request costs penstock beside nginx, HAProxy, nghttpx, Go, Squid and a blind relay, all doing the same job, on
# this machine. Installs the others from Debian and builds penstock unless PENSTOCK_BIN names a binary. run.py says how
# it is measured; --help lists its options, --quick takes 2 minutes.
set -euo pipefail
top=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
if [[ " $* " != *" --help "* && " $* " != *" --redraw "* ]]; then
  "$top/deploy/packages.sh" --install build bench
  if [ -z "${PENSTOCK_BIN:-}" ]; then
    (cd "$top" && cmake --preset release && cmake --build --preset release --target penstock) >&2
  fi
fi
exec /usr/bin/python3 "$top/tests/bench/run.py" "$@"
