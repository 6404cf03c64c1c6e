"""Out of file descriptors: accepting pauses and goes on, connections to upstreams wait and idle ones give way to them,
nobody spins and nothing is lost but what says so."""

import os
import resource
import threading
from contextlib import contextmanager

import pytest

from support.dns_server import addresses
from support.kernel_sockets import CLOSE_WAIT, connections_of
from support.parallel import in_parallel
from support.penstock import assert_elapsed, assert_failed
from support.scripted_origin import answering
from support.waiting import TIME_FACTOR, pause, wait_until

WAITS = "no file descriptor is left"
pytestmark = pytest.mark.skipif(TIME_FACTOR > 1, reason="a sanitizer takes descriptors of its own, and reports what it cannot "
                                                        "look at without one")


def open_descriptors(pid):
    return {int(name) for name in os.listdir(f"/proc/{pid}/fd")}


def is_closing(proxy):
    """Whether the daemon has yet to close a connection whose other side has: of an admin request, of a client."""
    return any(state == CLOSE_WAIT for port in (proxy.admin_port, *proxy.ports) for state in connections_of(port).values())


def at_rest(proxy):
    """...once nothing is being closed any more."""
    while True:
        wait_until(lambda: not is_closing(proxy), "all is closed that was left")
        seen = open_descriptors(proxy.process.pid)
        pause(0.1)
        if not is_closing(proxy) and open_descriptors(proxy.process.pid) == seen:
            return seen


@contextmanager
def only_free(proxy, count):
    """The daemon may open so many more descriptors, for as long as the with block lasts. The limit is one of numbers, so
    lower ones that are unused are taken by clients first: then each that closes is one that is free."""
    pid = proxy.process.pid
    before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    fillers = []
    while len(taken := at_rest(proxy)) <= max(taken):
        fillers.append(proxy.client())
        wait_until(lambda: len(open_descriptors(pid)) != len(taken), "the client is accepted")
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (len(taken) + count, before[1]))
    try:
        yield
    finally:
        resource.prlimit(pid, resource.RLIMIT_NOFILE, before)
        for filler in fillers:
            filler.close()


def assert_sleeps(proxy, seconds=1.0):
    used = proxy.cpu_seconds
    pause(seconds)
    assert proxy.cpu_seconds - used <= 0.1 * TIME_FACTOR


class Gate:
    """An answer that waits until the test opens the gate."""

    def __init__(self):
        self.opened = threading.Event()

    def __call__(self, connection, request):
        self.opened.wait(20)
        connection.reply()


@pytest.mark.parametrize("workers", [1, 2])
def test_accepting_pauses_and_goes_on(stack, workers):
    proxy = stack.penstock(stack.to(stack.origin()), workers=workers)
    with proxy.client() as served, proxy.client() as leaving:
        # Last on the worker that then has the idle connection.
        assert leaving.fetch("http://api.test/").status == served.fetch("http://api.test/").status == 200
        with only_free(proxy, 0), proxy.client() as late:
            late.request("http://api.test/")
            wait_until(lambda: "accepting pauses: out of descriptors" in proxy.stderr, "it is said")
            assert_sleeps(proxy)
            assert served.fetch("http://api.test/").status == 200, "who is there is served"
            assert late.ending(0) == "open"
            leaving.close()
            assert late.response().status == 200
    assert proxy.metrics("penstock_client_rejected_total", reason="file_descriptors") >= 1
    assert proxy.stderr.count("accepting pauses") <= workers, "the line is not repeated"


def test_an_idle_connection_gives_way_to_one_that_is_needed(stack):
    a, b = stack.origin(names=("a.test",)), stack.origin(names=("b.test",))
    proxy = stack.penstock(stack.to(a, "a.test"), stack.to(b, "b.test"))
    with proxy.client() as client:
        assert client.fetch("http://a.test/").status == 200
        with only_free(proxy, 0):
            assert client.fetch("http://b.test/").status == 200
            wait_until(lambda: a.open == 0, "the idle one is closed")
            assert client.fetch("http://a.test/").status == 200
            assert client.fetch("http://a.test/").status == 200
    assert (a.accepted, b.accepted) == (2, 1)
    assert proxy.metrics("penstock_connections_closed_total", reason="evicted") == 2
    assert proxy.stderr.count(WAITS) == 1, "the line is not repeated"


def test_a_request_waits_until_something_closes(stack):
    gate = Gate()
    origin = stack.origin(answering(gate))
    proxy = stack.penstock(stack.to(origin))
    with proxy.client() as client, proxy.client() as leaving, proxy.client() as busy:
        busy.request("http://api.test/busy")
        wait_until(lambda: len(origin.requests) == 1, "its connection is in use")
        with only_free(proxy, 0):
            client.request("http://api.test/waits")
            wait_until(lambda: WAITS in proxy.stderr, "it is said")
            assert_sleeps(proxy)
            assert client.ending(0) == "open" and origin.accepted == 1
            leaving.close()
            wait_until(lambda: len(origin.requests) == 2, "its turn has come")
            gate.opened.set()
            assert client.response().status == busy.response().status == 200
    line = proxy.wait_for_log(lambda line: line["path"] == "/waits")
    assert line["queue_ms"] >= 900 and line["connect_ms"] < line["queue_ms"]


