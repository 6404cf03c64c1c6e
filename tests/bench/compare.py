"""What one request costs penstock and nginx, measured side by side against one nginx TLS origin.

Instructions come from callgrind and system calls from strace, each as the difference between two runs
of different length, which cancels start-up and handshakes. CPU time comes from the scheduler, in
interleaved rounds under wrk, since absolute times drift between runs by tens of percent.
"""

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "integration"))

from proxies import Nginx, Penstock  # noqa: E402
from support.ca import CertificateAuthority  # noqa: E402
from support.load import load  # noqa: E402
from support.nginx import NginxOrigin  # noqa: E402
from support.penstock import BINARY  # noqa: E402

URL = "http://api.test/bytes/1k"
SHORT, LONG = 300, 1300  # requests of the two runs that are subtracted


class Bench:
    def __init__(self, folder, options):
        self.folder, self.options = Path(folder), options
        self.ca = CertificateAuthority(self.folder / "ca")
        self.origin = NginxOrigin(self.folder / "origin", self.ca.issue("api.test"), "TLSv1.3", log=False)
        self._count = 0

    def proxy(self, kind, tool=()):
        self._count += 1
        return kind(self.folder / f"{kind.name}{self._count}", self.ca.file, self.origin.port, tool)

    def served(self, proxy, count):
        outcome = load(proxy.port, URL, count, 1)
        assert outcome.statuses == {200: count} and not outcome.errors, (outcome, proxy.folder)

    def under(self, kind, tool, count):
        """Runs `count` requests through a proxy under a tool; returns the proxy's folder."""
        proxy = self.proxy(kind, tool)
        try:
            self.served(proxy, count)
        finally:
            proxy.stop()
        return proxy.folder


def instructions(bench, kind):
    tool = ["valgrind", "--tool=callgrind", "--callgrind-out-file=callgrind.out"]

    def total(count):
        text = (bench.under(kind, tool, count) / "callgrind.out").read_text()
        return int(re.search(r"^(?:summary|totals): (\d+)", text, re.MULTILINE).group(1))

    return (total(LONG) - total(SHORT)) / (LONG - SHORT)


def system_calls(bench, kind):
    """{name: calls per request}, only what recurs with every hundredth request at least."""
    tool = ["strace", "-f", "-c", "-o", "strace.out"]

    def counts(count):
        calls = {}
        for line in (bench.under(kind, tool, count) / "strace.out").read_text().splitlines():
            match = re.match(r"\s*[\d.]+\s+[\d.]+\s+\d+\s+(\d+)\s+(?:\d+\s+)?(\w+)$", line)
            if match and match.group(2) != "total":
                calls[match.group(2)] = int(match.group(1))
        return calls

    short, long = counts(SHORT), counts(LONG)
    each = {name: (calls - short.get(name, 0)) / (LONG - SHORT) for name, calls in long.items()}
    return {name: round(value, 3) for name, value in sorted(each.items(), key=lambda e: -e[1]) if value >= 0.01}


def wrk(proxy, clients, seconds):
    """Requests served in a round; a failed one spoils the figures, so it ends the run."""
    output = subprocess.run(
        ["wrk", "-t", "1", "-c", str(clients), "-d", f"{seconds}s", "-s", str(HERE / "absolute_form.lua"),
         f"http://127.0.0.1:{proxy.port}", "--", URL], check=True, capture_output=True, text=True).stdout
    served, failed = map(int, re.search(r"RESULT requests=(\d+) failed=(\d+)", output).groups())
    assert served and not failed, output
    return served


def cpu_times(bench, kinds, clients):
    """{name: [CPU microseconds per request of each round]}; the proxies take turns."""
    proxies = [bench.proxy(kind) for kind in kinds]
    rounds = {proxy.name: [] for proxy in proxies}
    try:
        for proxy in proxies:
            wrk(proxy, clients, 1)  # connections are made, caches warm
        for turn in range(bench.options.rounds):
            for proxy in proxies if turn % 2 else reversed(proxies):
                before = proxy.cpu_seconds()
                served = wrk(proxy, clients, bench.options.seconds)
                rounds[proxy.name].append((proxy.cpu_seconds() - before) / served * 1e6)
    finally:
        for proxy in proxies:
            proxy.stop()
    return rounds


def quartiles(values):
    low, middle, high = statistics.quantiles(values, n=4) if len(values) > 1 else values * 3
    return {"median": round(middle, 2), "quartiles": [round(low, 2), round(high, 2)]}


def measure(bench, kinds):
    result = {kind.name: {} for kind in kinds}
    for kind in kinds:
        result[kind.name]["instructions"] = round(instructions(bench, kind))
        calls = system_calls(bench, kind)
        waits = {name: value for name, value in calls.items() if name.startswith("epoll_") and "wait" in name}
        result[kind.name]["system_calls"] = calls
        result[kind.name]["calls_with_wait"] = round(sum(calls.values()), 2)
        result[kind.name]["calls_without_wait"] = round(sum(calls.values()) - sum(waits.values()), 2)
    for clients in (1, 32):
        for name, values in cpu_times(bench, kinds, clients).items():
            result[name][f"cpu_us_{clients}_clients"] = quartiles(values)
    return result


def table(result):
    names = list(result)
    rows = [("per GET of 1 KiB", *names)]
    rows += [(title, *(f"{result[name][key]:,}" for name in names)) for title, key in [
        ("user-space instructions", "instructions"), ("system calls", "calls_with_wait"),
        ("system calls but epoll_wait", "calls_without_wait")]]
    for clients in (1, 32):
        figures = [result[name][f"cpu_us_{clients}_clients"] for name in names]
        rows.append((f"CPU us, {clients} client{'s' if clients > 1 else ''} (quartiles)",
                     *(f"{f['median']} ({f['quartiles'][0]}-{f['quartiles'][1]})" for f in figures)))
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return "\n".join("  ".join(cell.ljust(width) if i == 0 else cell.rjust(width)
                               for i, (cell, width) in enumerate(zip(row, widths))) for row in rows)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=10, help="interleaved CPU rounds (10)")
    parser.add_argument("--seconds", type=int, default=3, help="length of a round (3)")
    parser.add_argument("--json", default="build/bench.json", help="where the figures go (build/bench.json)")
    parser.add_argument("--only", choices=["nginx", "penstock"], help="measure one alone")
    options = parser.parse_args()
    kinds = [kind for kind in (Penstock, Nginx) if options.only in (None, kind.name)]
    if Penstock in kinds and not os.access(BINARY, os.X_OK):
        sys.exit(f"no binary at {BINARY}: build it (cmake --build --preset release), or set PENSTOCK_BIN")
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(folder, options)
        try:
            result = measure(bench, kinds)
        finally:
            bench.origin.stop()
    Path(options.json).parent.mkdir(parents=True, exist_ok=True)
    Path(options.json).write_text(json.dumps(result, indent=2) + "\n")
    print(table(result))
    print(f"figures: {options.json}")


if __name__ == "__main__":
    main()
