"""SIGTERM drains: what runs may end within the grace, what idles does not hold up the exit, and of those who still ask
nobody fails. `shutdown.wait_for_clients` puts a time before it in which only /readyz differs."""

import signal
import threading
import time

import pytest

from support.client import refuses
from support.http1 import Truncated
from support.scripted_origin import answering
from support.steady_load import RESTED_SECONDS, SteadyLoad
from support.waiting import TIME_FACTOR, slack, wait_until


class Gate:
    def __init__(self):
        self.opened = threading.Event()

    def __call__(self, connection, request):
        if request.target == "/slow":
            self.opened.wait(30)
        connection.reply(b"done")


@pytest.fixture
def gate():
    return Gate()


def under_way(proxy, origin):
    client = proxy.client()
    seen = len(origin.requests)
    client.request("http://api.test/slow")
    wait_until(lambda: len(origin.requests) > seen, "the request is under way")
    return client


def ended(proxy, seconds=10):
    """Waits for the process, returns its exit code and how long it took from now."""
    begun = time.monotonic()
    code = proxy.process.wait(seconds * TIME_FACTOR)
    proxy.stopped = True
    proxy.check_stderr()
    return code, time.monotonic() - begun


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_requests_in_flight_are_served_and_the_exit_is_0(stack, gate, number):
    origin = stack.origin(answering(gate))
    proxy = stack.penstock(stack.to(origin))
    client = under_way(proxy, origin)
    proxy.process.send_signal(number)
    wait_until(lambda: refuses(proxy.port), "no new client is accepted")
    assert proxy.process.poll() is None
    gate.opened.set()
    response = client.response()
    assert response.body == b"done" and response.get("connection") == "close"
    assert client.ending() == "closed"
    client.close()
    code, seconds = ended(proxy)
    assert code == 0 and seconds < slack()
    assert proxy.log_lines()[-1]["status"] == 200, "the log's last lines are written before the exit"


def test_readyz_turns_while_draining(stack, gate):
    origin = stack.origin(answering(gate))
    proxy = stack.penstock(stack.to(origin))
    client = under_way(proxy, origin)
    assert proxy.admin("/readyz")[0] == 200
    proxy.process.send_signal(signal.SIGTERM)
    wait_until(lambda: proxy.admin("/readyz")[0] == 503, "/readyz says that it drains")
    assert proxy.admin("/livez")[0] == 200
    gate.opened.set()
    assert client.response().status == 200
    client.close()
    assert ended(proxy)[0] == 0


def test_idle_keep_alive_clients_do_not_hold_up_the_exit(stack):
    proxy = stack.penstock(stack.to(stack.origin()))
    clients = [proxy.client() for _ in range(20)]
    for client in clients:
        assert client.fetch("http://api.test/").status == 200
    silent = proxy.client()
    proxy.process.send_signal(signal.SIGTERM)
    code, seconds = ended(proxy)
    assert code == 0 and seconds < slack()
    assert {client.ending() for client in clients} == {"closed"}
    silent.close()


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("kind", ["tcp", "unix"])
def test_under_load_nobody_who_got_through_fails(stack, short_folder, report, workers, kind):
    """Who comes after the end is refused; every connection that was made has its request served."""
    path = short_folder / "p.sock"
    proxy = stack.penstock(stack.to(stack.origin()), workers=workers,
                           listeners=[{"address": f"unix:{path}"}] if kind == "unix" else 1)
    with SteadyLoad(path if kind == "unix" else proxy.port) as clients:
        clients.wait_for(500)
        proxy.process.send_signal(signal.SIGTERM)
        assert ended(proxy)[0] == 0
        clients.wait()
    report("served, then refused", (clients.served, clients.refused))
    assert not clients.faults, clients.faults


def asks_until_told_to_go(proxy):
    """Whether it was; when not, its longest rest between two answers."""
    answered, longest = time.monotonic(), 0
    with proxy.client() as client:
        assert client.fetch("http://api.test/").get("connection") != "close"
        proxy.process.send_signal(signal.SIGTERM)
        while True:
            try:
                response = client.fetch("http://api.test/")
            except (Truncated, ConnectionError):
                return False, max(longest, time.monotonic() - answered)
            longest, answered = max(longest, time.monotonic() - answered), time.monotonic()
            if response.get("connection") == "close":
                assert client.ending() == "closed"
                return True, longest


def test_the_next_request_of_an_idle_client_is_its_last(stack):
    """It cannot know yet, and its request may be on its way."""
    told = False
    while not told:
        proxy = stack.penstock(stack.to(stack.origin()))
        told, longest = asks_until_told_to_go(proxy)
        assert ended(proxy)[0] == 0
        assert told or longest > RESTED_SECONDS, "only who asks nothing for half a second finds it closed"


def test_a_tunnel_lives_until_the_grace_ends(stack):
    """Bytes still pass while everything else has gone."""
    def echo(connection):
        while data := connection.sock.recv(4096):
            connection.sock.sendall(data)

    origin = stack.origin(echo, tls=False)
    proxy = stack.penstock(stack.to(origin, host="api.test:443"), shutdown={"grace": "4s"})
    with proxy.client() as client:
        client.send("CONNECT api.test:443 HTTP/1.1\r\nHost: api.test:443\r\n\r\n")
        assert client.head().status == 200
        begun = time.monotonic()
        proxy.process.send_signal(signal.SIGTERM)
        wait_until(lambda: proxy.admin("/readyz")[0] == 503, "it drains")
        client.send("still there?")
        assert client.sock.recv(100) == b"still there?"
        assert ended(proxy)[0] == 0
        assert time.monotonic() - begun >= 4.0
        assert client.ending() in ("closed", "reset")


