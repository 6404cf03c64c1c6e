"""Clients that mean harm: each of their requests ends with an answer, a line and a count, the process keeps its size, and
other clients of the same workers are served all the while."""

import contextlib
import select
import socket
import struct
import threading
import time

import pytest

from support.hostile import MIB, Watch, at_ease
from support.parallel import in_parallel
from support.penstock import assert_failed
from support.scripted_origin import answering
from support.waiting import TIME_FACTOR, pause, wait_until

ALL_WORKERS = pytest.mark.parametrize("workers", [1, 2])
BIG = 10 * MIB
HEAD = b"POST http://api.test/h HTTP/1.1\r\nHost: api.test\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"


def serve(connection, request):
    bodies = {"/big": BIG, "/page": 16 << 10}
    connection.reply(bytes(bodies.get(request.target, 5)))


@pytest.fixture
def origin(stack):
    return stack.origin(answering(serve))


def start(stack, origin, policy=None, **settings):
    """A daemon in front of the origin that they ask (api.test) and of one for the others (good.test)."""
    good = stack.origin(names=("good.test",))
    return stack.penstock(stack.to(origin, **(policy or {})), stack.to(good, "good.test"), **settings)


@contextlib.contextmanager
def crowd(proxy, count, **options):
    clients = [proxy.client(**options) for _ in range(count)]
    try:
        yield clients
    finally:
        for client in clients:
            client.close()


def reset(client):
    client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()


def push(client, piece, most, heeds_answers=True):
    """Sends `piece` over and over until the proxy answers, takes no more, hangs up, or has had `most` bytes."""
    sent = 0
    answered = [client.sock] if heeds_answers else []
    try:
        while sent < most and select.select([], [client.sock], [], 0.3 * TIME_FACTOR)[1]:
            if select.select(answered, [], [], 0)[0]:
                break
            sent += client.sock.send(piece, socket.MSG_DONTWAIT)
    except OSError:
        pass
    return sent


# Slow


@ALL_WORKERS
def test_heads_that_never_end_are_answered_at_the_limit_however_they_drip(stack, origin, report, workers):
    proxy = start(stack, origin, workers=workers, client={"header_timeout": "1s"})
    with Watch(proxy, "http://good.test/") as watch, crowd(proxy, 300) as clients:
        for client in clients:
            client.send(b"GET http://api.test/h HTTP/1.1\r\nHost: api.test\r\nX-Drip: ")
        for _ in range(7):
            pause(0.1)
            for client in clients:
                with contextlib.suppress(OSError):  # on a slow machine the first ones have been answered
                    client.send(b"x")
        for client in clients:
            assert_failed(client.response(), 408, "http_request_error", limit="client.header_timeout")
            assert client.ending() != "open"
    watch.check(report)
    assert all(line["error"] == "http_request_error" for line in proxy.wait_for_log(lambda l: l["status"] == 408, 300))
    assert proxy.metrics("penstock_errors_total", token="http_request_error") == 300


@ALL_WORKERS
def test_bodies_that_stand_still_are_answered_at_the_limit(stack, origin, report, workers):
    proxy = start(stack, origin, workers=workers, client={"body_stall": "1s"})
    with Watch(proxy, "http://good.test/") as watch, crowd(proxy, 100) as clients:
        for client in clients:
            client.send(HEAD + b"Content-Length: 100\r\n\r\nbegun")
        for client in clients:
            assert_failed(client.response(), 408, "http_request_error", limit="client.body_stall")
    watch.check(report)
    proxy.wait_for_workers()
    assert proxy.metrics("penstock_errors_total", token="http_request_error") == 100
    wait_until(lambda: at_ease(proxy), "nothing is left of them")


def test_silent_clients_are_gone_after_the_idle_limit(stack, origin):
    """Half-open ones too: of a client whose machine is gone nothing is heard."""
    proxy = start(stack, origin, client={"idle_timeout": "2s"})
    with crowd(proxy, 50) as silent, crowd(proxy, 0) as clients:
        for _ in range(50):
            clients.append(proxy.client())
            assert clients[-1].fetch("http://api.test/").status == 200
        clients += silent
        assert {client.ending() for client in clients} == {"closed"}
    wait_until(lambda: at_ease(proxy), "nothing is left of them")


# Endless


