"""process.max_buffers: bodies wait, then new requests are refused, and nothing that was begun is lost."""

import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress

import pytest

from support.client import Client
from support.penstock import assert_failed
from support.scripted_origin import answering
from support.waiting import TIME_FACTOR, pause, wait_until

MIB = 1 << 20
LIMIT = 4 * MIB
# Each worker tells what it holds in steps of 256 KiB; whoever was let through may have read one block more.
SLACK = MIB
CLIENTS = 250
BODY = MIB
UPLOAD = MIB // 2
STALL_SECONDS = 2 + 2 * TIME_FACTOR


def held(proxy):
    return proxy.metrics("penstock_buffer_bytes")


def flood(connection, request):
    connection.send(f"HTTP/1.1 200 OK\r\nContent-Length: {BODY}\r\n\r\n")
    for _ in range(BODY // 65536):
        connection.send(bytes(65536))


@pytest.fixture
def doors():
    """For unix sockets, whose buffers in the kernel do not grow: the proxy's and the origin's."""
    with tempfile.TemporaryDirectory() as folder:  # a socket's path is short
        yield f"{folder}/proxy", f"{folder}/origin"


def tight(stack, doors, **settings):
    upstream = stack.to(0, connect_to=f"unix:{doors[1]}",
                        pool={"max_connections": 2 * CLIENTS, "max_connecting": 2 * CLIENTS})
    proxy = stack.penstock(upstream, listeners=[{}, {"address": f"unix:{doors[0]}"}], workers=2,
                           process={"max_buffers": "4MiB"}, **settings)
    assert proxy.metrics("penstock_buffer_bytes_limit") == LIMIT
    return proxy


def refused(response):
    assert_failed(response, 503, "proxy_internal_error", limit="process.max_buffers")
    assert response.get("retry-after") == "1"


def test_clients_that_do_not_read_fill_no_more_and_then_all_get_their_responses(stack, doors, report):
    stack.origin(answering(flood), tls=False, address=doors[1])
    proxy = tight(stack, doors)
    peak = 0
    with ExitStack() as open_clients:
        clients = []
        for _ in range(CLIENTS):
            clients.append(open_clients.enter_context(Client(doors[0])))
            clients[-1].request("http://api.test/big")
            peak = max(peak, held(proxy))
        wait_until(lambda: held(proxy) >= LIMIT * 7 // 8, "the buffers are full")
        # What only passes through is counted too: there may be room again for a moment.
        refused(wait_until(lambda: (response := proxy.fetch("http://api.test/one-more")).status != 200 and response,
                           "new requests are refused"))
        peak = max(peak, held(proxy))
        report("bytes held at most", peak)
        assert peak <= LIMIT + SLACK
        with ThreadPoolExecutor(CLIENTS) as readers:  # all at once: nobody waits for one who does not read
            statuses = list(readers.map(Client.response, clients))
    served = [response for response in statuses if response.status == 200]
    assert all(len(response.body) == BODY for response in served)
    for response in statuses:
        if response.status != 200:
            refused(response)
    report("served, refused", (len(served), CLIENTS - len(served)))
    assert len(served) > 20
    wait_until(lambda: held(proxy) < SLACK, "the buffers are free")
    assert len(proxy.fetch("http://api.test/again").body) == BODY
    assert "process.max_buffers" in proxy.stderr


def test_an_origin_that_does_not_read_fills_no_more_and_then_takes_every_upload(stack, doors, report):
    def take(connection):
        connection.origin.gate.wait(60)
        while head := connection.read_head():
            connection.reader.exactly(head.content_length)
            connection.reply(b"taken")

    origin = stack.origin(take, tls=False, address=doors[1])
    origin.gate = threading.Event()
    # What waits for our own buffers is not the client's fault: its limit does not run.
    proxy = tight(stack, doors, client={"body_stall": f"{STALL_SECONDS}s"},
                  defaults={"timeouts": {"write_stall": "60s"}})
    outcomes = []

    def upload():
        with Client(doors[0], seconds=60) as client:
            with suppress(OSError):  # refused, and closed before all of it was sent: the answer says which
                client.request("http://api.test/up", "POST", body=bytes(UPLOAD))
            outcomes.append(client.response("POST"))

    threads = [threading.Thread(target=upload) for _ in range(CLIENTS)]
    for thread in threads:
        thread.start()
    wait_until(lambda: held(proxy) >= LIMIT * 3 // 4, "the buffers are nearly full")
    pause(1.5 * STALL_SECONDS)
    assert held(proxy) <= LIMIT + SLACK
    origin.gate.set()
    for thread in threads:
        thread.join()
    taken = [outcome for outcome in outcomes if outcome.status == 200]
    for outcome in outcomes:
        if outcome.status != 200:
            refused(outcome)
    report("taken, refused", (len(taken), CLIENTS - len(taken)))
    assert len(outcomes) == CLIENTS and len(taken) > 20
    wait_until(lambda: held(proxy) < SLACK, "the buffers are free")


def test_the_limit_may_change_while_requests_run(stack):
    origin = stack.origin(answering(flood), tls=False)
    settings = stack.to(origin)
    proxy = stack.penstock(settings, process={"max_buffers": "64MiB"})
    with proxy.client() as client:
        client.request("http://api.test/big")
        proxy.reload({**proxy.settings, "process": {"max_buffers": "32MiB"}})
        assert proxy.metrics("penstock_buffer_bytes_limit") == 32 * MIB
        assert len(client.response().body) == BODY
