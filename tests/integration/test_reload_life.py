"""Reloads at odd moments: before the daemon listens, two at once, while it drains, and listeners that come and go
while they serve."""

import json
import shutil
import signal
import tempfile
import threading
from pathlib import Path

import pytest

from support.client import Client
from support.penstock import free_ports
from support.scripted_origin import answering
from support.waiting import TIME_FACTOR, wait_until

CONSENT = {"Penstock-Admin": "1"}


def revision(proxy):
    return json.loads(proxy.admin("/pools")[1])["revision"]


def post(proxy):
    status, body = proxy.admin("/reload", "POST", CONSENT)
    return status, json.loads(body)


@pytest.fixture
def gate():
    gate = threading.Event()
    yield gate
    gate.set()


@pytest.fixture
def slow(stack, gate):
    def answer(connection, request):
        if request.target == "/slow":
            gate.wait(20)
        connection.reply(request.target.encode())

    return stack.origin(answering(answer))


def begin_slow(proxy, origin, listener=0):
    client = proxy.client(listener)
    seen = len(origin.requests)
    client.request("http://api.test/slow")
    wait_until(lambda: len(origin.requests) > seen, "it is under way")
    return client


def test_a_signal_before_the_daemon_listens_neither_ends_it_nor_is_lost(stack):
    """From its first instruction on: each process gets SIGHUP as soon as it is there."""
    origin = stack.origin()
    for _ in range(5):
        proxy = stack.penstock(stack.to(origin))
        proxy.process.send_signal(signal.SIGTERM)
        assert proxy.process.wait(10 * TIME_FACTOR) == 0
        proxy._spawn()
        wait_until(lambda: holds_sighup(proxy.process.pid), "it holds the signal, or listens for it", 20)
        proxy.process.send_signal(signal.SIGHUP)
        wait_until(lambda: proxy.process.poll() is not None or proxy._ready(), "it is ready")
        assert proxy.process.poll() is None, f"it ended: {proxy.stderr}"
        wait_until(lambda: revision(proxy) == 2, "it reads its file again")


def holds_sighup(pid):
    status = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return any(int(status[field], 16) & 1 << (signal.SIGHUP - 1) for field in ("SigBlk", "SigCgt"))


