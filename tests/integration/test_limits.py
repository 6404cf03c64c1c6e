"""Each count and size limit is exact, says its name when it is hit, and frees what it held.

The origin's ledger is the judge: the peak of connections it saw, not what the daemon says of itself.
"""

import threading
import time

import pytest

from support.parallel import in_parallel
from support.penstock import assert_failed, proxy_status
from support.scripted_origin import answering
from support.waiting import pause, slack, wait_until


def briefly_busy(connection, request):
    connection.pause(0.005)
    connection.reply()


class Gate:
    """An answer that waits until the test opens the gate."""

    def __init__(self):
        self.opened = threading.Event()

    def __call__(self, connection, request):
        self.opened.wait(20)
        connection.reply()


# Go: TestTransportMaxConnsPerHost. ATS: per_server_connection_max
@pytest.mark.parametrize("cap", [1, 3, 10])
def test_max_connections_is_exact_under_64_clients(stack, report, cap):
    origin = stack.origin(answering(briefly_busy))
    proxy = stack.penstock(stack.to(origin, pool={"max_connections": cap}, timeouts={"queue": "30s"}))

    def work(i):
        with proxy.client() as client:
            return [client.fetch(f"http://api.test/{i}").status for _ in range(20)]

    statuses = sum(in_parallel(64, work), [])
    report("peak of connections", origin.peak)
    assert statuses == [200] * 1280
    assert origin.peak == cap and origin.accepted == cap
    pool, = proxy.pools()
    assert pool["limits"]["max_connections"] == cap and pool["opened"] == cap
    assert pool["connections"]["idle"] == cap == sum(pool["connections"].values())
    assert pool["waiting"] == 0 and pool["acquires"]["queued"] > 0
    assert sum(pool["acquires"].values()) == 1280


# Go: TestTransportMaxConnsPerHostIncludeDialInProgress
def test_the_cap_counts_connections_in_handshake(stack):
    handshake = threading.Event()
    origin = stack.origin(before_handshake=lambda origin, number: handshake.wait(20))
    proxy = stack.penstock(stack.to(origin, pool={"max_connections": 2}))
    clients = [proxy.client() for _ in range(8)]
    for client in clients:
        client.request("http://api.test/")
    wait_until(lambda: origin.accepted == 2 and proxy.waiting() == 6, "two dial, the others wait")
    pause(0.2)  # time enough for a third, which must not come
    handshake.set()
    assert [client.response().status for client in clients] == [200] * 8
    assert origin.peak == 2


def test_a_dial_whose_request_was_served_otherwise_serves_the_next_one(stack):
    """A busy connection comes back while a dial for a waiter is in its handshake: the waiter takes it, the
    dial goes on, and the next request waits for that dial instead of starting a third connection."""
    gate, handshake = Gate(), threading.Event()

    def before(origin, number):
        if number > 1:
            handshake.wait(20)

    origin = stack.origin(answering(gate), before_handshake=before)
    proxy = stack.penstock(stack.to(origin))
    first, second, third = (proxy.client() for _ in range(3))
    first.request("http://api.test/1")
    wait_until(lambda: len(origin.requests) == 1, "the first is under way")
    second.request("http://api.test/2")
    wait_until(lambda: origin.accepted == 2, "a dial for the second is under way")
    gate.opened.set()
    assert first.response().status == second.response().status == 200
    gate.opened.clear()
    first.request("http://api.test/3")
    wait_until(lambda: len(origin.requests) == 3, "the one connection is busy again")
    third.request("http://api.test/4")
    pause(0.3)  # time enough for a third connection, which must not come
    handshake.set()
    wait_until(lambda: len(origin.requests) == 4, "the dial brought it a connection")
    gate.opened.set()
    assert first.response().status == third.response().status == 200
    assert origin.accepted == 2 and proxy.pools()[0]["opened"] == 2


@pytest.mark.parametrize("fault", ["refused handshake", "closed before head", "timeout", "client leaves"])
def test_every_failure_frees_exactly_one_slot(stack, fault):
    bad = threading.Event()
    bad.set()

    def before(origin, number):
        if bad.is_set() and fault == "refused handshake":
            raise OSError("closed in the handshake")

    def serve(connection):
        while connection.read_request():
            if not bad.is_set():
                connection.reply()
            elif fault == "closed before head":
                return
            else:
                connection.wait_closed()

    origin = stack.origin(serve, before_handshake=before)
    soon = {"path_prefix": "/bad", "timeouts": {"response_header": "200ms"}}
    proxy = stack.penstock(stack.to(origin, pool={"max_connections": 2}, routes=[soon]))
    for attempt in range(6):
        with proxy.client() as client:
            client.request("http://api.test/bad")
            if fault == "client leaves":
                wait_until(lambda: len(origin.requests) == attempt + 1, "the origin has the request")
                continue
            assert client.response().status in (502, 504)
    bad.clear()
    assert in_parallel(4, lambda i: proxy.fetch("http://api.test/").status) == [200] * 4
    assert origin.peak <= 2
    connections = wait_until(lambda: (c := proxy.pools()[0]["connections"])["busy"] + c["dialing"] == 0 and c, "all are back")
    assert connections["idle"] <= 2