def test_the_wait_ends_at_the_limit_of_the_queue_and_names_it(stack):
    gate = Gate()
    origin = stack.origin(answering(gate))
    proxy = stack.penstock(stack.to(origin, timeouts={"queue": "300ms"}))
    with proxy.client() as client, proxy.client() as busy:
        busy.request("http://api.test/busy")
        wait_until(lambda: len(origin.requests) == 1, "its connection is in use")
        with only_free(proxy, 0):
            client.request("http://api.test/late")
            response = client.response()
        assert_failed(response, 503, "connection_limit_reached", "queue", "timeouts.queue")
        assert "no file descriptor" in response.text and "LimitNOFILE" in response.text
        assert int(response.get("retry-after")) >= 1
        gate.opened.set()
        assert busy.response().status == 200
        assert client.fetch("http://api.test/").status == 200, "its own connection was kept"
    line = proxy.wait_for_log(lambda line: line["path"] == "/late")
    assert (line["status"], line["error"], line["error_phase"]) == (503, "connection_limit_reached", "queue")
    assert_elapsed(line["queue_ms"] / 1000, 0.3)
    assert proxy.metrics("penstock_errors_total", token="connection_limit_reached", phase="queue") == 1


def dialling_any(stack, *names, **settings):
    dns = stack.dns(addresses({name: ["127.0.0.1"] for name in names}))
    return stack.penstock({"name": "any", "hosts": ["*"], "scheme": "http", **settings}, dns={"servers": [dns.address]})


def test_a_name_waits_until_it_can_be_looked_up(stack):
    origin = stack.origin(tls=False)
    proxy = dialling_any(stack, "late.test")
    with proxy.client() as client, proxy.client() as leaving:
        with only_free(proxy, 0):
            client.request(f"http://late.test:{origin.port}/")
            wait_until(lambda: WAITS in proxy.stderr, "it is said")
            assert_sleeps(proxy)
            assert client.ending(0) == "open"
            leaving.close()
            assert client.response().status == 200


def test_a_look_up_without_a_descriptor_ends_at_the_limit_of_the_queue_and_is_not_remembered(stack):
    origin = stack.origin(tls=False)
    proxy = dialling_any(stack, "late.test", timeouts={"queue": "300ms"})
    with proxy.client() as client:
        with only_free(proxy, 0):
            response = client.fetch(f"http://late.test:{origin.port}/")
            assert_failed(response, 503, "connection_limit_reached", "queue", "timeouts.queue")
            assert "no file descriptor was free to look up late.test" in response.text
        assert client.fetch(f"http://late.test:{origin.port}/").status == 200


def test_an_idle_connection_gives_way_to_a_look_up(stack):
    origin = stack.origin(tls=False)
    proxy = dialling_any(stack, "early.test", "late.test")
    with proxy.client() as client:
        assert client.fetch(f"http://early.test:{origin.port}/").status == 200
        with only_free(proxy, 0):
            assert client.fetch(f"http://late.test:{origin.port}/").status == 200
    assert proxy.metrics("penstock_connections_closed_total", reason="evicted") == 1


def test_a_connection_that_cannot_be_taken_over_is_replaced(stack):
    """An idle connection of another worker is duplicated to be taken. Without a descriptor for that it is closed, and the
    request waits for the one that this frees."""
    origin = stack.origin()
    proxy = stack.penstock(stack.to(origin), workers=2)
    clients = [proxy.client() for _ in range(4)]

    def takeovers():
        return proxy.pools()[0]["acquires"]["takeover"]

    def differs(first, second):
        first.fetch("http://api.test/")
        before = takeovers()
        second.fetch("http://api.test/")
        return takeovers() > before

    first = clients[0]
    second = next(client for client in clients[1:] if differs(first, client))
    assert origin.accepted == 1
    assert first.fetch("http://api.test/").status == 200
    with only_free(proxy, 0):
        assert second.fetch("http://api.test/").status == 200
    assert origin.accepted == 2
    assert proxy.metrics("penstock_connections_closed_total", reason="error") == 1
    for client in clients:
        assert client.fetch("http://api.test/").status == 200
        client.close()


@pytest.mark.parametrize("workers", [1, 2])
def test_many_hosts_take_turns_with_few_descriptors(stack, workers):
    origin = stack.origin(tls=False)
    upstream = {"name": "any", "hosts": ["*"], "scheme": "http", "connect_to": f"127.0.0.1:{origin.port}",
                "timeouts": {"queue": "20s"}}
    proxy = stack.penstock(upstream, workers=workers)
    clients = [proxy.client() for _ in range(24)]
    for client in clients:
        assert client.fetch("http://all.test/").status == 200
    with only_free(proxy, 2):
        statuses = in_parallel(24, lambda i: [clients[i].fetch(f"http://h{i}-{j}.test/").status for j in range(10)])
    assert statuses == [[200] * 10] * 24
    assert origin.peak <= 24 + 3
    for client in clients:
        client.close()
