"""Penstock beside nginx, HAProxy, nghttpx, Go, Squid and a blind relay, all doing the same job in one run.

First every proxy has to refuse two origins with a wrong certificate. Then the system calls and instructions of one
request are counted, and the workloads measured in rounds in which the proxies take turns. A failed request ends the
run with exit code 1, since its figures would be worth nothing.
"""

import argparse
import json
import os
import signal
import sys
import tempfile
import time
from datetime import datetime, timezone
from pathlib import Path

import counting
import plots
import readme
from figures import counts_table, machine, summarize, table
from peers import CALLGRIND, KINDS
from rounds import WORKLOADS, Contest
from stand import Failed, Stand, refusals
from support.penstock import BINARY

COUNTS = "counts"
BULK = ("get-64k-32", "get-1m-8")  # where a wider buffer of the floor's makes a difference
QUICK = {"rounds": 2, "seconds": 0.2, "lengths": (100, 400), "callgrind": ("floor", "penstock", "nginx")}


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=10, help="interleaved rounds of a workload (10)")
    parser.add_argument("--seconds", type=float, default=2, help="length of one proxy's turn (2)")
    parser.add_argument("--workers", type=int, default=1, help="of every proxy (1)")
    parser.add_argument("--only", action="append", choices=[*WORKLOADS, COUNTS], help="one workload; may be given again")
    parser.add_argument("--peers", type=lambda text: text.split(","), default=list(KINDS),
                        help=f"who takes part, by commas ({','.join(KINDS)}); the floor always does")
    parser.add_argument("--quick", action="store_true", help="2 minutes: fewer and shorter rounds")
    parser.add_argument("--json", default="build/bench.json", help="where the figures go (build/bench.json)")
    parser.add_argument("--plots", help="a folder for the plots (SVG)")
    parser.add_argument("--readme", help="a file whose figures are replaced (README.md)")
    parser.add_argument("--redraw", metavar="JSON", help="show the figures of an earlier run again, instead of measuring")
    options = parser.parse_args()
    if unknown := set(options.peers) - set(KINDS):
        parser.error(f"no such proxy: {', '.join(sorted(unknown))} (known: {', '.join(KINDS)})")
    options.peers = [name for name in KINDS if name in options.peers or name == "floor"]
    options.lengths, options.callgrind = counting.LENGTHS, CALLGRIND
    if options.quick:
        vars(options).update(QUICK)
    return options


def tell(what):
    """Where we are, for who waits at a terminal."""
    if sys.stderr.isatty():
        print(f"\r\033[K{what}", end="", file=sys.stderr, flush=True)


def count(stand, name, options):
    """Instructions, where callgrind can count them, and system calls per GET of 1 KiB."""
    tell(f"counting: {name}")
    kind, calls = KINDS[name], counting.system_calls(stand, KINDS[name], options.lengths)
    instructions = round(counting.instructions(stand, kind, options.lengths)) if name in options.callgrind else None
    return {"instructions": instructions, "system_calls": calls, "without_waits": counting.without_waits(calls)}


def measure(stand, options):
    """What the JSON has of the measurements; prints each table when it is there."""
    wanted = options.only or [COUNTS, *WORKLOADS]
    usual = [name for name in options.peers if name != "floor-64k"]
    counted = [name for name in usual if name != "go-default"] if COUNTS in wanted else []  # it does as the tuned one
    refusals(stand, [KINDS[name] for name in usual])
    figures = {"counts": {name: count(stand, name, options) for name in counted}, "workloads": {}}
    tell("")
    show_counts(figures["counts"])
    for name in (name for name in WORKLOADS if name in wanted):
        contest = Contest(stand, WORKLOADS[name], options.peers if name in BULK else usual, tell)
        figures["workloads"][name] = summarize(contest.run(options.rounds, options.seconds))
        tell("")
        show(name, figures["workloads"][name])
    return figures


def show_counts(counts):
    if counts:
        print(counts_table(counts), flush=True)


def show(name, summaries):
    print("\n" + table(WORKLOADS[name].title, summaries), flush=True)


def run(options):
    begun = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="penstock-bench-") as folder:
        stand = Stand(folder, options.workers)
        try:
            figures = measure(stand, options)
        finally:
            stand.close()
    return {"when": datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M UTC"), "took_seconds": round(time.monotonic() - begun),
            "rounds": options.rounds, "seconds": options.seconds, "workers": options.workers, "machine": machine(BINARY),
            **figures}


def shown_again(path):
    figures = json.loads(Path(path).read_text())
    show_counts(figures["counts"])
    for name, summaries in figures["workloads"].items():
        show(name, summaries)
    return figures


def measured(options):
    if not os.access(BINARY, os.X_OK):
        sys.exit(f"no binary at {BINARY}: build it (cmake --build --preset release), or set PENSTOCK_BIN")
    try:
        figures = run(options)
    except Failed as failure:
        sys.exit(f"\n{failure}")
    Path(options.json).parent.mkdir(parents=True, exist_ok=True)
    Path(options.json).write_text(json.dumps(figures, indent=1) + "\n")
    print(f"\nfigures: {options.json} ({figures['took_seconds']} s)")
    return figures


def main():
    options = arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the proxies are stopped
    figures = shown_again(options.redraw) if options.redraw else measured(options)
    for path in plots.draw(figures, Path(options.plots)) if options.plots else ():
        print(f"plot: {path}")
    if options.readme:
        readme.write(figures, Path(options.readme))


if __name__ == "__main__":
    main()
