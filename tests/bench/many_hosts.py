"""Endless names through one daemon, as a forward proxy meets them: its memory must not grow with them.

Asks for HOSTS different hosts, each once or more, in equal steps, all at one plaintext origin, and prints
the resident memory after each step, what /pools still knows, and the growth from the first half to the
end. Fails when that is more than 4 MiB.
"""

import argparse
import asyncio
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "integration"))

from support.ca import CertificateAuthority  # noqa: E402
from support.endless_names import EndlessNames  # noqa: E402
from support.stack import Stack  # noqa: E402

STEPS = 10


async def measure(stack, options):
    step = options.hosts // STEPS
    resident = []
    failed = 0
    async with EndlessNames() as names:
        proxy = stack.penstock(names.upstream, workers=options.workers, access_log={"path": "off"})
        for first in range(0, step * STEPS, step):
            failed += await names.visit(proxy.port, first, step)
            resident.append(proxy.rss_bytes)
            print(f"{first + step:>8,} hosts  {resident[-1] / (1 << 20):7.1f} MiB resident", flush=True)
    return failed, resident


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hosts", type=int, default=100_000)
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        stack = Stack(Path(folder), CertificateAuthority(Path(folder) / "ca"))
        try:
            failed, resident = asyncio.run(measure(stack, options))
        finally:
            stack.close()
    growth = resident[-1] - resident[STEPS // 2 - 1]
    print(f"failed {failed}, growth in the second half {growth / (1 << 20):.1f} MiB")
    return 0 if failed == 0 and growth < 4 << 20 else 1


if __name__ == "__main__":
    sys.exit(main())
