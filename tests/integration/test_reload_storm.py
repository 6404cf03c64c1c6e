"""Reload upon reload under load, on two workers: no request fails, no memory grows.

PENSTOCK_RELOADS says how many (100); tests/long.sh asks for 1,000.
"""

import os
import threading

from support.penstock import free_ports
from support.scripted_origin import answering
from support.waiting import wait_until

RELOADS = int(os.environ.get("PENSTOCK_RELOADS", "100"))
CLIENTS = 8
MAX_GROWTH = 3 << 20  # bytes; what an allocator keeps, not what grows with each reload
SANITIZED = float(os.environ.get("PENSTOCK_TIME_FACTOR", "1")) > 1


def variants(stack, origin):
    """The same host under other limits, another identity, another upstream, and more hosts beside it; few connections,
    so that somebody waits at each reload."""
    few = {"pool": {"max_connections": 3}}
    more = [{"name": f"more{i}", "hosts": [f"more{i}.test"]} for i in range(20)]
    return [[stack.to(origin, **few)],
            [stack.to(origin, pool={"max_connections": 5, "max_idle": 1, "max_waiting": 100})],
            [stack.to(origin, tls={"min_version": "1.3"}, **few), *more],
            [stack.to(origin, name="other", timeouts={"total": "20s"}, **few), *more[:5]],
            [stack.to(origin, name="other", **few), stack.to(origin, "elsewhere.test", name="api")]]


def test_reloads_under_load_fail_nothing_and_leak_nothing(stack, report):
    origin = stack.origin(answering(lambda c, r: c.reply(r.body)))
    files = variants(stack, origin)
    proxy = stack.penstock(*files[0], workers=2)
    second, = free_ports(1)
    over, faults, served = threading.Event(), [], [0] * CLIENTS

    def work(i):
        """Half of them on one connection, half on a new one for each request."""
        try:
            while not over.is_set():
                with proxy.client() as client:
                    for _ in range(1 if i % 2 else 1000):
                        response = client.fetch("http://api.test/", "POST", body=b"x" * 100)
                        assert response.status == 200 and response.body == b"x" * 100, response.text
                        served[i] += 1
                        if over.is_set():
                            break
        except Exception as fault:  # reported by the test's own thread
            faults.append(fault)

    def reload(number):
        proxy.ports = [proxy.port, second] if number % 2 else [proxy.port]
        proxy.write_config({"workers": 2, "listeners": [{} for _ in proxy.ports],
                            "upstreams": files[number % len(files)]})
        status, body = proxy.admin("/reload", "POST", {"Penstock-Admin": "1"})
        assert status == 200, body

    threads = [threading.Thread(target=work, args=(i,)) for i in range(CLIENTS)]
    for thread in threads:
        thread.start()
    early = 0
    for number in range(1, RELOADS + 1):
        before = sum(served)
        reload(number)
        wait_until(lambda: faults or sum(served) > before, "requests go on")
        assert not faults, (number, faults)
        if number == RELOADS // 5:
            early = proxy.rss_bytes
    late = proxy.rss_bytes
    over.set()
    for thread in threads:
        thread.join()
    assert not faults and min(served) > 0
    assert not origin.faults
    report(f"requests over {RELOADS} reloads", sum(served))
    closed = {reason: int(proxy.metrics("penstock_connections_closed_total", reason=reason))
              for reason in ("retired_reload", "trimmed")}
    report("connections closed", closed)
    report(f"resident after {RELOADS // 5} and {RELOADS} reloads", f"{early >> 10} and {late >> 10} KiB")
    assert all(closed.values()), "no reload had anything to close"
    if not SANITIZED:
        assert late - early < MAX_GROWTH, f"{early} bytes grew to {late}"
