"""What an idle connection may cost in resident memory: a client's, and a pooled TLS connection to an upstream.

The figure is the difference between two sizes. tests/bench/scale.sh measures with larger ones, and where all were in
use at once."""

import pytest

from support.hostile import SANITIZED
from support.idle_crowd import AT_ONCE, allow_descriptors, connections, memory_of, served_clients, use_at_once
from support.waiting import wait_until

pytestmark = pytest.mark.skipif(SANITIZED, reason="a sanitizer has memory of its own for each allocation")

FEW, MANY = 400, 1200
# 15 % more than was measured, which notices one buffer, certificate or string that stays.
MOST_PER_CLIENT = 1.15 * 575
MOST_PER_TLS_CONNECTION = 1.15 * 18_600
ONE_WORKER = {"workers": 1, "access_log": {"path": "off"}}


@pytest.fixture(autouse=True)
def descriptors():
    allow_descriptors()


def settled(proxy):
    """Once what is closing or on its way has had its turns."""
    assert proxy.admin("/livez")[0] == 200
    return memory_of(proxy)["Anonymous"]


def each(few, many):
    return (many - few) / (MANY - FEW)


def test_an_idle_client_costs_600_bytes(stack, report):
    proxy = stack.penstock(stack.to(stack.origin(tls=False)), client={"max_connections": 2 * MANY}, **ONE_WORKER)
    # What so many at work take stays, and how many of them meet is the machine's matter: it is there before the first look.
    use_at_once(proxy, AT_ONCE, b"api.test", "api")
    clients = served_clients(proxy, FEW, b"api.test")
    few = settled(proxy)
    clients += served_clients(proxy, MANY - FEW, b"api.test")
    figure = each(few, settled(proxy))
    report("bytes per idle client", round(figure))
    for client in clients:
        client.close()
    assert figure < MOST_PER_CLIENT


def test_an_idle_tls_connection_costs_18_kib(stack, report):
    origin = stack.nginx(log=False)

    def resident(count):
        limits = {"max_connections": count, "min_idle": count, "max_idle": count}
        proxy = stack.penstock(stack.to(origin, pool=limits), process={"max_idle_connections": count}, **ONE_WORKER)
        wait_until(lambda: connections(proxy, "api", "idle") == count, "all are open", 30)
        size = settled(proxy)
        proxy.stop()
        return size

    figure = each(resident(FEW), resident(MANY))
    report("bytes per idle TLS connection", round(figure))
    assert figure < MOST_PER_TLS_CONNECTION
