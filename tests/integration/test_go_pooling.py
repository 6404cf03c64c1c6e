"""What Go's Transport promises of its pool, asked of ours: what is kept, under which key, what frees a place, what leaks.

Each test names the test of Go that it mirrors, and says where we differ on purpose. The names whose behaviour other
files show stand beside those tests; tests/structure/reference_names.py lists all of them.
"""

import gzip
import json
import os
import threading
import time

import pytest

from support.parallel import in_parallel
from support.scripted_origin import answering
from support.waiting import pause, slack, wait_until

CONSENT = {"Penstock-Admin": "1"}


def connections(proxy):
    return proxy.pools()[0]["connections"]


def all_idle(proxy, count):
    wait_until(lambda: proxy.pools() and connections(proxy)["idle"] == count == sum(connections(proxy).values()),
               f"{count} are idle and nothing else is there")


def act(proxy, action):
    status, body = proxy.admin(f"/pools/api/{action}", "POST", CONSENT)
    assert status == 200, body


def peer(connection, request):
    """Answers with the address that the connection comes from."""
    connection.reply("{}:{}".format(*connection.sock.getpeername()).encode())


@pytest.mark.parametrize("reuse", [True, False])
def test_the_second_request_has_the_same_peer_address_where_connections_are_kept(stack, reuse):
    """Go: TestTransportKeepAlives."""
    proxy = stack.penstock(stack.to(stack.origin(answering(peer)), pool={"reuse": reuse}))
    with proxy.client() as client:
        first, second = (client.fetch("http://api.test/").body for _ in range(2))
    assert (first == second) == reuse


@pytest.mark.parametrize("asks", [True, False], ids=["client closes", "client stays"])
@pytest.mark.parametrize("reuse", [True, False], ids=["reuse", "no reuse"])
def test_who_wants_a_close_has_it_on_its_own_hop(stack, reuse, asks):
    """Go: TestTransportRespectRequestWantsClose. There a request that wants a close ends the connection to the server;
    here it ends the client's own, and `pool.reuse` alone decides about the upstream's."""
    origin = stack.origin()
    # One worker: with two, the second request may come to the other one before the connection is back, and dial.
    proxy = stack.penstock(stack.to(origin, pool={"reuse": reuse}), workers=1)
    for _ in range(2):
        with proxy.client() as client:
            response = client.fetch("http://api.test/", fields={"Connection": "close"} if asks else {})
            assert (response.get("connection") == "close") == asks
            assert client.ending(10 if asks else 0.2) == ("closed" if asks else "open")
    assert origin.accepted == (1 if reuse else 2)
    assert [request.all("connection") for request in origin.requests] == [[] if reuse else ["close"]] * 2


def test_the_pool_is_keyed_by_authority_and_emptied_by_close_idle(stack):
    """Go: TestTransportIdleCacheKeys. The key there is scheme and address, here the upstream and the origin."""
    origin = stack.origin()
    proxy = stack.penstock(stack.to(origin))
    assert proxy.pools() == []
    assert proxy.fetch("http://api.test/").status == 200
    all_idle(proxy, 1)
    assert [host["origin"] for host in proxy.pools()] == ["api.test:443"]
    act(proxy, "close-idle")
    all_idle(proxy, 0)
    wait_until(lambda: origin.open == 0, "the origin has seen the close")


@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_a_body_that_was_read_to_its_end_pools_the_connection_while_the_client_stays(stack, framing):
    """Go: TestTransportReadToEndReusesConn."""
    def answer(connection, request):
        if framing == "length":
            connection.reply(b"foobar")
        else:
            connection.reply_chunks([b"foo", b"bar"])

    origin = stack.origin(answering(answer))
    proxy = stack.penstock(stack.to(origin))
    with proxy.client() as client:
        for _ in range(3):
            assert client.fetch("http://api.test/").body == b"foobar"
            all_idle(proxy, 1)
    assert origin.accepted == 1


def holding_the_first(release):
    """A hold before the handshake of the first connection alone."""
    def before(origin, number):
        if number == 1:
            release.wait(20)

    return before


