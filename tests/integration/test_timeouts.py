"""Each time limit ends what it should, when it should, and says which one it was.

Every test runs twice: under a limit of 0.3 s with a delay that nothing else ends, asserting status, token, phase, key
and elapsed time; and under 20 times that limit, where a delay of 0.6 s must do no harm. So it does not matter for how long
which process stands still on a busy machine. Where something has to come in time under a limit that ends something else,
that is AMPLE.
"""

import select
import threading
import time

import pytest

from support import dns_server
from support.kernel_sockets import is_dialled
from support.penstock import assert_elapsed, assert_failed
from support.scripted_origin import answering
from support.waiting import TIME_FACTOR, pause, wait_until

LIMIT, DELAY, NEVER = 0.3, 0.6, 60
AMPLE = 2.5
MIB = 1 << 20
both = pytest.mark.parametrize("limit, succeeds", [(LIMIT, False), (20 * LIMIT, True)], ids=["limit", "control"])
both_ample = pytest.mark.parametrize("limit, succeeds", [(AMPLE, False), (20 * LIMIT, True)], ids=["limit", "control"])


def ms(seconds):
    return f"{round(seconds * 1000)}ms"


def told(seconds):
    return ms(seconds) if seconds < 1 else f"{seconds:g}s"


def delay(succeeds):
    return DELAY if succeeds else NEVER


def assert_logged(proxy, error, phase, key, **more):
    line = proxy.wait_for_log(lambda line: "error" in line)
    assert (line["error"], line["error_limit"]) == (error, key), line
    assert line.get("error_phase") == phase, line
    for name, value in more.items():
        assert line[name] == value, line
    return line


def assert_ended_by(proxy, response, limit, status, error, phase, key):
    """A whole answer of the proxy's own, in time, and the log that says the same."""
    assert_failed(response, status, error, phase, key)
    assert f"limit={key} {told(limit)} " in " ".join(response.all("proxy-status"))
    assert_elapsed(response.seconds, limit)
    assert_logged(proxy, error, phase, key, status=status, status_source="proxy")
    assert proxy.metrics("penstock_errors_total", token=error, phase=phase) == 1


# The client's side


# ATS: accept_timeout. There a client that says nothing has a limit of its own; here that is client.idle_timeout.
@both
def test_client_header_timeout(stack, limit, succeeds):
    proxy = stack.penstock(stack.to(stack.origin()), client={"header_timeout": ms(limit)})
    begun = time.monotonic()
    with proxy.client() as client:
        client.send(b"GET http://api.test/ HTTP/1.1\r\nHost: api.t")
        if succeeds:
            pause(DELAY)
            client.send(b"est\r\n\r\n")
        response = client.response()
        elapsed = time.monotonic() - begun
        if succeeds:
            assert response.status == 200
        else:
            assert_failed(response, 408, "http_request_error", limit="client.header_timeout")
            assert_elapsed(elapsed, limit)
            assert client.ending() == "closed"


def test_a_trickle_does_not_put_off_the_header_timeout(stack):
    proxy = stack.penstock(stack.to(stack.origin()), client={"header_timeout": ms(LIMIT)})
    begun = time.monotonic()
    with proxy.client() as client:
        client.send(b"GET http://api.test/ HTTP/1.1\r\nHost: api.test\r\nX: ")
        client.sock.settimeout(0.05)
        response = None
        while response is None and time.monotonic() - begun < 5 * TIME_FACTOR:
            client.send(b"x")
            try:
                response = client.response()
            except TimeoutError:
                continue
        assert_failed(response, 408, "http_request_error", limit="client.header_timeout")
        assert_elapsed(time.monotonic() - begun, LIMIT)


@both
def test_client_body_stall(stack, limit, succeeds):
    proxy = stack.penstock(stack.to(stack.origin()), client={"body_stall": ms(limit)})
    begun = time.monotonic()  # before the proxy's clock begins, which is when it has read the half
    with proxy.client() as client:
        client.send(b"POST http://api.test/ HTTP/1.1\r\nHost: api.test\r\nContent-Length: 8\r\n\r\nhalf")
        if succeeds:
            pause(DELAY)
            client.send(b"half")
        response = client.response()
        response.seconds = time.monotonic() - begun
    if succeeds:
        assert response.status == 200
    else:
        assert_ended_by(proxy, response, limit, 408, "http_request_error", "send", "client.body_stall")


def big_reply(connection, request):
    connection.reply(bytes(64 * MIB))


@both
def test_client_write_stall(stack, limit, succeeds):
    proxy = stack.penstock(stack.to(stack.origin(answering(big_reply))), client={"write_stall": ms(limit)})
    with proxy.client(receive_buffer=65536) as client:
        begun = time.monotonic()
        client.request("http://api.test/")
        client.head()
        if succeeds:
            pause(DELAY)
            client.reader.exactly(60 * MIB)
            return
        line = assert_logged(proxy, "client_write_timeout", "receive", "client.write_stall", status=499)
        assert_elapsed(time.monotonic() - begun, limit)
        assert line["total_ms"] >= limit * 1000
        assert client.ending() == "reset"


