"""Thousands of connections that stand idle at a daemon, and what each of them costs in resident memory."""

import resource
import socket
from pathlib import Path

from .http1 import Reader
from .waiting import wait_until

AT_ONCE = 32  # requests under way while clients are opened: more would be a crowd at work
UPLOAD = b"POST http://%s/upload HTTP/1.1\r\nHost: %s\r\nContent-Length: 2\r\n\r\n"
GET = b"GET http://%s/hello HTTP/1.1\r\nHost: %s\r\n\r\n"


def allow_descriptors():
    """As many of them for this process, and for those that it starts, as the machine gives."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def memory_of(proxy):
    """{"Rss": bytes, "Anonymous": bytes, ...}, exact, which VmRSS is not. What connections hold is anonymous; the rest
    is pages of programs, which come and go with what the kernel has cached."""
    lines = Path(f"/proc/{proxy.process.pid}/smaps_rollup").read_text().splitlines()[1:]
    return {name: int(kib) << 10 for name, kib, _ in (line.replace(":", "").split() for line in lines)}


def slope(points):
    """Of (count, bytes), by least squares."""
    mean_x = sum(x for x, _ in points) / len(points)
    mean_y = sum(y for _, y in points) / len(points)
    return sum((x - mean_x) * (y - mean_y) for x, y in points) / sum((x - mean_x) ** 2 for x, _ in points)


def connect(proxy):
    sock = socket.create_connection(("127.0.0.1", proxy.port), 60)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


def take_response(sock):
    reader = Reader(lambda: sock.recv(1 << 16))
    head = reader.response_head()
    reader.response_body(head, "GET")
    assert head.status == 200, head


def silent_clients(proxy, count):
    """Connections that have said nothing yet."""
    clients = [connect(proxy) for _ in range(count)]
    wait_until(lambda: proxy.metrics("penstock_client_connections") == count, "all are accepted", 60)
    return clients


def served_clients(proxy, count, host):
    """Connections that have had a response each."""
    clients = []
    while len(clients) < count:
        batch = [connect(proxy) for _ in range(min(AT_ONCE, count - len(clients)))]
        for client in batch:
            client.sendall(GET % (host, host))
        for client in batch:
            take_response(client)
        clients += batch
    return clients


def connections(proxy, upstream, kind):
    return sum(host["connections"][kind] for host in proxy.pools(upstream))


def use_at_once(proxy, count, host, upstream):
    """Leaves so many idle connections of one upstream, each of which has served a request: all were under way at
    once, since none was sent to its end before the last had a connection."""
    clients = [connect(proxy) for _ in range(count)]
    for client in clients:
        client.sendall(UPLOAD % (host, host))
    wait_until(lambda: connections(proxy, upstream, "busy") == count, "each has a connection", 120)
    for client in clients:
        client.sendall(b"ok")
    for client in clients:
        take_response(client)
        client.close()
    wait_until(lambda: connections(proxy, upstream, "idle") == count, "all are idle", 60)
    wait_until(lambda: proxy.metrics("penstock_client_connections") == 0, "the clients have left", 60)