def two_clients(proxy, origin):
    """The first one's dial is under way, and the second waits for a place."""
    gone, waiting = proxy.client(), proxy.client()
    gone.request("http://api.test/gone")
    wait_until(lambda: origin.accepted == 1, "the first is in its handshake")
    waiting.request("http://api.test/waits")
    wait_until(lambda: proxy.waiting() == 1, "the second waits for a place")
    return gone, waiting


def test_a_dial_whose_client_left_serves_the_one_that_waits(stack):
    """Go: TestTransportMaxConnsPerHostDialCancellation. There the dial is cancelled and the waiter has one of its own;
    here it goes on for whoever waits."""
    release = threading.Event()
    origin = stack.origin(before_handshake=holding_the_first(release))
    proxy = stack.penstock(stack.to(origin, pool={"max_connections": 1}, timeouts={"tls_handshake": "20s"}))
    gone, waiting = two_clients(proxy, origin)
    gone.close()
    proxy.wait_for_log(lambda line: line["path"] == "/gone" and line["error"] == "client_aborted")
    release.set()
    assert waiting.response().status == 200
    assert [request.target for request in origin.requests] == ["/waits"] and origin.accepted == 1
    all_idle(proxy, 1)


@pytest.mark.parametrize("workers", [1, 2])
def test_a_dial_that_fails_after_its_client_left_gives_its_place_to_the_one_that_waits(stack, workers):
    """Go: TestTransportMaxConnsPerHostDialCancellation, where the dial that was left alone comes to nothing."""
    release = threading.Event()
    origin = stack.origin(before_handshake=holding_the_first(release))
    proxy = stack.penstock(stack.to(origin, pool={"max_connections": 1},
                                    timeouts={"tls_handshake": "2s", "queue": "20s"}), workers=workers)
    gone, waiting = two_clients(proxy, origin)
    gone.close()
    response = waiting.response()
    release.set()
    # Who waited before a dial began fails with it when nothing else is up; this one came later.
    assert response.status == 200 and origin.accepted == 2
    all_idle(proxy, 1)


def test_a_used_connection_is_not_closed_by_the_idle_timeout(stack):
    """Go: TestTransportIdleConnTimeout, its half of the connection that is in use again and again."""
    origin = stack.origin()
    proxy = stack.penstock(stack.to(origin, pool={"idle_timeout": "2500ms"}))
    before, rested = time.monotonic(), 0
    for _ in range(8):
        begun = time.monotonic()
        assert proxy.fetch("http://api.test/").status == 200
        rested += time.monotonic() - before >= 2.5  # only where the machine stood still it may have been idle for so long
        before = begun
        pause(0.4)
    assert origin.accepted <= 1 + rested
    wait_until(lambda: origin.open == 0, "left alone it is closed")


def closing_after_each(connection):
    """One answer that says nothing of the close behind it."""
    connection.read_request()
    connection.reply(str(connection.number).encode())
    connection.finish()


def test_a_connection_that_the_server_closed_frees_its_place_at_once(stack):
    """Go: TestTransportDecrementConnWhenIdleConnRemoved."""
    origin = stack.origin(closing_after_each, tls=False)
    proxy = stack.penstock(stack.to(origin, pool={"max_connections": 1},
                                    retry={"attempts": 5, "budget": {"min_per_second": 1000}}))
    assert in_parallel(9, lambda i: proxy.fetch("http://api.test/").status) == [200] * 9
    all_idle(proxy, 0)
    assert origin.peak == 1 and proxy.waiting() == 0
    told = proxy.pools()[0]
    assert told["opened"] == origin.accepted == sum(told["closed"].values())


@pytest.mark.parametrize("action, kept", [("close-idle", True), ("reconnect", False)])
def test_what_comes_back_after_the_operator_closed_the_idle_ones(stack, action, kept):
    """Go: TestTransportCloseIdleConnsThenReturn. There CloseIdleConnections refuses what comes back until the next
    request; here that is `reconnect`, and close-idle is for what is idle at that moment."""
    gate = threading.Event()

    def answer(connection, request):
        gate.wait(20)
        connection.reply()

    origin = stack.origin(answering(answer))
    proxy = stack.penstock(stack.to(origin))
    with proxy.client() as client:
        client.request("http://api.test/")
        wait_until(lambda: origin.requests, "it is under way")
        act(proxy, action)
        assert connections(proxy)["busy"] == 1, "nobody's request is touched"
        gate.set()
        assert client.response().body == b"ok"
        all_idle(proxy, 1 if kept else 0)
        assert client.fetch("http://api.test/").status == 200
        all_idle(proxy, 1)
    assert origin.accepted == (1 if kept else 2)