def test_with_nothing_to_do_the_exit_is_at_once(stack):
    proxy = stack.penstock(stack.to(stack.origin()))
    proxy.process.send_signal(signal.SIGTERM)
    code, seconds = ended(proxy)
    assert code == 0 and seconds < slack()


def test_a_second_signal_exits_at_once(stack, gate):
    origin = stack.origin(answering(gate))
    proxy = stack.penstock(stack.to(origin))
    client = under_way(proxy, origin)
    proxy.process.send_signal(signal.SIGTERM)
    wait_until(lambda: refuses(proxy.port), "it drains")
    proxy.process.send_signal(signal.SIGTERM)
    _, seconds = ended(proxy)
    assert seconds < slack()
    assert client.ending() in ("closed", "reset")


def test_the_grace_ends(stack, gate):
    origin = stack.origin(answering(gate))
    proxy = stack.penstock(stack.to(origin), shutdown={"grace": "600ms"})
    client = under_way(proxy, origin)
    begun = time.monotonic()
    proxy.process.send_signal(signal.SIGTERM)
    code, _ = ended(proxy)
    assert code == 0
    assert 0.6 <= time.monotonic() - begun < 0.6 + slack()
    assert client.ending() in ("closed", "reset")
    line, = proxy.log_lines()
    assert line["total_ms"] >= 600 and line["close_reason"] == "shutdown", line


def test_requests_that_wait_in_the_queue_are_told(stack, gate):
    """A queued request is either served within the grace or answered; it never just hangs."""
    origin = stack.origin(answering(gate))
    proxy = stack.penstock(stack.to(origin, pool={"max_connections": 1}))
    first = under_way(proxy, origin)
    with proxy.client() as queued:
        queued.request("http://api.test/queued")
        wait_until(lambda: proxy.waiting() == 1, "it waits")
        proxy.process.send_signal(signal.SIGTERM)
        wait_until(lambda: refuses(proxy.port), "it drains")
        gate.opened.set()
        assert first.response().status == 200
        assert queued.response().status in (200, 503)
    assert ended(proxy)[0] == 0


# wait_for_clients

def quiet_exit(proxy):
    begun = time.monotonic()
    proxy.process.send_signal(signal.SIGTERM)
    return ended(proxy)[0], time.monotonic() - begun


def test_while_it_waits_for_clients_only_readyz_differs(stack):
    proxy = stack.penstock(stack.to(stack.origin()), shutdown={"grace": "20s", "wait_for_clients": "15s"})
    kept = proxy.client()
    assert kept.fetch("http://api.test/").status == 200
    proxy.process.send_signal(signal.SIGTERM)
    wait_until(lambda: proxy.admin("/readyz") == (503, "draining\n"), "/readyz says that it drains")
    for _ in range(5):
        assert proxy.fetch("http://api.test/").get("connection") != "close"
        assert kept.fetch("http://api.test/").get("connection") != "close"
    assert proxy.process.poll() is None
    begun = time.monotonic()
    kept.close()
    assert ended(proxy)[0] == 0
    assert 1.0 <= time.monotonic() - begun < 1.0 + slack(), "a second after the last client has left"


def test_with_nobody_connected_the_wait_is_a_second(stack):
    proxy = stack.penstock(stack.to(stack.origin()), shutdown={"grace": "20s", "wait_for_clients": "15s"})
    code, seconds = quiet_exit(proxy)
    assert code == 0 and 1.0 <= seconds < 1.0 + slack()


def test_the_wait_ends_for_whoever_stays_too(stack):
    proxy = stack.penstock(stack.to(stack.origin()), shutdown={"grace": "20s", "wait_for_clients": "1500ms"})
    with SteadyLoad(proxy.port, kept=2, fresh=2) as clients:
        clients.wait_for(20)
        code, seconds = quiet_exit(proxy)
        clients.wait()
    assert code == 0 and 1.5 <= seconds < 1.5 + slack()
    assert not clients.faults, clients.faults


def test_a_second_signal_ends_the_wait_too(stack):
    proxy = stack.penstock(stack.to(stack.origin()), shutdown={"grace": "20s", "wait_for_clients": "15s"})
    with proxy.client() as client:
        assert client.fetch("http://api.test/").status == 200
        proxy.process.send_signal(signal.SIGTERM)
        wait_until(lambda: proxy.admin("/readyz")[0] == 503, "it waits")
        code, seconds = quiet_exit(proxy)
        assert code == 1 and seconds < slack()


def test_the_grace_counts_the_wait(stack, gate):
    origin = stack.origin(answering(gate))
    proxy = stack.penstock(stack.to(origin), shutdown={"grace": "4s", "wait_for_clients": "3s"})
    client = under_way(proxy, origin)
    code, seconds = quiet_exit(proxy)
    assert code == 0 and 4 <= seconds < 3 + 4
    assert client.ending() in ("closed", "reset")


def test_a_signal_after_an_asked_for_drain_is_the_first_one(stack, gate):
    """As a preStop hook asks, and then the kubelet signals."""
    origin = stack.origin(answering(gate))
    proxy = stack.penstock(stack.to(origin))
    client = under_way(proxy, origin)
    assert proxy.admin("/drain", "POST", {"Penstock-Admin": "1"})[0] == 200
    wait_until(lambda: refuses(proxy.port), "no new client is accepted")
    proxy.process.send_signal(signal.SIGTERM)
    assert proxy.admin("/readyz")[0] == 503 and proxy.process.poll() is None
    gate.opened.set()
    assert client.response().body == b"done"
    client.close()
    assert ended(proxy)[0] == 0
