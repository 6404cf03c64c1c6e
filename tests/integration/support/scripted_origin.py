"""An origin whose every byte a test decides.

`serve(connection)` runs on a thread per accepted connection and may read requests, answer, stall,
close or reset as it likes; the origin keeps a ledger of connections and of every byte received.
"""

import select
import socket
import ssl
import struct
import threading

from .http1 import Malformed, Reader, Truncated


class Connection:
    """An accepted connection, as the serving function sees it."""

    def __init__(self, origin, sock, number):
        self.origin = origin
        self.sock = sock
        self.number = number      # 1 is the first accepted
        self.received = bytearray()  # plaintext, verbatim
        self.requests = []
        self.fault = None         # what the proxy did wrong, if anything
        self.open = True
        self.reader = Reader(self._receive)

    def _receive(self):
        data = self.sock.recv(1 << 18)
        self.received += data
        return data

    def read_head(self):
        head = self.reader.request_head()
        if head:
            self.requests.append(head)
        return head

    def read_request(self):
        """The next request with its body, None when the proxy closed instead."""
        head = self.read_head()
        if head:
            self.reader.request_body(head)
        return head

    def send(self, data):
        self.sock.sendall(data if isinstance(data, bytes) else data.encode("latin-1"))

    def reply(self, body=b"ok", status="200 OK", fields=()):
        lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}"]
        lines += [f"{name}: {value}" for name, value in dict(fields).items()]
        self.send("\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body)

    def reply_chunks(self, chunks, fields=(), trailers=b""):
        lines = ["HTTP/1.1 200 OK", "Transfer-Encoding: chunked"]
        lines += [f"{name}: {value}" for name, value in dict(fields).items()]
        self.send("\r\n".join(lines).encode("latin-1") + b"\r\n\r\n")
        for chunk in chunks:
            self.send(b"%x\r\n%s\r\n" % (len(chunk), chunk))
        self.send(b"0\r\n" + trailers + b"\r\n")

    def pause(self, seconds):
        """Lets time pass, but not beyond the end of the test."""
        self.origin.stopping.wait(seconds)

    def stall(self):
        self.origin.stopping.wait()

    def finish(self):
        """Ends the connection in order: close_notify where there is TLS, then FIN."""
        if isinstance(self.sock, ssl.SSLSocket):
            self.sock.settimeout(0.5)
            try:
                self.sock = self.sock.unwrap()
            except (OSError, ValueError):  # the latter when the origin's end has shut it meanwhile
                pass
        self.close()

    def close(self):
        """Closes at once: over TLS a truncation, since no close_notify is sent."""
        self.sock.close()

    def reset(self):
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()

    def wait_closed(self):
        """Blocks until the proxy ends the connection; bytes that still come are recorded."""
        try:
            while self._receive():
                pass
        except OSError:
            pass


class ScriptedOrigin:
    """Listens on `address`, or the path of a unix socket; `context` makes it speak TLS. Threads end with stop().

    One that is `down` refuses connections at its port until come_up().
    """

    def __init__(self, serve, context=None, before_handshake=None, receive_buffer=None,
                 address="127.0.0.1", port=0, down=False):
        self._serve = serve
        self._context = context
        self._before_handshake = before_handshake
        self.tls = context is not None
        self.stopping = threading.Event()
        self.connections = []
        self.accepted = 0     # TCP connections, failed handshakes too
        self.open = 0
        self.peak = 0         # most connections open at once
        self.busy = 0
        self.busy_peak = 0    # most requests in progress at once
        self.faults = []      # malformed bytes from the proxy
        self._lock = threading.Lock()
        self._is_path = address.startswith("/")
        self._listener = socket.socket(socket.AF_UNIX if self._is_path else
                                       socket.AF_INET6 if ":" in address else socket.AF_INET)
        if receive_buffer:
            self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self._listener.bind(address if self._is_path else (address, port))
        self.port = None if self._is_path else self._listener.getsockname()[1]
        self._socks = set()
        self._thread = threading.Thread(target=self._accept, daemon=True)
        if not down:
            self.come_up()

    def come_up(self):
        self._listener.listen(512)
        self._thread.start()

    @property
    def requests(self):
        return [request for connection in list(self.connections) for request in connection.requests]

    @property
    def received(self):
        return b"".join(bytes(connection.received) for connection in list(self.connections))

    def stop(self):
        self.stopping.set()
        if self._thread.is_alive():
            self._listener.shutdown(socket.SHUT_RDWR)
            self._thread.join(5)
        self._listener.close()
        with self._lock:
            socks = list(self._socks)
        for sock in socks:
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def _accept(self):
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            if not self._is_path:
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self._lock:
                self._socks.add(sock)
                self.accepted += 1
                self.open += 1
                self.peak = max(self.peak, sum(map(peer_is_there, self._socks)))
                number = self.accepted
            threading.Thread(target=self._run, args=(sock, number), daemon=True).start()

    def _run(self, sock, number):
        connection = None
        try:
            if self._before_handshake:
                self._before_handshake(self, number)
            if self._context:
                sock = self._handshake(sock)
            connection = Connection(self, sock, number)
            self.connections.append(connection)
            self._serve(connection)
        except Malformed as fault:
            self.faults.append(str(fault))
            if connection:
                connection.fault = str(fault)
        except (OSError, Truncated):
            pass  # the proxy went away, which tests look for elsewhere
        finally:
            if connection:
                connection.open = False
                sock = connection.sock
            with self._lock:
                self._socks.discard(sock)
            sock.close()
            with self._lock:
                self.open -= 1  # once the proxy's kernel has been told

    def _handshake(self, sock):
        with self._lock:
            self._socks.discard(sock)
            sock = self._context.wrap_socket(sock, server_side=True, do_handshake_on_connect=False)
            self._socks.add(sock)
        try:
            sock.do_handshake()
        except OSError:
            sock.close()
            raise
        return sock

    def working(self):
        return _Busy(self)


def peer_is_there(sock):
    """False once the proxy has closed its end, though our thread may not have read that far yet."""
    descriptor = sock.fileno()  # once: its own thread may close it between two looks
    if descriptor < 0:
        return False
    poll = select.poll()
    poll.register(descriptor, select.POLLRDHUP)
    return not poll.poll(0)


class _Busy:
    def __init__(self, origin):
        self._origin = origin

    def __enter__(self):
        with self._origin._lock:
            self._origin.busy += 1
            self._origin.busy_peak = max(self._origin.busy_peak, self._origin.busy)

    def __exit__(self, *_):
        with self._origin._lock:
            self._origin.busy -= 1


def answering(answer):
    """A serving function that reads whole requests and calls `answer(connection, request)` for each."""

    def serve(connection):
        while request := connection.read_request():
            with connection.origin.working():
                answer(connection, request)

    return serve


def reply_ok(connection, request):
    connection.reply(b"ok")


def echo(connection, request):
    """Answers with the request's body."""
    connection.reply(request.body)


def server_context(certificate, minimum=ssl.TLSVersion.TLSv1_2, maximum=ssl.TLSVersion.TLSv1_3, client_ca=None):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate.cert, certificate.key)
    context.minimum_version, context.maximum_version = minimum, maximum
    if client_ca:
        context.load_verify_locations(client_ca)
        context.verify_mode = ssl.CERT_REQUIRED
    return context
