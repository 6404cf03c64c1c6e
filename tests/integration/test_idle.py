"""Idle connections are watched: what the origin does to one of them never hurts a request."""

import threading
import time

import pytest

from support.penstock import assert_elapsed
from support.scripted_origin import answering
from support.waiting import pause, wait_until


def closed(proxy):
    return proxy.pools()[0]["closed"]


# Go: TestTransportRemovesDeadIdleConnections
@pytest.mark.parametrize("end", ["finish", "close", "reset"])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_connection_that_the_origin_closed_while_idle_is_never_used(stack, end, method):
    is_idle = threading.Semaphore(0)

    def serve(connection):
        connection.read_request()
        connection.reply(str(connection.number).encode())
        is_idle.acquire(timeout=20)
        getattr(connection, end)()

    origin = stack.origin(serve)
    proxy = stack.penstock(stack.to(origin))
    with proxy.client() as client:
        for i in range(1, 6):
            assert client.fetch("http://api.test/", method, body=b"x" if method == "POST" else None).body == str(i).encode()
            is_idle.release()
            wait_until(lambda: proxy.pools()[0]["connections"]["idle"] == 0, "the closed connection left the pool")
    assert origin.accepted == 5
    assert closed(proxy)["peer_closed_idle"] == 5
    assert proxy.metrics("penstock_connections_closed_total", upstream="api", reason="peer_closed_idle") == 5


@pytest.mark.parametrize("data", [b"x", b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n",
                                  b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison"], ids=["byte", "408", "response"])
def test_data_on_an_idle_connection_closes_it_and_is_nobody_s_response(stack, data):
    is_idle = threading.Event()

    def serve(connection):
        connection.read_request()
        connection.reply(str(connection.number).encode())
        if connection.number == 1:
            is_idle.wait(20)
            connection.send(data)
        connection.wait_closed()

    origin = stack.origin(serve)
    proxy = stack.penstock(stack.to(origin))
    with proxy.client() as client:
        assert client.fetch("http://api.test/").body == b"1"
        is_idle.set()
        wait_until(lambda: closed(proxy).get("unexpected_data") == 1, "the connection is closed for its data")
        assert client.fetch("http://api.test/").body == b"2"


def test_session_tickets_on_an_idle_connection_are_no_data(stack):
    """TLS 1.3 sends its tickets after the handshake: the connection lives on, and is reused."""
    origin = stack.origin()
    proxy = stack.penstock(stack.to(origin))
    for _ in range(5):
        assert proxy.fetch("http://api.test/").status == 200
        pause(0.05)
    assert origin.accepted == 1


# Go: TestTransportIdleConnTimeout
@pytest.mark.parametrize("limit, reused", [(0.3, False), (5, True)], ids=["limit", "control"])
def test_idle_timeout(stack, limit, reused):
    origin = stack.origin()
    proxy = stack.penstock(stack.to(origin, pool={"idle_timeout": f"{round(limit * 1000)}ms"}))
    begun = time.monotonic()
    assert proxy.fetch("http://api.test/").status == 200
    if reused:
        pause(0.6)
    else:
        wait_until(lambda: origin.open == 0, "the idle connection is closed")
        assert_elapsed(time.monotonic() - begun, limit)
        assert closed(proxy)["idle_timeout"] == 1
    assert proxy.fetch("http://api.test/").status == 200
    assert origin.accepted == (1 if reused else 2)


def test_a_close_that_the_origin_announced_has_its_own_reason(stack):
    def answer(connection, request):
        connection.reply(fields={"Connection": "close"})

    proxy = stack.penstock(stack.to(stack.origin(answering(answer))))
    assert proxy.fetch("http://api.test/").status == 200
    wait_until(lambda: closed(proxy).get("server_close") == 1, "it is counted")
    assert proxy.wait_for_log()["close_reason"] == "server_close"


def test_no_reuse_after_a_response_that_came_before_the_upload_ended(stack):
    def serve(connection):
        while head := connection.read_head():
            connection.reply(str(connection.number).encode())
            if head.method == "POST":
                connection.wait_closed()

    origin = stack.origin(serve)
    proxy = stack.penstock(stack.to(origin))
    with proxy.client() as client:
        client.send(b"POST http://api.test/ HTTP/1.1\r\nHost: api.test\r\nContent-Length: 1000\r\n\r\npart")
        assert client.response().body == b"1"
    assert proxy.fetch("http://api.test/").body == b"2"
    wait_until(lambda: not origin.connections[0].open, "the first connection is closed")


def test_an_abandoned_response_poisons_nobody(stack):
    def answer(connection, request):
        if request.target == "/big":
            connection.reply(bytes(50 << 20))
        else:
            connection.reply(request.target.encode())

    origin = stack.origin(answering(answer))
    proxy = stack.penstock(stack.to(origin))
    for i in range(5):
        with proxy.client(receive_buffer=65536) as client:
            client.request("http://api.test/big")
            client.head()
        assert proxy.fetch(f"http://api.test/{i}").body == f"/{i}".encode()
    assert proxy.wait_for_log(lambda line: line["path"] == "/big")["error"] == "client_aborted"
