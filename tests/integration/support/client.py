"""A raw HTTP client: it sends exactly the bytes it is given and reads answers strictly."""

import select
import socket
import time

from .http1 import Reader, Truncated
from .waiting import TIME_FACTOR


class Client:
    """One connection to the proxy (or to an origin): to a TCP port, or to the path of a unix socket."""

    def __init__(self, port, receive_buffer=None, seconds=30, source=None):
        is_path = not isinstance(port, int)
        self.sock = socket.socket(socket.AF_UNIX if is_path else socket.AF_INET)
        if source:
            self.sock.bind((source, 0))
        if receive_buffer:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.sock.settimeout(seconds * TIME_FACTOR)
        self.sock.connect(str(port) if is_path else ("127.0.0.1", port))
        if not is_path:
            self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.reader = Reader(lambda: self.sock.recv(1 << 18))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.sock.close()

    def send(self, data):
        self.sock.sendall(data if isinstance(data, bytes) else data.encode("latin-1"))

    def finish_sending(self):
        self.sock.shutdown(socket.SHUT_WR)

    def request(self, target, method="GET", fields=(), body=None, host=None):
        """Sends a well-formed request; `target` is a URL or, with `host`, a path."""
        lines = [f"{method} {target} HTTP/1.1", f"Host: {host or host_of(target)}"]
        lines += [f"{name}: {value}" for name, value in dict(fields).items()]
        if body is not None:
            lines.append(f"Content-Length: {len(body)}")
        self.send("\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + (body or b""))

    def response(self, method="GET"):
        """The next final response, whole; 1xx before it are skipped."""
        head = self.head()
        self.reader.response_body(head, method)
        return head

    def head(self):
        while True:
            head = self.reader.response_head()
            if head.status >= 200:
                return head

    def fetch(self, target, method="GET", fields=(), body=None, host=None):
        self.request(target, method, fields, body, host)
        return self.response(method)

    def ending(self, seconds=10):
        """How the connection ends, whatever still comes before: "closed", "reset" or "open"."""
        deadline = time.monotonic() + seconds * TIME_FACTOR
        while True:  # what has happened already is seen, however late we look
            left = max(0, deadline - time.monotonic())
            if not select.select([self.sock], [], [], left)[0]:
                return "open"
            try:
                if not self.sock.recv(1 << 16):
                    return "closed"
            except ConnectionResetError:
                return "reset"

    def cut_response(self, method="GET"):
        """A response that must not look complete: its head and how it was cut."""
        head = self.head()
        try:
            self.reader.response_body(head, method)
        except Truncated as cut:
            return head, cut
        raise AssertionError(f"the response looks complete: {head.status}, {len(head.body)} bytes")


def host_of(url):
    return url.split("://", 1)[-1].split("/", 1)[0].split("?", 1)[0]


def exchange(port, data, method="GET", seconds=30):
    """One connection: sends `data`, returns the response and how the connection ended."""
    with Client(port, seconds=seconds) as client:
        client.send(data)
        response = client.response(method)
        return response, client.ending(2)


def refuses(port):
    """Whether nobody accepts there."""
    try:
        Client(port).close()
        return False
    except OSError:
        return True
