"""Expect: 100-continue in all its forms, and other interim responses."""

import time

import pytest

from support.penstock import assert_elapsed
from support.waiting import pause, slack

HEAD = "POST http://api.test/ HTTP/1.1\r\nHost: api.test\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n"


def asking(stack, serve, **timeouts):
    origin = stack.origin(serve)
    return origin, stack.penstock(stack.to(origin, timeouts=timeouts))


# Users: bare 100 (aws-cli#1116)
def test_the_origin_s_100_is_relayed_bare_and_the_body_follows(stack):
    def serve(connection):
        head = connection.read_head()
        connection.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        connection.reader.request_body(head)
        connection.reply(head.body)
        connection.wait_closed()

    origin, proxy = asking(stack, serve, expect_continue="10s")
    with proxy.client() as client:
        client.send(HEAD)
        interim = client.reader.response_head()
        assert (interim.status, interim.fields) == (100, [])
        client.send(b"hello")
        assert client.response().body == b"hello"
    assert origin.requests[0].get("expect") == "100-continue"


@pytest.mark.parametrize("limit", [1, 3], ids=["default", "set"])
def test_an_origin_that_says_nothing_makes_us_say_it(stack, limit):
    def serve(connection):
        head = connection.read_head()
        connection.reader.request_body(head)
        connection.send(b"HTTP/1.1 100 Continue\r\n\r\n")  # late: swallowed
        connection.reply(head.body)
        connection.wait_closed()

    _, proxy = asking(stack, serve, **({"expect_continue": "3s"} if limit > 1 else {}))
    with proxy.client() as client:
        begun = time.monotonic()
        client.send(HEAD)
        assert client.reader.response_head().status == 100
        assert_elapsed(time.monotonic() - begun, limit)
        client.send(b"hello")
        assert client.reader.response_head().status == 200
    assert proxy.wait_for_log()["continue_ms"] >= limit * 1000


def test_zero_sends_it_at_once_and_does_not_ask_the_origin(stack):
    def serve(connection):
        request = connection.read_request()
        connection.reply(request.body)
        connection.wait_closed()

    origin, proxy = asking(stack, serve, expect_continue=0)
    with proxy.client() as client:
        client.send(HEAD)
        assert client.reader.response_head().status == 100
        client.send(b"hello")
        assert client.response().body == b"hello"
    assert not origin.requests[0].all("expect")


# Go: TestTransportExpect100Continue, of which each test of this file is a row
@pytest.mark.parametrize("status", ["200 OK", "401 Unauthorized", "417 Expectation Failed", "500 Internal Server Error"])
def test_a_final_answer_before_the_body_comes_at_once(stack, status):
    def serve(connection):
        connection.read_head()
        connection.reply(b"early", status)
        connection.wait_closed()

    _, proxy = asking(stack, serve, expect_continue="10s")
    with proxy.client() as client:
        begun = time.monotonic()
        client.send(HEAD)
        head = client.reader.response_head()
        assert head.status == int(status[:3])
        assert time.monotonic() - begun < slack()
        client.reader.response_body(head, "POST")
        assert head.body == b"early"
    # nobody knows whether the body would still come: this connection serves no other request
    assert proxy.pools()[0]["connections"]["idle"] == 0


def test_a_client_that_does_not_wait_is_not_held_up(stack):
    def serve(connection):
        request = connection.read_request()
        connection.reply(request.body)
        connection.wait_closed()

    _, proxy = asking(stack, serve, expect_continue="10s")
    with proxy.client() as client:
        begun = time.monotonic()
        client.send(HEAD + "hello")
        assert client.response().body == b"hello"
        assert time.monotonic() - begun < slack()


def test_a_client_that_stops_waiting_is_not_held_up(stack):
    def serve(connection):
        head = connection.read_head()
        connection.reader.request_body(head)
        connection.reply(head.body)
        connection.wait_closed()

    _, proxy = asking(stack, serve, expect_continue="10s")
    with proxy.client() as client:
        client.send(HEAD)
        pause(0.2)
        begun = time.monotonic()
        client.send(b"hello")
        assert client.response().body == b"hello"
        assert time.monotonic() - begun < slack()


def test_curl_uploads_with_expect(stack, tmp_path):
    origin = stack.origin(lambda connection: [connection.reply(str(len(request.body)).encode())
                                              for request in iter(connection.read_request, None)])
    proxy = stack.penstock(stack.to(origin))
    upload = tmp_path / "upload"
    upload.write_bytes(b"x" * (2 << 20))
    done = proxy.curl("-H", "Expect: 100-continue", "--data-binary", f"@{upload}", "http://api.test/")
    assert done.stdout == str(2 << 20).encode()


# Go: TestTransportIgnore1xxResponses. There they are for a hook, here they are passed on.
def test_interim_responses_pass_and_a_1_0_client_gets_none(stack):
    def serve(connection):
        while connection.read_request():
            connection.send(b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n")
            connection.reply()

    origin = stack.origin(serve)
    proxy = stack.penstock(stack.to(origin))
    with proxy.client() as client:
        client.request("http://api.test/")
        hints, processing = client.reader.response_head(), client.reader.response_head()
        assert (hints.status, hints.get("link"), processing.status) == (103, "</a.css>", 102)
        assert client.response().body == b"ok"
    with proxy.client() as client:
        client.send("GET http://api.test/ HTTP/1.0\r\n\r\n")
        assert client.reader.response_head().status == 200


@pytest.mark.parametrize("expect_continue", ["10s", "0"])
def test_who_waits_for_a_100_hears_it_also_when_the_request_is_tried_again(stack, expect_continue):
    """The reused connection dies before it says anything; the client has sent its head alone."""
    def serve(connection):
        while head := connection.read_head():
            if connection.number == 1 and connection.requests[1:]:
                return
            if head.get("expect"):
                connection.send(b"HTTP/1.1 100 Continue\r\n\r\n")
            connection.reader.request_body(head)
            connection.reply(head.body)

    origin, proxy = asking(stack, serve, expect_continue=expect_continue)
    assert proxy.fetch("http://api.test/").status == 200
    with proxy.client() as client:
        client.send(HEAD.replace("POST", "PUT"))
        assert client.reader.response_head().status == 100
        client.send(b"hello")
        assert client.response().body == b"hello"
    assert origin.accepted == 2
    assert proxy.wait_for_log(lambda line: line["method"] == "PUT")["attempts"] == 2
