"""Names with several addresses, upstreams that are down, source_address: dials of the real daemon.

Addresses are those of loopback, by a DNS server of ours; a dead one is a listener with a full queue.
"""

import collections
import socket
import threading

import pytest

from support import dns_server
from support.load import load
from support.parallel import in_parallel
from support.penstock import assert_elapsed, assert_failed
from support.scripted_origin import answering, reply_ok
from support.waiting import TIME_FACTOR, pause, slack, wait_until

DELAY = 250  # ms until the next address is tried
ONE_DELAY = DELAY + 1000 * slack()
MIB = 1 << 20


class Silent:
    """A listener whose queue is full: what connects waits for an answer to its SYN."""

    def __init__(self, address, port):
        self.listener = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
        self.listener.bind((address, port))
        self.listener.listen(0)
        self.fillers = [socket.socket(self.listener.family) for _ in range(8)]
        for filler in self.fillers:
            filler.setblocking(False)
            filler.connect_ex(self.listener.getsockname())

    def close(self):
        for sock in (self.listener, *self.fillers):
            sock.close()


def down(stack):
    """A port on which nobody listens, held so that nobody else is given it."""
    sock = socket.socket()
    sock.bind(("127.0.0.1", 0))
    stack.at_end(sock.close)
    return sock.getsockname()[1]


def peer_of(connection, request):
    connection.reply(connection.sock.getpeername()[0].encode())


class Service:
    """A name whose addresses share a port; `counts()` says how many connections each one accepted."""

    def __init__(self, stack, answers, silent=(), answer=reply_ok, delay=0.0):
        self.addresses = (*answers, *silent)
        self.origins = self._listen(stack, answers, silent, answer)
        self.port = self.origins[answers[0]].port
        self.dns = stack.dns(lambda name, kind, transport: dns_server.Answer(self.addresses, delay=delay))

    @staticmethod
    def _listen(stack, answers, silent, answer):
        for _ in range(20):
            try:
                origins, port = {}, 0
                for address in answers:
                    origins[address] = stack.origin(answering(answer), tls=False, address=address, port=port)
                    port = origins[address].port
                for address in silent:
                    stack.at_end(Silent(address, port).close)
                return origins
            except OSError:
                continue  # another process has the port on one of the addresses
        raise AssertionError(f"no port is free on {answers} and {silent}")

    def counts(self):
        return {address: origin.accepted for address, origin in self.origins.items()}

    def proxy(self, stack, **policy):
        upstream = stack.to(self.port, connect_to=f"many.test:{self.port}", **policy)
        # What dials remember of a host is their worker's.
        return stack.penstock(upstream, dns={"servers": [self.dns.address]}, workers=1)


def fetch_all(proxy, count, earlier=0):
    """`count` requests, one after the other; their lines of the access log, which has those of `earlier` ones already."""
    for _ in range(count):
        assert proxy.fetch("http://api.test/").status == 200
    return proxy.wait_for_log(count=earlier + count)[earlier:]


def test_a_dead_address_of_three_costs_one_delay_and_only_now_and_then(stack):
    service = Service(stack, ["127.0.0.11", "127.0.0.12"], silent=["127.0.0.13"])
    proxy = service.proxy(stack, pool={"reuse": False})
    times = [line["connect_ms"] for line in fetch_all(proxy, 30)]
    assert max(times) < ONE_DELAY, times
    slow = sum(time >= DELAY for time in times)
    assert 1 <= slow <= 5, f"it is tried first once, then after its back-off, not each third time: {times}"
    assert sum(service.counts().values()) == 30
    assert min(service.counts().values()) >= 1, service.counts()


def test_new_connections_spread_over_the_addresses(stack):
    addresses = [f"127.0.0.{last}" for last in (21, 22, 23, 24)]
    service = Service(stack, addresses)
    proxy = service.proxy(stack, pool={"reuse": False})
    earlier, before = 0, service.counts()
    # A machine that stands still in the middle of a dial looks like a dead address, which is left alone for a second.
    while max(line["connect_ms"] for line in fetch_all(proxy, 100, earlier)) >= DELAY:
        pause(1.5)
        earlier, before = earlier + 100, service.counts()
    counts = [count - before[address] for address, count in service.counts().items()]
    assert all(20 <= count <= 30 for count in counts), counts


def test_ipv6_is_first_and_ipv4_soon_after_where_it_is_dead(stack):
    service = Service(stack, ["127.0.0.31", "::1"])
    lines = fetch_all(service.proxy(stack, pool={"reuse": False}), 3)
    assert {line["address"] for line in lines} == {f"[::1]:{service.port}"} and service.counts()["::1"] == 3

    service = Service(stack, ["127.0.0.31"], silent=["::1"])
    times = [line["connect_ms"] for line in fetch_all(service.proxy(stack, pool={"reuse": False}), 5)]
    assert DELAY <= times[0] < ONE_DELAY, times
    assert sorted(times[1:])[2] < DELAY, f"the family that won is first now: {times}"


