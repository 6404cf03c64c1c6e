"""What systemd is told through $NOTIFY_SOCKET: ready, reloading, stopping, status, and that all threads turn."""

import signal
import socket
import subprocess
import threading
import time
from itertools import pairwise
from statistics import median

import pytest

from support.frozen_threads import frozen, other_threads
from support.notify_socket import NotifySocket
from support.penstock import BINARY, free_ports
from support.scripted_origin import answering
from support.waiting import TIME_FACTOR, pause, wait_until

WATCHDOG_SECONDS = 0.4 * TIME_FACTOR
WATCHDOG_USEC = int(WATCHDOG_SECONDS * 1e6)


@pytest.fixture
def manager():
    manager = NotifySocket()
    yield manager
    manager.close()


def write_config(folder, port):
    path = folder / "penstock.yaml"
    path.write_text(f"listeners: [{{address: '127.0.0.1:{port}'}}]\nadmin: {{address: off}}\n")
    return path


def test_ready_comes_once_requests_are_accepted(manager, tmp_path):
    port, = free_ports(1)
    process = subprocess.Popen([BINARY, "-c", write_config(tmp_path, port)], env=manager.environment(),
                               stderr=subprocess.DEVNULL)
    try:
        index, message = manager.wait_for("READY", seconds=20)
        socket.create_connection(("127.0.0.1", port)).close()
        assert index == 0 and message["READY"] == "1"
        assert message["STATUS"] == "revision 1, clients 0, upstream connections 0"
    finally:
        process.terminate()
        assert process.wait(20 * TIME_FACTOR) == 0


