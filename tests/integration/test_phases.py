"""Limits of the exchange alone, of a body's rate, of routes and by the app's own field, on real sockets.

Every case runs twice, as in test_timeouts.py: ended by a limit before a delay that does not end, unharmed by one of
0.6 s under 20 times that limit. Meanwhile 100 other requests run on other connections of the same pool, whose counters
must show the one that ended and nothing else. A route gives those an ample limit.
"""

import threading
import time
from contextlib import contextmanager

import pytest

from support.load import load
from support.penstock import assert_elapsed, assert_failed, proxy_status
from support.scripted_origin import answering
from support.waiting import pause, wait_until

LIMIT, DELAY, NEVER = 0.3, 0.6, 60
AMPLE = 2.5
MS, AMPLE_MS = (f"{round(seconds * 1000)}ms" for seconds in (LIMIT, AMPLE))
MIB = 1 << 20
both = pytest.mark.parametrize("limit, succeeds", [(LIMIT, False), (20 * LIMIT, True)], ids=["limit", "control"])
after_the_head = pytest.mark.parametrize("limit, succeeds", [(AMPLE, False), (20 * LIMIT, True)], ids=["limit", "control"])


def ms(seconds):
    return f"{round(seconds * 1000)}ms"


def beside_others(answer, moment=0.05):
    """An origin's answers: /other after a moment, so that it takes the 100 longer than what they are beside; the
    rest by `answer`."""

    def choose(connection, request):
        if request.target == "/other":
            connection.pause(moment)
            connection.reply()
        else:
            answer(connection, request)

    return answering(choose)


def late(seconds):
    def answer(connection, request):
        connection.pause(seconds)
        connection.reply(b"late")

    return answer


def late_half(seconds):
    def answer(connection, request):
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nhalf")
        connection.pause(seconds)
        connection.send(b"half")

    return answer


def delay(succeeds):
    return DELAY if succeeds else NEVER


def with_others(**timeouts):
    """What an upstream has: limits for one, ample ones for the others."""
    return {"timeouts": timeouts, "routes": [{"path_prefix": "/other", "timeouts": dict.fromkeys(timeouts, "off")}]}


@contextmanager
def hundred_others(proxy, ended, reason="timeout"):
    """Runs the body of the with while 100 requests on ten other connections do; then nobody but the one that
    the body is about has noticed: `ended` says whether it was ended, `reason` why its connection was closed."""
    outcome = []
    thread = threading.Thread(target=lambda: outcome.append(load(proxy.port, "http://api.test/other", 100, 10)))
    thread.start()
    try:
        wait_until(lambda: any(host["opened"] for host in proxy.pools()), "the others run")  # they may be over when we look
        yield
    finally:
        thread.join()
    assert outcome[0].statuses == {200: 100} and not outcome[0].errors
    expected = {"closed": {reason: 1} if ended else {}, "busy": 0, "dialing": 0, "draining": 0, "waiting": 0}
    wait_until(lambda: counters(proxy) == expected, f"the pool's counters are {expected}: {counters(proxy)}")
    host = proxy.pools()[0]
    assert host["opened"] - ended == host["connections"]["idle"] <= 11, host
    proxy.wait_for_workers()  # the last ones are counted after their responses
    assert proxy.metrics("penstock_errors_total") == ended
    assert proxy.metrics("penstock_requests_total", code_class="2xx", source="upstream") >= 100


def counters(proxy):
    host = proxy.pools()[0]
    return {"closed": {reason: count for reason, count in host["closed"].items() if count}, "waiting": host["waiting"],
            **{state: host["connections"][state] for state in ("busy", "dialing", "draining")}}


def assert_ended_by(proxy, response, limit, phase, key, text=None):
    """An answer of the proxy's own, in time, and the log that says the same."""
    assert_failed(response, 504, "http_response_timeout", phase, key)
    assert f"limit={key} {text or ms(limit)} " in proxy_status(response)["details"]
    assert_elapsed(response.seconds, limit)
    assert_logged(proxy, 504, "http_response_timeout", phase, key)


