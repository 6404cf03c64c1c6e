"""Origins that mean harm: whatever they send or do not send, each request ends with an answer or a cut, a line and a count,
the process keeps its size, and other requests of the same workers are served all the while."""

import contextlib

import pytest

from support.hostile import MIB, Watch, at_ease
from support.http1 import Truncated
from support.parallel import in_parallel
from support.penstock import assert_elapsed, assert_failed
from support.scripted_origin import answering, reply_ok
from support.waiting import pause, wait_until

ALL_WORKERS = pytest.mark.parametrize("workers", [1, 2])
ATTACKERS = 20
OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"


def endless(opening, piece, most=64 * MIB):
    """A serving function that never stops by itself; connections note how much was taken."""

    def serve(connection):
        connection.taken = 0
        if not connection.read_request():
            return
        connection.send(opening)
        while connection.taken < most:
            connection.send(piece)
            connection.taken += len(piece)

    return serve


def dripping(opening, piece, every=0.1):
    def serve(connection):
        while connection.read_request():
            connection.send(opening)
            if not piece:
                return connection.wait_closed()
            while not connection.origin.stopping.is_set():
                connection.pause(every)
                connection.send(piece)

    return serve


def start(stack, serve, workers=1, **policy):
    """A daemon between the hostile origin (api.test) and one that answers (good.test)."""
    hostile, good = stack.origin(serve), stack.origin(answering(reply_ok), names=("good.test",))
    proxy = stack.penstock(stack.to(hostile, **policy), stack.to(good, "good.test"), workers=workers)
    proxy.hostile = hostile
    return proxy


def attack(proxy, ask=lambda client: client.fetch("http://api.test/h")):
    """`ask` with so many clients at once."""

    def work(_):
        with proxy.client() as client:
            return ask(client)

    return in_parallel(ATTACKERS, work)


def cut(client):
    client.request("http://api.test/h")
    with contextlib.suppress(ConnectionResetError):
        client.cut_response()


def cut_or_refused(client):
    """Refused where the head was still here when the fault came."""
    try:
        response = client.fetch("http://api.test/h")
    except (ConnectionResetError, Truncated):
        return
    assert response.status == 502, f"it looks complete: {response.status}, {len(response.body)} bytes"


# Endless


