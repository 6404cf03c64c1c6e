"""An operator's hand on the pools: pause, resume, reconnect and close-idle, also under load on two workers, and the
pages that show each connection and each waiter."""

import json
import threading
import time
from contextlib import contextmanager

import pytest

from support.client import Client
from support.frozen_threads import frozen, other_threads
from support.load import load
from support.penstock import assert_elapsed, assert_failed, free_ports
from support.scripted_origin import answering
from support.waiting import TIME_FACTOR, wait_until

CONSENT = {"Penstock-Admin": "1"}
ACTIONS = ("close-idle", "pause", "resume", "reconnect")


def post(proxy, action, upstream="api"):
    """The report of an action that was taken."""
    status, body = proxy.admin(f"/pools/{upstream}/{action}", "POST", CONSENT)
    assert status == 200, body
    return json.loads(body)


def rows(proxy, page, query=""):
    status, body = proxy.admin(f"/{page}{query}")
    assert status == 200, body
    return json.loads(body)[page]


def connections(proxy, upstream="api"):
    return proxy.pools(upstream)[0]["connections"]


def paused(proxy):
    upstreams = json.loads(proxy.admin("/pools")[1])["upstreams"]
    return [upstream["name"] for upstream in upstreams if upstream.get("paused")]


@contextmanager
def pressing(proxy, clients=64, count=20_000):
    """`clients` ask one after another while the block runs; all of them must be served, whatever it did."""
    outcome = []
    thread = threading.Thread(target=lambda: outcome.append(load(proxy.port, "http://api.test/", count, clients)))
    thread.start()
    try:
        yield
    finally:
        thread.join()
    assert outcome, "the load failed"
    assert outcome[0].statuses == {200: count} and not outcome[0].errors, (outcome[0].statuses, outcome[0].errors[:3])


# Who may

@pytest.fixture(scope="module")
def proxy(shared):
    return shared.penstock(shared.to(shared.origin()), shared.to(1, "other.test", name="the_other-one"))


def test_a_post_needs_the_field_that_no_web_page_can_send(proxy):
    for fields in ({}, {"Penstock-Admin": "0"}, {"Penstock-Admin": ""}):
        status, body = proxy.admin("/pools/api/pause", "POST", fields)
        assert status == 403 and "Penstock-Admin: 1" in body
    assert paused(proxy) == []


@pytest.mark.parametrize("fields, host, status", [({"Origin": "http://127.0.0.1"}, "localhost", 403),
                                                  ({}, "evil.test", 421)])
def test_web_pages_and_other_hosts_are_refused(proxy, fields, host, status):
    with Client(proxy.admin_port) as client:
        answer = client.fetch("/pools/api/pause", "POST", {**CONSENT, **fields, "Content-Length": "0"}, host=host)
    assert answer.status == status and paused(proxy) == []


@pytest.mark.parametrize("action", ACTIONS)
def test_get_says_which_method_is_meant(proxy, action):
    with Client(proxy.admin_port) as client:
        answer = client.fetch(f"/pools/api/{action}", "GET", CONSENT, host="localhost")
    assert (answer.status, answer.get("allow")) == (405, "POST")


def test_unknown_names_and_actions_are_told_what_there_is(proxy):
    status, body = proxy.admin("/pools/nobody/pause", "POST", CONSENT)
    assert status == 404 and "api" in body and "the_other-one" in body
    status, body = proxy.admin("/pools/api/stop", "POST", CONSENT)
    assert status == 404 and all(action in body for action in ACTIONS)
    assert proxy.admin("/pools/%zz/pause", "POST", CONSENT)[0] in (404, 405)


def test_names_may_be_percent_encoded(proxy):
    assert post(proxy, "pause", "the%5fother%2Done")["upstream"] == "the_other-one"
    assert paused(proxy) == ["the_other-one"]
    post(proxy, "resume", "the%5Fother%2done")
    assert paused(proxy) == []


@pytest.mark.parametrize("size, status", [(0, 200), (4096, 200), (4097, 413)])
def test_a_small_body_is_ignored_and_a_large_one_refused(proxy, size, status):
    with Client(proxy.admin_port) as client:
        answer = client.fetch("/pools/api/close-idle", "POST", CONSENT, b"x" * size, host="localhost")
    assert answer.status == status


