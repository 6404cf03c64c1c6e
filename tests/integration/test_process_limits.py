"""The bounds of the whole process hold over hosts and workers; what they close is the least recently used.

The origins' ledgers are the judge: the peak of connections over all of them.
"""

import asyncio
import threading

import pytest

from support.endless_names import EndlessNames
from support.parallel import in_parallel
from support.penstock import assert_failed
from support.scripted_origin import answering, peer_is_there
from support.waiting import TIME_FACTOR, pause, wait_until


def rest(proxy, name):
    """Its connection is back, and what comes back next does so later, whatever worker's clock says so."""
    wait_until(lambda: proxy.pools(name)[0]["connections"]["idle"] == 1, "the connection comes back")
    pause(0.01)


def briefly_busy(connection, request):
    connection.pause(0.002)
    connection.reply()


class Together:
    """How many connections several origins have at one time, at most; one that the proxy has closed does not count, though
    its thread may not have read so far."""

    def __init__(self):
        self.peak = 0
        self.connections = set()
        self.lock = threading.Lock()

    def serve(self, connection):
        with self.lock:
            self.connections.add(connection)
            self.peak = max(self.peak, sum(peer_is_there(each.sock) for each in self.connections))
        try:
            while request := connection.read_request():
                briefly_busy(connection, request)
        finally:
            with self.lock:
                self.connections.remove(connection)


@pytest.mark.parametrize("workers", [1, 2])
def test_max_upstream_connections_is_exact_over_hosts_and_every_host_is_served(stack, report, workers):
    together = Together()
    origins = [stack.origin(together.serve, names=[f"{name}.test"]) for name in "abc"]
    hosts = [stack.to(origin, host=f"{name}.test") for name, origin in zip("abc", origins)]
    proxy = stack.penstock(*hosts, workers=workers, process={"max_upstream_connections": 6},
                           defaults={"timeouts": {"queue": "30s"}})

    def work(i):
        with proxy.client() as client:
            return [client.fetch(f"http://{'abc'[(i + n // 20) % 3]}.test/").status for n in range(60)]

    statuses = sum(in_parallel(30, work), [])
    report("peak of connections", together.peak)
    report("opened", sum(origin.accepted for origin in origins))
    assert statuses == [200] * 1800
    assert together.peak == 6
    held = [sum(proxy.pools(name)[0]["connections"].values()) for name in "abc"]
    assert sum(held) <= 6


def test_a_full_process_makes_a_request_wait_within_the_queue_limit(stack):
    gate = threading.Event()

    def held(connection, request):
        gate.wait(20)
        connection.reply()

    first, second = (stack.origin(answering(held), names=[f"{name}.test"]) for name in "ab")
    soon = {"path_prefix": "/soon", "timeouts": {"queue": "300ms"}}
    proxy = stack.penstock(stack.to(first, host="a.test"), stack.to(second, host="b.test", routes=[soon]),
                           process={"max_upstream_connections": 1}, defaults={"timeouts": {"queue": "20s"}})
    holder = proxy.client()
    holder.request("http://a.test/")
    wait_until(lambda: first.requests, "the only connection is busy")
    assert_failed(proxy.fetch("http://b.test/soon"), 503, "connection_limit_reached", phase="queue", limit="timeouts.queue")
    assert second.accepted == 0
    gate.set()
    assert holder.response().status == 200
    assert proxy.fetch("http://b.test/").status == 200  # the idle one gave way
    assert proxy.pools("a")[0]["closed"] == {"evicted": 1}


# Go: TestTransportMaxIdleConns
@pytest.mark.parametrize("workers", [1, 2])
def test_of_the_idle_ones_the_least_recently_used_goes(stack, workers):
    origins = {name: stack.origin(names=[f"{name}.test"]) for name in "abcd"}
    proxy = stack.penstock(*(stack.to(origin, host=f"{name}.test") for name, origin in origins.items()),
                           workers=workers, process={"max_idle_connections": 3})
    for name in "abcabd":  # c was used least recently when d comes back
        assert proxy.fetch(f"http://{name}.test/").status == 200
        rest(proxy, name)
    idle = {name: proxy.pools(name)[0]["connections"]["idle"] for name in "abcd"}
    assert idle == {"a": 1, "b": 1, "c": 0, "d": 1}
    assert proxy.pools("c")[0]["closed"] == {"evicted": 1}
    wait_until(lambda: origins["c"].open == 0, "its origin has seen the close")


def test_a_reload_lowers_and_raises_the_bounds(stack):
    origins = {name: stack.origin(names=[f"{name}.test"]) for name in "abc"}
    hosts = [stack.to(origin, host=f"{name}.test") for name, origin in origins.items()]
    proxy = stack.penstock(*hosts)
    for name in "abc":
        assert proxy.fetch(f"http://{name}.test/").status == 200
        rest(proxy, name)
    proxy.reload({"process": {"max_idle_connections": 1}, "upstreams": hosts})
    wait_until(lambda: [proxy.pools(name)[0]["connections"]["idle"] for name in "abc"] == [0, 0, 1], "the freshest stays")
    proxy.reload({"process": {"max_upstream_connections": 1}, "upstreams": hosts})
    for name in "abcabc":
        assert proxy.fetch(f"http://{name}.test/").status == 200
    assert sum(sum(proxy.pools(name)[0]["connections"].values()) for name in "abc") == 1


def test_memory_does_not_grow_with_the_number_of_hosts(stack, report):
    """A forward proxy meets endless names: those without connections are forgotten, early where they are many."""

    async def visit():
        async with EndlessNames() as names:
            proxy = stack.penstock(names.upstream, process={"max_idle_connections": 50}, access_log={"path": "off"})
            assert await names.visit(proxy.port, 0, 10_000) == 0
            before = proxy.rss_bytes
            assert await names.visit(proxy.port, 10_000, 5000) == 0
            return proxy, proxy.rss_bytes - before

    proxy, grown = asyncio.run(visit())
    report("grown by, bytes", grown)
    # A sanitizer's allocator keeps what was freed.
    assert TIME_FACTOR > 1 or grown < 2 << 20, "5,000 more hosts, of a kilobyte or two each"
    assert sum(host["connections"]["idle"] for host in proxy.pools()) <= 50
