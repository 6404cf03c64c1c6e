"""Upgrade: the handshake is forwarded, a 101 for an offered protocol becomes a tunnel, nothing else does."""

import base64
import hashlib

import pytest

from support.penstock import assert_failed
from support.waiting import wait_until

KEY = base64.b64encode(b"0123456789abcdef").decode()
HANDSHAKE = ("GET http://api.test/chat HTTP/1.1\r\nHost: api.test\r\nConnection: Upgrade\r\nUpgrade: {protocol}\r\n"
             f"Sec-WebSocket-Key: {KEY}\r\nSec-WebSocket-Version: 13\r\n\r\n")


def switching(protocol="websocket", behind=b"", status="101 Switching Protocols"):
    def serve(connection):
        connection.read_head()
        accept = base64.b64encode(hashlib.sha1((KEY + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode()).digest())
        connection.send(f"HTTP/1.1 {status}\r\nUpgrade: {protocol}\r\nConnection: Upgrade\r\n"
                        f"Sec-WebSocket-Accept: {accept.decode()}\r\n\r\n".encode() + behind)
        while data := connection.sock.recv(1 << 16):
            connection.send(data)

    return serve


# HAProxy: websocket
def test_a_websocket_handshake_and_what_follows(stack):
    origin = stack.origin(switching())
    proxy = stack.penstock(stack.to(origin))
    with proxy.client() as client:
        client.send(HANDSHAKE.format(protocol="websocket"))
        head = client.reader.response_head()
        assert head.status == 101
        assert head.get("upgrade") == "websocket" and head.get("connection").lower() == "upgrade"
        assert head.get("sec-websocket-accept")
        client.send(b"\x81\x85frames")
        assert client.reader.exactly(8) == b"\x81\x85frames"
        assert proxy.pools()[0]["connections"]["upgraded"] == 1
    request = origin.requests[0]
    assert request.get("upgrade") == "websocket" and request.get("connection").lower() == "upgrade"
    assert request.get("sec-websocket-key") == KEY and request.get("host") == "api.test"
    wait_until(lambda: proxy.pools()[0]["connections"]["upgraded"] == 0, "the permit is back")
    line = proxy.wait_for_log(lambda line: line["path"] == "/chat")
    assert (line["status"], line["status_source"]) == (101, "upstream")


# Go: TestTransportResponseBodyWritableOnProtocolSwitch
def test_bytes_behind_the_101_are_not_lost(stack):
    proxy = stack.penstock(stack.to(stack.origin(switching(behind=b"hello"))))
    with proxy.client() as client:
        client.send(HANDSHAKE.format(protocol="websocket"))
        assert client.reader.response_head().status == 101
        assert client.reader.exactly(5) == b"hello"


def test_bytes_sent_behind_the_handshake_are_not_lost(stack):
    proxy = stack.penstock(stack.to(stack.origin(switching())))
    with proxy.client() as client:
        client.send(HANDSHAKE.format(protocol="websocket").encode() + b"early")
        assert client.reader.response_head().status == 101
        assert client.reader.exactly(5) == b"early"


def test_a_refused_upgrade_is_an_ordinary_response_and_the_connection_is_pooled(stack):
    def serve(connection):
        while connection.read_head():
            connection.reply(b"no", "403 Forbidden")

    origin = stack.origin(serve)
    proxy = stack.penstock(stack.to(origin))
    with proxy.client() as client:
        for _ in range(2):
            client.send(HANDSHAKE.format(protocol="websocket"))
            response = client.response()
            assert (response.status, response.body, response.all("upgrade")) == (403, b"no", [])
    assert origin.accepted == 1


# Go: TestTransportTreat101Terminal. HAProxy: protocol_upgrade
@pytest.mark.parametrize("offered, answered", [("websocket", "h2c"), ("websocket", "other"), (None, "websocket")])
def test_a_101_that_was_not_asked_for_is_an_error(stack, offered, answered):
    proxy = stack.penstock(stack.to(stack.origin(switching(answered))))
    with proxy.client() as client:
        client.send(HANDSHAKE.format(protocol=offered) if offered else "GET http://api.test/ HTTP/1.1\r\nHost: api.test\r\n\r\n")
        assert_failed(client.response(), 502, "http_upgrade_failed")


@pytest.mark.parametrize("offered, forwarded", [("h2c", None), ("h2c, websocket", "websocket"), ("websocket", "websocket")])
def test_h2c_is_never_offered(stack, offered, forwarded):
    def serve(connection):
        while connection.read_head():
            connection.reply()

    origin = stack.origin(serve)
    proxy = stack.penstock(stack.to(origin))
    with proxy.client() as client:
        client.send(f"GET http://api.test/ HTTP/1.1\r\nHost: api.test\r\nConnection: Upgrade, HTTP2-Settings\r\n"
                    f"Upgrade: {offered}\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n\r\n")
        assert client.response().status == 200
    assert origin.requests[0].get("upgrade") == forwarded
    assert not origin.requests[0].all("http2-settings")


def test_upgrade_without_connection_is_no_upgrade(stack):
    def serve(connection):
        while connection.read_head():
            connection.reply()

    origin = stack.origin(serve)
    proxy = stack.penstock(stack.to(origin))
    with proxy.client() as client:
        client.send("GET http://api.test/ HTTP/1.1\r\nHost: api.test\r\nUpgrade: websocket\r\n\r\n")
        assert client.response().status == 200
    assert not origin.requests[0].all("upgrade")