HEADS = {
    "field": (OK + b"X: ", b"x" * 1000, 502, "http_response_header_size"),
    "fields": (OK, b"X: y\r\n" * 100, 502, "http_response_header_section_size"),
    "status line": (b"HTTP/1.1 200 ", b"x" * 1000, 502, "http_response_header_section_size"),
    "1xx": (b"", b"HTTP/1.1 102 Processing\r\n\r\n" * 100, 502, "http_protocol_error"),
    "1xx with fields": (b"", b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" * 100, 502, "http_protocol_error"),
    "garbage": (b"", b"\xff\x00" * 500, 502, "http_protocol_error"),
}


@pytest.mark.parametrize("opening, piece, status, token", HEADS.values(), ids=HEADS)
def test_a_head_that_has_no_end_is_refused_early(stack, report, opening, piece, status, token):
    proxy = start(stack, endless(opening, piece))
    with Watch(proxy, "http://good.test/") as watch:
        for response in attack(proxy):
            assert_failed(response, status, token)
    watch.check(report, grows=8 * MIB)
    lines = proxy.wait_for_log(lambda line: line["path"] == "/h", ATTACKERS)
    assert {(line["status"], line["error"]) for line in lines} == {(status, token)}
    assert proxy.metrics("penstock_errors_total", token=token) == ATTACKERS
    assert max(connection.taken for connection in proxy.hostile.connections) < 16 * MIB


BODIES = {
    "chunk extension": (CHUNKED + b"1;", b"x" * 1000, "http_protocol_error"),
    "chunk extensions": (CHUNKED, b"1;x=y\r\nz\r\n" * 100, "http_protocol_error"),
    "chunk size": (CHUNKED, b"0" * 1000, "http_response_transfer_coding"),
    "trailer": (CHUNKED + b"0\r\nX: ", b"x" * 1000, "http_response_trailer_section_size"),
    "trailers": (CHUNKED + b"0\r\n", b"X: y\r\n" * 100, "http_response_trailer_section_size"),
}


@pytest.mark.parametrize("opening, piece, token", BODIES.values(), ids=BODIES)
def test_what_has_no_end_in_a_body_is_cut_or_refused(stack, report, opening, piece, token):
    proxy = start(stack, endless(opening, piece))
    with Watch(proxy, "http://good.test/") as watch:
        attack(proxy, cut_or_refused)
    watch.check(report, grows=8 * MIB)
    lines = proxy.wait_for_log(lambda line: line["path"] == "/h", ATTACKERS)
    assert {line["error"] for line in lines} == {token}
    assert proxy.metrics("penstock_errors_total", token=token) == ATTACKERS
    assert max(connection.taken for connection in proxy.hostile.connections) < 16 * MIB


@ALL_WORKERS
def test_bodies_without_end_at_full_speed_leave_time_for_others(stack, report, workers):
    """Their clients take what comes, so that nothing holds them back."""
    proxy = start(stack, endless(CHUNKED, b"10000\r\n" + bytes(1 << 16) + b"\r\n", most=1 << 40), workers)
    clients = [proxy.client() for _ in range(4)]
    with Watch(proxy, "http://good.test/") as watch:
        for client in clients:
            client.request("http://api.test/h")

        def take(client):
            for _ in range(2000):
                client.sock.recv(1 << 16)

        in_parallel(4, lambda i: take(clients[i]))
        for client in clients:
            client.close()
    watch.check(report)
    wait_until(lambda: at_ease(proxy), "nothing is left of them")


@ALL_WORKERS
def test_a_million_chunks_of_a_byte_reach_the_client_as_few(stack, report, workers):
    count = 1_000_000

    def serve(connection):
        while connection.read_request():
            connection.send(CHUNKED)
            for _ in range(count // 1000):
                connection.send(b"1\r\nx\r\n" * 1000)
            connection.send(b"0\r\n\r\n")

    proxy = start(stack, serve, workers)
    used = proxy.cpu_seconds
    with Watch(proxy, "http://good.test/") as watch, proxy.client() as client:
        client.request("http://api.test/h")
        client.head()
        total = chunks = 0
        while size := int(client.reader.line(), 16):
            client.reader.exactly(size + 2)
            total, chunks = total + size, chunks + 1
    report("chunks in, chunks out, CPU seconds", (count, chunks, round(proxy.cpu_seconds - used, 2)))
    watch.check(report)
    assert total == count and chunks < count / 20


# Slow


SLOW = {
    "silence": (b"", b"", "timeouts.response_header"),
    "head": (OK + b"X: ", b"x", "timeouts.response_header"),
    "1xx": (b"", b"HTTP/1.1 102 Processing\r\n\r\n", "timeouts.response_header"),
}


@ALL_WORKERS
@pytest.mark.parametrize("opening, piece, limit", SLOW.values(), ids=SLOW)
def test_a_head_that_drips_ends_at_its_limit(stack, report, workers, opening, piece, limit):
    """A half-open origin, which nothing is heard of any more, is the first of them."""
    proxy = start(stack, dripping(opening, piece), workers, timeouts={"response_header": "1s"})
    with Watch(proxy, "http://good.test/") as watch:
        for response in attack(proxy):
            assert_failed(response, 504, "http_response_timeout", limit=limit)
    watch.check(report)
    for line in proxy.wait_for_log(lambda line: line["path"] == "/h", ATTACKERS):
        assert_elapsed(line["wait_ms"] / 1000, 1)
    assert proxy.metrics("penstock_errors_total", token="http_response_timeout") == ATTACKERS
    wait_until(lambda: proxy.hostile.open == 0, "their connections are closed")


DRIPS = {
    "stall": (CHUNKED + b"5\r\nhello\r\n", b"", {"body_stall": "500ms"}, "connection_read_timeout"),
    "drip": (CHUNKED, b"1\r\nx\r\n", {"min_rate": {"size": "1KiB", "window": "500ms"}}, "connection_read_timeout"),
    "drip, total": (CHUNKED, b"1\r\nx\r\n", {"total": "2500ms"}, "http_response_timeout"),
}


@pytest.mark.parametrize("opening, piece, limits, token", DRIPS.values(), ids=DRIPS)
def test_a_body_that_drips_is_cut_at_its_limit(stack, report, opening, piece, limits, token):
    proxy = start(stack, dripping(opening, piece), timeouts=limits)
    with Watch(proxy, "http://good.test/") as watch:
        attack(proxy, cut)
    watch.check(report)
    lines = proxy.wait_for_log(lambda line: line["path"] == "/h", ATTACKERS)
    assert {line["error"] for line in lines} == {token}
    assert proxy.metrics("penstock_errors_total", token=token) == ATTACKERS


# Resets


RESPONSE = (CHUNKED[:-2] + b"Trailer: X\r\n\r\n5;a=b\r\nhello\r\n3\r\nyou\r\n0\r\nX: y\r\n\r\n")


@pytest.mark.parametrize("early", [False, True], ids=["behind the request", "before the body"])
def test_a_reset_at_any_byte_of_a_response_never_completes_it(stack, early):
    """The first answer comes on a connection of its own, others on one that was used: those may be tried again as long
    as not a byte of an answer came."""
    cuts = []

    def serve(connection):
        while head := connection.read_head():
            at = int(head.target[1:])
            if not early:
                connection.reader.request_body(head)
            connection.send(RESPONSE[:at])
            if at < len(RESPONSE):
                if at % 2:
                    connection.pause(0.01)  # its bytes are read before it
                cuts.append(at)
                return connection.reset()
            if early:
                return connection.finish()

    origin = stack.origin(serve)
    proxy = stack.penstock(stack.to(origin))
    for at in range(len(RESPONSE) + 1):
        with proxy.client() as client:
            try:
                response = client.fetch(f"http://api.test/{at}", "POST", body=b"body" * (5000 if early else 1))
            except (ConnectionResetError, AssertionError, ValueError, EOFError) as fault:
                response = fault
            except Exception as fault:
                assert type(fault).__name__ == "Truncated", fault
                response = fault
        if at == len(RESPONSE):
            assert response.status == 200 and response.body == b"helloyou"
        elif not isinstance(response, Exception):
            assert response.status == 502, (at, response.status, response.text)
    assert sorted(set(cuts)) == list(range(len(RESPONSE)))
    for line in proxy.log_lines():
        whole = line["path"] == f"/{len(RESPONSE)}"
        assert ("error" in line) != whole, line
    wait_until(lambda: at_ease(proxy), "nothing is left of them")
