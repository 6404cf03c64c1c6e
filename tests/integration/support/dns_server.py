"""A DNS server whose answers a test scripts: UDP and TCP on one port of 127.0.0.1."""

import socket
import struct
import threading
from dataclasses import dataclass

A, AAAA = 1, 28
NOERROR, SERVFAIL, NXDOMAIN, REFUSED = 0, 2, 3, 5


@dataclass
class Answer:
    addresses: tuple = ()
    rcode: int = NOERROR
    truncated: bool = False
    delay: float = 0.0
    ttl: int = 60


class DnsServer:
    """`script(name, kind, transport)` returns an Answer, or None to stay silent."""

    def __init__(self, script):
        self._script = script
        self.queries = []  # (name, kind, transport)
        self._stopping = threading.Event()
        self._udp, self._tcp = _pair_of_sockets()
        self.port = self._udp.getsockname()[1]
        self.address = f"127.0.0.1:{self.port}"
        for loop in (self._serve_udp, self._serve_tcp):
            threading.Thread(target=loop, daemon=True).start()

    def stop(self):
        self._stopping.set()
        for sock in (self._udp, self._tcp):
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            sock.close()

    def _serve_udp(self):
        while not self._stopping.is_set():
            try:
                query, peer = self._udp.recvfrom(4096)
            except OSError:
                return
            if len(query) < 12:
                continue  # the empty datagram of our own shutdown
            self._start(query, "udp", lambda reply, peer=peer: self._udp.sendto(reply, peer))

    def _serve_tcp(self):
        while True:
            try:
                sock, _ = self._tcp.accept()
            except OSError:
                return
            threading.Thread(target=self._serve_stream, args=(sock,), daemon=True).start()

    def _serve_stream(self, sock):
        stream = sock.makefile("rb")
        while len(size := stream.read(2)) == 2:
            query = stream.read(struct.unpack("!H", size)[0])
            self._start(query, "tcp", lambda reply: sock.sendall(struct.pack("!H", len(reply)) + reply))

    def _start(self, query, transport, send):
        threading.Thread(target=self._answer, args=(query, transport, send), daemon=True).start()

    def _answer(self, query, transport, send):
        name, kind, question = _question(query)
        self.queries.append((name, kind, transport))
        answer = self._script(name, kind, transport)
        if answer is None:
            return
        self._stopping.wait(answer.delay)
        try:
            send(_reply(query[:2], question, kind, answer))
        except OSError:
            pass  # the asker is gone, or the test over


def _pair_of_sockets():
    """A UDP and a TCP socket on the same port; another process may hold one half, so try again."""
    while True:
        udp, tcp = socket.socket(type=socket.SOCK_DGRAM), socket.socket()
        udp.bind(("127.0.0.1", 0))
        try:
            tcp.bind(udp.getsockname())
        except OSError:
            udp.close()
            tcp.close()
            continue
        tcp.listen(16)
        return udp, tcp


def _question(query):
    labels, at = [], 12
    while query[at]:
        labels.append(query[at + 1 : at + 1 + query[at]].decode("latin-1"))
        at += 1 + query[at]
    kind = struct.unpack("!H", query[at + 1 : at + 3])[0]
    return ".".join(labels).lower(), kind, query[12 : at + 5]


def _reply(identifier, question, kind, answer):
    records = [_record(address, answer.ttl) for address in answer.addresses
               if kind == (AAAA if ":" in address else A)]
    flags = 0x8180 | answer.rcode | (0x0200 if answer.truncated else 0)
    if answer.truncated:
        records = []
    return identifier + struct.pack("!HHHHH", flags, 1, len(records), 0, 0) + question + b"".join(records)


def _record(address, ttl):
    family, kind = (socket.AF_INET6, AAAA) if ":" in address else (socket.AF_INET, A)
    data = socket.inet_pton(family, address)
    return b"\xc0\x0c" + struct.pack("!HHIH", kind, 1, ttl, len(data)) + data


def addresses(table):
    """A script: the addresses of a table of names; every other name does not exist."""

    def script(name, kind, transport):
        return Answer(tuple(table[name])) if name in table else Answer(rcode=NXDOMAIN)

    return script


def silent(name, kind, transport):
    return None
