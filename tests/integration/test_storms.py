"""Storms: an upstream that comes back, or goes down, meets few dials, and who waits learns the truth."""

import time

from support.parallel import in_parallel
from support.penstock import free_ports, proxy_status
from support.waiting import wait_until


def pool(proxy):
    hosts = proxy.pools()
    return hosts[0] if hosts else {"connections": {}, "waiting": 0}


def test_no_more_dials_than_max_connecting_are_under_way(stack):
    """The origin holds back its handshakes: 3 of 40 requests dial, and all are served once it lets go."""
    def hold(origin, number):
        while not released and not origin.stopping.wait(0.005):
            handshaking.add(number)

    released, handshaking = [], set()
    origin = stack.origin(before_handshake=hold)
    proxy = stack.penstock(stack.to(origin, pool={"max_connecting": 3, "max_connections": 40},
                                    timeouts={"queue": "20s", "tls_handshake": "20s"}))

    def release():
        try:
            wait_until(lambda: pool(proxy)["waiting"] == 37 and len(handshaking) == 3, "three dial, the others wait")
            assert pool(proxy)["connections"]["dialing"] == 3
            assert pool(proxy)["limits"]["max_connecting"] == 3
            assert origin.accepted == 3
        finally:
            released.append(True)

    answers = in_parallel(41, lambda i: release() if i == 40 else proxy.fetch("http://api.test/").status)
    assert answers[:40] == [200] * 40
    assert origin.peak <= 40


def test_an_upstream_that_is_down_is_told_to_all_that_wait(stack):
    """Refused at once and not a queue's time later, though only two dials may run at a time."""
    proxy = stack.penstock(stack.to(free_ports(1)[0], pool={"max_connecting": 2}, timeouts={"queue": "60s"}))
    begun = time.monotonic()
    answers = in_parallel(60, lambda i: proxy.fetch("http://api.test/"))
    assert {proxy_status(answer)["error"] for answer in answers} == {"connection_refused"}
    assert time.monotonic() - begun < 30, "nobody waits for the queue's limit"