def test_the_public_address_has_none_of_it(stack):
    port, = free_ports(1)
    proxy = stack.penstock(stack.to(stack.origin()), admin={"public_address": f"127.0.0.1:{port}"})
    for path, method in [(f"/pools/api/{action}", "POST") for action in ACTIONS] + [
            ("/connections", "GET"), ("/waiting", "GET"), ("/pools/api/pause", "GET")]:
        with Client(port) as client:
            answer = client.fetch(path, method, {**CONSENT, "Content-Length": "0"}, host="localhost")
        assert answer.status in (404, 405), path
    assert paused(proxy) == []


def test_each_action_is_a_line_of_the_log(stack):
    proxy = stack.penstock(stack.to(stack.origin()))
    for action in ACTIONS:
        post(proxy, action)
        assert f"pools: {action}" in proxy.stderr


def test_a_worker_that_hangs_is_said(stack):
    proxy = stack.penstock(stack.to(stack.origin()), workers=2)
    with frozen(other_threads(proxy.process.pid)):
        status, body = proxy.admin("/pools/api/pause", "POST", CONSENT)
        assert status == 503 and "does not turn" in body
    wait_until(lambda: proxy.admin("/livez")[0] == 200, "the workers turn again")


# Pause

def test_while_paused_nothing_is_sent_but_what_was_busy_and_after_it_nothing_has_failed(stack):
    origin = stack.origin()
    proxy = stack.penstock(stack.to(origin, timeouts={"queue": "60s", "total": "120s"}), workers=2)
    with pressing(proxy):
        wait_until(lambda: len(origin.requests) > 2000, "the load is under way", 30)
        assert post(proxy, "pause") == {"upstream": "api", "action": "pause", "hosts": 1}
        sent = {connection: len(connection.requests) for connection in origin.connections}
        wait_until(lambda: proxy.waiting("api") == 64 and connections(proxy)["busy"] == 0, "all 64 wait", 30)
        assert paused(proxy) == ["api"] and proxy.metrics("penstock_pool_paused", upstream="api") == 1
        assert proxy.admin("/readyz")[0] == 200
        after = {connection: len(connection.requests) for connection in origin.connections}
        assert all(count <= sent.get(connection, 0) + 1 for connection, count in after.items()), "sent anew"
        waiters = rows(proxy, "waiting")
        assert len(waiters) == 64 and {waiter["phase"] for waiter in waiters} == {"queue"}
        assert len(origin.requests) == sum(after.values()), "nothing is sent any more"
        post(proxy, "resume")
    assert paused(proxy) == [] and proxy.metrics("penstock_pool_paused", upstream="api") == 0
    assert not origin.faults


def test_everything_again_and_again_under_load_fails_nobody(stack):
    proxy = stack.penstock(stack.to(stack.origin(), pool={"max_connections": 16, "min_idle": 4}, timeouts={"queue": "60s"}),
                           workers=2)
    with pressing(proxy, count=10_000):
        for turn in range(50):
            post(proxy, "pause")
            waiters, shown = rows(proxy, "waiting"), rows(proxy, "connections")
            assert len(shown) <= 16 and len(waiters) <= 64
            assert {row["state"] for row in shown} <= {"idle", "busy", "dialing", "draining"}
            if turn % 3 == 1:
                post(proxy, "close-idle")
            elif turn % 3 == 2:
                post(proxy, "reconnect")
            post(proxy, "resume")
            assert len(rows(proxy, "connections")) <= 16


def test_who_waits_too_long_is_told_that_it_is_paused(stack):
    proxy = stack.penstock(stack.to(stack.origin(), timeouts={"queue": "300ms"}))
    proxy.fetch("http://api.test/")
    post(proxy, "pause")
    response = proxy.fetch("http://api.test/")
    assert_failed(response, 503, "destination_unavailable", "queue", "timeouts.queue")
    assert "paused" in response.get("proxy-status") and response.get("retry-after")
    assert_elapsed(response.seconds, 0.3)
    post(proxy, "resume")
    assert proxy.fetch("http://api.test/").status == 200


def test_dials_under_way_end_idle_and_serve_after_the_pause(stack):
    opened = threading.Event()
    origin = stack.origin(before_handshake=lambda origin, number: opened.wait(20))
    proxy = stack.penstock(stack.to(origin))
    with proxy.client() as client:
        client.request("http://api.test/")
        wait_until(lambda: rows(proxy, "waiting") and rows(proxy, "waiting")[0]["phase"] == "tls_handshake",
                   "the dial is under way")
        post(proxy, "pause")
        assert rows(proxy, "waiting")[0]["phase"] == "queue"
        opened.set()
        wait_until(lambda: connections(proxy)["idle"] == 1, "the dial has ended idle")
        assert proxy.waiting() == 1 and not origin.requests
        post(proxy, "resume")
        assert client.response().status == 200
    assert origin.accepted == 1


