"""The app's own deadline, and the timeline that it may ask for."""

import time

import pytest

from support.penstock import assert_elapsed, assert_failed
from support.scripted_origin import answering


def stalling(connection, request):
    request.came = time.monotonic()
    if request.target.startswith("/slow"):
        connection.pause(3)
    connection.reply(b"late" if request.target.startswith("/slow") else b"ok")


@pytest.fixture
def slow(stack):
    origin = stack.origin(answering(stalling))
    return origin, stack.penstock(stack.to(origin))


def test_an_app_shortens_its_own_total(slow):
    origin, proxy = slow
    response = proxy.fetch("http://api.test/slow", fields={"X-Penstock-Timeout": "2s"})
    assert_failed(response, 504, "http_response_timeout", "await_head", "client.deadline_header")
    line = proxy.wait_for_log(lambda line: line["path"] == "/slow")
    assert (line["error_phase"], line["error_limit"]) == ("await_head", "client.deadline_header")
    assert_elapsed(line["total_ms"] / 1000, 2)
    assert origin.requests[0].get("x-penstock-timeout") is None
    control = proxy.fetch("http://api.test/slow", fields={"X-Penstock-Timeout": "9s"})
    assert (control.status, control.body) == (200, b"late")


def test_a_late_answer_reaches_nobody(slow):
    origin, proxy = slow
    for _ in range(3):
        assert proxy.fetch("http://api.test/slow", fields={"X-Penstock-Timeout": "50ms"}).status == 504
        assert proxy.fetch("http://api.test/quick").body == b"ok"


@pytest.mark.parametrize("value", ["5", "soon", "0s", "1s, 2s"])
def test_a_malformed_deadline_is_refused(slow, value):
    origin, proxy = slow
    response = proxy.fetch("http://api.test/quick", fields={"X-Penstock-Timeout": value})
    assert_failed(response, 400, "http_request_error")
    assert b"X-Penstock-Timeout" in response.body and not origin.requests


def test_grpc_timeout_is_kept_and_passed_on_less_the_time_spent(slow):
    origin, proxy = slow
    begun = time.monotonic()
    response = proxy.fetch("http://api.test/slow", "POST", fields={"grpc-timeout": "2000m"}, body=b"x")
    assert_failed(response, 504, "http_response_timeout", "await_head", "grpc-timeout")
    request, = origin.requests
    left, unit = request.get("grpc-timeout")[:-1], request.get("grpc-timeout")[-1]
    assert unit == "m" and 2000 - (request.came - begun) * 1000 - 1 <= int(left) < 2000


def phases(field):
    return {part.split(";dur=")[0]: float(part.split(";dur=")[1]) for part in field.split(", ")}


def test_server_timing_tells_the_phases_to_an_app_that_asks(slow):
    origin, proxy = slow
    first, second = (proxy.fetch("http://api.test/quick", fields={"X-Penstock-Debug": "1"}) for _ in range(2))
    assert {"connect", "tls_handshake", "send", "await_head", "total"} <= phases(first.get("server-timing")).keys()
    assert set(phases(second.get("server-timing"))) == {"send", "await_head", "total"}, "a reused connection"
    assert phases(first.get("server-timing"))["tls_handshake"] > 0
    assert all(request.get("x-penstock-debug") is None for request in origin.requests)
    assert proxy.fetch("http://api.test/quick").get("server-timing") is None
    failed = proxy.fetch("http://api.test/slow", fields={"X-Penstock-Debug": "1", "X-Penstock-Timeout": "200ms"})
    assert phases(failed.get("server-timing"))["await_head"] >= 190


def test_server_timing_of_the_upstream_stays(stack):
    origin = stack.origin(answering(lambda connection, request: connection.reply(b"ok", fields=[("Server-Timing", "db;dur=5")])))
    proxy = stack.penstock(stack.to(origin))
    response = proxy.fetch("http://api.test/", fields={"X-Penstock-Debug": "1"})
    timings = [value for name, value in response.fields if name.lower() == "server-timing"]
    assert timings[0] == "db;dur=5" and len(timings) == 2
