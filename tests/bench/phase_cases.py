"""The limits under test, one case each: what stands in the way, who asks for what, and how it must end.

A drive is a client of a proxy; it returns an Outcome, without seconds when nothing has ended the wait
within PATIENCE. The same drive goes through penstock and HAProxy; Go's Transport is a client itself, so
phases_client.go plays both parts there.
"""

import select
import socket
import time
from dataclasses import dataclass, field

from support.client import Client
from support.dns_server import silent
from support.http1 import Reader, Truncated
from support.scripted_origin import answering
from support.waiting import pause

LIMIT, PATIENCE = 0.4, 3.0
MS = f"{round(LIMIT * 1000)}ms"
MIB = 1 << 20
URL = "http://api.test/"


@dataclass
class Outcome:
    seconds: float | None
    text: str = ""
    head: object = None


@dataclass
class Obstacle:
    """What stands in the way: a place to dial, perhaps by a name that a server of ours is asked for."""

    port: int
    tls: bool
    origin: object = None
    dns: str = ""


@dataclass
class Case:
    key: str                                   # the limit, as penstock calls it
    hindrance: str                             # what stands in the way, in words
    stage: object                              # stack -> Obstacle
    drive: object                              # (port, Obstacle) -> Outcome
    ends: tuple                                # what penstock's log must say: status, token, phase
    policy: dict = field(default_factory=dict)      # of penstock's upstream
    settings: dict = field(default_factory=dict)    # of penstock besides
    haproxy: tuple = ()                        # what it calls the limit, and its lines
    go: tuple = ()                             # what it calls the limit, and its flags
    go_does: str = "get"                       # none: it is no client's matter
    starts_before: bool = False                # its clock starts a moment before the drive's


# Obstacles


def origin(serve, **options):
    def stage(stack):
        made = stack.origin(serve, **options)
        return Obstacle(made.port, made.tls, made)

    return stage


def full_backlog(stack):
    return Obstacle(stack.full_backlog().port, False)


def nameless(stack):
    made = stack.origin()
    return Obstacle(made.port, True, made, stack.dns(silent).address)


def say_nothing(connection):
    connection.read_head()
    connection.stall()


def half_a_body(connection, request):
    connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nhalf")
    connection.stall()


def a_byte_a_second(connection, request):
    connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
    while not connection.origin.stopping.is_set():
        connection.send(b"x")
        connection.pause(1)


def much(connection, request):
    connection.reply(bytes(64 * MIB))


