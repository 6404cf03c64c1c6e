"""Bytes through one tunnel, both ways at once: do the hashes match, and what does a GiB cost the proxy?

penstock's CONNECT beside HAProxy as a TCP proxy, copying and with splice(2), in one run. A cost is the proxy's own
CPU time (user and kernel) per GiB that it moved, both directions counted; with --syscalls also its system calls per
MiB, counted by strace in a run of its own.
"""

import argparse
import hashlib
import os
import re
import socket
import sys
import tempfile
import threading
import time
from pathlib import Path

import yaml

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "integration"))

from proxies import Proxy  # noqa: E402
from support.penstock import BINARY  # noqa: E402

MIB = 1 << 20

HAPROXY = """
global
  maxconn 100
  nbthread 1
defaults
  mode tcp
  timeout connect 5s
  timeout client 1h
  timeout server 1h
listen tunnel
  bind 127.0.0.1:{port}
  {option}
  server origin 127.0.0.1:{origin}
"""


class Penstock(Proxy):
    name = "penstock"

    def _command(self, ca_file, origin_port, single_process):
        config = self.folder / "penstock.yaml"
        config.write_text(yaml.safe_dump({
            "listeners": [{"address": f"127.0.0.1:{self.port}"}], "workers": 1, "admin": {"address": "off"},
            "access_log": {"path": f"{self.folder}/access.log"},
            "upstreams": [{"name": "far", "hosts": ["far.test"], "connect_to": f"127.0.0.1:{origin_port}"}]}))
        return [BINARY, "run", "-c", str(config)]

    def connect(self):
        sock = socket.create_connection(("127.0.0.1", self.port))
        sock.sendall(b"CONNECT far.test:443 HTTP/1.1\r\nHost: far.test:443\r\n\r\n")
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += sock.recv(1)
        assert head.startswith(b"HTTP/1.1 200 "), head
        return sock


class HAProxy(Proxy):
    name = "HAProxy"
    option = ""

    def _command(self, ca_file, origin_port, single_process):
        config = self.folder / "haproxy.cfg"
        config.write_text(HAPROXY.format(port=self.port, origin=origin_port, option=self.option))
        return ["haproxy", "-db", "-f", str(config)]

    def connect(self):
        return socket.create_connection(("127.0.0.1", self.port))


class HAProxySplice(HAProxy):
    name = "HAProxy, splice"
    option = "option splice-auto"


class Pump:
    """One end of the tunnel: sends `size` bytes of its own and takes as many, and keeps the hashes of both."""

    def __init__(self, sock, size):
        self.sent, self.got = hashlib.sha256(), hashlib.sha256()
        self._sock, self._size = sock, size
        self._threads = [threading.Thread(target=self._send), threading.Thread(target=self._receive)]
        for thread in self._threads:
            thread.start()

    def _send(self):
        block = os.urandom(MIB)
        for at in range(0, self._size, MIB):
            piece = memoryview(block)[:min(MIB, self._size - at)]
            self._sock.sendall(piece)
            self.sent.update(piece)
        self._sock.shutdown(socket.SHUT_WR)

    def _receive(self):
        space = memoryview(bytearray(MIB))
        while count := self._sock.recv_into(space):
            self.got.update(space[:count])

    def join(self):
        for thread in self._threads:
            thread.join()


def move(proxy, listener, size):
    """One tunnel; True when what came is what was sent, both ways."""
    near = proxy.connect()
    far = listener.accept()[0]
    ends = [Pump(sock, size) for sock in (near, far)]
    for end in ends:
        end.join()
    for sock in (near, far):
        sock.close()
    here, there = ends
    return here.got.digest() == there.sent.digest() and there.got.digest() == here.sent.digest()


def listen():
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen()
    return listener


def measure(kind, folder, size):
    """(whether the hashes match, CPU seconds per GiB moved, MiB/s of both directions)"""
    listener = listen()
    proxy = kind(folder, None, listener.getsockname()[1])
    if kind is not Penstock:  # the look whether it listens was passed on
        listener.accept()[0].close()
    try:
        before, begun = proxy.cpu_seconds(), time.monotonic()
        matches = move(proxy, listener, size)
        seconds, cpu = time.monotonic() - begun, proxy.cpu_seconds() - before
    finally:
        proxy.stop()
        listener.close()
    moved = 2 * size
    return matches, cpu / (moved / (1 << 30)), moved / MIB / seconds


def syscalls(kind, folder, size):
    """System calls per MiB moved, by name."""
    listener = listen()
    counts = Path(folder) / "counts"
    proxy = kind(Path(folder) / "run", None, listener.getsockname()[1], tool=["strace", "-f", "-c", "-o", str(counts)])
    if kind is not Penstock:
        listener.accept()[0].close()
    move(proxy, listener, size)
    proxy.stop()
    listener.close()
    rows = re.findall(r"^ *[\d.]+ +[\d.]+ +\d+ +(\d+)(?: +\d+)? +(\w+)$", counts.read_text(), re.MULTILINE)
    per_mib = {name: int(count) / (2 * size / MIB) for count, name in rows if name != "total"}
    return ", ".join(f"{name} {count:.1f}" for name, count in sorted(per_mib.items(), key=lambda row: -row[1]) if count >= 0.5)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mib", type=int, default=1024, help="bytes each way, in MiB (1024)")
    parser.add_argument("--rounds", type=int, default=3, help="how often each is measured; the cheapest counts (3)")
    parser.add_argument("--syscalls", action="store_true", help="also count system calls (strace)")
    options = parser.parse_args()
    if not os.access(BINARY, os.X_OK):
        sys.exit(f"no binary at {BINARY}: build it (cmake --build --preset release), or set PENSTOCK_BIN")
    failed = False
    print(f"{'':<18}{'CPU s/GiB':>11}{'MiB/s':>9}  hashes")
    with tempfile.TemporaryDirectory() as folder:
        for kind in (Penstock, HAProxy, HAProxySplice):
            at = Path(folder) / kind.__name__
            rounds = [measure(kind, at / str(number), options.mib * MIB) for number in range(options.rounds)]
            matches = all(found[0] for found in rounds)
            failed = failed or not matches
            _, cpu, rate = min(rounds, key=lambda found: found[1])
            print(f"{kind.name:<18}{cpu:>11.3f}{rate:>9,.0f}  {'match' if matches else 'DIFFER'}", flush=True)
            if options.syscalls:
                print(f"{'':<18}per MiB: {syscalls(kind, at / 'calls', min(options.mib, 128) * MIB)}", flush=True)
    sys.exit(failed)


if __name__ == "__main__":
    main()