def test_an_empty_body_keeps_the_connection(stack):
    """Go: TestTransportReuseConnEmptyResponseBody."""
    origin = stack.origin(answering(lambda connection, request: connection.reply(b"", fields={"X-From": "origin"})))
    proxy = stack.penstock(stack.to(origin))
    with proxy.client() as client:
        for _ in range(20):
            response = client.fetch("http://api.test/")
            assert (response.status, response.body, response.get("x-from")) == (200, b"", "origin")
    assert origin.accepted == 1 and len(origin.requests) == 20


def descriptors(proxy):
    return len(os.listdir(f"/proc/{proxy.process.pid}/fd"))


def never_idle(connection):
    """Closes without an answer, so that the connection never becomes idle."""
    connection.read_request()
    connection.finish()


def short_body(connection):
    connection.read_request()
    connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nfoo")
    connection.finish()


@pytest.mark.parametrize("serve", [closing_after_each, short_body, never_idle], ids=["whole", "short", "never idle"])
def test_no_descriptor_is_left_of_a_hundred_requests(stack, serve):
    """Go: TestTransportPersistConnLeak, TestTransportPersistConnLeakShortBody, TestTransportPersistConnLeakNeverIdle."""
    origin = stack.origin(serve)
    # Each that meets the end of a connection before has another try, so that each has a connection of its own.
    proxy = stack.penstock(stack.to(origin, retry={"budget": {"min_per_second": 1000}}))

    def ask(_=None):
        with proxy.client() as client:
            client.request("http://api.test/", fields={"Connection": "close"})
            assert client.ending() != "open"

    def settle():
        wait_until(lambda: proxy.metrics("penstock_client_connections") == 0, "the clients are gone")
        wait_until(lambda: connections(proxy)["dialing"] == 0, "no dial is under way")
        act(proxy, "close-idle")  # a dial whose waiter took a connection that came back is idle
        all_idle(proxy, 0)

    in_parallel(8, ask)
    settle()
    before = descriptors(proxy)
    in_parallel(8, lambda i: [ask() for _ in range(13)])
    settle()
    wait_until(lambda: descriptors(proxy) <= before, "no descriptor more than before")
    told = proxy.pools()[0]
    assert told["opened"] == sum(told["closed"].values()) >= 104


def test_of_waiters_that_left_nothing_is_left(stack):
    """Go: TestTransportPersistConnContextLeakMaxConnsPerHost, TestIdleConnChannelLeak."""
    gate = threading.Event()

    def answer(connection, request):
        gate.wait(60)
        connection.reply()

    origin = stack.origin(answering(answer))
    proxy = stack.penstock(stack.to(origin, pool={"max_connections": 1, "max_waiting": 1000}, timeouts={"queue": "60s"}))
    with proxy.client() as holder:
        holder.request("http://api.test/holder")
        wait_until(lambda: origin.requests, "the only place is taken")
        sizes, open_now = [], []
        for _ in range(6):
            crowd = [proxy.client() for _ in range(100)]
            for client in crowd:
                client.request("http://api.test/leaves")
            wait_until(lambda: proxy.waiting() == 100, "all of them wait")
            for client in crowd:
                client.close()
            wait_until(lambda: proxy.waiting() == 0 and proxy.metrics("penstock_client_connections") == 1, "they have left")
            assert json.loads(proxy.admin("/waiting")[1])["waiting"] == []
            sizes.append(proxy.rss_bytes)
            open_now.append(descriptors(proxy))
        wait_until(lambda: descriptors(proxy) <= open_now[0], "descriptors of those who left")
        assert sizes[-1] < sizes[1] + (4 << 20), "memory of those who left"
        gate.set()
        assert holder.response().status == 200
    assert [request.target for request in origin.requests] == ["/holder"]


