"""What the pool promises, with figures: nothing opened needlessly, caps that are exact, no failed GET.

  needless  64 pressing clients, 1 and 2 workers: connections opened beside the clients, reuse after the first second
  capped    256 pressing clients, max_connections 16: the kernel's sockets and the daemon's own count, sampled
  closing   an origin that closes after 100 ms to 1 s of idleness or 100 requests: failed GETs, retries
  resident  bytes of resident memory per idle TLS connection, from three sizes

wrk is the client; nginx is the origin, but for `closing`, where it is a server of ours. Exits with 1 when a
promise is broken.
"""

import argparse
import asyncio
import json
import random
import re
import ssl
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "integration"))

from support.ca import CertificateAuthority  # noqa: E402
from support.scripted_origin import server_context  # noqa: E402
from support.stack import Stack  # noqa: E402
from support.waiting import wait_until  # noqa: E402

SYN_SENT, ESTABLISHED = "02", "01"


def wrk(port, clients, seconds, *arguments):
    """What the Lua script reports, as {name: number}."""
    done = subprocess.run(["wrk", "-t", "1", "-c", str(clients), "-d", f"{seconds}s", "--timeout", "30s", "-s",
                           str(HERE / "absolute_form.lua"), f"http://127.0.0.1:{port}", "--",
                           "http://api.test/hello", *arguments],
                          capture_output=True, text=True, check=True, timeout=seconds + 60)
    return {name: int(number) for name, number in re.findall(r"(\w+)=(\d+)", done.stdout)}


def press(port, clients, requests, seconds=10):
    """Presses in rounds until so many were served: (served, failed)."""
    served = failed = 0
    while served < requests:
        outcome = wrk(port, clients, seconds)
        served += outcome["requests"]
        failed += outcome["failed"]
    return served, failed


class Sampler:
    """Calls `look` all the time on a thread of its own and keeps the largest it returned."""

    def __init__(self, look, every=0.02):
        self.look, self.every = look, every
        self.most = self.samples = 0
        self.stopping = threading.Event()
        self.thread = threading.Thread(target=self.run)

    def run(self):
        while not self.stopping.wait(self.every):
            self.most = max(self.most, self.look())
            self.samples += 1

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stopping.set()
        self.thread.join()


def sockets_to(port):
    """Connections of this machine to the port, in SYN_SENT or ESTABLISHED."""
    wanted = f":{port:04X}"
    rows = Path("/proc/net/tcp").read_text().splitlines()[1:]
    return sum(remote.endswith(wanted) and state in (SYN_SENT, ESTABLISHED)
               for _, _, remote, state, *_ in (row.split(None, 4) for row in rows))


def held(host):
    return sum(host["connections"].values())


def tell(name, value):
    print(f"  {name:<46} {value}", flush=True)


def needless(stack, options):
    broken = 0
    for workers in (1, 2):
        proxy = stack.penstock(stack.to(stack.nginx(log=False)), workers=workers, access_log={"path": "off"})
        with Sampler(lambda: sum(h["connections"]["busy"] + h["waiting"] for h in proxy.pools())) as peak:
            first = wrk(proxy.port, 64, 1)
            opened = proxy.pools()[0]["opened"]
            served, failed = press(proxy.port, 64, options.requests)
        later = proxy.pools()[0]["opened"] - opened
        print(f"needless, {workers} worker(s), 64 clients")
        tell("requests, failed", f"{served + first['requests']:,}, {failed + first['failed']}")
        tell("connections opened", opened + later)
        tell("busy and waiting at the peak (sampled)", peak.most)
        tell("opened beyond the clients", max(0, opened + later - 64))
        tell("reuse after the first second", f"{1 - later / served:.5%}")
        broken += failed > 0 or opened + later > 64 or later / served > 0.0001
        proxy.stop()
    return broken