def assert_logged(proxy, status, error, phase, key):
    line = proxy.wait_for_log(lambda line: "error" in line)
    assert (line["status"], line["error"], line["error_phase"], line["error_limit"]) == (status, error, phase, key)
    return line


def assert_cut(proxy, limit, error, key):
    """Asks for /slow, whose body the limit cuts; returns what came of it."""
    begun = time.monotonic()
    with proxy.client() as client:
        client.request("http://api.test/slow")
        head, cut = client.cut_response()
        assert_elapsed(time.monotonic() - begun, limit)
    assert head.status == 200 and cut.reset
    assert_logged(proxy, 200, error, "receive", key)
    return head.body


# timeouts.exchange


@both
def test_exchange_before_the_head(stack, limit, succeeds):
    proxy = stack.penstock(stack.to(stack.origin(beside_others(late(delay(succeeds)))), **with_others(exchange=ms(limit))))
    with hundred_others(proxy, not succeeds):
        response = proxy.fetch("http://api.test/slow")
        if succeeds:
            assert (response.status, response.body) == (200, b"late")
        else:
            assert_ended_by(proxy, response, limit, "await_head", "timeouts.exchange")


@after_the_head
def test_exchange_after_the_head(stack, limit, succeeds):
    origin = stack.origin(beside_others(late_half(delay(succeeds)), 0.05 if succeeds else AMPLE / 9))
    proxy = stack.penstock(stack.to(origin, **with_others(exchange=ms(limit))))
    with hundred_others(proxy, not succeeds):
        if succeeds:
            assert proxy.fetch("http://api.test/slow").body == b"halfhalf"
        else:
            assert assert_cut(proxy, limit, "http_response_timeout", "timeouts.exchange") == b"half"


def test_exchange_is_the_same_time_on_a_new_connection(stack):
    """The handshake takes longer than the whole exchange may: it is no part of it."""
    origin = stack.origin(before_handshake=lambda origin, number: origin.stopping.wait(AMPLE + DELAY))
    proxy = stack.penstock(stack.to(origin, timeouts={"exchange": AMPLE_MS}))
    response = proxy.fetch("http://api.test/")
    assert response.status == 200 and response.seconds > AMPLE
    assert proxy.wait_for_log()["exchange_ms"] < AMPLE * 1000


def test_a_slow_upload_counts_for_the_exchange(stack):
    proxy = stack.penstock(stack.to(stack.origin(), timeouts={"exchange": MS}))
    begun = time.monotonic()
    with proxy.client() as client:
        client.send(b"POST http://api.test/ HTTP/1.1\r\nHost: api.test\r\nContent-Length: 8\r\n\r\nhalf")
        response = client.response()
        response.seconds = time.monotonic() - begun
    assert_ended_by(proxy, response, LIMIT, "send", "timeouts.exchange")


# timeouts.min_rate


def rated(stack, answer, window=MS):
    origin = stack.origin(beside_others(answer))
    return stack.penstock(stack.to(origin, timeouts={"min_rate": {"size": "1KiB", "window": window}}))


def body_of(pieces, seconds, kind="text/plain"):
    """Answers with these pieces, so long after one another, the first in one write with its head."""
    head = f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {sum(map(len, pieces))}\r\n\r\n".encode()

    def answer(connection, request):
        connection.send(head + pieces[0])
        for piece in pieces[1:]:
            connection.pause(seconds)
            connection.send(piece)

    return answer


