"""CONNECT: a tunnel byte for byte, made only to allowed places, and the plaintext one that is pooled.

Origins are plain TCP: what runs inside a tunnel is not the proxy's business.
"""

import hashlib
import os
import threading
import time

import pytest

from support.client import Client
from support.penstock import assert_elapsed, assert_failed
from support.waiting import pause, wait_until


def echo_until_end(connection):
    """Sends back what comes; says END once the other side has finished."""
    while data := connection.sock.recv(1 << 16):
        connection.received += data
        connection.send(data)
    connection.send(b"END")


def tunnelling(stack, origin, ports=None, **settings):
    return stack.penstock(stack.to(origin), egress={"connect_ports": ports or [443]}, **settings)


def connect(client, target="api.test:443", version="1.1", fields="Host: api.test:443\r\n"):
    client.send(f"CONNECT {target} HTTP/{version}\r\n{fields}\r\n")
    return client.reader.response_head()


def test_a_tunnel_carries_bytes_both_ways_and_ends_with_half_close(stack):
    origin = stack.origin(echo_until_end, tls=False)
    proxy = tunnelling(stack, origin)
    with proxy.client() as client:
        head = connect(client)
        assert (head.status, head.all("content-length"), head.all("transfer-encoding")) == (200, [], [])
        client.send(b"\x00\xffbytes\r\n\r\n")
        assert client.reader.exactly(11) == b"\x00\xffbytes\r\n\r\n"
        client.finish_sending()
        assert client.reader.exactly(3) == b"END"
        assert client.ending() == "closed"
    line = proxy.wait_for_log()
    assert (line["form"], line["method"], line["host"], line["status"]) == ("connect", "CONNECT", "api.test:443", 200)
    assert (line["request_bytes"], line["response_bytes"]) == (11, 14)
    wait_until(lambda: proxy.pools()[0]["connections"]["upgraded"] == 0, "the tunnel gave its permit back")


def test_the_origin_may_end_first(stack):
    def serve(connection):
        connection.send(b"greeting")
        connection.sock.shutdown(1)
        connection.wait_closed()

    origin = stack.origin(serve, tls=False)
    proxy = tunnelling(stack, origin)
    with proxy.client() as client:
        connect(client)
        assert client.reader.exactly(8) == b"greeting"
        wait_until(lambda: client.reader.at_end(), "the origin's end comes through")
        client.send(b"still sending")
        client.finish_sending()
        wait_until(lambda: origin.received == b"still sending", "our direction lived on")


def test_early_data_behind_the_head_is_not_lost(stack):
    origin = stack.origin(echo_until_end, tls=False)
    proxy = tunnelling(stack, origin)
    with proxy.client() as client:
        client.send(b"CONNECT api.test:443 HTTP/1.1\r\nHost: api.test:443\r\n\r\nearly")
        assert client.reader.response_head().status == 200
        assert client.reader.exactly(5) == b"early"


# Users: CONNECT 1.0 (php-src#8832)
@pytest.mark.parametrize("version, fields", [
    ("1.0", ""), ("1.1", "Host: api.test\r\n"), ("1.1", "Host: api.test:443\r\nConnection: close\r\n"),
    ("1.1", "Host: api.test:443\r\nProxy-Connection: Keep-Alive\r\nUser-Agent: x\r\n")],
    ids=["1.0 without Host", "Host without port", "Connection: close", "proxy fields"])
def test_forms_of_the_head(stack, version, fields):
    origin = stack.origin(echo_until_end, tls=False)
    proxy = tunnelling(stack, origin)
    with proxy.client() as client:
        assert connect(client, version=version, fields=fields).status == 200
        client.send(b"ping")
        assert client.reader.exactly(4) == b"ping"


@pytest.mark.parametrize("target, status", [
    ("api.test:25", 403), ("elsewhere.test:443", 403), ("api.test", 400), ("api.test:0", 400),
    ("api.test:99999", 400), ("user@api.test:443", 400), ("http://api.test:443", 400), (":443", 400),
    ("127.1:443", 400)])
def test_what_may_not_be_asked_for(stack, target, status):
    origin = stack.origin(echo_until_end, tls=False)
    proxy = tunnelling(stack, origin)
    with proxy.client() as client:
        head = connect(client, target, fields=f"Host: {target}\r\n" if status == 403 else "Host: api.test:443\r\n")
        assert head.status == status
    assert origin.accepted == 0


