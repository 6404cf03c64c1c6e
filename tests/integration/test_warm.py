"""pool.min_idle: connections that are there before somebody asks, at start, after a reload and after they went."""

import time
from collections import deque
from itertools import pairwise

import pytest

from support.penstock import Penstock
from support.scripted_origin import answering, reply_ok
from support.waiting import pause, wait_until


def pool(proxy):
    """Of the one host, which each worker comes to know when it begins."""
    hosts = proxy.pools()
    return hosts[0] if hosts else {"connections": {"idle": 0}, "closed": {}, "last_error": None}


def idle(proxy):
    return pool(proxy)["connections"]["idle"]


# ATS: per_server_connection_min
def test_min_idle_is_opened_at_start_and_used(stack):
    origin = stack.origin()
    proxy = stack.penstock(stack.to(origin, pool={"min_idle": 3}))
    wait_until(lambda: idle(proxy) == 3, "three connections are idle")
    assert origin.accepted == 3
    assert proxy.fetch("http://api.test/").status == 200
    line = proxy.wait_for_log()
    assert line["reused"] is False or line["connection_requests"] == 1
    assert pool(proxy)["acquires"]["idle"] == 1
    assert pool(proxy)["limits"]["min_idle"] == 3


def test_what_the_origin_closes_is_made_up_for(stack):
    def serve(connection):
        if connection.number <= 2:
            connection.pause(0.3)
        else:
            answering(reply_ok)(connection)

    origin = stack.origin(serve)
    proxy = stack.penstock(stack.to(origin, pool={"min_idle": 2}))
    wait_until(lambda: origin.accepted == 4 and idle(proxy) == 2, "two new ones are idle")


def test_min_idle_is_kept_through_expiry(stack):
    """A tenth of the time before the end they are replaced, so that never fewer are there."""
    origin = stack.origin(tls=False)
    proxy = stack.penstock(stack.to(origin, pool={"min_idle": 2, "idle_timeout": "1500ms"}), workers=1)
    wait_until(lambda: idle(proxy) == 2, "two are idle")
    turned = deque([time.monotonic()], 100)  # when the worker answered, for about a second back
    few = []
    with proxy.client() as client:
        while pool(proxy)["closed"].get("idle_timeout", 0) < 4:
            now = idle(proxy)
            assert client.fetch("*", "OPTIONS", host="api.test").status == 200
            turned.append(time.monotonic())
            if now < 2 and max(b - a for a, b in pairwise(turned)) < 0.1:  # else it may have come too late for both
                few.append(now)
            pause(0.01)
    assert few == []


def test_a_reload_opens_and_ends_it(stack):
    origin = stack.origin()
    proxy = stack.penstock(stack.to(origin))
    proxy.reload({"upstreams": [stack.to(origin, pool={"min_idle": 2})]})
    wait_until(lambda: idle(proxy) == 2, "two are idle")
    proxy.reload({"upstreams": [stack.to(origin, pool={"min_idle": 4})]})
    wait_until(lambda: idle(proxy) == 4, "four are idle")
    assert origin.accepted == 4


def test_an_upstream_that_is_down_is_found_when_it_comes_back(stack):
    origin = stack.origin(down=True)
    proxy = stack.penstock(stack.to(origin, pool={"min_idle": 2}))
    wait_until(lambda: pool(proxy)["last_error"] == "connection_refused", "the first dial failed")
    origin.come_up()
    wait_until(lambda: idle(proxy) == 2, "two are idle")


@pytest.mark.parametrize("warmup", ["required", "background"])
def test_readiness_waits_for_what_is_required(stack, monkeypatch, warmup):
    def answers(self):
        try:
            return self.admin("/readyz")[0] in (200, 503)
        except OSError:
            return False

    origin = stack.origin(down=True)
    monkeypatch.setattr(Penstock, "_ready", answers)
    proxy = stack.penstock(stack.to(origin, pool={"min_idle": 2, "warmup": warmup}))
    wait_until(lambda: pool(proxy)["last_error"] == "connection_refused", "the first dial failed")
    status, body = proxy.admin("/readyz")[:2]
    if warmup == "background":
        assert status == 200
        return
    assert status == 503
    assert "upstream api has 0 of 2 connections to api.test" in str(body)
    origin.come_up()
    wait_until(lambda: proxy.admin("/readyz")[0] == 200, "it is ready")
    assert idle(proxy) == 2
    origin.stop()
    wait_until(lambda: idle(proxy) == 0, "they are gone")
    assert proxy.admin("/readyz")[0] == 200  # once is enough