def test_a_full_queue_answers_at_once(stack):
    gate = Gate()
    origin = stack.origin(answering(gate))
    proxy = stack.penstock(stack.to(origin, pool={"max_connections": 1, "max_waiting": 2}, timeouts={"queue": "20s"}))
    waiting = [proxy.client() for _ in range(3)]
    for client in waiting:
        client.request("http://api.test/")
    wait_until(lambda: proxy.waiting() == 2, "two wait")
    assert proxy.metrics("penstock_pool_waiting", upstream="api") == 2
    over = proxy.fetch("http://api.test/over")
    assert_failed(over, 503, "connection_limit_reached", "queue", "pool.max_waiting")
    assert int(over.get("retry-after")) >= 1 and over.seconds < slack()
    gate.opened.set()
    assert [client.response().status for client in waiting] == [200] * 3
    assert all(request.target != "/over" for request in origin.requests)


def test_max_waiting_zero_never_queues(stack):
    gate = Gate()
    origin = stack.origin(answering(gate))
    proxy = stack.penstock(stack.to(origin, pool={"max_connections": 2, "max_waiting": 0}))
    busy = [proxy.client() for _ in range(2)]
    for client in busy:
        client.request("http://api.test/")
    wait_until(lambda: len(origin.requests) == 2, "both are busy")
    assert_failed(proxy.fetch("http://api.test/"), 503, "connection_limit_reached", "queue", "pool.max_waiting")
    gate.opened.set()
    assert [client.response().status for client in busy] == [200] * 2


def test_the_queue_of_a_worker_is_in_order(stack):
    gate = Gate()
    origin = stack.origin(answering(gate))
    proxy = stack.penstock(stack.to(origin, pool={"max_connections": 1}), workers=1)
    clients = [proxy.client() for _ in range(6)]
    for i, client in enumerate(clients):
        client.request(f"http://api.test/{i}")
        wait_until(lambda: len(origin.requests) + proxy.waiting() == i + 1, "it waits")
    gate.opened.set()
    for client in clients:
        client.response()
    assert [request.target for request in origin.requests] == [f"/{i}" for i in range(6)]


# HAProxy: http_abortonclose
def test_a_client_that_leaves_the_queue_is_never_sent(stack):
    gate = Gate()
    origin = stack.origin(answering(gate))
    proxy = stack.penstock(stack.to(origin, pool={"max_connections": 1}))
    first, gone, last = (proxy.client() for _ in range(3))
    for i, client in enumerate((first, gone, last)):
        client.request(f"http://api.test/{i}")
        wait_until(lambda: len(origin.requests) + proxy.waiting() == i + 1, "it waits")
    gone.close()
    wait_until(lambda: proxy.waiting() == 1, "it left")
    gate.opened.set()
    assert first.response().status == last.response().status == 200
    assert [request.target for request in origin.requests] == ["/0", "/2"]
    line = proxy.wait_for_log(lambda line: line["path"] == "/1")
    assert (line["status"], line["error"], line["error_phase"]) == (499, "client_aborted", "queue")


def test_one_saturated_upstream_does_not_delay_another(stack):
    gate = Gate()
    slow, fast = stack.origin(answering(gate), names=("slow.test",)), stack.origin(names=("fast.test",))
    proxy = stack.penstock(stack.to(slow, "slow.test", pool={"max_connections": 1}), stack.to(fast, "fast.test"))
    stuck = [proxy.client() for _ in range(10)]
    for client in stuck:
        client.request("http://slow.test/")
    wait_until(lambda: proxy.waiting("slow") == 9, "nine wait")
    assert proxy.fetch("http://fast.test/").status == 200
    assert proxy.waiting("slow") == 9, "it did not wait for them"
    gate.opened.set()
    assert [client.response().status for client in stuck] == [200] * 10


# Go: TestTransportMaxPerHostIdleConns
def test_max_idle_keeps_exactly_so_many(stack):
    barrier = threading.Barrier(6)

    def answer(connection, request):
        barrier.wait(10)
        connection.reply()

    origin = stack.origin(answering(answer))
    proxy = stack.penstock(stack.to(origin, pool={"max_idle": 2}))
    assert in_parallel(6, lambda i: proxy.fetch("http://api.test/").status) == [200] * 6
    wait_until(lambda: origin.open == 2, "all but two are closed")
    assert proxy.pools()[0]["connections"]["idle"] == 2
    assert proxy.pools()[0]["closed"]["trimmed"] == 4
    assert proxy.metrics("penstock_connections_closed_total", upstream="api", reason="trimmed") == 4