def test_all_addresses_dead_is_one_connect_limit(stack):
    service = Service(stack, ["127.0.0.41"], silent=["127.0.0.42", "127.0.0.43", "::1"])
    service.addresses = service.addresses[1:]
    response = service.proxy(stack, timeouts={"connect": "600ms"}).fetch("http://api.test/")
    assert_failed(response, 504, "connection_timeout", "connect", "timeouts.connect")
    assert_elapsed(response.seconds, 0.6)
    assert "[::1]:" in response.text and "127.0.0.4" in response.text, response.text


def test_a_thousand_waiting_requests_learn_that_the_upstream_is_down(stack):
    port = down(stack)
    all_wait = threading.Event()

    def answer(name, kind, transport):
        all_wait.wait(50)
        return dns_server.Answer(("127.0.0.1",))

    dns = stack.dns(answer)
    proxy = stack.penstock(stack.to(port, connect_to=f"down.test:{port}", pool={"max_connections": 8},
                                    timeouts={"queue": "60s", "resolve": "60s", "connect": "60s"}),
                           dns={"servers": [dns.address], "attempt_timeout": "55s", "attempts": 1})

    def let_go():
        wait_until(lambda: proxy.pools() and proxy.waiting() == 992, "eight are dialled for, the others wait", 40)
        all_wait.set()

    outcome, _ = in_parallel(2, lambda i: let_go() if i else load(proxy.port, "http://api.test/", 1000, 1000))
    assert (outcome.statuses, outcome.errors, outcome.peak) == ({502: 1000}, [], 1000)
    lines = proxy.wait_for_log(count=1000)
    assert collections.Counter(line["error"] for line in lines) == {"connection_refused": 1000}
    assert sum("queue_ms" in line for line in lines) > 900, "most of them had to wait"
    assert proxy.waiting() == 0


@pytest.mark.parametrize("family", ["ipv4", "ipv6"])
def test_the_origin_sees_the_source_address(stack, family):
    host, source = {"ipv4": ("127.0.0.1", "127.0.0.9"), "ipv6": ("::1", "::1")}[family]
    service = Service(stack, [host], answer=peer_of)
    proxy = service.proxy(stack, source_address=source)
    assert proxy.fetch("http://api.test/").body.decode() == source


def test_a_reload_changes_the_source_address_of_idle_connections_too(stack):
    origin = stack.origin(answering(peer_of), tls=False)
    proxy = stack.penstock(stack.to(origin, source_address="127.0.0.8"))
    assert proxy.fetch("http://api.test/").body == b"127.0.0.8"
    proxy.reload({"upstreams": [stack.to(origin, source_address="127.0.0.9")]})
    assert proxy.fetch("http://api.test/").body == b"127.0.0.9"


def test_source_address_leaves_out_the_other_family(stack):
    service = Service(stack, ["127.0.0.51", "::1"], answer=peer_of)
    proxy = service.proxy(stack, source_address="127.0.0.9")
    assert proxy.fetch("http://api.test/").body == b"127.0.0.9"
    service.addresses = ("::1",)
    lonely = service.proxy(stack, source_address="127.0.0.9").fetch("http://api.test/")
    assert_failed(lonely, 502, "destination_ip_unroutable", "connect")
    assert "source_address 127.0.0.9" in lonely.text


def test_a_source_address_that_is_not_ours_is_named(stack):
    proxy = stack.penstock(stack.to(stack.origin(tls=False), source_address="192.0.2.1"))
    response = proxy.fetch("http://api.test/")
    assert_failed(response, 500, "proxy_internal_error", "connect")
    assert "source_address 192.0.2.1: " in response.text


def test_a_tunnel_outlasts_an_upstream_that_takes_nothing(stack):
    """For longer than the kernel's own patience with a pooled connection, here 4 s."""
    size = 8 * MIB

    def late_reader(connection):
        connection.pause(6)
        while len(connection.received) < size:
            connection._receive()
        connection.send(b"all")

    origin = stack.origin(late_reader, tls=False, receive_buffer=4096)
    upstream = stack.to(origin, pool={"tcp_keepalive": "1s"}, timeouts={"write_stall": "1s"})
    proxy = stack.penstock(upstream, egress={"connect_ports": [443]})
    with proxy.client() as client:
        client.send(b"CONNECT api.test:443 HTTP/1.1\r\nHost: api.test:443\r\n\r\n")
        assert client.reader.response_head().status == 200
        client.sock.settimeout(30 * TIME_FACTOR)
        sender = threading.Thread(target=client.send, args=(bytes(size),))
        sender.start()
        assert client.reader.exactly(3) == b"all"
        sender.join()
    wait_until(lambda: origin.open == 0, "the tunnel ends")
