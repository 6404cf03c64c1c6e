"""What one GET of 1 KiB takes in instructions of user space and in system calls.

Both come from the difference between two runs of different length, which cancels start-up and handshakes, and both
repeat to within a percent. Valgrind's processor knows fewer instructions for AES than today's do, the same for all.
"""

import re

from stand import load_whole

LENGTHS = (300, 1300)  # requests of the two runs that are subtracted
CALLGRIND = ["valgrind", "--tool=callgrind", "--callgrind-out-file=callgrind.%p"]
STRACE = ["strace", "-f", "-c", "-o", "strace.out"]


def _under(stand, kind, tool, count):
    """Runs `count` requests through a proxy under a tool; returns the proxy's folder."""
    proxy = stand.proxy(kind, tool)
    try:
        load_whole(proxy, "--requests", count)
    finally:
        proxy.stop()
    return proxy.folder


def _instructions_of(folder):
    """Of all its processes."""
    texts = [path.read_text() for path in folder.glob("callgrind.*")]
    return sum(int(re.search(r"^(?:summary|totals): (\d+)", text, re.MULTILINE).group(1)) for text in texts)


def instructions(stand, kind, lengths=LENGTHS):
    short, long = (_instructions_of(_under(stand, kind, CALLGRIND, count)) for count in lengths)
    return (long - short) / (lengths[1] - lengths[0])


def calls_of(summary):
    """{name: calls} of what `strace -c` writes."""
    rows = re.findall(r"^ *[\d.]+ +[\d.]+ +\d+ +(\d+)(?: +\d+)? +(\w+)$", summary, re.MULTILINE)
    return {name: int(count) for count, name in rows if name != "total"}


def system_calls(stand, kind, lengths=LENGTHS):
    """{name: calls per request}, only what recurs with every hundredth request at least."""
    short, long = (calls_of((_under(stand, kind, STRACE, count) / "strace.out").read_text()) for count in lengths)
    each = {name: (calls - short.get(name, 0)) / (lengths[1] - lengths[0]) for name, calls in long.items()}
    return {name: round(value, 3) for name, value in sorted(each.items(), key=lambda e: -e[1]) if value >= 0.01}


def without_waits(calls):
    """Calls per request but those that wait for events."""
    return round(sum(value for name, value in calls.items() if not re.fullmatch(r"epoll_p?wait2?|poll|futex", name)), 2)
