"""Trying again: only a reused connection that turned out dead, on a new one, and never what may not be sent twice."""

import pytest

from support.penstock import assert_failed
from support.waiting import wait_until


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


@pytest.mark.parametrize("end", ["close", "finish", "reset"])
@pytest.mark.parametrize("method", ["POST", "PATCH"])
def test_what_may_not_be_sent_twice_is_not(stack, end, method):
    origin, proxy = warmed(stack, dying(end))
    response = proxy.fetch("http://api.test/x", method, body=b"payload")
    assert_failed(response, 502, "connection_terminated")
    assert len(origin.requests) == 2
    assert proxy.wait_for_log(lambda line: line["path"] == "/x")["attempts"] == 1


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


def test_a_post_on_a_connection_that_has_just_closed_is_not_lost(stack):
    """The close is in the kernel before the request comes: the socket is looked at before it is used."""
    def serve(connection):
        connection.read_request()
        connection.reply(str(connection.number).encode())
        if connection.number <= 20:
            connection.pause(0.02)
            connection.finish()
            return
        connection.wait_closed()

    origin = stack.origin(serve)
    proxy = stack.penstock(stack.to(origin))
    from support.waiting import pause

    for _ in range(20):
        assert proxy.fetch("http://api.test/", "POST", body=b"x").status == 200
        pause(0.04)