def test_any_port_when_so_configured(stack):
    origin = stack.origin(echo_until_end, tls=False)
    proxy = tunnelling(stack, origin, ports="any")
    with proxy.client() as client:
        assert connect(client, "api.test:25", fields="Host: api.test:25\r\n").status == 200


# Go: TestOnProxyConnectResponse, from the side of the proxy
def test_200_comes_only_after_the_connection_and_a_refusal_is_told(stack):
    from support.penstock import free_ports

    proxy = tunnelling(stack, free_ports(1)[0])
    with proxy.client() as client:
        client.send(b"CONNECT api.test:443 HTTP/1.1\r\nHost: api.test:443\r\n\r\n")
        assert_failed(client.response(), 502, "connection_refused", phase="connect")


# ATS: connect_destination_acl
def test_an_address_that_egress_denies_is_refused(stack):
    proxy = stack.penstock({"name": "any", "hosts": ["*"]})
    with proxy.client() as client:
        client.send(b"CONNECT 169.254.169.254:443 HTTP/1.1\r\nHost: 169.254.169.254:443\r\n\r\n")
        assert_failed(client.response(), 403, "destination_ip_prohibited")


@pytest.mark.parametrize("end", ["close", "reset"])
def test_a_broken_origin_ends_the_tunnel(stack, end):
    def serve(connection):
        connection.sock.recv(100)
        getattr(connection, end)()

    proxy = tunnelling(stack, stack.origin(serve, tls=False))
    with proxy.client() as client:
        connect(client)
        client.send(b"x")
        assert client.ending() in ("closed", "reset")


def test_a_client_that_resets_ends_the_tunnel(stack):
    import socket
    import struct

    origin = stack.origin(lambda connection: connection.wait_closed(), tls=False)
    proxy = tunnelling(stack, origin)
    client = proxy.client()
    connect(client)
    client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()
    wait_until(lambda: origin.open == 0, "the origin's side ended")
    wait_until(lambda: proxy.pools()[0]["connections"]["upgraded"] == 0, "the permit is back")


# ATS: tunnel_active_timeout. Its limit counts from the start of the tunnel, ours from the last byte.
@pytest.mark.parametrize("limit, ends", [(3, True), (20, False)], ids=["limit", "control"])
def test_tunnel_idle(stack, limit, ends):
    origin = stack.origin(echo_until_end, tls=False)
    proxy = stack.penstock(stack.to(origin, timeouts={"tunnel_idle": f"{limit}s", "total": "2s", "body_stall": "2s",
                                                      "response_header": "2s"}))
    with proxy.client() as client:
        connect(client)
        for _ in range(8):  # bytes put the limit off
            pause(0.4)
            begun = time.monotonic()
            client.send(b"x")
            assert client.reader.exactly(1) == b"x"
        if ends:
            assert client.ending() in ("closed", "reset")
            assert_elapsed(time.monotonic() - begun, limit)
            line = proxy.wait_for_log(lambda line: "error" in line)
            assert (line["error_limit"], line["form"]) == ("timeouts.tunnel_idle", "connect")
            assert line["close_reason"] == "timeout"
        else:
            pause(2.2)
            client.send(b"y")
            assert client.reader.exactly(1) == b"y"


def test_tunnels_count_against_the_limit_and_free_it(stack):
    origin = stack.origin(echo_until_end, tls=False)
    proxy = stack.penstock(stack.to(origin, pool={"max_connections": 1}, timeouts={"queue": "200ms"}))
    with proxy.client() as first:
        connect(first)
        wait_until(lambda: proxy.pools()[0]["connections"]["upgraded"] == 1, "the tunnel counts")
        with proxy.client() as second:
            second.send(b"CONNECT api.test:443 HTTP/1.1\r\nHost: api.test:443\r\n\r\n")
            assert_failed(second.response(), 503, "connection_limit_reached", limit="timeouts.queue")
    with proxy.client() as third:
        wait_until(lambda: proxy.pools()[0]["connections"]["upgraded"] == 0, "the permit is back")
        assert connect(third).status == 200


