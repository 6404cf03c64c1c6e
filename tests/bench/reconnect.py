"""Clients that connect anew for each request, as PHP does: how many TLS connections their origin sees.

ab (apache2-utils) asks a proxy for an absolute URL over HTTP/1.0, a connection each. The origin is
nginx, whose log is the ledger. Prints the requests, the failures, the connections opened upstream, the
share of reuse, and the requests that were served per upstream connection.
"""

import argparse
import re
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "integration"))

from support.ca import CertificateAuthority  # noqa: E402
from support.stack import Stack  # noqa: E402
from support.waiting import wait_until  # noqa: E402


def ask(port, requests, clients):
    """ab's summary as {name: number}."""
    done = subprocess.run(["ab", "-q", "-n", str(requests), "-c", str(clients), "-X", f"127.0.0.1:{port}",
                           "http://api.test/hello"], capture_output=True, text=True, check=True, timeout=900)
    return {name: float(re.search(rf"^{name}:\s+([\d.]+)", done.stdout, re.MULTILINE).group(1))
            for name in ("Complete requests", "Failed requests", "Requests per second")}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=100_000)
    parser.add_argument("--clients", type=int, default=32)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        stack = Stack(Path(folder), CertificateAuthority(Path(folder) / "ca"))
        try:
            origin = stack.nginx()
            proxy = stack.penstock(stack.to(origin))
            outcome = ask(proxy.port, options.requests, options.clients)
            ledger = wait_until(lambda: len(found := origin.ledger()) >= options.requests and found, "nginx logs", 60)
            opened = len({entry.connection for entry in ledger})
            for name, value in outcome.items():
                print(f"{name.lower():<32} {value:,.0f}")
            print(f"{'clients at once':<32} {options.clients}")
            print(f"{'TLS connections at the origin':<32} {opened}")
            print(f"{'reused':<32} {1 - opened / len(ledger):.4%}")
            print(f"{'connections the proxy counts':<32} {proxy.pools()[0]['opened']}")
        finally:
            stack.close()
    return 0 if outcome["Failed requests"] == 0 and opened <= options.clients else 1


if __name__ == "__main__":
    sys.exit(main())