ENDLESS = {
    "field": (b"GET http://api.test/h HTTP/1.1\r\nHost: api.test\r\nX: ", b"x" * 1000, 431),
    "fields": (b"GET http://api.test/h HTTP/1.1\r\nHost: api.test\r\n", b"X: y\r\n" * 100, 431),
    "target": (b"GET http://api.test/", b"x" * 1000, 431),
    "method": (b"", b"X" * 1000, 431),
    "empty lines": (b"", b"\r\n" * 500, 400),
    "chunk extension": (CHUNKED + b"1;", b"x" * 1000, 400),
    "chunk extensions": (CHUNKED, b"1;x=y\r\nz\r\n" * 100, 400),
    "chunk size": (CHUNKED, b"0" * 1000, 400),
    "trailer": (CHUNKED + b"0\r\nX: ", b"x" * 1000, 431),
    "trailers": (CHUNKED + b"0\r\n", b"X: y\r\n" * 100, 431),
}


@pytest.mark.parametrize("opening, piece, status", ENDLESS.values(), ids=ENDLESS)
def test_what_has_no_end_is_refused_early(stack, origin, report, opening, piece, status):
    proxy = start(stack, origin, workers=1)
    with Watch(proxy, "http://good.test/") as watch, crowd(proxy, 20) as clients:
        for client in clients:
            client.send(opening)
            assert push(client, piece, 32 * MIB) < 16 * MIB
            assert_failed(client.response(), status, "http_request_error")
            assert client.ending() != "open"
    watch.check(report, grows=8 * MIB)
    proxy.wait_for_workers()
    assert proxy.metrics("penstock_errors_total", token="http_request_error") == 20


