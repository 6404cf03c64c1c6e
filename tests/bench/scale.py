"""What grows with what, in figures.

  start         resident memory of a daemon that has done nothing
  idle-clients  bytes per idle client connection, up to 8,000 of them
  idle-tls      bytes per idle pooled TLS connection, up to 5,000 of them
  workers       CPU time per request of two workers beside one, in interleaved rounds
  hosts         instructions per request with 1 to 100,000 hosts in the file, and with as many pools as
                descriptors allow; CPU time per host that is new, over 100,000 of them
  long          resident memory over 10 million requests

Figures of memory and instructions repeat to within some percent; CPU time is only worth comparing within a run.
"""

import argparse
import json
import os
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "integration"), str(HERE)]
os.environ["PENSTOCK_TIME_FACTOR"] = "30"  # for whoever waits: callgrind reads a file of 100,000 hosts

import scale_load  # noqa: E402
import scale_memory  # noqa: E402
from support.ca import CertificateAuthority  # noqa: E402
from support.idle_crowd import allow_descriptors  # noqa: E402
from support.penstock import BINARY  # noqa: E402
from support.stack import Stack  # noqa: E402

PARTS = {"start": scale_memory.start, "idle-clients": scale_memory.idle_clients, "idle-tls": scale_memory.idle_tls,
         "workers": scale_load.workers, "hosts": scale_load.hosts, "long": scale_memory.long}


def parsed():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", action="append", choices=PARTS, help="this part; may come again (all of them)")
    parser.add_argument("--clients", type=int, default=8_000)
    parser.add_argument("--connections", type=int, default=5_000)
    parser.add_argument("--rounds", type=int, default=10, help="of `workers` (10)")
    parser.add_argument("--seconds", type=int, default=3, help="length of a round (3)")
    parser.add_argument("--hosts", type=int, default=100_000)
    parser.add_argument("--requests", type=int, default=10_000_000, help="of `long`")
    parser.add_argument("--json", default="build/scale.json", help="where the figures go (build/scale.json)")
    return parser.parse_args()


def main():
    options = parsed()
    if not os.access(BINARY, os.X_OK):
        sys.exit(f"no binary at {BINARY}: build it (cmake --build --preset release), or set PENSTOCK_BIN")
    allow_descriptors()
    figures = {}
    for name in options.only or PARTS:
        print(name, flush=True)
        with tempfile.TemporaryDirectory() as folder:
            stack = Stack(Path(folder), CertificateAuthority(Path(folder) / "ca"))
            try:
                figures[name] = PARTS[name](stack, options)
            finally:
                stack.close()
    Path(options.json).parent.mkdir(parents=True, exist_ok=True)
    Path(options.json).write_text(json.dumps(figures, indent=2) + "\n")
    print(f"figures: {options.json}")


if __name__ == "__main__":
    main()
