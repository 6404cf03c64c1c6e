"""client.half_close: an app that shuts its writing side after its request still gets its response, at no cost
while it waits; a request that was cut short is cancelled as ever."""

import threading
from pathlib import Path

import pytest

from support.scripted_origin import answering, echo
from support.waiting import TIME_FACTOR, pause, wait_until

GET = b"GET http://api.test/%d HTTP/1.1\r\nHost: api.test\r\n\r\n"


def slow_echo(connection, request):
    pause(0.3)
    connection.reply(request.body or request.target.encode())


def half_closed(proxy, data):
    client = proxy.client()
    client.send(data)
    client.finish_sending()
    return client


def cpu_ticks(proxy):
    fields = Path(f"/proc/{proxy.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
    return int(fields[11]) + int(fields[12])


def test_by_default_an_app_that_shuts_its_writing_side_has_left(stack):
    proxy = stack.penstock(stack.to(stack.origin(answering(lambda connection, request: connection.stall()))))
    with half_closed(proxy, GET % 1) as client:
        assert client.ending() in ("closed", "reset")
    assert proxy.wait_for_log()["status"] == 499


def test_with_half_close_it_gets_its_response(stack):
    proxy = stack.penstock(stack.to(stack.origin(answering(slow_echo))), client={"half_close": True})
    before = cpu_ticks(proxy)
    with half_closed(proxy, GET % 1) as client:
        response = client.response()
        assert (response.status, response.body) == (200, b"/1")
        assert client.ending() == "closed"
    assert cpu_ticks(proxy) - before <= 10 * TIME_FACTOR, "it waits without spinning (a tick is 10 ms)"
    line = proxy.wait_for_log()
    assert line["status"] == 200 and "error" not in line


@pytest.mark.parametrize("framing, body", [("Content-Length: 11", b"hello world"),
                                           ("Transfer-Encoding: chunked", b"6\r\nhello \r\n5\r\nworld\r\n0\r\n\r\n")])
def test_a_body_is_sent_whole_before_the_response(stack, framing, body):
    proxy = stack.penstock(stack.to(stack.origin(answering(slow_echo))), client={"half_close": True})
    head = f"POST http://api.test/ HTTP/1.1\r\nHost: api.test\r\n{framing}\r\n\r\n".encode()
    with half_closed(proxy, head + body) as client:
        assert client.response().body == b"hello world"
        assert client.ending() == "closed"


def test_requests_that_were_sent_ahead_are_served_too(stack):
    proxy = stack.penstock(stack.to(stack.origin(answering(slow_echo))), client={"half_close": True})
    with half_closed(proxy, b"".join(GET % i for i in range(3))) as client:
        assert [client.response().body for _ in range(3)] == [b"/0", b"/1", b"/2"]
        assert client.ending() == "closed"


@pytest.mark.parametrize("data", [b"GET http://api.test/ HTTP/1.1\r\nHost:",
                                  b"POST http://api.test/ HTTP/1.1\r\nHost: api.test\r\nContent-Length: 9\r\n\r\nhalf",
                                  b"POST http://api.test/ HTTP/1.1\r\nHost: api.test\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf"])
def test_a_request_that_is_cut_short_is_never_completed(stack, data):
    origin = stack.origin(answering(echo))
    proxy = stack.penstock(stack.to(origin), client={"half_close": True})
    with half_closed(proxy, data) as client:
        assert client.ending() in ("closed", "reset")
    line = proxy.wait_for_log()
    assert (line["status"], line["error"]) == (499, "client_aborted")
    assert not [request for request in origin.requests if request.body]


def test_a_request_without_all_of_its_body_leaves_the_queue(stack):
    """Nothing of it is sent: the client has gone before a connection was free."""
    gate = threading.Event()
    origin = stack.origin(answering(lambda connection, request: (gate.wait(20), connection.reply())))
    proxy = stack.penstock(stack.to(origin, pool={"max_connections": 1}), client={"half_close": True})
    with proxy.client() as busy:
        busy.request("http://api.test/busy")
        wait_until(lambda: origin.requests, "the connection is taken")
        cut = half_closed(proxy, b"POST http://api.test/cut HTTP/1.1\r\nHost: api.test\r\nContent-Length: 9\r\n\r\nhalf")
        assert cut.ending() in ("closed", "reset")
        cut.close()
        assert proxy.waiting() == 0
        gate.set()
        assert busy.response().status == 200
    assert [request.target for request in origin.requests] == ["/busy"]
