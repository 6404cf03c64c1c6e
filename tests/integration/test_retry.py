"""Trying again: only a reused connection that turned out dead, on a new one, and never what may not be sent twice."""

import signal
import threading
from pathlib import Path

import pytest

from support.penstock import assert_failed
from support.waiting import pause, wait_until


def dying(*ends, after_request=True):
    """Connection n serves one request and then dies as ends[n - 1] says, at its second; later ones live."""

    def serve(connection):
        connection.read_request()
        connection.reply(str(connection.number).encode())
        if connection.number <= len(ends):
            if after_request:
                connection.read_request()
            getattr(connection, ends[connection.number - 1])()
            return
        while connection.read_request():
            connection.reply(str(connection.number).encode())

    return serve


def warmed(stack, serve, **policy):
    origin = stack.origin(serve)
    proxy = stack.penstock(stack.to(origin, **policy))
    assert proxy.fetch("http://api.test/").body == b"1"
    wait_until(lambda: proxy.pools()[0]["connections"]["idle"] == 1, "one connection is idle")
    return origin, proxy


# Go: TestRetryRequestsOnError, TestTransportRequestReplayable. HAProxy: http_reuse_always, http_reuse_aggressive,
# http_reuse_safe. There a mode decides who may use a connection that may be dead; here there is a second try.
@pytest.mark.parametrize("end", ["close", "finish", "reset"])
@pytest.mark.parametrize("method, fields", [("GET", {}), ("HEAD", {}), ("OPTIONS", {}), ("PUT", {}), ("DELETE", {}), ("TRACE", {}),
                                            ("POST", {"Idempotency-Key": "k1"})])
def test_what_may_be_sent_twice_is_tried_again_on_a_new_connection(stack, end, method, fields):
    origin, proxy = warmed(stack, dying(end))
    body = b"payload" if method in ("PUT", "POST") else None
    response = proxy.fetch("http://api.test/x", method, fields=fields, body=body)
    assert response.status == 200
    assert response.body == (b"" if method == "HEAD" else b"2")
    assert origin.accepted == 2
    assert [request.body for request in origin.requests[1:]] == [body or b""] * 2
    line = proxy.wait_for_log(lambda line: line["path"] == "/x")
    assert (line["attempts"], line["reused"], line["status"]) == (2, False, 200)
    assert proxy.metrics("penstock_retries_total", upstream="api", result="success") == 1


@pytest.mark.parametrize("size", [1, 1000, 16_384, 40_000])
def test_a_chunked_body_is_sent_whole_again(stack, size):
    """What was kept of it is one chunk of the second try, and its last chunk comes too, however large it is."""
    origin, proxy = warmed(stack, dying("close"))
    body = bytes(i % 251 for i in range(size))
    with proxy.client() as client:
        client.send(b"PUT http://api.test/x HTTP/1.1\r\nHost: api.test\r\nTransfer-Encoding: chunked\r\n\r\n" +
                    b"%x\r\n%b\r\n0\r\n\r\n" % (size, body))
        assert client.response().body == b"2"
        assert client.fetch("http://api.test/y").body == b"2", "the connection is used again"
    assert [request.body for request in origin.requests[1:]] == [body, body, b""]
    assert not origin.faults


@pytest.mark.parametrize("end", ["close", "finish", "reset"])
@pytest.mark.parametrize("method", ["POST", "PATCH"])
def test_what_may_not_be_sent_twice_is_not(stack, end, method):
    origin, proxy = warmed(stack, dying(end))
    response = proxy.fetch("http://api.test/x", method, body=b"payload")
    assert_failed(response, 502, "connection_terminated")
    assert len(origin.requests) == 2
    assert proxy.wait_for_log(lambda line: line["path"] == "/x")["attempts"] == 1


def test_a_connection_that_stood_idle_before_its_first_use_is_as_good_as_a_reused_one(stack):
    """min_idle opened it; the upstream lost patience just as the first request came."""

    def serve(connection):
        while connection.read_request():
            if connection.number == 1:
                return
            connection.reply(str(connection.number).encode())

    origin = stack.origin(serve)
    proxy = stack.penstock(stack.to(origin, pool={"min_idle": 1, "max_connections": 1}))
    wait_until(lambda: proxy.pools() and proxy.pools()[0]["connections"]["idle"] == 1, "it is warm")
    response = proxy.fetch("http://api.test/")
    assert (response.status, response.body) == (200, b"2")
    proxy.wait_for_workers()
    assert proxy.metrics("penstock_retries_total", upstream="api", result="success") == 1


