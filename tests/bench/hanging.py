"""What 1,000 upstreams that hang do to a healthy one.

Each of them accepts, shakes hands, reads its request and never answers. Meanwhile the healthy one (nginx)
is asked at a fixed rate. Rounds alternate between the healthy one alone and beside the others; printed are
the ratio of its p99s and penstock's loop lag, each as the median of the rounds, and the lag while the 1,000
arrive at once, which is that of as many handshakes. Exit 1 when the ratio is over 1.5, the lag beside them is
5 ms or more, or one request is not answered as it should be. Both are times on the wall: where other work
has the machine, `nice -n -10 tests/bench/hanging.sh` keeps it out.
"""

import argparse
import asyncio
import multiprocessing
import resource
import ssl
import statistics
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "integration"))

from support.ca import CertificateAuthority  # noqa: E402
from support.client import Client  # noqa: E402
from support.penstock import parse_metrics  # noqa: E402
from support.scripted_origin import server_context  # noqa: E402
from support.stack import Stack  # noqa: E402
from support.waiting import pause, wait_until  # noqa: E402

MAX_RATIO, MAX_LAG = 1.5, 0.005
URL = "http://api.test/bytes/1k"


class HangingOrigin:
    """A TLS server that takes requests and says nothing; a process of its own, so that it and the client
    that measures do not wait for each other."""

    tls = True

    def __init__(self, certificate):
        forking = multiprocessing.get_context("fork")
        self._heads, self._open, self._port = (forking.Value("i", 0) for _ in range(3))
        self._process = forking.Process(target=self._run, args=(certificate,), daemon=True)
        self._process.start()
        wait_until(lambda: self.port, "the hanging origin listens")

    heads = property(lambda self: self._heads.value)
    open = property(lambda self: self._open.value)
    port = property(lambda self: self._port.value)

    def _run(self, certificate):
        asyncio.run(self._listen(server_context(certificate)))

    async def _listen(self, context):
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=context, backlog=4096)
        self._port.value = server.sockets[0].getsockname()[1]
        await server.serve_forever()

    async def _serve(self, reader, writer):
        self._open.value += 1
        try:
            await reader.readuntil(b"\r\n\r\n")
            self._heads.value += 1
            await reader.read()  # until the proxy closes
        except (asyncio.IncompleteReadError, ConnectionError, ssl.SSLError):
            pass
        finally:
            self._open.value -= 1
            writer.close()

    def stop(self):
        self._process.terminate()
        self._process.join(10)


def ask_at_rate(port, rate, seconds):
    """Latencies of GETs on one connection. One that is late because the one before took long counts from
    when it was due; the rest from when they were sent, since waking up is the client's own affair."""
    latencies, begun = [], time.monotonic()
    with Client(port) as client:
        for i in range(round(rate * seconds)):
            due = begun + i / rate
            if (left := due - time.monotonic()) > 0:
                pause(left)
                due = time.monotonic()
            response = client.fetch(URL)
            latencies.append(time.monotonic() - due)
            assert response.status == 200 and len(response.body) == 1024, response
    return latencies


def p99(latencies):
    return statistics.quantiles(latencies, n=100)[98]


class Bench:
    def __init__(self, stack, options):
        self.options = options
        self.hanging = HangingOrigin(stack.ca.issue("*.hang.test"))
        self.proxy = stack.penstock(stack.to(stack.nginx()), stack.to(self.hanging, host="*.hang.test", name="hang"),
                                    access_log={"only": "errors"})
        ask_at_rate(self.proxy.port, options.rate, 1)  # connections are made, caches warm

    def measure(self):
        """(p99, the longest turn meanwhile)"""
        self.lag()
        latencies = ask_at_rate(self.proxy.port, self.options.rate, self.options.seconds)
        return p99(latencies), self.lag()

    def lag(self):
        """The longest turn of any worker since the last call."""
        series = parse_metrics(self.proxy.admin("/metrics")[1])
        return max(value for name, _, value in series if name == "penstock_loop_lag_seconds")

    def hang(self):
        """As many requests as there are hanging hosts, one each; returns once all of them have arrived."""
        before, clients = self.hanging.heads, []
        for i in range(self.options.hosts):
            clients.append(Client(self.proxy.port))
            clients[-1].request(f"http://h{i}.hang.test/")
        wait_until(lambda: self.hanging.heads == before + self.options.hosts, "all requests hang", 60)
        return clients

    def release(self, clients):
        for client in clients:
            client.close()
        wait_until(lambda: self.hanging.open == 0, "the hanging connections are closed", 60)

    def round(self):
        alone = self.measure()
        clients = self.hang()
        arriving = self.lag()
        beside = self.measure()
        busy = self.proxy.metrics("penstock_pool_connections", upstream="hang", state="busy")
        assert busy == self.options.hosts, f"{busy} hang"
        self.release(clients)
        return *alone, *beside, arriving


def report(rounds):
    """Prints the medians; what is wrong with them."""
    alone, lag_alone, beside, lag_beside, arriving = (statistics.median(column) for column in zip(*rounds))
    ratios = sorted(beside / alone for alone, _, beside, *_ in rounds)
    ratio = statistics.median(ratios)
    print(f"{'':<34}{'alone':>10}{'beside':>10}")
    print(f"{'p99 of the healthy one, ms':<34}{alone * 1e3:>10.2f}{beside * 1e3:>10.2f}")
    print(f"{'loop lag (longest turn), ms':<34}{lag_alone * 1e3:>10.2f}{lag_beside * 1e3:>10.2f}")
    print(f"{'  while the hanging ones arrive, ms':<44}{arriving * 1e3:>10.2f}")
    print(f"{'ratio of the p99s (lowest-highest)':<44}{ratio:>10.2f} ({ratios[0]:.2f}-{ratios[-1]:.2f})")
    return [*([f"the ratio is over {MAX_RATIO}"] if ratio > MAX_RATIO else []),
            *([f"the lag is not under {MAX_LAG * 1e3:g} ms"] if lag_beside >= MAX_LAG else [])]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hosts", type=int, default=1000, help="how many hang (1000)")
    parser.add_argument("--rounds", type=int, default=7, help="interleaved rounds (7)")
    parser.add_argument("--rate", type=int, default=200, help="requests a second to the healthy one (200)")
    parser.add_argument("--seconds", type=float, default=5, help="length of each half of a round (5)")
    options = parser.parse_args()
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    with tempfile.TemporaryDirectory() as folder:
        stack = Stack(Path(folder), CertificateAuthority(Path(folder) / "ca"))
        try:
            bench = Bench(stack, options)
            faults = report([bench.round() for _ in range(options.rounds)])
            bench.hanging.stop()
        finally:
            stack.close()
    for fault in faults:
        print(fault, file=sys.stderr)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