def test_after_surprising_closes_later_requests_are_served(stack):
    """Go: TestTransportServerClosingUnexpectedly. The server closes right after its answer, without a word."""
    origin = stack.origin(closing_after_each)
    proxy = stack.penstock(stack.to(origin))
    with proxy.client() as client:
        for number in range(1, 4):
            assert client.fetch("http://api.test/").body == str(number).encode()
            wait_until(lambda: connections(proxy)["idle"] == 0, "the close has been seen")


def test_a_waiter_takes_what_comes_free_and_the_spare_dial_is_pooled(stack):
    """Go: TestTransportSocketLateBinding. The waiter does not wait for its own dial."""
    gate, handshake = threading.Event(), threading.Event()

    def before(origin, number):
        if number == 2:
            handshake.wait(20)

    def answer(connection, request):
        if request.target == "/first":
            gate.wait(20)
        connection.reply(str(connection.number).encode())

    origin = stack.origin(answering(answer), before_handshake=before)
    proxy = stack.penstock(stack.to(origin))
    with proxy.client() as first, proxy.client() as second:
        first.request("http://api.test/first")
        wait_until(lambda: origin.requests, "the first is under way")
        second.request("http://api.test/second")
        wait_until(lambda: origin.accepted == 2, "a dial for the second is under way")
        gate.set()
        assert first.response().body == b"1"
        assert second.response().body == b"1", "it took the connection that came free"
    handshake.set()
    all_idle(proxy, 2)


def test_a_reset_client_leaves_no_upload_pending(stack):
    """Go: TestTransportReqCancelerCleanupOnRequestBodyWriteError: after an upload whose writing failed nothing is counted
    as under way."""
    def serve(connection):
        connection.read_head()
        connection.reset()

    origin = stack.origin(serve)
    proxy = stack.penstock(stack.to(origin))
    for _ in range(5):
        with proxy.client() as client:
            try:
                client.send(b"POST http://api.test/ HTTP/1.1\r\nHost: api.test\r\nContent-Length: 10000000\r\n\r\n")
                client.send(bytes(10_000_000))
            except (ConnectionResetError, BrokenPipeError):
                pass
            client.ending(slack(2))
    all_idle(proxy, 0)
    wait_until(lambda: proxy.metrics("penstock_client_connections") == 0, "the clients are gone")
    assert proxy.waiting() == 0 and origin.accepted == 5
    assert {line["error"] for line in proxy.wait_for_log(count=5)} <= {"connection_terminated", "client_aborted"}


@pytest.mark.parametrize("framing", ["chunked", "length"])
def test_a_compressed_body_passes_as_it_is_and_keeps_the_connection(stack, framing):
    """Go: TestTransportReuseConnection_Gzip_Chunked, TestTransportReuseConnection_Gzip_ContentLength. There the Transport
    unpacks what it asked for itself; here no coding is touched."""
    packed = gzip.compress(b"hello " * 1000)

    def answer(connection, request):
        if framing == "chunked":
            connection.reply_chunks([packed[:10], packed[10:]], fields={"Content-Encoding": "gzip"})
        else:
            connection.reply(packed, fields={"Content-Encoding": "gzip"})

    origin = stack.origin(answering(answer))
    proxy = stack.penstock(stack.to(origin))
    with proxy.client() as client:
        for _ in range(5):
            response = client.fetch("http://api.test/", fields={"Accept-Encoding": "gzip"})
            assert response.body == packed and response.get("content-encoding") == "gzip"
    assert origin.accepted == 1
    assert {request.get("accept-encoding") for request in origin.requests} == {"gzip"}


def test_a_stop_closes_what_is_idle(stack):
    """Go: TestIdleConnChannelLeak, seen from the socket: a stop leaves the origin no open connection."""
    origin = stack.origin()
    proxy = stack.penstock(stack.to(origin), workers=2)
    in_parallel(8, lambda i: proxy.fetch("http://api.test/").status)
    assert origin.open >= 1
    proxy.stop()
    wait_until(lambda: origin.open == 0, "all are closed")