# ATS: inactive_client_timeout. The limit also runs before the first request.
@both_ample
def test_client_idle_timeout(stack, limit, succeeds):
    proxy = stack.penstock(stack.to(stack.origin()), client={"idle_timeout": ms(limit)})
    begun = time.monotonic()  # the proxy's clock begins with the answer, which may reach us late
    with proxy.client() as client:
        client.fetch("http://api.test/")
        if succeeds:
            pause(DELAY)
            assert client.fetch("http://api.test/").status == 200
        else:
            assert client.ending() == "closed"
            assert_elapsed(time.monotonic() - begun, limit)


# The way to a connection


@both
def test_queue(stack, limit, succeeds):
    free = threading.Event()

    def answer(connection, request):
        if request.target == "/slow":
            free.wait(delay(succeeds))
        connection.reply()

    origin = stack.origin(answering(answer))
    proxy = stack.penstock(stack.to(origin, pool={"max_connections": 1}, timeouts={"queue": ms(limit)}))
    with proxy.client() as first:
        first.request("http://api.test/slow")
        wait_until(lambda: origin.requests, "the connection is busy")
        response = proxy.fetch("http://api.test/queued")
        free.set()
        assert first.response().status == 200
    if succeeds:
        assert response.status == 200 and origin.accepted == 1
    else:
        assert_ended_by(proxy, response, limit, 503, "connection_limit_reached", "queue", "timeouts.queue")
        assert int(response.get("retry-after")) >= 1
        assert [r.target for r in origin.requests] == ["/slow"], "a request that waited in vain was sent"


def slow_and_completed(last):
    """Says late that the name does not exist, and late again (`last`) where that one is, which the search list adds."""

    def script(name, kind, transport):
        if name == "resolved.test":
            return dns_server.Answer(rcode=dns_server.NXDOMAIN, delay=0.2)
        return dns_server.Answer(("127.0.0.1",), delay=last)

    return script


def by_name(origin, dns, limit):
    """An upstream dialled by a name that only our DNS server knows; each of the two questions may take the whole limit."""
    return {"connect_to": f"resolved.test:{origin.port}", "timeouts": {"resolve": ms(limit)}}, {
        "servers": [dns.address], "attempt_timeout": ms(limit), "attempts": 1}


@both
def test_resolve(stack, limit, succeeds, monkeypatch):
    monkeypatch.setenv("LOCALDOMAIN", "corp.test")
    origin, dns = stack.origin(), stack.dns(slow_and_completed(0.2 if succeeds else NEVER))
    policy, settings = by_name(origin, dns, limit)
    proxy = stack.penstock(stack.to(origin, **policy), dns=settings)
    response = proxy.fetch("http://api.test/")
    if succeeds:
        assert response.status == 200
        assert proxy.wait_for_log()["resolve_ms"] >= 350
    else:
        assert_ended_by(proxy, response, limit, 504, "dns_timeout", "resolve", "timeouts.resolve")


def drain_and_serve(backlog):
    """Frees the queue once a SYN was dropped; the kernel's next one (1 s after it) then gets through."""
    wait_until(lambda: is_dialled(backlog.port), "it is dialled")
    for filler in backlog.fillers:
        filler.close()
    backlog.listener.settimeout(5 * TIME_FACTOR)
    while True:
        sock, _ = backlog.listener.accept()
        if sock.recv(1):
            sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
            return sock


# ATS: conn_timeout
@pytest.mark.parametrize("limit, succeeds", [(0.6, False), (20, True)], ids=["limit", "control"])
def test_connect(stack, limit, succeeds):
    backlog = stack.full_backlog()
    proxy = stack.penstock(stack.to(backlog, timeouts={"connect": ms(limit)}))
    if not succeeds:
        response = proxy.fetch("http://api.test/")
        assert_ended_by(proxy, response, limit, 504, "connection_timeout", "connect", "timeouts.connect")
        return
    with proxy.client() as client:
        client.request("http://api.test/")
        served = drain_and_serve(backlog)
        assert client.response().body == b"ok"
        served.close()
    assert proxy.wait_for_log()["connect_ms"] >= 900