def test_max_idle_zero_keeps_none(stack):
    origin = stack.origin()
    proxy = stack.penstock(stack.to(origin, pool={"max_idle": 0}))
    for i in range(3):
        assert proxy.fetch("http://api.test/").status == 200
        wait_until(lambda: origin.open == 0, "it is closed")
    assert origin.accepted == 3


# Go: TestTransportConnectionCloseOnRequestDisableKeepAlive. HAProxy: http_reuse_never
def test_reuse_off_opens_one_connection_per_request_and_says_so_upstream(stack):
    origin = stack.origin()
    proxy = stack.penstock(stack.to(origin, pool={"reuse": False}))
    with proxy.client() as client:
        for _ in range(3):
            assert client.fetch("http://api.test/").status == 200
    assert origin.accepted == 3
    assert all(request.all("connection") == ["close"] for request in origin.requests)


def test_client_max_connections(stack):
    origin = stack.origin()
    proxy = stack.penstock(stack.to(origin), client={"max_connections": 3})
    kept = [proxy.client() for _ in range(3)]
    for client in kept:
        assert client.fetch("http://api.test/").status == 200
    with proxy.client() as over:
        begun = time.monotonic()
        over.send(b"GET http://api.test/over HTTP/1.1\r\nHost: api.test\r\n\r\n")
        assert over.ending() != "open"
        assert time.monotonic() - begun < slack()
    assert proxy.metrics("penstock_client_rejected_total") == 1
    assert all(request.target != "/over" for request in origin.requests)
    kept.pop().close()
    wait_until(lambda: proxy.metrics("penstock_client_connections") == 2, "the place is free")
    assert proxy.fetch("http://api.test/").status == 200


HEAD = b"GET http://api.test/%s HTTP/1.1\r\nHost: api.test\r\n%s\r\n"


@pytest.mark.parametrize("data, status", [
    (HEAD % (b"", b"X: " + b"x" * 3900 + b"\r\n"), 200),
    (HEAD % (b"", b"X: " + b"x" * 4200 + b"\r\n"), 431),
    (HEAD % (b"", b"X: 1\r\n" * 900), 431),
    (HEAD % (b"u" * 4200, b""), 431),
    (b"G" * 8000, 431),
], ids=["just within", "one field", "many fields", "target", "no line at all"])
def test_client_max_header_size(stack, data, status):
    origin = stack.origin()
    proxy = stack.penstock(stack.to(origin), client={"max_header_size": "4KiB", "max_header_fields": 1000})
    with proxy.client() as client:
        client.send(data)
        response = client.response()
        if status == 200:
            assert response.status == 200
        elif data.startswith(b"GGG"):
            assert response.status in (400, 431, 501)  # no method is so long: either complaint is right
        else:
            assert_failed(response, 431, "http_request_error", limit="client.max_header_size")
            assert client.ending() == "closed" and not origin.requests


@pytest.mark.parametrize("count, status", [(10, 200), (11, 431)])
def test_client_max_header_fields(stack, count, status):
    proxy = stack.penstock(stack.to(stack.origin()), client={"max_header_fields": 10})
    with proxy.client() as client:
        client.send(HEAD % (b"", b"".join(b"X-%d: 1\r\n" % i for i in range(count - 1))))
        response = client.response()
    if status == 200:
        assert response.status == 200
    else:
        assert_failed(response, 431, "http_request_error", limit="client.max_header_fields")


# Go: TestTransportResponseHeaderLength
@pytest.mark.parametrize("fields, status", [(b"X: " + b"x" * 3000, 200), (b"X: " + b"x" * 5000, 502),
                                            (b"\r\n".join(b"X-%d: %d" % (i, i) for i in range(900)), 502)])
def test_max_response_header_size(stack, fields, status):
    origin = stack.origin(answering(lambda connection, request: connection.send(
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n" + fields + b"\r\n\r\nok")))
    proxy = stack.penstock(stack.to(origin, max_response_header_size="4KiB"))
    response = proxy.fetch("http://api.test/")
    if status == 200:
        assert response.body == b"ok"
    else:
        assert response.status == 502
        told = response.all("proxy-status")[-1]
        assert "http_response_header_section_size" in told or "http_response_header_size" in told
        assert "max_response_header_size" in response.text


# Go: TestTransportLimits1xxResponses, TestTransport1xxLimits
def test_endless_1xx_are_bounded(stack):
    def answer(connection, request):
        while not connection.origin.stopping.is_set():
            connection.send(b"HTTP/1.1 103 Early Hints\r\nLink: </%s>\r\n\r\n" % (b"x" * 500))

    proxy = stack.penstock(stack.to(stack.origin(answering(answer)), timeouts={"response_header": "20s"}))
    response = proxy.fetch("http://api.test/")
    assert response.status == 502
    assert proxy_status(response)["error"] == "http_protocol_error"
    assert response.seconds < slack(3)