def tunnel(connection):
    connection.read_head()
    connection.send(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
    connection.wait_closed()


# Drives


class Patient(Client):
    """A client that waits PATIENCE in all; then TimeoutError."""

    def __init__(self, port, **options):
        super().__init__(port, **options)
        self.begun = time.monotonic()
        self.reader = Reader(self._receive)

    @property
    def spent(self):
        return time.monotonic() - self.begun

    @property
    def left(self):
        return max(PATIENCE - self.spent, 0.001)

    def _receive(self):
        self.sock.settimeout(self.left)
        return self.sock.recv(1 << 18)

    def outcome(self):
        """The next final response, or how it was cut."""
        status = None
        try:
            head = self.head()
            status = head.status
            self.reader.response_body(head, "GET")
        except Truncated as cut:
            what = "reset" if cut.reset else "closed"
            return Outcome(self.spent, f"{status}, {what}" if status else what)
        except TimeoutError:
            return Outcome(None)
        return Outcome(self.spent, str(status), head)

    def end_of_connection(self):
        how = self.ending(self.left)
        return Outcome(None if how == "open" else self.spent, how)


def get(fields=()):
    def drive(port, obstacle):
        with Patient(port) as client:
            client.request(URL, fields=fields)
            return client.outcome()

    return drive


def second(port, obstacle):
    """The one that comes while another has the only connection."""
    with Patient(port) as first:
        first.request(URL)
        while not obstacle.origin.requests and first.spent < PATIENCE:
            pause(0.01)
        return get()(port, obstacle)


def upload(port, obstacle):
    block, size = bytes(1 << 16), 64 * MIB
    with Patient(port) as client:
        client.send(f"POST {URL} HTTP/1.1\r\nHost: api.test\r\nContent-Length: {size}\r\n\r\n")
        while client.spent < PATIENCE:
            answered, room, _ = select.select([client.sock], [client.sock], [], client.left)
            if answered:
                return client.outcome()
            if room:
                client.sock.send(block, socket.MSG_DONTWAIT)
        return Outcome(None)


def send_only(start):
    def drive(port, obstacle):
        with Patient(port) as client:
            client.send(start)
            return client.outcome()

    return drive


def do_not_read(port, obstacle):
    """Ends when the app's connection is reset, or the upstream's closed: an orderly end waits behind what
    the app has not read."""
    with Patient(port, receive_buffer=65536) as client:
        client.request(URL)
        client.head()
        client.begun = time.monotonic()
        poll = select.poll()
        poll.register(client.sock, 0)  # only what cannot be turned off: the connection's end
        while client.spent < PATIENCE:
            if poll.poll(5):
                return Outcome(client.spent, "reset")
            if obstacle.origin.accepted and not obstacle.origin.open:
                return Outcome(client.spent, "the upstream's connection closed")
        return Outcome(None)


def expect(port, obstacle):
    with Patient(port) as client:
        client.send(f"POST {URL} HTTP/1.1\r\nHost: api.test\r\nExpect: 100-continue\r\nContent-Length: 8\r\n\r\n")
        try:
            return Outcome(None if not (head := client.reader.response_head()) else client.spent, str(head.status))
        except TimeoutError:
            return Outcome(None)


def idle_client(port, obstacle):
    with Patient(port) as client:
        client.fetch(URL)
        client.begun = time.monotonic()
        return client.end_of_connection()


def idle_upstream(port, obstacle):
    with Patient(port) as client:
        client.fetch(URL)
    begun = time.monotonic()
    while time.monotonic() - begun < PATIENCE:
        if obstacle.origin.open == 0:
            return Outcome(time.monotonic() - begun, "closed")
        pause(0.005)
    return Outcome(None)


def idle_tunnel(port, obstacle):
    with Patient(port) as client:
        client.request(URL, fields={"Connection": "Upgrade", "Upgrade": "echo"})
        client.reader.response_head()
        return client.end_of_connection()


def timeouts(**limits):
    return {"timeouts": {key: value for key, value in limits.items()}}


POST_HALF = b"POST http://api.test/ HTTP/1.1\r\nHost: api.test\r\nContent-Length: 8\r\n\r\nhalf"
SERVER = (f"timeout server {MS}",)
CLIENT = (f"timeout client {MS}",)
DNS = {"dns": {"attempt_timeout": f"{round(LIMIT * 500)}ms", "attempts": 2}}  # as long as the limit
DO_RESOLVE = (f"timeout retry {MS}", "resolve_retries 1")

CASES = [
    Case("timeouts.queue", "the one connection is busy", origin(say_nothing), second,
         (503, "connection_limit_reached", "queue"), timeouts(queue=MS) | {"pool": {"max_connections": 1}},
         haproxy=("timeout queue", (f"timeout queue {MS}", "maxconn 1")),
         go=("", ["-connections", "1"]), go_does="second"),
    Case("timeouts.resolve", "a name server that does not answer", nameless, get(),
         (504, "dns_timeout", "resolve"), timeouts(resolve=MS), DNS,
         haproxy=("timeout retry", DO_RESOLVE), go=("Dialer.Timeout, DNS and connect in one", ["-dial", MS])),
    Case("timeouts.connect", "a full backlog", full_backlog, get(),
         (504, "connection_timeout", "connect"), timeouts(connect=MS),
         haproxy=("timeout connect", (f"timeout connect {MS}",)), go=("Dialer.Timeout", ["-dial", MS])),
    Case("timeouts.tls_handshake", "a peer that says nothing to the ClientHello",
         origin(say_nothing, before_handshake=lambda origin, number: origin.stopping.wait()), get(),
         (504, "connection_timeout", "tls_handshake"), timeouts(tls_handshake=MS),
         haproxy=("timeout connect", (f"timeout connect {MS}",)), go=("TLSHandshakeTimeout", ["-tls", MS])),
    Case("timeouts.write_stall", "a peer that does not read an upload", origin(say_nothing, receive_buffer=65536),
         upload, (504, "connection_write_timeout", "send"), timeouts(write_stall=MS),
         haproxy=("timeout server", SERVER), go_does="upload"),
    Case("timeouts.expect_continue", "a peer that says nothing to Expect", origin(say_nothing), expect,
         (), timeouts(expect_continue=MS),
         go=("ExpectContinueTimeout", ["-expect", MS]), go_does="expect"),
    Case("timeouts.response_header", "a peer that never answers", origin(say_nothing), get(),
         (504, "http_response_timeout", "await_head"), timeouts(response_header=MS),
         haproxy=("timeout server", SERVER), go=("ResponseHeaderTimeout", ["-head", MS])),
    Case("timeouts.body_stall", "a body that stops in the middle", origin(answering(half_a_body)), get(),
         (200, "connection_read_timeout", "receive"), timeouts(body_stall=MS), haproxy=("timeout server", SERVER)),
    Case("timeouts.min_rate", "a byte of body a second", origin(answering(a_byte_a_second)), get(),
         (200, "connection_read_timeout", "receive"), timeouts(min_rate={"size": "1KiB", "window": MS})),
    Case("timeouts.exchange", "a byte of body a second", origin(answering(a_byte_a_second)), get(),
         (200, "http_response_timeout", "receive"), timeouts(exchange=MS)),
    Case("timeouts.total", "a peer that never answers", origin(say_nothing), get(),
         (504, "http_response_timeout", "await_head"), timeouts(total=MS), go=("Client.Timeout", ["-total", MS])),
    Case("client.deadline_header", "a peer that never answers", origin(say_nothing), get({"X-Penstock-Timeout": MS}),
         (504, "http_response_timeout", "await_head"), go=("the request's context", ["-context", MS])),
    Case("client.header_timeout", "an app that sends half a head", origin(say_nothing),
         send_only(b"GET http://api.test/ HTTP/1.1\r\nHost: api.t"), (408, "http_request_error", None),
         settings={"client": {"header_timeout": MS}}, haproxy=("timeout http-request", (f"timeout http-request {MS}",)),
         go_does=""),
    Case("client.body_stall", "an app that sends half a body", origin(say_nothing), send_only(POST_HALF),
         (408, "http_request_error", "send"), settings={"client": {"body_stall": MS}},
         haproxy=("timeout client, without timeout server", CLIENT), go_does=""),
    Case("client.write_stall", "an app that does not read 64 MiB", origin(answering(much)), do_not_read,
         (499, "client_write_timeout", "receive"), settings={"client": {"write_stall": MS}},
         haproxy=("timeout client", CLIENT), go_does=""),
    Case("client.idle_timeout", "an app that asks nothing more", origin(answering(lambda c, r: c.reply())), idle_client,
         (), settings={"client": {"idle_timeout": MS}}, starts_before=True,
         haproxy=("timeout http-keep-alive", (f"timeout http-keep-alive {MS}",)), go_does=""),
    Case("pool.idle_timeout", "nobody asks for the upstream's connection", origin(answering(lambda c, r: c.reply())),
         idle_upstream, (), {"pool": {"idle_timeout": MS}}, starts_before=True,
         haproxy=("pool-purge-delay", (f"pool-purge-delay {MS}",)),
         go=("IdleConnTimeout", ["-idle", MS]), go_does="idle"),
    Case("timeouts.tunnel_idle", "a WebSocket in which nothing moves", origin(tunnel), idle_tunnel,
         (101, "connection_read_timeout", "receive"), timeouts(tunnel_idle=MS),
         haproxy=("timeout tunnel", (f"timeout tunnel {MS}",)), go_does="tunnel"),
]
