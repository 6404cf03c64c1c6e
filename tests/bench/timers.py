"""What the time limits add to a request: callgrind's instructions per GET of 1 KiB on an idle connection,
with every limit off, with the defaults, and with all of them set. counting.py says how it is measured."""

import argparse
import os
import sys
import tempfile

from counting import instructions
from proxies import Penstock
from stand import Stand
from support.penstock import BINARY

DEFAULT_ON = ("queue", "resolve", "connect", "tls_handshake", "write_stall", "expect_continue", "response_header",
              "body_stall", "tunnel_idle")
CLIENT = ("header_timeout", "body_stall", "write_stall", "idle_timeout")


class Off(Penstock):
    name = "off"
    settings = {"client": {key: "off" for key in CLIENT},
                "defaults": {"timeouts": {key: "off" for key in DEFAULT_ON}, "pool": {"idle_timeout": "off"}}}


class Defaults(Penstock):
    name = "defaults"


class All(Penstock):
    name = "all set"
    settings = {"defaults": {"timeouts": {"exchange": "1m", "total": "2m",
                                          "min_rate": {"size": "1KiB", "window": "20s"}}}}


def main():
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    if not os.access(BINARY, os.X_OK):
        sys.exit(f"no binary at {BINARY}: build it (cmake --build --preset release), or set PENSTOCK_BIN")
    with tempfile.TemporaryDirectory() as folder:
        stand = Stand(folder)
        try:
            figures = {kind.name: instructions(stand, kind) for kind in (Off, Defaults, All)}
        finally:
            stand.close()
    print(f"{'limits':<12}{'instructions':>14}{'added':>10}{'':>9}")
    for name, figure in figures.items():
        added = figure - figures["off"]
        print(f"{name:<12}{figure:>14,.0f}{added:>10,.0f}{added / figures['off']:>9.1%}")


if __name__ == "__main__":
    main()
