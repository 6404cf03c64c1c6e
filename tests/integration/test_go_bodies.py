"""What Go's Transport promises of bodies and interim responses, asked of ours: framing, streaming, early answers.

Each test names the test of Go that it mirrors, and says where we differ on purpose.
"""

import threading
import time

import pytest

from support.http1 import Truncated
from support.penstock import assert_elapsed
from support.scripted_origin import answering, echo
from support.waiting import TIME_FACTOR, wait_until

POST = "POST http://api.test{path} HTTP/1.1\r\nHost: api.test\r\nContent-Length: {length}\r\n\r\n"


def test_head_with_a_chunked_header_has_no_body_and_keeps_the_connection(stack):
    """Go: TestTransportHeadChunkedResponse."""
    def answer(connection, request):
        assert request.method == "HEAD"
        connection.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nX-Client: %d\r\n\r\n" % connection.number)

    origin = stack.origin(answering(answer))
    proxy = stack.penstock(stack.to(origin))
    with proxy.client() as client:
        for _ in range(5):
            response = client.fetch("http://api.test/", "HEAD")
            assert (response.status, response.get("x-client")) == (200, "1")
    assert origin.accepted == 1


@pytest.mark.parametrize("behind", [b"", b"0\r\n\r\n"], ids=["no body", "last chunk"])
def test_no_content_with_a_chunked_header_does_not_disturb_the_next_request(stack, behind):
    """Go: TestChunkedNoContent. A 204 has no body whatever its header says (RFC 9112 section 6.3), so a last chunk behind
    it is unasked data, which costs the connection and nothing else."""
    def answer(connection, request):
        if request.target == "/none":
            connection.send(b"HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n" + behind)
        else:
            connection.reply(b"body")

    origin = stack.origin(answering(answer))
    proxy = stack.penstock(stack.to(origin))
    with proxy.client() as client:
        for _ in range(5):
            response = client.fetch("http://api.test/none")
            assert response.status == 204 and not response.all("transfer-encoding")
            assert client.fetch("http://api.test/next").body == b"body"
    assert origin.accepted == (6 if behind else 1)


