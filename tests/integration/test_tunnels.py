"""Tunnels that carry much: bounded while nobody reads, half-closed and reset at each moment on either side, over
TCP and unix sockets; afterwards the permit is back and no descriptor is left."""

import os
import select
import shutil
import socket
import struct
import tempfile
import threading
from pathlib import Path

import pytest

from support.client import Client
from support.waiting import TIME_FACTOR, wait_until

MIB = 1 << 20
CONNECT = b"CONNECT api.test:443 HTTP/1.1\r\nHost: api.test:443\r\n\r\n"


class FarEnd:
    """An origin that hands the accepted connections over to the test."""

    def __init__(self, stack):
        self._given = []
        self.origin = stack.origin(self._serve, tls=False)
        self._done = threading.Event()
        stack.at_end(self._done.set)

    def _serve(self, connection):
        self._given.append(connection)
        self._done.wait()

    def take(self):
        wait_until(lambda: self._given, "the tunnel has come")
        return self._given.pop().sock


@pytest.fixture
def far(stack):
    return FarEnd(stack)


@pytest.fixture
def proxy(stack, far):
    return stack.penstock(stack.to(far.origin), workers=1)


def open_tunnel(place, far):
    """Both ends of a tunnel, as plain sockets."""
    client = Client(place)
    client.send(CONNECT)
    assert client.reader.response_head().status == 200
    return client.sock, far.take()


def push_until_stuck(socks, bound=64 * MIB):
    """How much each was rid of when none took any more, while nobody reads at the other ends."""
    block, sent = os.urandom(MIB), dict.fromkeys(socks, 0)
    while ready := select.select([], socks, [], 0.5 * TIME_FACTOR)[1]:
        for sock in ready:
            sent[sock] += sock.send(block, socket.MSG_DONTWAIT)
            assert sent[sock] < bound, "bytes go nowhere"
    return [sent[sock] for sock in socks]


def pull(sock, count):
    left = count
    while left:
        data = sock.recv(min(left, MIB))
        assert data, f"{left} bytes short"
        left -= len(data)


def reset(sock):
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


def descriptors(proxy):
    return len(os.listdir(f"/proc/{proxy.process.pid}/fd"))


def assert_gone(proxy, before):
    wait_until(lambda: not any(host["connections"]["upgraded"] for host in proxy.pools()), "the permit is back")
    wait_until(lambda: descriptors(proxy) <= before + 8, "no descriptors are left but for the spare pipes")


MOMENTS = {
    "before the first byte": lambda end, other: None,
    "behind a few bytes": lambda end, other: (end.sendall(b"hello"), pull(other, 5)),
    "while much is moving": lambda end, other: (end.sendall(os.urandom(MIB)), pull(other, MIB // 2)),
    "while what it sent is not read": lambda end, other: push_until_stuck([end]),
    "while it does not read": lambda end, other: push_until_stuck([other]),
    "after its half-close": lambda end, other: (end.sendall(b"x"), end.shutdown(socket.SHUT_WR), pull(other, 1)),
    "after the other's half-close": lambda end, other: (other.shutdown(socket.SHUT_WR), end.recv(1)),
}


@pytest.mark.parametrize("who", ["client", "origin"])
@pytest.mark.parametrize("moment", MOMENTS)
def test_a_reset_at_each_moment_ends_both_sides(proxy, far, who, moment):
    before = descriptors(proxy)
    client, origin = open_tunnel(proxy.port, far)
    end, other = (client, origin) if who == "client" else (origin, client)
    MOMENTS[moment](end, other)
    reset(end)
    other.settimeout(20)
    try:
        while other.recv(MIB):
            pass
    except ConnectionResetError:
        pass
    other.close()
    assert_gone(proxy, before)


def test_a_clients_reset_is_no_end_of_its_bytes(proxy, far):
    """A close would tell the origin that all has come."""
    client, origin = open_tunnel(proxy.port, far)
    client.sendall(b"half of it")
    pull(origin, 10)
    reset(client)
    origin.settimeout(20)
    with pytest.raises(ConnectionResetError):
        origin.recv(1)
    origin.close()


@pytest.mark.parametrize("who", ["client", "origin"])
def test_a_reader_that_takes_nothing_holds_back_the_sender_and_memory_stays_bounded(proxy, far, who, report):
    """Twenty tunnels, more than there are pipes; then all of it arrives."""
    tunnels = [open_tunnel(proxy.port, far) for _ in range(20)]
    before = proxy.rss_bytes
    sent = push_until_stuck([client if who == "client" else origin for client, origin in tunnels])
    grown = (proxy.rss_bytes - before) / MIB
    report("RSS grown by, MiB", f"{grown:.2f} for {sum(sent) / MIB:.0f} MiB in 20 tunnels that nobody reads")
    assert grown < 4 + 20 * 0.125
    for (client, origin), count in zip(tunnels, sent):
        reader = origin if who == "client" else client
        reader.settimeout(20)
        pull(reader, count)
        client.close()
        origin.close()


def test_each_direction_ends_by_itself_with_all_its_bytes(proxy, far):
    client, origin = open_tunnel(proxy.port, far)
    for end, other in ((client, origin), (origin, client)):
        sender = threading.Thread(target=lambda end=end: (end.sendall(bytes(8 * MIB)), end.shutdown(socket.SHUT_WR)))
        sender.start()
        pull(other, 8 * MIB)
        assert other.recv(1) == b"", "its end comes behind its bytes"
        sender.join()
    line = proxy.wait_for_log()
    assert (line["request_bytes"], line["response_bytes"]) == (8 * MIB, 8 * MIB) and "error" not in line


def test_a_tunnel_from_a_unix_socket_carries_much_too(stack, far):
    folder = Path(tempfile.mkdtemp(prefix="penstock-"))  # short, as a socket's path has to be
    stack.at_end(lambda: shutil.rmtree(folder))
    path = folder / "p.sock"
    stack.penstock(stack.to(far.origin), listeners=[{"address": f"unix:{path}"}])
    client, origin = open_tunnel(path, far)
    blocks = [os.urandom(MIB) for _ in range(8)]
    for end, other in ((client, origin), (origin, client)):
        sender = threading.Thread(target=lambda end=end: [end.sendall(block) for block in blocks])
        sender.start()
        got = bytearray()
        while len(got) < 8 * MIB:
            got += other.recv(MIB)
        sender.join()
        assert got == b"".join(blocks)
    client.close()
    origin.close()