def test_a_new_connection_that_dies_is_not_tried_again(stack):
    def serve(connection):
        connection.read_request()
        connection.close()

    origin = stack.origin(serve)
    proxy = stack.penstock(stack.to(origin))
    assert_failed(proxy.fetch("http://api.test/"), 502, "connection_terminated")
    assert origin.accepted == 1


def test_nothing_is_tried_again_after_a_byte_of_a_response(stack):
    for part in (b"H", b"HTTP/1.1 103 Early Hints\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Le"):
        def serve(connection):
            connection.read_request()
            connection.reply(b"1")
            connection.read_request()
            connection.send(part)
            connection.finish()

        origin, proxy = warmed(stack, serve)
        with proxy.client() as client:
            client.request("http://api.test/")
            response = client.response()
        assert response.status == 502
        assert origin.accepted == 1, part


def test_attempts_0_never_tries_again(stack):
    _, proxy = warmed(stack, dying("close"), retry={"attempts": 0})
    assert_failed(proxy.fetch("http://api.test/"), 502, "connection_terminated")


def test_a_body_over_the_buffer_is_not_tried_again(stack):
    _, proxy = warmed(stack, dying("close"), retry={"buffer": "1KiB"})
    response = proxy.fetch("http://api.test/", "PUT", body=b"x" * 2000)
    assert_failed(response, 502, "connection_terminated")


def test_the_budget_bounds_the_tries(stack):
    def serve(connection):  # every connection dies at its second request
        connection.read_request()
        connection.reply(b"1")
        connection.read_request()
        connection.close()

    origin = stack.origin(serve)
    proxy = stack.penstock(stack.to(origin, retry={"budget": {"ratio": 0, "min_per_second": 1}}))
    statuses = [proxy.fetch("http://api.test/").status for _ in range(12)]
    assert 502 in statuses and 200 in statuses
    assert proxy.metrics("penstock_retries_total", upstream="api", result="over_budget") >= 1


def test_the_permit_is_carried_over(stack):
    origin, proxy = warmed(stack, dying("close"), pool={"max_connections": 1})
    assert proxy.fetch("http://api.test/").body == b"2"
    assert origin.peak <= 2  # the dead one may not be gone on the origin's side yet
    pool = proxy.pools()[0]
    assert (pool["opened"], pool["connections"]["idle"], pool["waiting"]) == (2, 1, 0)


def stands_still(pid):
    states = (path.read_text().rpartition(")")[2].split()[0] for path in Path(f"/proc/{pid}/task").glob("*/stat"))
    return set(states) == {"T"}


# Go: TestConnClosedBeforeRequestIsWritten
def test_a_post_on_a_connection_that_has_just_closed_is_not_lost(stack):
    """The proxy stands still while a request comes and then the close: the socket is looked at before it is used."""
    leave = threading.Semaphore(0)

    def serve(connection):
        connection.read_request()
        connection.reply(str(connection.number).encode())
        leave.acquire(timeout=20)

    origin = stack.origin(serve)
    proxy = stack.penstock(stack.to(origin, retry={"budget": {"min_per_second": 100}}), workers=1)
    with proxy.client() as client:
        for number in range(1, 11):
            response = client.fetch("http://api.test/", "POST", body=b"x") if number == 1 else client.response()
            assert (response.status, response.body) == (200, str(number).encode()), response.text
            proxy.wait_for_workers()
            proxy.process.send_signal(signal.SIGSTOP)
            wait_until(lambda: stands_still(proxy.process.pid), "all its threads have stopped")
            client.request("http://api.test/", "POST", body=b"x")
            leave.release()
            wait_until(lambda: origin.open == 0, "the origin has closed")
            pause(0.1)  # one that was used just now is trusted
            proxy.process.send_signal(signal.SIGCONT)
        assert client.response().body == b"11"
        leave.release()
