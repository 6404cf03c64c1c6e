"""How long a pooled connection serves: its age, its requests, what the server says and what its closes teach."""

import time

from support.penstock import assert_elapsed
from support.scripted_origin import answering
from support.waiting import pause, wait_until


def pool(proxy):
    return proxy.pools()[0]


def by_number(connection, request):
    connection.reply(str(connection.number).encode())


def test_an_idle_connection_ends_with_its_lifetime(stack):
    origin = stack.origin()
    proxy = stack.penstock(stack.to(origin, pool={"max_lifetime": "1s"}))
    begun = time.monotonic()
    assert proxy.fetch("http://api.test/").status == 200
    wait_until(lambda: pool(proxy)["closed"].get("max_lifetime") == 1, "the old connection is closed")
    assert_elapsed(time.monotonic() - begun, 0.9)


def test_a_lifetime_never_ends_a_request(stack):
    def slow(connection, request):
        connection.pause(0.5)
        by_number(connection, request)

    origin = stack.origin(answering(slow))
    proxy = stack.penstock(stack.to(origin, pool={"max_lifetime": "100ms"}))
    assert [proxy.fetch("http://api.test/").body for _ in range(2)] == [b"1", b"2"]
    assert pool(proxy)["closed"] == {"max_lifetime": 2}


def test_max_requests(stack):
    origin = stack.origin(answering(by_number))
    proxy = stack.penstock(stack.to(origin, pool={"max_requests": 3}))
    with proxy.client() as client:
        assert [client.fetch("http://api.test/").body for _ in range(7)] == [b"1"] * 3 + [b"2"] * 3 + [b"3"]
    assert pool(proxy)["closed"] == {"max_requests": 2}


def test_order_fifo_uses_all_connections_in_turn(stack):
    """Two connections are made by two requests at once; the next ones take turns. lifo keeps to one."""
    for order, numbers in ("fifo", 2), ("lifo", 1):
        both = []

        def meet(connection, request):
            if request.target == "/meet":
                both.append(connection.number)
                while len(both) < 2:
                    connection.pause(0.01)
            by_number(connection, request)

        proxy = stack.penstock(stack.to(stack.origin(answering(meet)), pool={"order": order}))
        with proxy.client() as one, proxy.client() as other:
            one.request("http://api.test/meet")
            other.request("http://api.test/meet")
            assert {one.response().body, other.response().body} == {b"1", b"2"}
            wait_until(lambda: pool(proxy)["connections"]["idle"] == 2, "both are idle")
            served = [one.fetch("http://api.test/").body for _ in range(4)]
        assert len(set(served)) == numbers, (order, served)
