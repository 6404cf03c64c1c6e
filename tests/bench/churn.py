"""Connections that workers take from each other, for minutes, with an origin that makes it hard.

The origin speaks TLS 1.3, sends its tickets late, while a connection stands idle, and closes idle
connections at random; some clients leave in the middle of a response. wrk asks through a daemon of
several workers that is reloaded all the time. Made for a binary with ThreadSanitizer (PENSTOCK_BIN),
whose reports end the daemon. Prints what happened; fails when a request failed or the daemon did.
"""

import argparse
import ctypes
import random
import select
import socket
import sys
import tempfile
import threading
import time
from pathlib import Path

from OpenSSL import SSL

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "integration"), str(HERE)]

from pool_shows import tell, wrk  # noqa: E402
from support.ca import CertificateAuthority  # noqa: E402
from support.stack import Stack  # noqa: E402

RESPONSE = b"HTTP/1.1 200 OK\r\nContent-Length: 2000\r\n\r\n" + b"x" * 2000


class LateTickets:
    """What pyOpenSSL does not offer: tickets when we want."""

    def __init__(self):
        self.library = ctypes.CDLL("libssl.so.3")

    @staticmethod
    def pointer(owner, field):
        return ctypes.c_void_p(int(SSL._ffi.cast("uintptr_t", getattr(owner, field))))

    def none_at_first(self, context):
        self.library.SSL_CTX_set_num_tickets(self.pointer(context, "_context"), ctypes.c_size_t(0))

    def send(self, connection):
        ssl = self.pointer(connection, "_ssl")
        if self.library.SSL_new_session_ticket(ssl) == 1:
            connection.do_handshake()  # sends it at once


class HardOrigin:
    def __init__(self, certificate):
        self.tickets = LateTickets()
        self.context = SSL.Context(SSL.TLS_METHOD)
        self.context.set_min_proto_version(SSL.TLS1_3_VERSION)
        self.context.use_certificate_file(str(certificate.cert))
        self.context.use_privatekey_file(str(certificate.key))
        self.tickets.none_at_first(self.context)
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=512)
        self.port = self.listener.getsockname()[1]
        self.connections = self.requests = self.late = 0
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self.run, args=(sock,), daemon=True).start()

    def run(self, sock):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection = SSL.Connection(self.context, sock)
        connection.set_accept_state()
        try:
            connection.do_handshake()
            for _ in range(random.randint(1, 60)):
                self.answer(connection, sock)
        except (SSL.Error, OSError):
            pass
        sock.close()

    def answer(self, connection, sock):
        deadline = time.monotonic() + random.uniform(0.1, 0.5)  # how long it may stand idle
        while not connection.pending() and not select.select([sock], [], [], random.uniform(0.001, 0.03))[0]:
            if time.monotonic() > deadline:
                raise OSError("idle for too long")
            if random.random() < 0.2:
                self.tickets.send(connection)
                self.late += 1
        head = b""
        while b"\r\n\r\n" not in head:
            head += connection.recv(4096)
        self.requests += 1
        connection.sendall(RESPONSE)

    def stop(self):
        self.listener.close()


def leave_early(port, stopping):
    """Clients that do not wait for the end of what they asked for."""
    while not stopping.wait(random.uniform(0, 0.02)):
        with socket.create_connection(("127.0.0.1", port)) as sock:
            sock.sendall(b"GET http://api.test/ HTTP/1.1\r\nHost: api.test\r\n\r\n")
            if random.random() < 0.5:
                sock.recv(random.randint(1, 1000))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--workers", type=int, default=4)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        stack = Stack(Path(folder), CertificateAuthority(Path(folder) / "ca"))
        origin = HardOrigin(stack.ca.issue("api.test"))
        upstream = {"name": "api", "hosts": ["api.test"], "connect_to": f"127.0.0.1:{origin.port}",
                    "tls": {"ca_file": stack.ca.file}}
        served = failed = reloads = 0
        stopping = threading.Event()
        try:
            limits = [{"max_connections": 24}, {"max_connections": 16, "max_idle": 8}, {"max_idle": 12, "order": "fifo"}]
            settings = {"workers": options.workers, "process": {"max_upstream_connections": 30},
                        "access_log": {"path": "off"}}
            proxy = stack.penstock({**upstream, "pool": limits[0]}, **settings)
            leaving = threading.Thread(target=leave_early, args=(proxy.port, stopping))
            leaving.start()
            end = time.monotonic() + 60 * options.minutes
            while time.monotonic() < end:
                outcome = wrk(proxy.port, 40, 5, "15")
                served, failed = served + outcome["requests"], failed + outcome["failed"]
                reloads += 1
                proxy.reload({**settings, "upstreams": [{**upstream, "pool": limits[reloads % 3]}]})
            pool, = proxy.pools()
        finally:
            stopping.set()
            origin.stop()
            stack.close()
    print(f"churn, {options.workers} workers, {options.minutes:g} minutes, {reloads} reloads")
    tell("requests, failed", f"{served:,}, {failed}")
    tell("of all served by origin", f"{origin.requests:,} on {origin.connections:,} connections")
    tell("tickets sent late", f"{origin.late:,}")
    tell("taken over", f"{pool['acquires']['takeover']:,} of {sum(pool['acquires'].values()):,} acquires")
    tell("closed", pool["closed"])
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