# Go: TestTransportTLSHandshakeTimeout. ATS: tls_conn_timeout, connect_handshake
@both
def test_tls_handshake(stack, limit, succeeds):
    origin = stack.origin(before_handshake=lambda origin, number: origin.stopping.wait(delay(succeeds)))
    proxy = stack.penstock(stack.to(origin, timeouts={"tls_handshake": ms(limit)}))
    response = proxy.fetch("http://api.test/")
    if succeeds:
        assert response.status == 200
        line = proxy.wait_for_log()  # the origin may have accepted before the proxy saw that it was connected
        assert line["connect_ms"] + line["tls_ms"] >= DELAY * 1000 - 5
    else:
        assert_ended_by(proxy, response, limit, 504, "connection_timeout", "tls_handshake", "timeouts.tls_handshake")
        assert not origin.received


# The exchange


@both
def test_write_stall(stack, limit, succeeds):
    def serve(connection):
        head = connection.read_head()
        if not succeeds:
            connection.stall()
        connection.pause(DELAY)
        for _ in range(head.content_length >> 18):
            connection.reader.exactly(1 << 18)
        connection.reply()
        connection.wait_closed()

    origin = stack.origin(serve, receive_buffer=65536)
    proxy = stack.penstock(stack.to(origin, timeouts={"write_stall": ms(limit)}), client={"body_stall": "20s"})
    with proxy.client() as client:
        client.send(f"POST http://api.test/ HTTP/1.1\r\nHost: api.test\r\nContent-Length: {32 * MIB}\r\n\r\n")
        begun = time.monotonic()
        response = send_until_answered(client, 32 * MIB)
        response.seconds = time.monotonic() - begun
    if succeeds:
        assert response.status == 200
    else:
        assert_ended_by(proxy, response, limit, 504, "connection_write_timeout", "send", "timeouts.write_stall")


def send_until_answered(client, size):
    """Pushes a body and stops when an answer comes instead of room for more."""
    block, sent = bytes(1 << 16), 0
    while sent < size:
        readable, writable, _ = select.select([client.sock], [client.sock], [], 20 * TIME_FACTOR)
        if readable:
            break
        assert writable, "neither room for the body nor an answer"
        client.sock.setblocking(False)
        try:
            sent += client.sock.send(block[: size - sent])
        except BlockingIOError:
            pass
        client.sock.settimeout(20 * TIME_FACTOR)
    return client.response()


# Go: TestTransportResponseHeaderTimeout
@both
def test_response_header(stack, limit, succeeds):
    def answer(connection, request):
        connection.pause(delay(succeeds))
        connection.reply()

    proxy = stack.penstock(stack.to(stack.origin(answering(answer)), timeouts={"response_header": ms(limit)}))
    response = proxy.fetch("http://api.test/")
    if succeeds:
        assert response.status == 200
    else:
        assert_ended_by(proxy, response, limit, 504, "http_response_timeout", "await_head", "timeouts.response_header")


@pytest.mark.parametrize("drop", [b"HTTP/1.1 103 Early Hints\r\n\r\n", b"x"], ids=["1xx", "trickle"])
def test_neither_1xx_nor_a_trickle_put_off_the_response_header_timeout(stack, drop):
    def answer(connection, request):
        connection.send(b"" if b"103" in drop else b"HTTP/1.1 200 OK\r\nX: ")
        while not connection.origin.stopping.is_set():
            connection.send(drop)
            connection.pause(0.03)

    proxy = stack.penstock(stack.to(stack.origin(answering(answer)), timeouts={"response_header": ms(LIMIT)}))
    response = proxy.fetch("http://api.test/")
    assert_ended_by(proxy, response, LIMIT, 504, "http_response_timeout", "await_head", "timeouts.response_header")


def test_a_slow_upload_does_not_count_as_response_header(stack):
    proxy = stack.penstock(stack.to(stack.origin(), timeouts={"response_header": ms(AMPLE)}))
    with proxy.client() as client:
        client.send(b"POST http://api.test/ HTTP/1.1\r\nHost: api.test\r\nContent-Length: 8\r\n\r\nhalf")
        pause(AMPLE + DELAY)
        client.send(b"half")
        assert client.response().status == 200


# ATS: inactive_timeout
@both
def test_body_stall(stack, limit, succeeds):
    def answer(connection, request):
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nhalf")
        connection.pause(delay(succeeds))
        connection.send(b"half")

    proxy = stack.penstock(stack.to(stack.origin(answering(answer)), timeouts={"body_stall": ms(limit)}))
    with proxy.client() as client:
        begun = time.monotonic()
        client.request("http://api.test/")
        if succeeds:
            assert client.response().body == b"halfhalf"
            return
        head, cut = client.cut_response()
        assert_elapsed(time.monotonic() - begun, limit)
    assert head.status == 200 and head.body == b"half" and cut.reset
    assert_logged(proxy, "connection_read_timeout", "receive", "timeouts.body_stall", status=200)


