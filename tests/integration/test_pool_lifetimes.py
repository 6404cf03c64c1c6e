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

        proxy = stack.penstock(stack.to(stack.origin(answering(meet)), pool={"order": order}), workers=1)
        with proxy.client() as one, proxy.client() as other:
            one.request("http://api.test/meet")
            other.request("http://api.test/meet")
            assert {one.response().body, other.response().body} == {b"1", b"2"}
            wait_until(lambda: pool(proxy)["connections"]["idle"] == 2, "both are idle")
            served = [one.fetch("http://api.test/").body for _ in range(4)]
        assert len(set(served)) == numbers, (order, served)


def test_the_servers_keep_alive_timeout_less_a_second(stack):
    def answer(connection, request):
        connection.reply(fields={"Keep-Alive": "timeout=2, max=50"})

    proxy = stack.penstock(stack.to(stack.origin(answering(answer))))
    begun = time.monotonic()
    assert proxy.fetch("http://api.test/").status == 200
    wait_until(lambda: pool(proxy)["closed"].get("idle_timeout") == 1, "it is closed before the server does it")
    assert_elapsed(time.monotonic() - begun, 1.0)


def test_what_the_server_is_about_to_close_is_not_pooled(stack):
    for told in "timeout=1", "timeout=60, max=0", "max=0":
        def answer(connection, request):
            connection.reply(str(connection.number).encode(), fields={"keep-alive": told})

        proxy = stack.penstock(stack.to(stack.origin(answering(answer))))
        assert [proxy.fetch("http://api.test/").body for _ in range(2)] == [b"1", b"2"], told
        assert pool(proxy)["closed"] == {"server_close": 2}, told


def test_the_servers_idle_limit_is_learned(stack):
    """It closes after 1.2 s without a request. Once we know, we close before it does."""
    def serve(connection):
        connection.sock.settimeout(1.2)
        while connection.read_request():
            connection.reply()

    proxy = stack.penstock(stack.to(stack.origin(serve)))
    for _ in range(9):
        before = pool(proxy)["closed"] if proxy.pools() else {}
        assert proxy.fetch("http://api.test/").status == 200
        wait_until(lambda: pool(proxy)["connections"]["idle"] == 0, "the idle connection is closed")
        if pool(proxy)["closed"].get("idle_timeout"):
            break
        assert pool(proxy)["closed"]["peer_closed_idle"] == before.get("peer_closed_idle", 0) + 1
    assert pool(proxy)["closed"]["idle_timeout"] == 1
    assert 1100 <= pool(proxy)["learned_idle_ms"] < 1700


# Users: retry without pool flush (subrouter#96)
def test_a_connection_that_died_takes_the_idle_ones_that_are_older_with_it(stack):
    """A POST that was written may not be sent again; but the next one meets no connection of that time."""
    turns = []

    def serve(connection):
        connection.read_request()
        while connection.number > len(turns):
            connection.pause(0.005)
        connection.reply(str(connection.number).encode())
        if connection.read_request():
            connection.reset() if connection.number <= 2 else connection.reply(b"new")

    origin = stack.origin(serve)
    proxy = stack.penstock(stack.to(origin), workers=1)  # which takes the one used last, over all of its own
    with proxy.client() as older, proxy.client() as younger:
        for number, client in enumerate((older, younger), 1):
            client.request("http://api.test/")
            wait_until(lambda: len(origin.requests) == number, "its request has come")
        for client, body in (older, b"1"), (younger, b"2"):
            turns.append(body)
            assert client.response().body == body
        wait_until(lambda: pool(proxy)["connections"]["idle"] == 2, "both are idle")
        assert older.fetch("http://api.test/", "POST", body=b"x").status == 502
        turns.append(b"3")
        assert younger.fetch("http://api.test/", "POST", body=b"x").body == b"3"
    assert pool(proxy)["closed"]["error"] == 2