@ALL_WORKERS
def test_a_million_chunks_of_a_byte_are_one_body(stack, report, workers):
    """...that costs nobody else anything, and the proxy a bounded time for each byte that it reads."""
    count, taken = 1_000_000, []

    def swallow(connection):
        while head := connection.read_head():
            if head.method == "POST":
                taken.append(drain_chunks(connection))
            connection.reply(b"taken")

    proxy = start(stack, stack.origin(swallow), workers=workers)
    piece = b"1\r\nx\r\n" * 1000
    used = proxy.cpu_seconds
    with Watch(proxy, "http://good.test/") as watch, proxy.client() as client:
        client.send(CHUNKED)
        for _ in range(count // 1000):
            client.send(piece)
        client.send(b"0\r\n\r\n")
        assert client.response().body == b"taken"
    watch.check(report)
    assert taken[0][0] == count and taken[0][1] < count / 20
    report("chunks in, chunks out, CPU seconds", (count, taken[0][1], round(proxy.cpu_seconds - used, 2)))


def drain_chunks(connection):
    """(bytes, chunks) of a chunked body, without keeping it."""
    total = chunks = 0
    while size := int(connection.reader.line(), 16):
        connection.reader.exactly(size + 2)
        connection.received.clear()
        total, chunks = total + size, chunks + 1
    connection.reader.exactly(2)
    return total, chunks


# Floods


@ALL_WORKERS
def test_a_flood_over_max_connections_is_turned_away_and_leaves_room_afterwards(stack, origin, report, workers):
    proxy = start(stack, origin, workers=workers, client={"max_connections": 60})
    refused, begun = 0, time.monotonic()
    with Watch(proxy, "http://good.test/") as watch, crowd(proxy, 57) as kept:
        wait_until(lambda: proxy.metrics("penstock_client_connections") == 60, "all places are taken")
        for _ in range(20):
            with crowd(proxy, 50) as over:
                for client in over:
                    refused += client.response().status == 503
        for client in kept:
            assert client.fetch("http://api.test/").status == 200
    watch.check(report, grows=8 * MIB)
    assert refused == 1000 == proxy.metrics("penstock_client_rejected_total", reason="max_connections")
    lines = proxy.stderr.count("too many client connections")
    assert 1 <= lines <= 1 + (time.monotonic() - begun) // 10, "the line is repeated after ten seconds at the earliest"
    wait_until(lambda: at_ease(proxy), "the places are free")
    with crowd(proxy, 60) as clients:
        assert {client.fetch("http://api.test/").status for client in clients} == {200}


@ALL_WORKERS
def test_responses_that_nobody_reads_cost_a_bounded_buffer_and_end(stack, origin, report, workers):
    patient = {"queue": "60s", "connect": "60s", "tls_handshake": "60s"}  # 200 handshakes at once
    proxy = start(stack, origin, {"timeouts": patient}, workers=workers, client={"write_stall": "3s"})
    with Watch(proxy, "http://good.test/") as watch, crowd(proxy, 200, receive_buffer=4096) as clients:
        for client in clients:
            client.request("http://api.test/big")
        lines = proxy.wait_for_log(lambda line: line["path"] == "/big", 200, seconds=60)
    report("growth per unread response, KiB", round(watch.growth / 200 / 1024))
    watch.check(report, grows=200 * 256 << 10)
    assert {(line["error"], line["status"]) for line in lines} == {("client_write_timeout", 499)}
    assert {line.get("error_limit") for line in lines} == {"client.write_stall"}
    assert proxy.metrics("penstock_errors_total", token="client_write_timeout") == 200
    wait_until(lambda: at_ease(proxy), "nothing is left of them")


@ALL_WORKERS
def test_pipelined_requests_that_nobody_reads_the_answers_of_stop_being_read(stack, origin, report, workers):
    proxy = start(stack, origin, workers=workers, client={"write_stall": "1s"})
    request = b"GET http://api.test/page HTTP/1.1\r\nHost: api.test\r\n\r\n"
    with Watch(proxy, "http://good.test/") as watch, crowd(proxy, 20, receive_buffer=4096) as clients:
        took = in_parallel(20, lambda i: push(clients[i], request * 100, 64 * MIB, heeds_answers=False))
        lines = proxy.wait_for_log(lambda line: line.get("error"), 20, seconds=30)
    report("most bytes taken from one", max(took))
    watch.check(report, grows=20 * 256 << 10)
    assert max(took) < 16 * MIB
    assert {(line["error"], line["error_limit"]) for line in lines} == {("client_write_timeout", "client.write_stall")}
    assert proxy.metrics("penstock_errors_total", token="client_write_timeout") == 20
    wait_until(lambda: at_ease(proxy), "nothing is left of them")


@ALL_WORKERS
@pytest.mark.parametrize("request_line, status", [(b"GET http://api.test/p", 200), (b"GET http://nobody.test/", 403),
                                                  (b"OPTIONS *", 200)], ids=["forwarded", "refused", "answered here"])
def test_a_flood_of_pipelined_requests_is_answered_in_turn_with_everybody_else(stack, origin, report, workers, request_line,
                                                                              status):
    proxy = start(stack, origin, workers=workers)
    request, count = request_line + b" HTTP/1.1\r\nHost: api.test\r\n\r\n", 2000

    def flood(client):
        threading.Thread(target=lambda: client.send(request * count), daemon=True).start()
        return {client.response().status for _ in range(count)}

    with Watch(proxy, "http://good.test/") as watch, crowd(proxy, 4) as clients:
        for client in clients:
            assert flood(client) == {status}
    watch.check(report)


# Resets


def test_a_reset_at_any_byte_of_a_request_leaves_nothing_behind(stack, origin):
    proxy = start(stack, origin)
    request = (b"POST http://api.test/r HTTP/1.1\r\nHost: api.test\r\nTransfer-Encoding: chunked\r\nTrailer: X\r\n\r\n"
               b"5;a=b\r\nhello\r\n0\r\nX: y\r\n\r\n")
    for cut in range(len(request) + 1):
        client = proxy.client()
        client.send(request[:cut])
        if cut % 2:
            wait_until(lambda: proxy.metrics("penstock_client_connections") >= 1, "it is read")
        reset(client)
    wait_until(lambda: at_ease(proxy), "nothing is left of them")
    assert proxy.fetch("http://api.test/").status == 200
    for line in proxy.log_lines()[:-1]:
        assert line["status"] == 200 or (line["status"], line["error"]) == (499, "client_aborted"), line
    whole = [request for connection in origin.connections for request in connection.requests if request.target == "/r"]
    assert all(request.body in (b"", b"hello") for request in whole)


@pytest.mark.parametrize("read", [0, 1, 100, 5000, 100_000])
def test_a_reset_at_any_point_of_a_response_leaves_nothing_behind(stack, origin, read):
    proxy = start(stack, origin)
    for _ in range(10):
        client = proxy.client()
        client.request("http://api.test/big")
        left = read
        while left:
            left -= len(client.sock.recv(left))
        reset(client)
    lines = proxy.wait_for_log(lambda line: line["path"] == "/big", 10)
    assert {(line["status"], line["error"]) for line in lines} == {(499, "client_aborted")}
    assert proxy.metrics("penstock_errors_total", token="client_aborted") == 10
    wait_until(lambda: at_ease(proxy), "nothing is left of them")
    assert proxy.fetch("http://api.test/").status == 200


def test_a_tunnel_whose_ends_fell_silent_ends_at_its_limit(stack):
    origin = stack.origin(lambda connection: connection.wait_closed(), tls=False)
    proxy = stack.penstock({"name": "any", "hosts": ["*"], "timeouts": {"tunnel_idle": "300ms"}},
                           egress={"connect_ports": [origin.port]})
    target = f"127.0.0.1:{origin.port}"
    with crowd(proxy, 50) as clients:
        for client in clients:
            client.request(target, "CONNECT", host=target)
            assert client.head().status == 200
        assert "open" not in {client.ending() for client in clients}
    lines = proxy.wait_for_log(count=50)
    assert {line["error_limit"] for line in lines} == {"timeouts.tunnel_idle"}
    wait_until(lambda: at_ease(proxy) and origin.open == 0, "nothing is left of them")
