"""What Go's Transport promises of requests that are given up, asked of ours: each phase frees its place, nobody else notices.

Go cancels by a context; here the client closes its connection, or its deadline ends. Each test names the test of Go that
it mirrors, and says where we differ on purpose.
"""

import threading

import pytest

from support.penstock import assert_failed, proxy_status
from support.scripted_origin import answering
from support.waiting import pause, wait_until

GET = b"GET http://api.test/gone HTTP/1.1\r\nHost: api.test\r\n\r\n"
UPLOAD = b"POST http://api.test/gone HTTP/1.1\r\nHost: api.test\r\nContent-Length: 100000\r\n\r\nsome"


class Origin:
    """Holds the handshake, the answer or the rest of the answer of /gone until it is let go."""

    def __init__(self, stack, phase):
        self.held = threading.Event()
        self.let_go = threading.Event()
        self.phase = phase
        self.scripted = stack.origin(self.serve, before_handshake=self.before)

    def before(self, origin, number):
        if self.phase == "dial" and number == 1:
            self.hold()

    def hold(self):
        self.held.set()
        self.let_go.wait(20)

    def serve(self, connection):
        while head := connection.read_head():
            if head.target == "/gone" and self.phase == "upload":
                connection.reader.exactly(4)
                self.held.set()
            connection.reader.request_body(head)
            if head.target == "/gone" and self.phase == "await_head":
                self.hold()
            if head.target == "/gone" and self.phase == "receive":
                connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nhalf")
                self.hold()
                connection.send(b"over")
            else:
                connection.reply(head.target.encode())


# The phase in which the request is given up, what the client has sent, and whether its connection serves again.
PHASES = {"dial": (GET, {"connect", "tls_handshake"}, True), "upload": (UPLOAD, {"send"}, False),
          "await_head": (GET, {"await_head"}, True), "receive": (GET, {"receive"}, True)}


@pytest.mark.parametrize("phase", PHASES)
def test_a_client_that_leaves_frees_its_place_in_whatever_phase(stack, phase):
    """Go: TestTransportCancelRequest, TestTransportCancelRequestInDo, TestTransportCancelRequestWithBodyInDo,
    TestTransportCancelRequestInDial, TestCancelRequestWithChannel, TestTransportCancelBeforeResponseHeaders.

    There the connection is always closed. Here the dial goes on for the next request, and a response to a whole request
    is drained, so that only the connection of a half upload is lost.
    """
    data, named, serves_again = PHASES[phase]
    origin = Origin(stack, phase)
    proxy = stack.penstock(stack.to(origin.scripted, pool={"max_connections": 1}, drain={"time": "20s"},
                                    timeouts={"queue": "20s", "tls_handshake": "20s"}))
    with proxy.client() as client:
        client.send(data)
        assert origin.held.wait(10), "it does not come to this phase"
        if phase == "receive":
            assert client.head().status == 200
    line = proxy.wait_for_log(lambda line: line["path"] == "/gone")
    assert line["error"] == "client_aborted" and line["error_phase"] in named
    origin.let_go.set()
    with proxy.client() as client:
        for i in range(3):
            assert client.fetch(f"http://api.test/{i}").body == f"/{i}".encode()
    assert origin.scripted.accepted == (1 if serves_again else 2)
    connections = proxy.pools()[0]["connections"]
    assert connections["idle"] == 1 == sum(connections.values()) and proxy.waiting() == 0


@pytest.mark.parametrize("phase", ["dial", "await_head"])
def test_a_deadline_ends_the_request_in_whatever_phase(stack, phase):
    """Go: TestCancelRequestWithChannelBeforeDo_Context. The caller's own clock ends it, and the caller is told where it was."""
    origin = Origin(stack, phase)
    proxy = stack.penstock(stack.to(origin.scripted, timeouts={"tls_handshake": "20s"}, drain={"time": "20s"}))
    response = proxy.fetch("http://api.test/gone", fields={"X-Penstock-Timeout": "2s"})
    assert_failed(response, 504, "http_response_timeout", limit="client.deadline_header")
    assert proxy_status(response)["phase"] in PHASES[phase][1]
    origin.let_go.set()
    wait_until(lambda: proxy.pools()[0]["connections"]["idle"] == 1, "the connection is there for the next")
    assert proxy.fetch("http://api.test/next").body == b"/next"
    assert origin.scripted.accepted == 1


