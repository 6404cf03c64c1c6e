"""The workloads, and the rounds in which the proxies take turns at one.

Absolute times drift by tens of percent between runs and between minutes, so a proxy's CPU time per request is compared
with the floor's of the same round. Every round has all proxies, the next one in the opposite order.
"""

from contextlib import ExitStack
from dataclasses import dataclass

from peers import KINDS, TUNNEL
from stand import load_whole

PATH = "http://api.test"


@dataclass(frozen=True)
class Workload:
    name: str
    title: str
    load: tuple       # of the load program
    tunnel: bool = False
    direct: bool = False  # measured beside the load program's own TLS connections to the origin


WORKLOADS = {workload.name: workload for workload in (
    Workload("get-1k-1", "GET 1 KiB, 1 client", ("--clients", 1)),
    Workload("get-1k-32", "GET 1 KiB, 32 clients", ("--clients", 32)),
    Workload("get-1k-256", "GET 1 KiB, 256 clients", ("--clients", 256)),
    Workload("get-64k-32", "GET 64 KiB, 32 clients", ("--clients", 32, "--url", f"{PATH}/bytes/64k")),
    Workload("get-1m-8", "GET 1 MiB, 8 clients", ("--clients", 8, "--url", f"{PATH}/bytes/1m")),
    Workload("post-16k-32", "POST 16 KiB, 32 clients", ("--clients", 32, "--post", 16384, "--url", f"{PATH}/upload")),
    Workload("new-8", "GET 1 KiB, a new connection each, 8 clients", ("--clients", 8, "--anew")),
    Workload("connect-1m-8", "1 MiB through CONNECT, 8 clients", ("--clients", 8, "--url", f"{PATH}/bytes/1m"), tunnel=True),
    Workload("rate-2000", "GET 1 KiB, 2,000 requests/s, 32 clients", ("--clients", 32, "--rate", 2000), direct=True),
)}


class Direct:
    """Nothing in between: the load program speaks TLS to the origin itself."""

    name = "direct"

    def __init__(self, stand):
        self.port = stand.origin.port

    def cpu_seconds(self):
        return 0.0

    def peak_rss_bytes(self):
        return 0

    def stop(self):
        pass


def contenders(workload, names):
    kinds = TUNNEL if workload.tunnel else KINDS
    return [kinds[name] for name in names if name in kinds]


class Contest:
    """One workload: the proxies run for its whole length, each measured in its turns."""

    def __init__(self, stand, workload, names, tell=lambda what: None):
        self._stand, self._workload, self._tell = stand, workload, tell
        self._kinds = contenders(workload, names)

    def run(self, rounds, seconds):
        """{name: {"rounds": [figures], "opened_first": n, "peak_rss_bytes": n}}"""
        with ExitStack() as stops:
            kinds = [*self._kinds, *([Direct] if self._workload.direct else [])]
            opened, proxies = zip(*(self._enter(kind, stops, min(1, seconds / 2)) for kind in kinds))
            figures = {proxy.name: [] for proxy in proxies}
            for number in range(rounds):
                self._tell(f"{self._workload.title}: round {number + 1} of {rounds}")
                for proxy in proxies if number % 2 else reversed(proxies):
                    figures[proxy.name].append(self._turn(proxy, seconds))
            return {proxy.name: {"rounds": figures[proxy.name], "opened_first": first,
                                 "peak_rss_bytes": proxy.peak_rss_bytes()} for proxy, first in zip(proxies, opened)}

    def _enter(self, kind, stops, seconds):
        """Starts a proxy and warms it up: (connections opened at the origin, the proxy)."""
        before = self._stand.accepted()
        proxy = Direct(self._stand) if kind is Direct else self._stand.proxy(kind)
        stops.callback(proxy.stop)
        self._turn(proxy, seconds)
        return self._stand.accepted() - before, proxy

    def _arguments(self, proxy):
        if isinstance(proxy, Direct):
            return (*self._workload.load, "--ca", self._stand.ca.file)
        if self._workload.tunnel and proxy.tunnel_target():
            return (*self._workload.load, "--tunnel", proxy.tunnel_target())
        return self._workload.load

    def _turn(self, proxy, seconds):
        opened, cpu = self._stand.accepted(), proxy.cpu_seconds()
        figures = load_whole(proxy, *self._arguments(proxy), seconds=seconds)
        cpu, opened = proxy.cpu_seconds() - cpu, self._stand.accepted() - opened
        return {"requests": figures["requests"], "rate": figures["requests"] / figures["seconds"],
                "p50": figures["p50"], "p99": figures["p99"], "p99.9": figures["p99.9"],
                "cpu_us": cpu / figures["requests"] * 1e6, "opened": opened}