def test_a_start_that_fails_is_never_ready(manager, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        config = write_config(tmp_path, taken.getsockname()[1])
        done = subprocess.run([BINARY, "-c", config], env=manager.environment(), capture_output=True,
                              timeout=20 * TIME_FACTOR)
    assert done.returncode == 69 and manager.read() == []


def test_a_reload_is_told_with_its_time_and_its_end(stack, manager):
    proxy = stack.penstock(stack.to(1), command=manager.command())
    before = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    proxy.reload(proxy.settings)
    index, reloading = manager.wait_for("RELOADING")
    after = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    assert before <= int(reloading["MONOTONIC_USEC"]) <= after
    _, ready = manager.wait_for("READY", after=index)
    assert ready["STATUS"].startswith("revision 2, ")


def test_a_failed_reload_is_over_too_and_its_status_says_why(stack, manager):
    proxy = stack.penstock(stack.to(1), command=manager.command())
    proxy.reload(text="listeners: 5\nno_such_key: 1\n")
    index, _ = manager.wait_for("RELOADING")
    _, ready = manager.wait_for("READY", after=index)
    assert ready["STATUS"].startswith("revision 1, ")
    assert f"; the last reload failed: 2 faults in {proxy.config_path}" in ready["STATUS"]
    proxy.reload(proxy.settings)
    _, ready = manager.wait_for("READY", after=index + 2)
    assert ready["STATUS"].startswith("revision 2, ") and "failed" not in ready["STATUS"]


def test_stopping_is_told_with_the_time_the_drain_may_take(stack, manager):
    gate = threading.Event()

    def answer(connection, request):
        gate.wait(20)
        connection.reply()

    origin = stack.origin(answering(answer))
    proxy = stack.penstock(stack.to(origin), command=manager.command(), shutdown={"grace": "100s"})
    with proxy.client() as client:
        client.request("http://api.test/")
        wait_until(lambda: origin.requests, "it is under way")
        proxy.process.send_signal(signal.SIGTERM)
        _, message = manager.wait_for("STOPPING")
        assert int(message["EXTEND_TIMEOUT_USEC"]) > 100e6
        assert message["STATUS"] == "draining, revision 1, clients 1, upstream connections 1"
        gate.set()
        assert client.response().status == 200
    proxy.process.wait(10 * TIME_FACTOR)
    proxy.stop()
    assert manager.count("STOPPING") == 1


def test_the_status_follows_the_counts(stack, manager):
    origin = stack.origin()
    proxy = stack.penstock(stack.to(origin), command=manager.command())
    with proxy.client() as client:
        assert client.fetch("http://api.test/").status == 200
        manager.wait_for_status("clients 1, upstream connections 1")


def test_nobody_asked_for_a_watchdog_nobody_gets_one(stack, manager):
    proxy = stack.penstock(stack.to(1), command=manager.command())
    proxy.stop()
    assert manager.count("READY") == 1 and manager.count("WATCHDOG") == 0


def test_the_watchdog_is_fed_at_half_its_interval(stack, manager):
    stack.penstock(stack.to(1), command=manager.command(WATCHDOG_USEC=WATCHDOG_USEC))
    manager.wait_for("READY")
    fed = []
    while len(fed) < 10:
        before = manager.count("WATCHDOG")
        wait_until(lambda: manager.count("WATCHDOG") > before, "it is fed")
        fed.append(time.monotonic())
    # Most of them: whoever stands still for a while disturbs one or two.
    assert 0.4 * WATCHDOG_SECONDS < median(b - a for a, b in pairwise(fed)) < 0.75 * WATCHDOG_SECONDS


def silent_intervals(manager, intervals=4):
    """How often the watchdog is fed in a time in which it should have been so many times twice."""
    pause(WATCHDOG_SECONDS)  # what was under way
    before = manager.count("WATCHDOG")
    pause(intervals * WATCHDOG_SECONDS)
    return manager.count("WATCHDOG") - before


def test_a_stopped_daemon_does_not_feed_the_watchdog(stack, manager):
    proxy = stack.penstock(stack.to(1), command=manager.command(WATCHDOG_USEC=WATCHDOG_USEC))
    manager.wait_for("WATCHDOG")
    proxy.process.send_signal(signal.SIGSTOP)
    try:
        assert silent_intervals(manager) == 0
    finally:
        proxy.process.send_signal(signal.SIGCONT)
    fed = manager.count("WATCHDOG")
    wait_until(lambda: manager.count("WATCHDOG") > fed, "it is fed again")


def test_a_hung_worker_is_not_fed_for_although_the_control_loop_turns(stack, manager):
    proxy = stack.penstock(stack.to(1), command=manager.command(WATCHDOG_USEC=WATCHDOG_USEC))
    manager.wait_for("WATCHDOG")
    with frozen(other_threads(proxy.process.pid)):
        assert silent_intervals(manager) == 0
        assert proxy.admin("/readyz")[0] == 200, "the control loop turns"
        assert proxy.admin("/livez")[0] == 503
        fed = manager.count("WATCHDOG")
    wait_until(lambda: manager.count("WATCHDOG") > fed, "it is fed again")
    wait_until(lambda: proxy.admin("/livez")[0] == 200, "all workers turn")


def test_a_watchdog_meant_for_another_process_is_not_ours(stack, manager):
    proxy = stack.penstock(stack.to(1), command=manager.command(WATCHDOG_USEC=1000, WATCHDOG_PID=1))
    proxy.stop()
    assert manager.count("READY") == 1 and manager.count("WATCHDOG") == 0


@pytest.mark.parametrize("interval", ["soon", "0", str(2**64 - 1)])
def test_an_interval_that_cannot_be_is_warned_of(stack, manager, interval):
    proxy = stack.penstock(stack.to(1), command=manager.command(WATCHDOG_USEC=interval))
    assert "$WATCHDOG_USEC cannot be used" in proxy.stderr and manager.count("READY") == 1


def test_a_manager_that_is_gone_is_warned_of_and_requests_are_served(stack):
    origin = stack.origin()
    proxy = stack.penstock(stack.to(origin), command=["env", "NOTIFY_SOCKET=/nonexistent/notify"])
    assert proxy.fetch("http://api.test/").status == 200
    proxy.reload(proxy.settings)
    warned = [line for line in proxy.stderr.splitlines() if "$NOTIFY_SOCKET does not take" in line]
    assert len(warned) == 1 and "No such file" in warned[0]


def test_a_manager_that_does_not_read_holds_nothing_up_and_is_told_later(stack, manager):
    manager.fill()
    proxy = stack.penstock(stack.to(1), command=manager.command(WATCHDOG_USEC=WATCHDOG_USEC))
    assert proxy.admin("/livez")[0] == 200, "the control loop turns"
    index, _ = manager.wait_for("READY")
    manager.wait_for("WATCHDOG", after=index)


def test_what_a_manager_was_not_told_of_a_reload_comes_in_its_order_and_once(stack, manager):
    proxy = stack.penstock(stack.to(1), command=manager.command())
    index, _ = manager.wait_for("READY")
    manager.fill()
    for _ in range(3):
        proxy.reload(proxy.settings)
    _, ready = manager.wait_for("READY", after=index + 1)
    assert ready["STATUS"].startswith("revision 4, ")
    told = [key for message in manager.read()[index + 1:] for key in message if key in ("RELOADING", "READY")]
    assert told == ["RELOADING", "READY"]


def test_a_manager_that_does_not_read_does_not_keep_the_daemon_from_stopping(stack, manager):
    proxy = stack.penstock(stack.to(1), command=manager.command())
    manager.wait_for("READY")
    manager.fill()
    proxy.process.send_signal(signal.SIGTERM)
    assert proxy.process.wait(10 * TIME_FACTOR) == 0
    proxy.stop()