def test_a_large_body_without_a_length_is_read_to_its_close(stack):
    """Go: TestIssue3644."""
    size = 30_000 * 8

    def serve(connection):
        connection.read_request()
        connection.send(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")
        for i in range(30_000):
            connection.send(b"%07d\n" % i)
        connection.finish()

    proxy = stack.penstock(stack.to(stack.origin(serve, tls=False)))
    with proxy.client() as client:
        body = client.fetch("http://api.test/").body
        assert len(body) == size and body.startswith(b"0000000\n") and body.endswith(b"0029999\n")
        assert client.ending(0.1) == "open", "the end of the upstream's connection is not the client's: chunks told it"


@pytest.mark.parametrize("end", ["finish", "reset"])
def test_an_early_answer_before_a_close_is_delivered_to_whoever_still_uploads(stack, end):
    """Go: TestIssue3595, TestTransportPrefersResponseOverWriteError. The server answers by the head alone and closes with
    the upload unread, so that our next write fails; it is the answer that counts, each time."""
    def serve(connection):
        connection.read_head()
        connection.reply(b"you may not", status="400 Bad Request", fields={"Connection": "close"})
        getattr(connection, end)()

    origin = stack.origin(serve, tls=False)
    proxy = stack.penstock(stack.to(origin))
    for _ in range(40):
        with proxy.client() as client:
            client.send(POST.format(path="/", length=2 << 20))
            try:
                client.send(bytes(2 << 20))
            except (ConnectionResetError, BrokenPipeError):
                pass
            response = client.response()
            assert (response.status, response.body) == (400, b"you may not")
    assert origin.accepted == 40
    assert {line["status_source"] for line in proxy.wait_for_log(count=40)} == {"upstream"}


def test_an_endless_body_ends_with_the_deadline(stack):
    """Go: TestIssue4191_InfiniteGetTimeout."""
    def serve(connection):
        connection.read_request()
        connection.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while not connection.origin.stopping.is_set():
            connection.send(b"1000\r\n" + bytes(4096) + b"\r\n")
            connection.pause(0.001)  # endless, not large: the client keeps what it reads

    proxy = stack.penstock(stack.to(stack.origin(serve, tls=False), timeouts={"total": "2s"}))
    with proxy.client() as client:
        begun = time.monotonic()
        client.request("http://api.test/")
        with pytest.raises(Truncated) as cut:
            client.response()
        assert cut.value.reset
        assert_elapsed(time.monotonic() - begun, 2)
    line = proxy.wait_for_log()
    assert (line["error"], line["error_limit"]) == ("http_response_timeout", "timeouts.total")
    wait_until(lambda: sum(proxy.pools()[0]["connections"].values()) == 0, "the connection is closed")


def test_an_endless_upload_ends_with_the_deadline(stack):
    """Go: TestIssue4191_InfiniteGetToPutTimeout."""
    def serve(connection):
        connection.read_head()
        connection.wait_closed()

    proxy = stack.penstock(stack.to(stack.origin(serve, tls=False), timeouts={"total": "600ms"}))
    with proxy.client() as client:
        begun = time.monotonic()
        client.send(b"PUT http://api.test/ HTTP/1.1\r\nHost: api.test\r\nTransfer-Encoding: chunked\r\n\r\n")
        with pytest.raises((ConnectionResetError, BrokenPipeError)):
            while time.monotonic() - begun < 10 * TIME_FACTOR:
                client.send(b"1000\r\n" + bytes(4096) + b"\r\n")
        assert_elapsed(time.monotonic() - begun, 0.6, extra=5)  # what still comes is discarded for two seconds
    line = proxy.wait_for_log()
    assert (line["status"], line["error_limit"]) == (504, "timeouts.total")
    wait_until(lambda: sum(proxy.pools()[0]["connections"].values()) == 0, "the connection is closed")


def test_each_chunk_of_an_upload_is_sent_as_it_comes_and_the_head_before_any(stack):
    """Go: TestTransportFlushesBodyChunks, TestTransportFlushesRequestHeader."""
    came = [threading.Event() for _ in range(5)]

    def serve(connection):
        connection.read_head()
        came[0].set()
        for event in came[1:]:
            assert connection.reader.line() == b"7"
            assert connection.reader.exactly(9).startswith(b"chunk ")
            event.set()
        assert connection.reader.line() == b"0"
        connection.reply(b"done")

    origin = stack.origin(serve)
    proxy = stack.penstock(stack.to(origin))
    with proxy.client() as client:
        client.send(b"POST http://api.test/ HTTP/1.1\r\nHost: api.test\r\nTransfer-Encoding: chunked\r\n\r\n")
        assert came[0].wait(10), "the head waits for the body"
        for number, event in enumerate(came[1:], 1):
            client.send(b"7\r\nchunk %d\r\n" % number)
            assert event.wait(10), f"chunk {number} waits for the next"
        client.send(b"0\r\n\r\n")
        assert client.response().body == b"done"


@pytest.mark.parametrize("size", [0, 1, 4095, 4096, 70_000, 1 << 20])
@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_an_upload_keeps_its_framing_and_its_bytes(stack, framing, size):
    """Go: TestTransportRequestWriteRoundTrip."""
    body = bytes(range(256)) * (size // 256) + bytes(size % 256)
    origin = stack.origin(answering(echo), tls=False)
    proxy = stack.penstock(stack.to(origin))
    with proxy.client() as client:
        if framing == "length":
            client.request("http://api.test/", "PUT", body=body)
        else:
            chunk = b"%x\r\n%s\r\n" % (size, body) if size else b""
            client.send(b"PUT http://api.test/ HTTP/1.1\r\nHost: api.test\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk
                        + b"0\r\n\r\n")
        assert client.response().body == body
    request, = origin.requests
    assert request.chunked == (framing == "chunked")
    assert request.content_length == (size if framing == "length" else None)


def test_a_100_is_never_taken_for_the_answer(stack):
    """Go: TestTransportReading100Continue. Each answer on the one connection has a 100 before it, in the same write or
    in one of its own."""
    def answer(connection, request):
        number = request.get("request-id")
        apart = int(number) % 2
        final = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nEcho: %s\r\n\r\n%s" % (
            len(request.body), number.encode(), request.body)
        connection.send(b"HTTP/1.1 100 Continue\r\n\r\n" + (b"" if apart else final))
        if apart:
            connection.pause(0.002)
            connection.send(final)

    origin = stack.origin(answering(answer))
    proxy = stack.penstock(stack.to(origin))
    with proxy.client() as client:
        for number in range(50):
            response = client.fetch("http://api.test/", "POST", fields={"Request-Id": number}, body=b"body %d" % number)
            assert (response.status, response.get("echo"), response.body) == (200, str(number), b"body %d" % number)
    assert origin.accepted == 1


@pytest.mark.parametrize("end", ["finish", "close", "reset"])
def test_a_tls_server_that_closes_behind_its_answer(stack, end):
    """Go: TestTLSServerClosesConnection. A body with a length is whole however the connection ends behind it, also
    without a close_notify."""
    def serve(connection):
        connection.read_request()
        connection.reply_chunks([b"foo"] if connection.number % 2 else [b"f", b"o", b"o"])
        getattr(connection, end)()

    origin = stack.origin(serve)
    # Each may meet the end of the connection before, and has another try then.
    proxy = stack.penstock(stack.to(origin, retry={"budget": {"min_per_second": 100}}))
    bodies = [proxy.fetch("http://api.test/").body for _ in range(20)]
    assert bodies == [b"foo"] * 20
    assert origin.accepted == 20


FAILURES = {
    "refused dial": (b"POST http://refused.test/ HTTP/1.1\r\nHost: refused.test\r\nContent-Length: 300000\r\n\r\n", 502),
    "unknown host": (b"POST http://unknown.test/ HTTP/1.1\r\nHost: unknown.test\r\nContent-Length: 300000\r\n\r\n", 403),
    "invalid request": (b"POST http://api.test/ HTTP/1.1\r\nHost: api.test\r\nContent-Length: -1\r\n\r\n", 400),
    "closed by the server": (POST.format(path="/", length=300_000).encode(), 502),
}


@pytest.mark.parametrize("head, status", FAILURES.values(), ids=FAILURES)
def test_the_upload_of_a_failed_request_is_let_go(stack, head, status):
    """Go: TestTransportClosesRequestBody, TestTransportClosesBodyOnError, TestTransportClosesBodyOnInvalidRequests. The
    client reads why, though it goes on sending, and nothing is kept of either side."""
    def serve(connection):
        connection.read_head()
        connection.close()

    origin = stack.origin(serve, tls=False)
    proxy = stack.penstock(stack.to(origin), stack.to(1, "refused.test", scheme="http"))
    with proxy.client() as client:
        client.send(head)
        sent_all = False
        try:
            for _ in range(30):
                client.send(bytes(10_000))
            sent_all = True
        except (ConnectionResetError, BrokenPipeError):
            pass  # it waits for two seconds; where we stood still for longer, it has closed
        assert client.response().status == status
        if sent_all:
            client.finish_sending()
        assert client.ending() == "closed"
    wait_until(lambda: proxy.metrics("penstock_client_connections") == 0, "the client's side is let go")
    for upstream in ("api", "refused"):
        assert all(sum(host["connections"].values()) == 0 for host in proxy.pools(upstream))


def test_an_early_close_of_the_client_stops_what_the_server_writes(stack):
    """Go: TestTransportCloseResponseBody. There the connection is closed at once; here a response that could still end
    within `drain` is read on, so that the bytes are bounded by drain.size."""
    written, stopped = [], threading.Event()

    def serve(connection):
        connection.read_request()
        connection.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        try:
            while not connection.origin.stopping.is_set():
                connection.send(b"1000\r\n" + bytes(4096) + b"\r\n")
                written.append(4096)
        except OSError:
            stopped.set()

    proxy = stack.penstock(stack.to(stack.origin(serve, tls=False)))
    with proxy.client(receive_buffer=65536) as client:
        client.request("http://api.test/")
        client.head()
        client.reader.exactly(5000)
    assert stopped.wait(10), "the server writes on"
    assert sum(written) < 32 << 20
    wait_until(lambda: sum(proxy.pools()[0]["connections"].values()) == 0, "the connection is closed")
