"""What Go's Transport promises of failures and of what goes where, asked of ours: one clear error, no second harm.

Each test names the test of Go that it mirrors, and says where we differ on purpose.
"""

import threading

import pytest

from support.penstock import assert_failed
from support.scripted_origin import echo
from support.waiting import wait_until


def test_only_https_goes_through_connect(stack):
    """Go: TestTransportProxy, for a plaintext proxy; a proxy that is itself spoken to in TLS is not built."""
    origin = stack.origin()
    plain = stack.origin(tls=False, names=("plain.test",))
    proxy = stack.penstock(stack.to(origin), stack.to(plain, "plain.test"))
    assert proxy.curl("http://plain.test/").stdout == b"ok"
    done = proxy.curl("--proxy", proxy.url, "--cacert", stack.ca.file, "https://api.test/")
    assert done.stdout == b"ok"
    lines = proxy.wait_for_log(count=2)
    assert {(line["method"], line["upstream"]) for line in lines} == {("GET", "plain"), ("CONNECT", "api")}


def test_a_reset_is_told_as_what_it_was(stack):
    """Go: TestTransportReturnsPeekError: the socket's own error is what is reported, not one that follows from it."""
    def serve(connection):
        connection.read_request()
        connection.reset()

    proxy = stack.penstock(stack.to(stack.origin(serve, tls=False)))
    response = proxy.fetch("http://api.test/")
    assert_failed(response, 502, "connection_terminated", "await_head")
    assert "reset" in response.text


def test_an_end_between_messages_is_told_apart_from_one_within(stack):
    """Go: TestTransportPersistConnReadLoopEOF. A close before any byte of a response to a first request is an error that
    says so; the same close of an idle connection is nobody's error."""
    over = threading.Event()

    def serve(connection):
        connection.read_request()
        if connection.number == 2:
            connection.reply()
            over.wait(20)
        connection.finish()

    origin = stack.origin(serve)
    proxy = stack.penstock(stack.to(origin))
    assert_failed(proxy.fetch("http://api.test/"), 502, "connection_terminated", "await_head")
    assert proxy.fetch("http://api.test/").status == 200
    wait_until(lambda: proxy.pools()[0]["connections"]["idle"] == 1, "it is idle")
    over.set()
    wait_until(lambda: proxy.pools()[0]["closed"].get("peer_closed_idle") == 1, "the close is seen")
    assert len([line for line in proxy.wait_for_log(count=2) if "error" in line]) == 1


def test_what_was_sent_is_sent_again_from_its_beginning(stack):
    """Go: TestTransportBodyAltRewind, TestTransportShouldRetryRequest. The body of the second try is the whole one, also
    where the first connection took only a part of it."""
    def serve(connection):
        echo(connection, connection.read_request())
        if connection.read_head():
            connection.reader.exactly(10)
            connection.reset()

    origin = stack.origin(serve, tls=False)
    proxy = stack.penstock(stack.to(origin, retry={"attempts": 1, "buffer": "1MiB"}), workers=1)
    assert proxy.fetch("http://api.test/").status == 200
    body = bytes(range(256)) * 100
    for number in range(2, 5):
        assert proxy.fetch("http://api.test/", "PUT", body=body).body == body
        assert origin.accepted == number
    assert [len(connection.requests) for connection in origin.connections] == [2, 2, 2, 1]


def test_an_unasked_408_is_quiet_and_nobody_s_answer(stack):
    """Go: TestTransportIgnores408, TestIs408. Half of it may come, in two pieces or one: the connection goes, the client
    hears nothing, and no error is logged or counted."""
    def serve(connection):
        connection.read_request()
        connection.reply(str(connection.number).encode())
        if connection.number <= 3:
            data = b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
            cut = (len(data), 12, 1)[connection.number - 1]
            connection.pause(0.03)
            connection.send(data[:cut])
            connection.pause(0.03)
            connection.send(data[cut:])
            connection.finish()
        else:
            connection.wait_closed()

    origin = stack.origin(serve)
    proxy = stack.penstock(stack.to(origin))
    with proxy.client() as client:
        for number in range(1, 5):
            response = client.fetch("http://api.test/", "POST", body=b"x")
            assert (response.status, response.body) == (200, str(number).encode())
            if number < 4:
                wait_until(lambda: sum(proxy.pools()[0]["closed"].values()) == number, "the connection has gone")
    lines = proxy.wait_for_log(count=4)
    assert all("error" not in line and line["attempts"] == 1 for line in lines)
    assert proxy.metrics("penstock_errors_total") == 0


@pytest.mark.parametrize("reply", [b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n", b"rubbish\r\n"],
                         ids=["400", "no HTTP"])
def test_other_unasked_data_is_nobody_s_answer_either(stack, reply):
    """Go: TestTransportIgnores408 has its counterpart here for whatever else comes unasked, which Go logs."""
    def serve(connection):
        connection.read_request()
        connection.reply(str(connection.number).encode())
        connection.send(reply if connection.number == 1 else b"")
        connection.wait_closed()

    origin = stack.origin(serve)
    proxy = stack.penstock(stack.to(origin))
    assert proxy.fetch("http://api.test/").body == b"1"
    wait_until(lambda: sum(proxy.pools()[0]["closed"].values()) == 1, "what came unasked has closed it")
    assert proxy.fetch("http://api.test/").body == b"2"


@pytest.mark.parametrize("field, value", [("X-Name", "a\\r\\nEvil: 1"), ("X-Name", "caf\u00e9"), ("X-Name", "a\tb")])
def test_odd_values_stay_one_value(stack, field, value):
    """Go: TestRequestSanitization. What could break a line is refused where it is read (test_framing.py); what only looks
    so, passes as one value."""
    origin = stack.origin()
    proxy = stack.penstock(stack.to(origin))
    with proxy.client() as client:
        client.send(f"GET http://api.test/ HTTP/1.1\r\nHost: api.test\r\n{field}: {value}\r\n\r\n".encode("latin-1"))
        assert client.response().status == 200
    assert origin.requests[0].all(field) == [value] and not origin.requests[0].all("evil")


@pytest.mark.parametrize("chunks", [[b"abcdef"], [b"abc", b"def"]])
def test_a_body_larger_than_its_length_costs_the_connection(stack, chunks):
    """Go: TestTransportBodyLargerThanSpecifiedContentLength, an HTTP/2 test whose rule holds for 1.1 as well: what is
    behind the length is not the body's, and not the next response's."""
    def serve(connection):
        connection.read_request()
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n")
        for chunk in chunks:
            connection.send(chunk)
        connection.wait_closed()

    origin = stack.origin(serve)
    proxy = stack.penstock(stack.to(origin))
    with proxy.client() as client:
        for number in range(1, 4):
            assert client.fetch("http://api.test/").body == b"abc"
            # A request that is sent before the surplus comes gets an error, since nobody can tell them apart.
            wait_until(lambda: sum(proxy.pools()[0]["closed"].values()) == number, "the surplus has closed it")
    assert origin.accepted == 3


@pytest.mark.parametrize("end", ["finish", "reset"])
def test_a_length_without_a_body_is_no_whole_response(stack, end):
    """Go: TestTransportContentLengthWithoutBody, an HTTP/2 test whose rule holds for 1.1 as well."""
    def serve(connection):
        connection.read_request()
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 42\r\n\r\n")
        getattr(connection, end)()

    proxy = stack.penstock(stack.to(stack.origin(serve)))
    with proxy.client() as client:
        client.request("http://api.test/")
        assert client.cut_response()[1].reset
    assert proxy.wait_for_log()["error"] == "http_response_incomplete"
