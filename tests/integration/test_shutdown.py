"""SIGTERM drains: what runs may end within the grace, what idles does not hold up the exit."""

import signal
import threading
import time

import pytest

from support.client import Client
from support.scripted_origin import answering
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
    assert code == 0 and seconds < slack(1)
    assert proxy.log_lines()[-1]["status"] == 200, "the log's last lines are written before the exit"


def refuses(port):
    try:
        Client(port).close()
        return False
    except OSError:
        return True


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
    assert code == 0 and seconds < slack(1)
    assert {client.ending() for client in clients} == {"closed"}
    silent.close()


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
    assert 0.6 <= time.monotonic() - begun < 0.6 + slack(1)
    assert client.ending() in ("closed", "reset")


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
