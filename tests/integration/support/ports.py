"""Ports for servers that start later. Until then nobody else is given them: not by the kernel, which hands out others to
whoever connects or binds port 0, and not by a test process beside this one, since each keeps a block for itself."""

import functools
import itertools
import random
import socket
from pathlib import Path

BLOCK = 200
LOWEST = 10_000


def free_ports(count):
    """Each is another one than in the last calls; nobody listens on it."""
    ports, _ = _block()
    return [next(port for port in ports if not _is_taken(port)) for _ in range(count)]


def _is_taken(port):
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # connections that linger do not matter
        try:
            sock.bind(("", port))
            return False
        except OSError:
            return True


@functools.cache
def _block():
    """Its ports, again and again, and the socket that is named after it: while we hold that, the block is ours."""
    blocks = _blocks()
    random.shuffle(blocks)
    for first in blocks:
        claim = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            claim.bind(f"\0penstock-test-ports-{first}")
            return itertools.cycle(range(first, first + BLOCK)), claim
        except OSError:
            claim.close()
    raise AssertionError("other test processes hold all ports")


def _blocks():
    """The first port of each. Where the kernel hands out nearly all, some of those have to do."""
    lowest, highest = map(int, Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split())
    spans = [(LOWEST, lowest), (max(highest + 1, LOWEST), 1 << 16)]
    blocks = [first for low, high in spans for first in range(low, high - BLOCK + 1, BLOCK)]
    return blocks or list(range(LOWEST, (1 << 16) - BLOCK, BLOCK))