def test_who_had_a_dial_may_queue_from_the_pause_on(stack):
    opened = threading.Event()
    origin = stack.origin(before_handshake=lambda origin, number: opened.wait(20))
    proxy = stack.penstock(stack.to(origin, timeouts={"queue": "300ms"}))
    with proxy.client() as client:
        client.request("http://api.test/")
        wait_until(lambda: [row["phase"] for row in rows(proxy, "waiting")] == ["tls_handshake"], "the dial is under way")
        paused_at = time.monotonic()
        post(proxy, "pause")
        assert_failed(client.response(), 503, "destination_unavailable", "queue", "timeouts.queue")
        assert_elapsed(time.monotonic() - paused_at, 0.3)
    opened.set()
    wait_until(lambda: connections(proxy)["idle"] == 1, "the dial goes on")


def test_hosts_that_are_first_met_while_paused_wait_too(stack):
    origin = stack.origin(names=("*.test",), tls=False)
    proxy = stack.penstock(stack.to(origin, "*.test", name="api", timeouts={"queue": "60s"}), workers=2)
    assert post(proxy, "pause") == {"upstream": "api", "action": "pause", "hosts": 0}
    clients = [proxy.client() for _ in range(8)]
    for number, client in enumerate(clients):
        client.request(f"http://host{number % 4}.test/")
    wait_until(lambda: proxy.waiting("api") == 8, "all wait")
    assert origin.accepted == 0
    assert {row["origin"] for row in rows(proxy, "waiting", "?upstream=api")} == {
        f"host{number}.test:80" for number in range(4)}
    post(proxy, "resume")
    assert [client.response().status for client in clients] == [200] * 8


def test_a_pause_survives_a_reload_and_ends_with_its_upstream(stack):
    origin = stack.origin(tls=False)
    upstream = stack.to(origin, timeouts={"queue": "60s"})
    proxy = stack.penstock(upstream, workers=2)
    proxy.fetch("http://api.test/")
    post(proxy, "pause")
    proxy.reload({"upstreams": [{**upstream, "pool": {"max_connections": 7}}], "workers": 2})
    assert paused(proxy) == ["api"]
    with proxy.client() as client:
        client.request("http://api.test/")
        wait_until(lambda: proxy.waiting("api") == 1, "it waits")
        proxy.reload({"upstreams": [{**upstream, "name": "renamed"}], "workers": 2})
        assert client.response().status == 200
    assert proxy.fetch("http://api.test/").status == 200
    proxy.reload({"upstreams": [upstream], "workers": 2})
    assert paused(proxy) == [] and proxy.fetch("http://api.test/").status == 200


# Reconnect and close-idle

def test_reconnect_under_load_fails_nothing_and_leaves_no_old_connection(stack):
    origin = stack.origin()
    proxy = stack.penstock(stack.to(origin), workers=2)
    with pressing(proxy):
        wait_until(lambda: len(origin.requests) > 2000, "the load is under way", 30)
        old = list(origin.connections)
        told = post(proxy, "reconnect")
        assert told["hosts"] == 1 and told["closed"] + told["retired"] >= len(old)
        wait_until(lambda: not any(connection.open for connection in old), "the old ones are closed", 30)
    assert len(origin.connections) > len(old)
    closed = proxy.pools("api")[0]["closed"]
    assert closed["admin"] >= len(old) and set(closed) == {"admin"}, closed


def test_reconnect_retires_what_is_busy_when_it_comes_free(stack):
    gate = threading.Event()

    def answer(connection, request):
        gate.wait(20)
        connection.reply()

    origin = stack.origin(answering(answer))
    proxy = stack.penstock(stack.to(origin))
    with proxy.client() as client:
        client.request("http://api.test/")
        wait_until(lambda: len(origin.requests) == 1, "it is busy")
        assert (told := post(proxy, "reconnect"))["retired"] == 1 and told["closed"] == 0
        gate.set()
        assert client.response().status == 200
    wait_until(lambda: proxy.pools()[0]["closed"] == {"admin": 1}, "it is closed")


def test_close_idle_closes_what_is_idle_on_every_worker(stack):
    origin = stack.origin(answering(lambda connection, request: (connection.pause(0.05), connection.reply())))
    proxy = stack.penstock(stack.to(origin), workers=2)
    load(proxy.port, "http://api.test/", 32, 16)
    # A dial that was overtaken by a connection that came back may still be under way.
    idle = wait_until(lambda: (held := connections(proxy))["idle"] == sum(held.values()) and held["idle"], "all are idle")
    assert idle > 1
    assert post(proxy, "close-idle") == {"upstream": "api", "action": "close-idle", "hosts": 1, "closed": idle}
    assert connections(proxy)["idle"] == 0
    wait_until(lambda: origin.open == 0, "the origin sees them closed")


