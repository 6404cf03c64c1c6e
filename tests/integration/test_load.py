"""20,000 requests from 64 concurrent clients: no error, and never a connection more than requests at once.

nginx delays each answer a little, so that the clients really overlap; its log is the ledger.
"""

import pytest

from support.load import load
from support.nginx import busy_peak
from support.parallel import in_parallel
from support.waiting import wait_until

REQUESTS, CLIENTS = 20_000, 64


@pytest.mark.xdist_group("load")
def test_20000_requests_from_64_clients(stack, report):
    origin = stack.nginx()
    proxy = stack.penstock(stack.to(origin))
    outcome = load(proxy.port, "http://api.test/slow", REQUESTS, CLIENTS)
    ledger = wait_until(lambda: len(found := origin.ledger("/slow")) == REQUESTS and found, "nginx logged them all")
    opened, peak = len({entry.connection for entry in ledger}), busy_peak(ledger)
    report("statuses, errors", (outcome.statuses, len(outcome.errors)))
    report("requests per second", round(REQUESTS / outcome.seconds))
    report("connections opened, peak busy at once, clients' peak", (opened, peak, outcome.peak))
    assert not outcome.errors and outcome.statuses == {200: REQUESTS}
    assert outcome.peak == CLIENTS
    assert peak >= CLIENTS / 2  # on a machine that is slow, requests are on their way for longer than at nginx
    pool, = proxy.pools()
    # One whose dial was overtaken by a connection that came back may never have served anybody.
    assert opened <= pool["opened"] <= outcome.peak and sum(pool["acquires"].values()) == REQUESTS
    assert pool["connections"]["idle"] == pool["opened"] and pool["waiting"] == 0
    lines = proxy.wait_for_log(lambda line: line["status"] == 200, count=REQUESTS, seconds=30)
    assert sum(not line["reused"] for line in lines) <= opened


@pytest.mark.xdist_group("load")
def test_clients_that_reconnect_for_every_request_share_the_pool(stack, report):
    """Short-lived clients are why a sidecar pools: 2,000 of them, and few connections upstream."""
    origin = stack.nginx()
    proxy = stack.penstock(stack.to(origin))
    statuses = in_parallel(16, lambda i: [proxy.fetch("http://api.test/hello").status for _ in range(125)])
    assert sum(statuses, []) == [200] * 2000
    opened = proxy.pools()[0]["opened"]
    report("connections for 2,000 one-request clients, 16 at once", opened)
    assert opened <= 16
