"""Requests that are given up keep their connections, and connections that authenticate stay with one client."""

import base64
import threading

import pytest

from support.waiting import wait_until


def slow_then_ok(connection):
    """The answer to /slow comes when the test says so; others at once."""
    while request := connection.read_request():
        if request.target == "/slow":
            connection.origin.release.wait()
        connection.reply(request.target.encode())


def test_the_response_of_a_client_that_left_is_drained_and_its_connection_serves_the_next(stack):
    origin = stack.origin(slow_then_ok)
    origin.release = threading.Event()
    proxy = stack.penstock(stack.to(origin, drain={"time": "20s"}))
    with proxy.client() as client:
        client.send(b"GET http://api.test/slow HTTP/1.1\r\nHost: api.test\r\n\r\n")
        wait_until(lambda: len(origin.requests) == 1, "the request is at the origin")
    wait_until(lambda: proxy.pools()[0]["connections"]["draining"] == 1, "its response is drained")
    assert proxy.metrics("penstock_pool_connections", upstream="api", state="draining") == 1
    line = proxy.wait_for_log(lambda line: line["path"] == "/slow")
    assert (line["status"], line["error"]) == (499, "client_aborted") and "close_reason" not in line
    origin.release.set()
    wait_until(lambda: proxy.pools()[0]["connections"]["idle"] == 1, "the connection is idle")
    assert proxy.fetch("http://api.test/next").body == b"/next", "the late answer reaches nobody"
    assert origin.accepted == 1


def test_what_does_not_end_in_time_is_closed(stack):
    origin = stack.origin(slow_then_ok)
    origin.release = threading.Event()
    proxy = stack.penstock(stack.to(origin))
    with proxy.client() as client:
        client.send(b"GET http://api.test/slow HTTP/1.1\r\nHost: api.test\r\n\r\n")
        wait_until(lambda: len(origin.requests) == 1, "the request is at the origin")
    wait_until(lambda: proxy.pools()[0]["closed"].get("timeout") == 1, "drain.time is over")
    origin.release.set()


@pytest.mark.parametrize("scheme", ["NTLM", "Negotiate"])
def test_a_connection_that_authenticates_is_its_clients_alone(stack, scheme):
    """An origin that, as NTLM does, knows a connection's user after the third message."""

    def serve(connection):
        user, step = None, 0
        while request := connection.read_request():
            sent = request.get("authorization") or ""
            if sent.startswith(scheme):
                step += 1
                user = base64.b64decode(sent.split()[1]).decode() if step == 2 else None
            if user:
                connection.reply(user.encode())
            else:
                connection.reply(b"", status="401 Unauthorized", fields=[("WWW-Authenticate", f"{scheme} challenge")])

    origin = stack.origin(serve)
    proxy = stack.penstock(stack.to(origin))

    def log_in(client, user):
        token = base64.b64encode(user.encode()).decode()
        for _ in range(2):
            client.send(f"GET http://api.test/ HTTP/1.1\r\nHost: api.test\r\nAuthorization: {scheme} {token}\r\n\r\n".encode())
            response = client.response()
        assert response.body == user.encode()

    with proxy.client() as alice, proxy.client() as bob:
        log_in(alice, "alice")
        log_in(bob, "bob")
        for _ in range(3):
            for client, user in ((alice, b"alice"), (bob, b"bob")):
                client.send(b"GET http://api.test/who HTTP/1.1\r\nHost: api.test\r\n\r\n")
                assert client.response().body == user
        assert proxy.fetch("http://api.test/who").status == 401, "a stranger is nobody there"
    wait_until(lambda: proxy.pools()[0]["connections"]["busy"] == 0, "they go with their clients")
    assert origin.accepted == 3


def test_options_and_trace_that_end_here(stack):
    origin = stack.origin()
    proxy = stack.penstock(stack.to(origin))
    with proxy.client() as client:
        client.send(b"OPTIONS * HTTP/1.1\r\nHost: api.test\r\n\r\n")
        response = client.response()
        assert response.status == 200 and "OPTIONS" in response.get("allow")
        client.send(b"TRACE http://api.test/x HTTP/1.1\r\nHost: api.test\r\nMax-Forwards: 0\r\nCookie: secret\r\n\r\n")
        response = client.response()
        assert response.get("content-type") == "message/http" and b"secret" not in response.body
        client.send(b"OPTIONS http://api.test HTTP/1.1\r\nHost: api.test\r\nMax-Forwards: 2\r\n\r\n")
        assert client.response().status == 200
    request, = origin.requests
    assert (request.target, request.get("max-forwards")) == ("*", "1")


def test_a_redirect_to_https_comes_back_through_the_proxy(stack):
    def serve(connection):
        while request := connection.read_request():
            if request.target == "/old":
                connection.reply(b"", status="302 Found", fields=[("Location", "https://api.test/new")])
            else:
                connection.reply(b"arrived")

    origin = stack.origin(serve)
    proxy = stack.penstock(stack.to(origin))
    result = proxy.curl("-L", "-w", "%{num_redirects}", "http://api.test/old")
    assert result.stdout == b"arrived1"
    assert origin.accepted == 1, "by the same pooled connection"
    assert all(line["form"] == "absolute" for line in proxy.wait_for_log(count=2))