def test_warm_connections_come_back_after_close_idle(stack):
    proxy = stack.penstock(stack.to(stack.origin(), pool={"min_idle": 2}), workers=2)
    wait_until(lambda: connections(proxy)["idle"] == 2, "they are warm")
    assert post(proxy, "close-idle")["closed"] == 2
    wait_until(lambda: connections(proxy)["idle"] == 2, "they are warm again")
    assert proxy.pools()[0]["opened"] == 4


# What is shown

def test_connections_and_waiters_are_shown_one_by_one(stack):
    gate = threading.Event()

    def answer(connection, request):
        if request.target == "/slow":
            gate.wait(20)
        connection.reply()

    origin = stack.origin(answering(answer))
    proxy = stack.penstock(stack.to(origin, pool={"max_connections": 1}), stack.to(origin, "other.test"), workers=1)
    proxy.fetch("http://api.test/")
    with proxy.client() as slow, proxy.client() as queued:
        slow.request("http://api.test/slow")
        wait_until(lambda: connections(proxy)["busy"] == 1, "it is busy")
        queued.request("http://api.test/")
        waiter, = wait_until(lambda: rows(proxy, "waiting"), "it waits")
        assert (waiter["upstream"], waiter["origin"], waiter["phase"]) == ("api", "api.test:443", "queue")
        assert waiter["waiting_ms"] >= 0 and waiter["worker"] == 0
        row, = rows(proxy, "connections", "?upstream=api")
        assert row["address"] == f"127.0.0.1:{origin.port}" and row["state"] == "busy" and row["requests"] == 2
        assert row["origin"] == "api.test:443" and row["age_ms"] >= row["in_state_ms"] >= 0
        assert row["id"] > 0 and row["worker"] == 0 and row["resumed"] is False
        assert rows(proxy, "connections", "?upstream=other") == rows(proxy, "waiting", "?upstream=other") == []
        gate.set()
        assert slow.response().status == queued.response().status == 200


def test_rows_are_read_while_workers_write_what_they_show(stack):
    """What ThreadSanitizer judges: every field of a row is read and written under the host's mutex."""
    proxy = stack.penstock(stack.to(stack.origin(tls=False)), workers=2)
    with pressing(proxy, count=10_000):
        wait_until(lambda: rows(proxy, "connections"), "the load is under way")
        for _ in range(400):
            shown = rows(proxy, "connections")
            assert len({row["id"] for row in shown}) == len(shown) <= 64
            rows(proxy, "waiting")


def test_a_thousand_rows_are_enough(stack):
    gate = threading.Event()

    def answer(connection, request):
        gate.wait(60)
        connection.reply()

    origin = stack.origin(answering(answer), tls=False)
    proxy = stack.penstock(stack.to(origin, pool={"max_connections": 1, "max_waiting": 2000}, timeouts={"queue": "60s"}))
    clients = [proxy.client() for _ in range(1002)]
    for client in clients:
        client.request("http://api.test/")
    wait_until(lambda: proxy.waiting() == 1001, "all wait", 30)
    told = json.loads(proxy.admin("/waiting")[1])
    assert len(told["waiting"]) == 1000 and told["truncated"] is True
    gate.set()
    for client in clients:
        assert client.response().status == 200
        client.close()
    assert "truncated" not in json.loads(proxy.admin("/waiting")[1])


# The daemon

def test_a_reload_is_asked_for_and_answered(stack):
    proxy = stack.penstock(stack.to(stack.origin()))
    status, body = proxy.admin("/reload", "POST", CONSENT)
    assert (status, json.loads(body)["revision"]) == (200, 2)
    proxy.config_path.write_text("listener: 1\n")
    status, body = proxy.admin("/reload", "POST", CONSENT)
    assert status == 422 and json.loads(body)["revision"] == 2 and "fault" in json.loads(body)["error"]


def test_a_drain_is_asked_for_and_answered(stack):
    proxy = stack.penstock(stack.to(stack.origin()))
    assert proxy.admin("/drain", "POST", {})[0] == 403
    status, body = proxy.admin("/drain", "POST", CONSENT)
    assert (status, json.loads(body)["state"]) == (200, "draining")
    assert proxy.process.wait(10 * TIME_FACTOR) == 0