# Go: TestTransportResponseHeaderTimeout, that a slow body is no late header
def test_a_slow_body_that_never_stalls_is_let_be(stack):
    def answer(connection, request):
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\n")
        for _ in range(8):
            connection.pause(AMPLE / 6)
            connection.send(b"x")

    proxy = stack.penstock(stack.to(stack.origin(answering(answer)), timeouts={"body_stall": ms(AMPLE)}))
    response = proxy.fetch("http://api.test/")
    assert response.body == b"x" * 8 and response.seconds > AMPLE


def test_a_client_that_reads_slowly_is_no_stall_of_the_origin(stack):
    proxy = stack.penstock(stack.to(stack.origin(answering(big_reply)), timeouts={"body_stall": ms(AMPLE)}))
    with proxy.client(receive_buffer=65536) as client:
        client.request("http://api.test/")
        head = client.head()
        pause(AMPLE + DELAY)
        client.reader.response_body(head, "GET")
        assert len(head.body) == 64 * MIB


@both_ample
def test_total_before_the_head(stack, limit, succeeds):
    def answer(connection, request):
        connection.pause(delay(succeeds))
        connection.reply()

    proxy = stack.penstock(stack.to(stack.origin(answering(answer)), timeouts={"total": ms(limit)}))
    response = proxy.fetch("http://api.test/")
    if succeeds:
        assert response.status == 200
    else:
        assert_ended_by(proxy, response, limit, 504, "http_response_timeout", "await_head", "timeouts.total")


@both
def test_total_while_waiting_for_another_s_dial(stack, limit, succeeds):
    """The one permitted connection is in its handshake for an earlier request: the later one's time runs too."""
    origin = stack.origin(before_handshake=lambda origin, number: origin.stopping.wait(delay(succeeds)))
    proxy = stack.penstock(stack.to(origin, pool={"max_connections": 1}, timeouts={"total": ms(limit)}))
    with proxy.client() as first:
        first.request("http://api.test/first")
        wait_until(lambda: origin.accepted, "it is dialled")
        response = proxy.fetch("http://api.test/second")
    if succeeds:
        assert response.status == 200
    else:
        assert_failed(response, 504, "http_response_timeout", limit="timeouts.total")
        assert_elapsed(response.seconds, limit)


# ATS: active_timeout
@both_ample
def test_total_after_the_head(stack, limit, succeeds):
    """Its bytes do not put it off."""
    size, every = (50, DELAY / 12) if succeeds else (1, 0.1)

    def answer(connection, request):
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 600\r\n\r\n" + b"x" * size)
        for _ in range(600 // size - 1):
            connection.pause(every)
            connection.send(b"x" * size)

    proxy = stack.penstock(stack.to(stack.origin(answering(answer)), timeouts={"total": ms(limit)}))
    with proxy.client() as client:
        begun = time.monotonic()
        client.request("http://api.test/")
        if succeeds:
            assert client.response().body == b"x" * 600
            return
        head, cut = client.cut_response()
        assert_elapsed(time.monotonic() - begun, limit)
    assert head.status == 200 and 0 < len(head.body) < 600 and cut.reset
    assert_logged(proxy, "http_response_timeout", "receive", "timeouts.total")


def test_the_late_answer_of_a_timed_out_exchange_reaches_nobody(stack):
    ended, answered = threading.Event(), threading.Event()

    def answer(connection, request):
        if request.target == "/late":
            ended.wait(NEVER)
            answered.set()
        connection.reply(request.target.encode())

    late = {"path_prefix": "/late", "timeouts": {"response_header": ms(LIMIT)}}
    proxy = stack.penstock(stack.to(stack.origin(answering(answer)), pool={"max_connections": 1}, routes=[late]))
    assert proxy.fetch("http://api.test/late").status == 504
    with proxy.client() as client:
        for i in range(20):
            assert client.fetch(f"http://api.test/{i}").body == b"/%d" % i
            if i == 3:
                ended.set()
                assert answered.wait(NEVER)
    assert proxy.pools()[0]["closed"].get("timeout") == 1


def test_a_limit_that_the_file_does_not_set_is_named_in_a_warning(stack):
    proxy = stack.penstock(stack.to(stack.full_backlog()))
    response = proxy.fetch("http://api.test/")
    assert_failed(response, 504, "connection_timeout", "connect", "timeouts.connect")
    assert_elapsed(response.seconds, 5)
    assert "timeouts.connect" in proxy.stderr


def test_limits_of_defaults_are_overridden_key_by_key(stack):
    def answer(connection, request):
        connection.pause(delay(request.get("host") == "two.test"))
        connection.reply()

    origin = stack.origin(answering(answer), names=("one.test", "two.test"))
    proxy = stack.penstock(stack.to(origin, "one.test"),
                           stack.to(origin, "two.test", timeouts={"response_header": "10s"}),
                           defaults={"timeouts": {"response_header": ms(LIMIT), "body_stall": "4s"}})
    assert proxy.fetch("http://one.test/").status == 504
    assert proxy.fetch("http://two.test/").status == 200
