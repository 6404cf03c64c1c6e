"""Parts of scale.py: what a request costs with more workers and with more hosts.

Instructions are callgrind's, as the difference between two runs of different length, which cancels start-up and
dials. Hosts that are new cost a dial each: there it is CPU time, over ten equal steps.
"""

import asyncio
import re
import statistics

from figures import spread as quartiles
from pool_shows import tell, wrk
from support.endless_names import EndlessNames
from support.idle_crowd import memory_of

CLIENTS = 64
SHORT, LONG = 500, 2_500  # requests of the two runs that are subtracted
ASKED = 10                # hosts that are asked in turn, spread over all there are
LIVE = (1, 1_000, 4_000)  # pools with an idle connection
PLAIN = {"workers": 1, "access_log": {"path": "off"}}
CALLGRIND = ["valgrind", "--tool=callgrind", "--callgrind-out-file=callgrind.out"]


def workers(stack, options):
    """Both daemons stand ready; the rounds alternate. A wrk that keeps one core busy is the client."""
    origin = stack.nginx(log=False)
    proxies = {count: stack.penstock(stack.to(origin), workers=count) for count in (1, 2)}
    cpu, rate = ({count: [] for count in proxies} for _ in range(2))
    for proxy in proxies.values():
        wrk(proxy.port, CLIENTS, 1)
    for turn in range(options.rounds):
        for count in proxies if turn % 2 else reversed(proxies):
            before = proxies[count].cpu_seconds
            served = wrk(proxies[count].port, CLIENTS, options.seconds)
            assert not served["failed"], served
            cpu[count].append((proxies[count].cpu_seconds - before) / served["requests"] * 1e6)
            rate[count].append(served["requests"] / options.seconds)
    ratios = [two / one for one, two in zip(cpu[1], cpu[2])]
    for count in proxies:
        tell(f"{count} worker(s): CPU us per request", quartiles(cpu[count]))
        tell(f"{count} worker(s): requests/s here", f"{statistics.median(rate[count]):,.0f}")
    tell("CPU per request, 2 workers over 1", quartiles(ratios))
    tell("of 2 cores that are free, times 1 worker", round(2 / statistics.median(ratios), 2))
    return {"cpu_us": {count: quartiles(values) for count, values in cpu.items()}, "ratio": quartiles(ratios)}


class PlainOrigin:
    """EndlessNames for callers that are not asynchronous: its loop runs while `run` does."""

    def __init__(self, stack):
        self._loop = asyncio.new_event_loop()
        self.names = self.run(EndlessNames().__aenter__())
        stack.at_end(self.end)

    def run(self, work):
        return self._loop.run_until_complete(work)

    def end(self):
        left = asyncio.all_tasks(self._loop)
        for task in left:
            task.cancel()
        self._loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
        self._loop.close()

    def ask(self, port, hosts):
        async def all_in_turn():
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            for host in hosts:
                writer.write(b"GET http://%s/ HTTP/1.1\r\nHost: %s\r\n\r\n" % (host, host))
                head = await reader.readuntil(b"\r\n\r\n")
                assert head.startswith(b"HTTP/1.1 200"), head
                await reader.readexactly(2)
            writer.close()
        self.run(all_in_turn())


def name(number):
    return b"h%d.test" % number


def spread(count):
    """Some of so many hosts, from the first to the last."""
    return [name(i * max(1, count - 1) // max(1, ASKED - 1)) for i in range(ASKED)] if count > 1 else [name(0)]


def instructions(stack, origin, upstreams, visited, asked):
    """Per request to the hosts of `asked`, in turn, once those of `visited` have had one each."""
    def total(requests):
        proxy = stack.penstock(*upstreams, command=CALLGRIND, process={"max_idle_connections": len(visited) + ASKED},
                               **PLAIN)
        origin.ask(proxy.port, visited)
        origin.ask(proxy.port, (asked[i % len(asked)] for i in range(requests)))
        proxy.stop(120)
        return int(re.search(r"^(?:summary|totals): (\d+)", (proxy.folder / "callgrind.out").read_text(),
                             re.MULTILINE).group(1))

    return (total(LONG) - total(SHORT)) / (LONG - SHORT)


def configured(stack, origin, options):
    """Hosts written in the file, one exact name after the other, and a catch-all behind them."""
    figures = {}
    for count in (1, options.hosts // 100, options.hosts):
        exact = {**origin.names.upstream, "hosts": [name(i).decode() for i in range(count)]}
        figures[count] = instructions(stack, origin, [exact], spread(count), spread(count))
        tell(f"{count:,} hosts in the file: instructions", f"{figures[count]:,.0f}")
    return figures


def live_pools(stack, origin):
    """Hosts of a catch-all, each with a pool and an idle connection in it."""
    figures = {}
    for count in LIVE:
        upstream = {**origin.names.upstream, "hosts": ["*"], "pool": {"idle_timeout": "1h"}}
        figures[count] = instructions(stack, origin, [upstream], [name(i) for i in range(count)], spread(count))
        tell(f"{count:,} hosts with a connection: instructions", f"{figures[count]:,.0f}")
    return figures


def new_hosts(stack, origin, options):
    """[CPU microseconds per new host] of each tenth, and by how much the second half grew."""
    proxy = stack.penstock({**origin.names.upstream, "hosts": ["*"]}, **PLAIN)
    step, cpu, sizes = options.hosts // 10, [], []
    for tenth in range(10):
        before = proxy.cpu_seconds
        failed = origin.run(origin.names.visit(proxy.port, tenth * step, step))
        assert not failed
        cpu.append((proxy.cpu_seconds - before) / step * 1e6)
        sizes.append(memory_of(proxy)["Rss"])
    tell(f"{options.hosts:,} new hosts, CPU us each by tenths", " ".join(f"{value:.0f}" for value in cpu))
    tell("grown in the second half, KiB", (sizes[-1] - sizes[4]) >> 10)
    proxy.stop()
    return {"cpu_us": cpu, "resident": sizes}


def hosts(stack, options):
    origin = PlainOrigin(stack)
    return {"configured": configured(stack, origin, options), "live": live_pools(stack, origin),
            "new": new_hosts(stack, origin, options)}