@both
def test_min_rate(stack, limit, succeeds):
    size, every = (50, DELAY / 12) if succeeds else (1, 0.1)
    proxy = rated(stack, body_of([b"x" * size] * (600 // size), every), ms(limit))
    with hundred_others(proxy, not succeeds):
        if succeeds:
            assert proxy.fetch("http://api.test/slow").body == b"x" * 600
        else:
            assert 0 < len(assert_cut(proxy, limit, "connection_read_timeout", "timeouts.min_rate")) < 600


@pytest.mark.parametrize("pieces, kind, window", [
    ([bytes(1024)] * 12, "text/plain", AMPLE), ([b"x"] * 12, "text/event-stream", LIMIT),
    ([b"x"] * 12, "application/grpc+proto", LIMIT)], ids=["enough", "events", "grpc"])
def test_min_rate_lets_be(stack, pieces, kind, window):
    """What is fast enough in each window, and what is silent by design."""
    proxy = rated(stack, body_of(pieces, window / 8, kind), ms(window))
    assert proxy.fetch("http://api.test/slow").body == b"".join(pieces)


def test_a_client_that_reads_slowly_is_no_slow_origin(stack):
    proxy = rated(stack, lambda connection, request: connection.reply(bytes(32 * MIB)), AMPLE_MS)
    with proxy.client(receive_buffer=65536) as client:
        client.request("http://api.test/slow")
        head = client.head()
        pause(AMPLE + DELAY)
        client.reader.response_body(head, "GET")
    assert len(head.body) == 32 * MIB


# routes


def routed(stack, slow, *routes, **timeouts):
    """`slow`: the seconds that each answer takes."""
    return stack.penstock(stack.to(stack.origin(beside_others(late(slow))), timeouts=timeouts, routes=list(routes)))


@both
def test_a_route_s_own_response_header(stack, limit, succeeds):
    route = {"path_prefix": "/slow", "timeouts": {"response_header": ms(limit)}}
    proxy = routed(stack, delay(succeeds), route, response_header="10s")
    with hundred_others(proxy, not succeeds):
        response = proxy.fetch("http://api.test/slow/report?a=b")
        if succeeds:
            assert response.body == b"late"
        else:
            assert_ended_by(proxy, response, limit, "await_head", "timeouts.response_header")


def test_what_no_route_takes_has_the_upstream_s_limits(stack):
    route = {"methods": ["POST"], "path_prefix": "/slow", "timeouts": {"response_header": MS}}
    proxy = routed(stack, AMPLE, route, response_header="10s")
    assert proxy.fetch("http://api.test/slow").body == b"late"
    assert proxy.fetch("http://api.test/elsewhere", "POST", body=b"x").body == b"late"
    assert_failed(proxy.fetch("http://api.test/slow", "POST", body=b"x"), 504, "http_response_timeout", "await_head",
                  "timeouts.response_header")


def test_a_route_may_take_longer_than_its_upstream(stack):
    route = {"path_prefix": "/reports", "timeouts": {"response_header": "10s", "total": "off"}}
    proxy = routed(stack, AMPLE, route, response_header=MS, total=MS)
    assert proxy.fetch("http://api.test/reports/1").body == b"late"
    assert proxy.fetch("http://api.test/slow").status == 504


# client.deadline_header


def deadline(stack, name, slow=DELAY):
    origin = stack.origin(beside_others(late(slow)))
    proxy = stack.penstock(stack.to(origin), client={} if name is None else {"deadline_header": name})
    return origin, proxy


@both
@pytest.mark.parametrize("name, field", [(None, "X-Penstock-Timeout"), ("X-Deadline", "x-deadline")],
                         ids=["default", "renamed"])
def test_the_app_s_own_deadline(stack, limit, succeeds, name, field):
    origin, proxy = deadline(stack, name, delay(succeeds))
    with hundred_others(proxy, not succeeds):
        response = proxy.fetch("http://api.test/slow", fields={field: ms(limit)})
        if succeeds:
            assert response.body == b"late"
        else:
            assert_ended_by(proxy, response, limit, "await_head", "client.deadline_header")
    slow = [request for request in origin.requests if request.target == "/slow"]
    assert len(slow) == 1 and slow[0].get(field) is None, "what the app tells the proxy stays with it"


@pytest.mark.parametrize("name", ["off", "X-Deadline"], ids=["off", "renamed"])
def test_a_field_that_is_no_deadline_here_is_the_origin_s(stack, name):
    origin, proxy = deadline(stack, name)
    response = proxy.fetch("http://api.test/slow", fields={"X-Penstock-Timeout": MS})
    assert (response.status, response.body) == (200, b"late")
    assert origin.requests[0].get("X-Penstock-Timeout") == MS
    assert proxy.fetch("http://api.test/slow", fields={"X-Penstock-Timeout": "soon"}).status == 200
