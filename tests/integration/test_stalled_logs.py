"""Nobody who asks the proxy waits for somebody who reads its logs: a reader that stalls costs lines, which are counted, and
what is written is whole again when it goes on."""

import fcntl
import json
import os
import select
import signal
import threading
from contextlib import contextmanager

import pytest

from support.waiting import slack, wait_until

LONG = "/" + "x" * 3000
F_SETPIPE_SZ = 1031


class Pipe:
    """A FIFO whose reader reads only when told to. `size`: how much the kernel keeps for it."""

    def __init__(self, path, size=None):
        os.mkfifo(path)
        self.path = path
        self._reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        if size:
            self.resize(size)
        self.text = b""

    def resize(self, size):
        fcntl.fcntl(self._reader, F_SETPIPE_SZ, size)

    def read(self):
        """All that is there."""
        while True:
            try:
                data = os.read(self._reader, 1 << 16)
            except BlockingIOError:
                return self.text
            if not data:
                return self.text
            self.text += data

    def read_until(self, ended):
        while not ended.is_set():
            select.select([self._reader], [], [], 0.05)
            self.read()

    def close(self):
        os.close(self._reader)


@contextmanager
def being_read(pipe):
    ended = threading.Event()
    reader = threading.Thread(target=pipe.read_until, args=(ended,))
    reader.start()
    try:
        yield
    finally:
        ended.set()
        reader.join()


@pytest.fixture
def pipe(stack, tmp_path):
    pipe = Pipe(tmp_path / "pipe", 4096)
    stack.at_end(pipe.close)
    return pipe


def into(pipe, descriptor):
    """The command with one of its descriptors led into the pipe."""
    return ["sh", "-c", f'exec "$@" {descriptor}>"$0"', str(pipe.path)]


def dropped(proxy, log):
    return proxy.metrics("penstock_log_dropped_lines_total", log=log)


def test_requests_go_on_while_nobody_reads_the_access_log(stack, tmp_path, report):
    pipe = Pipe(tmp_path / "pipe")
    stack.at_end(pipe.close)
    proxy = stack.penstock(stack.to(stack.origin()), access_log={"path": "stdout", "only": "all"}, command=into(pipe, 1))
    asked = 0
    with proxy.client() as client:
        while asked % 100 or dropped(proxy, "access") < 100:
            assert client.fetch(f"http://api.test{LONG}").status == 200
            asked += 1
    response = proxy.fetch("http://api.test/quick")
    asked += 1
    assert response.status == 200 and response.seconds < slack()
    wait_until(lambda: "lines of the access log are lost" in proxy.stderr, "it is told")
    with being_read(pipe):
        wait_until(lambda: "the access log is written again" in proxy.stderr, "it flows again", 30)
        lost = int(proxy.stderr.partition("lost=")[2].split()[0])
        # At its end the daemon waits a second for a reader that stands still.
        wait_until(lambda: pipe.text.count(b"\n") + lost >= asked, "all that was kept has come")
        proxy.stop()
    lines = [json.loads(line) for line in pipe.read().splitlines()]
    assert proxy.stderr.count("lines of the access log are lost") == 1
    assert len(lines) + lost == asked
    report("lines written and lost while a pipe stood still", f"{len(lines)}, {lost}")


def test_a_reader_that_has_gone_holds_nobody_up(stack, tmp_path):
    pipe = Pipe(tmp_path / "pipe")
    proxy = stack.penstock(stack.to(stack.origin()), access_log={"path": "stdout", "only": "all"}, command=into(pipe, 1))
    pipe.close()
    for _ in range(3):
        assert proxy.fetch("http://api.test/").status == 200
    wait_until(lambda: dropped(proxy, "access") == 3, "they are counted")
    wait_until(lambda: 'why="Broken pipe"' in proxy.stderr, "it is told")


# The daemon's own log


def revision(proxy):
    return json.loads(proxy.admin("/pools")[1])["revision"]