# Go: TestTransportCONNECTBidi
def test_much_data_both_ways_at_once(stack):
    size = 64 << 20
    sums = {}

    def serve(connection):
        block = os.urandom(1 << 20)
        digest, got = hashlib.sha256(), hashlib.sha256()

        def push():
            for _ in range(size >> 20):
                connection.sock.sendall(block)
                digest.update(block)

        pusher = threading.Thread(target=push)
        pusher.start()
        left = size
        while left:
            data = connection.sock.recv(1 << 18)
            got.update(data)
            left -= len(data)
        pusher.join()
        sums["sent"], sums["got"] = digest.hexdigest(), got.hexdigest()
        connection.wait_closed()

    proxy = tunnelling(stack, stack.origin(serve, tls=False))
    with proxy.client() as client:
        connect(client)
        block = os.urandom(1 << 20)
        digest, got = hashlib.sha256(), hashlib.sha256()

        def push():
            for _ in range(size >> 20):
                client.sock.sendall(block)
                digest.update(block)

        pusher = threading.Thread(target=push)
        pusher.start()
        left = size
        while left:
            data = client.reader.exactly(min(left, 1 << 16))
            got.update(data)
            left -= len(data)
        pusher.join()
        wait_until(lambda: "got" in sums, "the origin has all of it", 30)
    assert (sums["sent"], sums["got"]) == (got.hexdigest(), digest.hexdigest())


# Users: plaintext in CONNECT (undici#4083)
def test_plaintext_requests_inside_connect_to_port_80_are_pooled(stack):
    """undici sends CONNECT host:80 for http:// URLs: taken as what it means."""
    origin = stack.origin()
    proxy = stack.penstock(stack.to(origin))
    for _ in range(2):
        with proxy.client() as client:
            assert connect(client, "api.test:80", fields="Host: api.test:80\r\n").status == 200
            for path in ("/a", "/b?q"):
                client.send(f"GET {path} HTTP/1.1\r\nHost: api.test\r\n\r\n")
                assert client.response().body == b"ok"
    assert [request.target for request in origin.requests] == ["/a", "/b?q"] * 2
    assert origin.accepted == 1
    lines = proxy.wait_for_log(lambda line: line["method"] == "GET", count=4)
    assert [line["form"] for line in lines] == ["unwrapped"] * 4
    assert lines[-1]["reused"] is True
    assert "cannot be pooled" not in proxy.stderr


@pytest.mark.parametrize("data", [b"GET / HTTP/1.1\r\nHost: other.test\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00",
                                  b"GET http://api.test/ HTTP/1.1\r\nHost: other.test\r\n\r\n"],
                         ids=["another host", "TLS", "another Host field"])
def test_anything_else_inside_connect_to_port_80_closes(stack, data):
    origin = stack.origin()
    proxy = stack.penstock(stack.to(origin), stack.to(origin, host="other.test"))
    with proxy.client() as client:
        connect(client, "api.test:80", fields="Host: api.test:80\r\n")
        client.send(data)
        assert client.ending() in ("closed", "reset")
    assert not origin.requests


def test_a_tunnel_to_a_host_that_could_be_pooled_is_told_once(stack):
    origin = stack.origin(echo_until_end, tls=False)
    proxy = tunnelling(stack, origin)
    for _ in range(3):
        with proxy.client() as client:
            connect(client)
    wait_until(lambda: "cannot be pooled" in proxy.stderr, "the hint is logged")
    assert proxy.stderr.count("cannot be pooled") == 1
    assert "http://api.test" in proxy.stderr


# Go: TestTransportProxyHTTPSConnectLeak
def test_a_client_that_leaves_while_we_connect_frees_its_place(stack):
    proxy = tunnelling(stack, stack.full_backlog())
    client = proxy.client()
    client.send(b"CONNECT api.test:443 HTTP/1.1\r\nHost: api.test:443\r\n\r\n")
    wait_until(lambda: proxy.pools() and proxy.pools()[0]["connections"]["dialing"] == 1, "it dials")
    client.close()
    line = proxy.wait_for_log(lambda line: line.get("error") == "client_aborted")
    assert line["status"] == 499


def test_a_stop_ends_tunnels_when_the_grace_is_over(stack):
    origin = stack.origin(echo_until_end, tls=False)
    proxy = tunnelling(stack, origin, shutdown={"grace": "500ms"})
    client = proxy.client()
    connect(client)
    client.send(b"x")
    assert client.reader.exactly(1) == b"x"
    begun = time.monotonic()
    proxy.stop()
    assert_elapsed(time.monotonic() - begun, 0.5)
    client.close()