def stalling_in(part):
    def answer(connection, request):
        if request.target == "/stalls":
            connection.send(part)
            connection.stall()
        connection.reply(request.target.encode())

    return answering(answer)


@pytest.mark.parametrize("part, limit", [
    pytest.param(b"", "response_header", id="before the head"),
    pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nhalf", "body_stall", id="after it")])
def test_a_connection_whose_response_timed_out_is_never_pooled(stack, part, limit):
    """Go: TestClientTimeoutKillsConn_BeforeHeaders, TestClientTimeoutKillsConn_AfterHeaders. So it is here where the
    upstream is late by its own limit; where `timeouts.total` or the app's deadline ended, the response may be drained."""
    origin = stack.origin(stalling_in(part))
    proxy = stack.penstock(stack.to(origin, routes=[{"path_prefix": "/stalls", "timeouts": {limit: "300ms"}}]))
    with proxy.client() as client:
        client.request("http://api.test/stalls")
        if part:
            assert client.cut_response()[1].reset
        else:
            assert client.response().status == 504
    wait_until(lambda: proxy.pools()[0]["closed"] == {"timeout": 1}, "it is closed")
    assert proxy.fetch("http://api.test/next").body == b"/next"
    assert origin.accepted == 2 and [request.target for request in origin.connections[0].requests] == ["/stalls"]


def test_a_deadline_that_is_over_in_the_queue_sends_nothing(stack):
    """Go: TestTransportCheckContextDoneEarly. A deadline of nothing is malformed (400, test_deadlines.py); one that ends
    while the request waits for a place opens no connection and sends no byte."""
    gate = threading.Event()

    def answer(connection, request):
        gate.wait(20)
        connection.reply()

    origin = stack.origin(answering(answer))
    proxy = stack.penstock(stack.to(origin, pool={"max_connections": 1}))
    with proxy.client() as holder:
        holder.request("http://api.test/holder")
        wait_until(lambda: origin.requests, "the only place is taken")
        response = proxy.fetch("http://api.test/late", fields={"X-Penstock-Timeout": "10ms"})
        assert response.status in (503, 504) and "client.deadline_header" in response.text
        gate.set()
        assert holder.response().status == 200
    assert proxy.fetch("http://api.test/next").status == 200
    assert origin.accepted == 1 and [request.target for request in origin.requests] == ["/holder", "/next"]


def test_a_cancelled_request_does_not_cancel_the_next_on_its_connection(stack):
    """Go: TestCancelRequestWhenSharingConnection, step by step: the first request is given up while the second waits for
    its connection, and the second is served by that very connection."""
    gate = threading.Event()

    def answer(connection, request):
        if request.target == "/first":
            gate.wait(20)
        connection.reply(request.target.encode())

    origin = stack.origin(answering(answer))
    proxy = stack.penstock(stack.to(origin, pool={"max_connections": 1}, drain={"time": "20s"}))
    first, second = proxy.client(), proxy.client()
    first.request("http://api.test/first")
    wait_until(lambda: origin.requests, "the first is under way")
    second.request("http://api.test/second")
    wait_until(lambda: proxy.waiting() == 1, "the second waits")
    first.close()
    wait_until(lambda: proxy.pools()[0]["connections"]["draining"] == 1, "the first is given up")
    gate.set()
    assert second.response().body == b"/second"
    assert second.fetch("http://api.test/third").body == b"/third"
    assert origin.accepted == 1
    second.close()


def test_a_slow_upload_whose_answer_came_costs_the_next_user_nothing(stack):
    """Go: TestTransportNoReuseAfterEarlyResponse, TestErrorWriteLoopRace, step by step: the answer came before the upload
    had ended, and the next request is not sent behind half a body."""
    def serve(connection):
        while head := connection.read_head():
            if head.method == "GET":
                connection.reply(b"fine")
                continue
            connection.reply(b"early")
            connection.wait_closed()

    origin = stack.origin(serve)
    proxy = stack.penstock(stack.to(origin, pool={"max_connections": 1}))
    for turn in range(5):
        with proxy.client() as client:
            client.send(b"POST http://api.test/ HTTP/1.1\r\nHost: api.test\r\nContent-Length: 100000\r\n\r\nsome")
            assert client.response().body == b"early"
            pause(0.01)
        assert proxy.fetch("http://api.test/").body == b"fine"
    assert all(len(connection.requests) <= 2 for connection in origin.connections) and not origin.faults
