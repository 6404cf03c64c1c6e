"""DNS as the running daemon uses it: what it asks, keeps, follows and says, against a name server of our own."""

import json
import re
import threading

import pytest

from support import dns_server
from support.dns_server import A, NXDOMAIN, SERVFAIL, Answer
from support.parallel import in_parallel
from support.penstock import assert_elapsed, assert_failed
from support.waiting import wait_until


class Zone:
    """A script for one name whose answer a test changes; None is silence. Other names do not exist."""

    def __init__(self, answer, name="resolved.test"):
        self.answer, self.name = answer, name

    def __call__(self, name, kind, transport):
        return self.answer if name == self.name else Answer(rcode=NXDOMAIN)


def here(ttl=60, **more):
    return Answer(("127.0.0.1",), ttl=ttl, **more)


def dialling(stack, zone, origin=None, dns=None, **policy):
    """A daemon that dials the zone's name, its origin and its name server; a connection serves one request."""
    origin, server = origin or stack.origin(), stack.dns(zone)
    policy = {"pool": {"reuse": False}, "timeouts": {"resolve": "60s"}, **policy}
    upstream = stack.to(origin, connect_to=f"{zone.name}:{origin.port}", **policy)
    settings = {"servers": [server.address], "attempt_timeout": "10s", **(dns or {})}
    return stack.penstock(upstream, dns=settings), server


def asked(server, name="resolved.test", kind=A):
    return len([query for query in server.queries if query[:2] == (name, kind)])


def known(proxy, name="resolved.test"):
    status, body = proxy.admin("/dns")
    assert status == 200, body
    return next((each for each in json.loads(body)["names"] if each["name"] == name), None)


def test_fifty_requests_at_once_are_one_query(stack):
    proxy, server = dialling(stack, Zone(here(delay=0.2)))
    responses = in_parallel(50, lambda i: proxy.fetch("http://api.test/"))
    assert [response.status for response in responses] == [200] * 50
    assert asked(server) == 1 and asked(server, kind=dns_server.AAAA) == 1
    assert proxy.fetch("http://api.test/").status == 200
    assert asked(server) == 1
    assert proxy.metrics("penstock_dns_lookups_total", result="hit") >= 1
    assert proxy.metrics("penstock_dns_lookups_total") == 51


@pytest.mark.parametrize("answer, token, status", [(None, "dns_timeout", 504), (Answer(rcode=SERVFAIL), "dns_error", 502)],
                         ids=["silence", "SERVFAIL"])
def test_the_daemon_starts_while_dns_is_down_and_recovers(stack, answer, token, status):
    zone = Zone(answer)
    proxy, _ = dialling(stack, zone, dns={"attempt_timeout": "1s"})
    assert_failed(proxy.fetch("http://api.test/"), status, token, "resolve")
    zone.answer = here()
    wait_until(lambda: proxy.fetch("http://api.test/").status == 200, "DNS is back")
    assert known(proxy)["state"] == "fresh"


def test_a_silent_server_ends_after_the_attempts_together(stack):
    proxy, server = dialling(stack, Zone(None), dns={"attempts": 3, "attempt_timeout": "1s"})
    response = proxy.fetch("http://api.test/")
    assert_failed(response, 504, "dns_timeout", "resolve", "dns.attempt_timeout")
    assert_elapsed(response.seconds, 3)
    assert asked(server) == 3
    assert " in 3s" in response.text
    spent = re.search(r" limit=dns.attempt_timeout 1s spent=([\d.]+)s ", response.get("proxy-status"))
    assert_elapsed(float(spent.group(1)), 3)


def test_a_resolve_limit_as_long_as_the_attempts_is_the_one_that_is_named(stack):
    proxy, _ = dialling(stack, Zone(None), dns={"attempts": 2, "attempt_timeout": "200ms"}, timeouts={"resolve": "400ms"})
    response = proxy.fetch("http://api.test/")
    assert_failed(response, 504, "dns_timeout", "resolve", "timeouts.resolve")
    assert_elapsed(response.seconds, 0.4)


def test_a_change_of_address_is_followed_after_the_ttl(stack):
    zone = Zone(here(ttl=1))
    proxy, _ = dialling(stack, zone)
    assert proxy.fetch("http://api.test/").status == 200
    zone.answer = Answer(("127.0.0.2",), ttl=1)  # nobody listens there
    wait_until(lambda: proxy.fetch("http://api.test/").status == 502, "the new address is dialled")
    assert known(proxy)["addresses"] == ["127.0.0.2"]
    zone.answer = here(ttl=1)
    wait_until(lambda: proxy.fetch("http://api.test/").status == 200, "the first one is dialled again")


