"""One slow reader grows no memory and blocks nobody, in either direction."""

import re
import threading
from pathlib import Path

import pytest

from support.scripted_origin import answering
from support.waiting import TIME_FACTOR, pause, slack, wait_until

MIB = 1 << 20
SIZE = 256 * MIB
# What one stuck exchange may cost: two bounded buffers and a TLS connection. Sanitizers keep freed memory.
# A sanitizer's allocator keeps what was freed, so there the process's size says nothing.
SANITIZED = TIME_FACTOR > 1
ALLOWANCE = 8 * MIB


def flood(connection, request):
    """A response that is written as fast as it is taken; `sent` says how much was."""
    if request.target == "/small":
        connection.reply(b"small")
        return
    connection.send(f"HTTP/1.1 200 OK\r\nContent-Length: {SIZE}\r\n\r\n")
    block = bytes(1 << 16)
    connection.sent = 0
    for _ in range(SIZE // len(block)):
        connection.send(block)
        connection.sent += len(block)


def settled(value, seconds=0.3):
    """Waits until a growing number has stood still for a while."""
    last = [None]

    def still():
        before, last[0] = last[0], value()
        if before != last[0]:
            return False
        for _ in range(3):  # looks apart from each other: all of us may have stood still before one of them
            pause(seconds / 3)
            if value() != last[0]:
                return False
        return True

    wait_until(still, "it stands still", 20)
    return last[0]


def assert_others_are_served(proxy):
    """Most of them at once: whoever is blocked waits each time."""
    seconds = sorted(proxy.fetch("http://api.test/small").seconds for _ in range(20))
    assert seconds[10] < slack(0.5), seconds


def test_a_client_that_reads_slowly_holds_back_its_origin_and_nobody_else(stack, report):
    origin = stack.origin(answering(flood))
    proxy = stack.penstock(stack.to(origin))
    proxy.fetch("http://api.test/small")
    before = proxy.rss_bytes
    with proxy.client(receive_buffer=65536) as client:
        client.request("http://api.test/big")
        head = client.head()
        stuck = wait_until(lambda: [c for c in origin.connections if getattr(c, "sent", 0)], "it flows")[0]
        taken = settled(lambda: stuck.sent)
        grown = proxy.rss_bytes - before
        report("bytes taken from the origin / growth of the proxy", (taken, grown))
        assert taken < 32 * MIB, "the origin was read on while the client read nothing"
        assert SANITIZED or grown < ALLOWANCE
        assert_others_are_served(proxy)
        left = head.content_length
        while left:
            left -= len(client.reader.exactly(min(left, MIB)))
    assert SANITIZED or proxy.rss_bytes - before < ALLOWANCE


def test_an_origin_that_reads_slowly_holds_back_its_client_and_nobody_else(stack, report):
    def serve(connection):
        while head := connection.read_head():
            if head.target == "/small":
                connection.reply(b"small")
                continue
            connection.origin.gate.wait(60)
            left = head.content_length
            while left:
                connection.received.clear()
                left -= len(connection.reader.exactly(min(left, MIB)))
            connection.reply(b"taken")

    origin = stack.origin(serve, receive_buffer=65536)
    origin.gate = threading.Event()
    proxy = stack.penstock(stack.to(origin))
    proxy.fetch("http://api.test/small")
    before = proxy.rss_bytes
    with proxy.client() as client:
        client.send(f"POST http://api.test/big HTTP/1.1\r\nHost: api.test\r\nContent-Length: {SIZE}\r\n\r\n")
        sent = Pusher(client.sock, SIZE)
        taken = settled(lambda: sent.push())
        grown = proxy.rss_bytes - before
        report("bytes taken from the client / growth of the proxy", (taken, grown))
        assert taken < 32 * MIB, "the client was read on while the origin read nothing"
        assert SANITIZED or grown < ALLOWANCE
        assert_others_are_served(proxy)
        origin.gate.set()
        wait_until(lambda: sent.push() == SIZE, "all of it is taken", 60)
        assert client.response().body == b"taken"
    assert SANITIZED or proxy.rss_bytes - before < ALLOWANCE


class Pusher:
    """Writes zeros as far as the socket takes them at once."""

    def __init__(self, sock, size):
        self._sock, self._size, self._sent = sock, size, 0

    def push(self):
        block = bytes(1 << 18)
        self._sock.setblocking(False)
        try:
            while self._sent < self._size:
                self._sent += self._sock.send(block[: self._size - self._sent])
        except BlockingIOError:
            pass
        self._sock.settimeout(60 * TIME_FACTOR)
        return self._sent


def cpu_seconds(pid):
    fields = re.sub(r".*\) ", "", Path(f"/proc/{pid}/stat").read_text()).split()
    return (int(fields[11]) + int(fields[12])) / 100


def spent_in_a_second(proxy):
    used = cpu_seconds(proxy.process.pid)
    pause(1)
    return cpu_seconds(proxy.process.pid) - used


def test_waiting_for_a_slow_peer_costs_no_cpu(stack, report):
    """A level-triggered poll that is not dropped would spin: a stuck exchange must sleep."""
    proxy = stack.penstock(stack.to(stack.origin(answering(flood))), shutdown={"grace": "1s"})
    clients = [proxy.client(receive_buffer=65536) for _ in range(10)]
    for client in clients:
        client.request("http://api.test/big")
        client.head()
    settled(lambda: cpu_seconds(proxy.process.pid))
    spent = spent_in_a_second(proxy)
    report("CPU seconds in 1 s with 10 stuck exchanges", round(spent, 3))
    assert spent <= 0.05 * TIME_FACTOR


def test_many_slow_readers_cost_a_bounded_buffer_each(stack, report):
    proxy = stack.penstock(stack.to(stack.origin(answering(flood))), shutdown={"grace": "1s"})
    proxy.fetch("http://api.test/small")
    before = proxy.rss_bytes
    clients = [proxy.client(receive_buffer=65536) for _ in range(50)]
    for client in clients:
        client.request("http://api.test/big")
        client.head()
    each = (settled(lambda: proxy.rss_bytes) - before) / len(clients)
    report("resident bytes per stuck exchange", round(each))
    assert SANITIZED or each < 256 << 10


@pytest.mark.parametrize("chunk", [1, 1000])
def test_small_chunks_are_flushed_as_they_come(stack, chunk):
    """Each part reaches the client before the next is sent: the origin waits for its acknowledgement."""
    seen = threading.Semaphore(0)

    def answer(connection, request):
        connection.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for _ in range(50):
            connection.send(b"%x\r\n%s\r\n" % (chunk, b"x" * chunk))
            assert seen.acquire(timeout=10)
        connection.send(b"0\r\n\r\n")

    proxy = stack.penstock(stack.to(stack.origin(answering(answer))))
    with proxy.client() as client:
        client.request("http://api.test/")
        assert client.head().chunked
        got = 0
        while got < 50 * chunk:
            got += len(client.reader.exactly(int(client.reader.line(), 16)))
            client.reader.exactly(2)
            if got % chunk == 0:
                seen.release()
        assert client.reader.line() == b"0"