def reload(proxy):
    before = revision(proxy)
    proxy.process.send_signal(signal.SIGHUP)
    wait_until(lambda: revision(proxy) > before, "the reload is over")


def test_nobody_waits_for_a_reader_of_standard_error(stack, pipe):
    """A reload and a refusal are told from the control loop and from a worker, into a pipe that is full."""
    proxy = stack.penstock(stack.to(stack.origin()), stack.to(1, "down.test", timeouts={"connect": "1s"}),
                           listeners=[{}, {"allow_clients": ["192.0.2.0/24"]}], log={"format": "json"}, command=into(pipe, 2))
    for _ in range(60):
        reload(proxy)
    with proxy.client(1) as client:
        assert client.ending() == "closed"
    response = proxy.fetch("http://api.test/")
    assert response.status == 200 and response.seconds < slack()
    assert dropped(proxy, "daemon") == 0  # all of it waits
    with being_read(pipe):
        # At its end the daemon waits half a second for a reader that stands still: then its last lines find room.
        wait_until(lambda: b"does not allow" in pipe.text and pipe.text.count(b"configuration reloaded") == 60, "all has come")
        pipe.resize(1 << 16)
        proxy.stop()
    messages = [json.loads(line)["message"] for line in pipe.read().splitlines()]
    assert messages.count("configuration reloaded") == 60
    assert "a client that the listener does not allow was disconnected" in messages and messages[-1] == "stopped"


def test_a_stop_does_not_wait_for_a_reader_of_standard_error(stack, pipe):
    proxy = stack.penstock(stack.to(stack.origin()), command=into(pipe, 2))
    for _ in range(60):
        reload(proxy)
    proxy.stop(grace=5)


def test_lines_that_do_not_fit_are_counted(stack, tmp_path):
    proxy = stack.penstock(stack.to(stack.origin()), command=["sh", "-c", 'exec "$@" 2>/dev/full', "sh"])
    assert dropped(proxy, "daemon") > 0
    assert proxy.fetch("http://api.test/").status == 200


def test_the_journal_is_told_how_serious_a_line_is(stack, tmp_path):
    """systemd names the stream in JOURNAL_STREAM; the journal takes the number off each line."""
    path = tmp_path / "journal"
    path.touch()
    named = f"{path.stat().st_dev}:{path.stat().st_ino}"
    proxy = stack.penstock(stack.to(stack.origin()), listeners=[{}, {"allow_clients": ["192.0.2.0/24"]}],
                           command=["sh", "-c", f'JOURNAL_STREAM={named} exec "$@" 2>"$0"', str(path)])
    with proxy.client(1) as client:
        assert client.ending() == "closed"
    proxy.stop()
    lines = path.read_text().splitlines()
    assert all(line.startswith(("<6>", "<4>")) for line in lines), lines
    assert [line for line in lines if line.startswith("<4>")] == [line for line in lines if "does not allow" in line]
    assert lines[-1].startswith("<6>")


def test_the_same_thing_about_the_same_listener_is_told_once(stack):
    proxy = stack.penstock(stack.to(stack.origin()), listeners=[{}, {"allow_clients": ["192.0.2.0/24"]}])
    for _ in range(50):
        with proxy.client(1) as client:
            assert client.ending() == "closed"
    assert proxy.metrics("penstock_client_rejected_total", reason="not_allowed") == 50
    assert proxy.stderr.count("does not allow") == 1


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_a_standard_stream_that_is_closed_is_nobody_elses_descriptor(stack, closed):
    """Else it would be the loop's, and a stop would abort."""
    proxy = stack.penstock(stack.to(1), command=["sh", "-c", f'exec "$@" {closed}', "sh"])
    streams = [os.readlink(f"/proc/{proxy.process.pid}/fd/{number}") for number in range(3)]
    assert streams.count("/dev/null") >= closed.count("&-")
    assert all(stream.startswith("/") for stream in streams), streams
    proxy.stop()