def test_a_name_in_use_is_refreshed_without_a_request_waiting(stack):
    zone = Zone(here(ttl=2))
    proxy, server = dialling(stack, zone)
    assert proxy.fetch("http://api.test/").status == 200
    zone.answer, asked_for = here(ttl=2, delay=0.2), []  # whoever waits is seen

    def ask_while_it_is_fresh():  # else a machine that stands still for the second in which it is refreshed is seen too
        name = known(proxy)
        if name and name["state"] == "fresh" and name["expires_in_ms"] > 1000:
            assert proxy.fetch("http://api.test/").status == 200
            asked_for.append(name)
        return asked(server) >= 4

    wait_until(ask_while_it_is_fresh, "it was refreshed three times", 30)
    assert len(asked_for) > 3
    slow = [line for line in proxy.wait_for_log(count=1 + len(asked_for)) if line.get("resolve_ms", 0) > 150]
    assert not slow
    assert proxy.metrics("penstock_dns_lookups_total", result="miss") == 1


def test_the_last_answer_is_used_while_dns_fails(stack):
    zone = Zone(here(ttl=1))
    proxy, _ = dialling(stack, zone)
    assert proxy.fetch("http://api.test/").status == 200
    zone.answer = Answer(rcode=SERVFAIL)

    def stale():
        assert proxy.fetch("http://api.test/").status == 200
        return known(proxy)["state"] == "stale"

    wait_until(stale, "the answer has expired")
    assert proxy.fetch("http://api.test/").status == 200
    assert "SERVFAIL" in known(proxy)["last_error"]
    assert proxy.metrics("penstock_dns_lookups_total", result="stale") >= 1
    zone.answer = Answer(rcode=NXDOMAIN)
    wait_until(lambda: proxy.fetch("http://api.test/").status == 502, "the name is gone")


def test_no_expired_answer_is_used_when_that_is_off(stack):
    zone = Zone(here(ttl=1))
    proxy, _ = dialling(stack, zone, dns={"serve_stale": "off"})
    assert proxy.fetch("http://api.test/").status == 200
    zone.answer = Answer(rcode=SERVFAIL)
    wait_until(lambda: proxy.fetch("http://api.test/").status == 502, "the answer has expired")
    assert proxy.metrics("penstock_dns_lookups_total", result="stale") == 0


def test_a_name_that_does_not_exist_is_asked_for_once(stack):
    proxy, server = dialling(stack, Zone(Answer(rcode=NXDOMAIN)), dns={"negative_ttl": "1h"})
    for _ in range(3):
        assert_failed(proxy.fetch("http://api.test/"), 502, "dns_error", "resolve")
    assert asked(server) == 1
    assert known(proxy)["state"] == "negative"
    assert proxy.metrics("penstock_dns_lookups_total", result="negative") == 3


def test_a_reload_changes_the_servers_and_forgets_what_the_old_ones_said(stack):
    origin = stack.origin()
    proxy, _ = dialling(stack, Zone(Answer(("127.0.0.2",))), origin)
    assert proxy.fetch("http://api.test/").status == 502
    other = stack.dns(Zone(here()))
    proxy.reload({**proxy.settings, "dns": {"servers": [other.address]}})
    wait_until(lambda: proxy.fetch("http://api.test/").status == 200, "the new server is asked")
    assert asked(other) == 1


def test_a_reload_lets_a_look_up_that_is_under_way_end(stack):
    waiting = threading.Event()
    zone = Zone(here(delay=0.4))
    proxy, server = dialling(stack, zone)
    other = stack.dns(Zone(None))

    def fetch():
        waiting.set()
        return proxy.fetch("http://api.test/")

    def reload():
        waiting.wait()
        wait_until(lambda: asked(server) == 1, "the look-up is under way")
        return proxy.reload({**proxy.settings, "dns": {"servers": [other.address]}})

    response, _ = in_parallel(2, lambda i: (fetch, reload)[i]())
    assert response.status == 200


def test_an_address_that_was_absent_for_long_enough_has_left(stack):
    zone = Zone(Answer(("127.0.0.1", "127.0.0.3"), ttl=1))
    proxy, _ = dialling(stack, zone, dns={"forget_after": "1s"})
    assert proxy.fetch("http://api.test/").status == 200
    zone.answer = here(ttl=1)

    def has_left():
        proxy.fetch("http://api.test/")
        return "an address has left its name" in proxy.stderr

    wait_until(has_left, "127.0.0.3 has left")
    assert "127.0.0.3" in proxy.stderr


def test_the_admin_page_shows_what_is_known(stack):
    proxy, _ = dialling(stack, Zone(here()))
    assert proxy.fetch("http://api.test/").status == 200
    name = known(proxy)
    assert name["addresses"] == ["127.0.0.1"] and 0 < name["expires_in_ms"] <= 60_000 and name["last_error"] is None