def capped(stack, options):
    broken = 0
    for workers in (1, 2):
        origin = stack.nginx(log=False)
        proxy = stack.penstock(stack.to(origin, pool={"max_connections": 16}, timeouts={"queue": "30s"}),
                               workers=workers, access_log={"path": "off"})
        with Sampler(lambda: sockets_to(origin.port), 0.005) as kernel, \
                Sampler(lambda: max(map(held, proxy.pools()), default=0)) as own:
            served, failed = press(proxy.port, 256, options.requests // 2)
        pool, = proxy.pools()
        print(f"capped, {workers} worker(s), 256 clients, max_connections 16")
        tell("requests, failed", f"{served:,}, {failed}")
        tell(f"kernel's sockets at most ({kernel.samples} samples)", kernel.most)
        tell(f"connections in /pools at most ({own.samples} samples)", own.most)
        tell("opened, queued", f"{pool['opened']}, {pool['acquires']['queued']:,}")
        broken += failed > 0 or kernel.most > 16 or own.most > 16
        proxy.stop()
    return broken


class ClosingOrigin:
    """TLS 1.3, HTTP/1.1; a connection ends after 100 requests or a random time without one."""

    def __init__(self, context):
        self.context = context
        self.connections = 0
        self.requests = 0
        self.started = threading.Event()
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_until_complete, args=(self.run(),))
        self.thread.start()
        self.started.wait()

    async def run(self):
        self.ended = asyncio.Event()
        server = await asyncio.start_server(self.serve, "127.0.0.1", 0, ssl=self.context, backlog=1024)
        self.port = server.sockets[0].getsockname()[1]
        self.started.set()
        await self.ended.wait()

    async def serve(self, reader, writer):
        self.connections += 1
        patience = random.uniform(0.1, 1.0)
        try:
            for _ in range(100):
                await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), patience)
                self.requests += 1
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        except (asyncio.TimeoutError, asyncio.IncompleteReadError, OSError, ssl.SSLError):
            pass
        writer.close()

    def stop(self):
        self.loop.call_soon_threadsafe(self.ended.set)
        self.thread.join()


def closing(stack, options):
    broken = 0
    for workers in (1, 2):
        origin = ClosingOrigin(server_context(stack.ca.issue("api.test")))
        policy = {"name": "api", "hosts": ["api.test"], "connect_to": f"127.0.0.1:{origin.port}",
                  "tls": {"ca_file": stack.ca.file}}
        proxy = stack.penstock(policy, workers=workers, access_log={"only": "errors"})
        served = failed = 0
        while served < options.requests // 2:
            outcome = wrk(proxy.port, 256, 20, "300")  # up to 300 ms between a client's requests
            served += outcome["requests"]
            failed += outcome["failed"]
        pool, = proxy.pools()
        print(f"closing, {workers} worker(s), 256 clients")
        tell("requests, failed", f"{served:,}, {failed}")
        tell("connections opened", f"{pool['opened']:,}")
        tell("closed", json.dumps(pool["closed"]))
        tell("retries", f"{proxy.metrics('penstock_retries_total'):,.0f}")
        tell("learned idle limit, ms", pool["learned_idle_ms"])
        for line in [line for line in proxy.log_lines() if line["status"] != 499][:5]:
            tell("error", json.dumps(line))
        broken += failed > 0
        proxy.stop()
        origin.stop()
    return broken


def resident(stack, options):
    sizes = {}
    for count in (500, 1500, 2500):
        origin = stack.nginx(log=False)
        limits = {"max_connections": count, "min_idle": count, "max_idle": count, "max_connecting": 50,
                  "idle_timeout": "10m"}
        proxy = stack.penstock(stack.to(origin, pool=limits), workers=1,
                               process={"max_idle_connections": count})
        wait_until(lambda: proxy.pools() and proxy.pools()[0]["connections"]["idle"] == count, "all are open", 300)
        time.sleep(1)
        sizes[count] = proxy.rss_bytes
        proxy.stop()
        origin.stop()
    print("resident, idle TLS connections to nginx")
    for count, size in sizes.items():
        tell(f"{count} connections", f"{size / (1 << 20):.1f} MiB")
    (few, low), *_, (many, high) = sizes.items()
    tell("bytes per connection", f"{(high - low) / (many - few):,.0f}")
    return 0


SHOWS = {show.__name__: show for show in (needless, capped, closing, resident)}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("shows", nargs="*", help="all when none is named")
    parser.add_argument("--requests", type=int, default=200_000)
    options = parser.parse_args()
    broken = 0
    for name in options.shows or SHOWS:
        with tempfile.TemporaryDirectory() as folder:
            stack = Stack(Path(folder), CertificateAuthority(Path(folder) / "ca"))
            try:
                broken += SHOWS[name](stack, options)
            finally:
                stack.close()
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