def test_requests_to_reload_at_once_are_all_answered(stack):
    origin = stack.origin(names=("api.test", "last.test"))
    proxy = stack.penstock(stack.to(origin), workers=2)
    answers = []
    threads = [threading.Thread(target=lambda: answers.append(post(proxy))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for _ in range(8):
        proxy.process.send_signal(signal.SIGHUP)
    for thread in threads:
        thread.join()
    assert [status for status, _ in answers] == [200] * 8, answers
    assert all(report["changes"] for _, report in answers)
    proxy.write_config({**proxy.settings, "upstreams": [stack.to(origin, "last.test")]})
    assert post(proxy)[0] == 200
    assert proxy.fetch("http://last.test/").status == 200, "the last file is in force"


def test_a_daemon_that_drains_keeps_its_configuration(stack, slow, gate):
    proxy = stack.penstock(stack.to(slow))
    client = begin_slow(proxy, slow)
    proxy.process.send_signal(signal.SIGTERM)
    wait_until(lambda: "draining" in proxy.stderr, "it drains")
    status, text = proxy.admin("/reload", "POST", CONSENT)
    assert status == 409 and "draining" in text
    proxy.process.send_signal(signal.SIGHUP)
    wait_until(lambda: "no reload: the daemon is draining" in proxy.stderr, "the signal is refused too")
    gate.set()
    assert client.response().status == 200
    assert proxy.process.wait(10 * TIME_FACTOR) == 0


def test_a_reload_and_a_stop_at_once_end_well(stack, slow):
    proxy = stack.penstock(stack.to(slow), workers=2)
    assert proxy.fetch("http://api.test/").status == 200
    proxy.process.send_signal(signal.SIGHUP)
    proxy.process.send_signal(signal.SIGTERM)
    assert proxy.process.wait(10 * TIME_FACTOR) == 0


def test_a_listener_that_goes_and_comes_back_loses_no_request(stack, slow, gate):
    proxy = stack.penstock(stack.to(slow), workers=2)
    proxy.ports += free_ports(1)
    proxy.write_config({**proxy.settings, "listeners": [{}, {}]})
    assert post(proxy)[0] == 200
    busy = begin_slow(proxy, slow, 1)
    both = list(proxy.ports)
    for ports in (both[:1], both, both[:1], both):
        proxy.ports = ports
        proxy.write_config({**proxy.settings, "listeners": [{} for _ in ports]})
        assert post(proxy)[0] == 200
        if len(ports) == 2:
            assert proxy.fetch("http://api.test/", listener=1).status == 200
        else:
            wait_until(lambda: refused(both[1]), "nobody listens there")
    gate.set()
    response = busy.response()
    assert response.status == 200 and response.get("connection") == "close"
    busy.close()


def refused(port):
    try:
        Client(port).close()
        return False
    except OSError:
        return True


@pytest.fixture
def sockets():
    path = Path(tempfile.mkdtemp(prefix="penstock-"))
    yield path
    shutil.rmtree(path)


def fetch(path):
    with Client(path) as client:
        return client.fetch("http://api.test/")


def test_a_unix_socket_that_moves_takes_its_file_along(stack, slow, sockets):
    old, new = str(sockets / "old.sock"), str(sockets / "new.sock")
    proxy = stack.penstock(stack.to(slow), listeners=[{}, {"address": f"unix:{old}"}])
    with Client(old) as client:
        assert client.fetch("http://api.test/").status == 200
        proxy.write_config({**proxy.settings, "listeners": [{}, {"address": f"unix:{new}"}]})
        assert post(proxy)[0] == 200
        assert fetch(new).status == 200
        assert not Path(old).exists(), "the old file is left behind"
        assert client.ending() == "closed", "its client connects anew"
    proxy.write_config({**proxy.settings, "listeners": [{}, {"address": f"unix:{old}"}]})
    assert post(proxy)[0] == 200
    assert fetch(old).status == 200 and not Path(new).exists()


@pytest.mark.parametrize("workers", [1, 2])
def test_a_removed_listeners_clients_end_after_the_request_under_way(stack, workers):
    """Whoever came by it must not use what it allowed for ever; what runs is served, and told."""
    gate = threading.Event()
    origin = stack.origin(answering(lambda connection, request: gate.wait(20) and connection.reply(b"done")))
    proxy = stack.penstock(stack.to(origin), workers=workers)
    removed, = free_ports(1)
    proxy.write_config({**proxy.settings, "listeners": [{}, {"address": f"127.0.0.1:{removed}"}]})
    proxy.ports.append(removed)
    proxy.write_config(proxy.settings)
    assert post(proxy)[0] == 200
    with Client(removed) as busy, Client(removed) as idle, proxy.client() as other:
        for client in (busy, other):
            client.request("http://api.test/")
        wait_until(lambda: len(origin.requests) == 2, "both are under way")
        proxy.ports.pop()
        proxy.write_config(proxy.settings)
        assert post(proxy)[0] == 200
        assert idle.ending() == "closed"
        gate.set()
        response = busy.response()
        assert response.body == b"done" and response.get("connection") == "close"
        assert busy.ending() == "closed"
        assert other.response().get("connection") == "keep-alive"
        assert other.fetch("http://api.test/").status == 200, "it came by the listener that stays"


def test_a_listener_that_cannot_move_leaves_everything_as_it_was(stack, slow, sockets):
    old = str(sockets / "old.sock")
    proxy = stack.penstock(stack.to(slow), listeners=[{}, {"address": f"unix:{old}"}])
    proxy.write_config({**proxy.settings, "listeners": [{}, {"address": f"unix:{sockets}/no/such/folder.sock"}]})
    status, report = post(proxy)
    assert status == 422 and "folder.sock" in report["error"] and report["revision"] == 1
    assert fetch(old).status == 200
