"""The harness judges the daemon, so it is judged first: each piece against a direct client, without the daemon."""

import http.client
import select
import socket
import ssl
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from support import dns_server
from support.client import Client
from support.http1 import Malformed, Reader, Response, Truncated
from support.load import load
from support.nginx import Exchange, busy_peak
from support.penstock import Penstock, parse_metrics, proxy_status
from support.ports import free_ports
from support.scripted_origin import answering, echo, server_context
from support.steady_load import SteadyLoad
from support.waiting import wait_until


def reader_of(data):
    parts = [data, b""]
    return Reader(lambda: parts.pop(0))


def tls_client(origin, ca, name="api.test"):
    client = Client(origin.port)
    context = ssl.create_default_context(cafile=ca.file)
    context.hostname_checks_common_name = False
    context.options &= ~0x80  # SSL_OP_IGNORE_UNEXPECTED_EOF, which Python sets and does not name
    client.sock = context.wrap_socket(client.sock, server_hostname=name, suppress_ragged_eofs=False)
    client.reader = Reader(lambda: client.sock.recv(65536))
    return client


BAD_RESPONSES = {
    "bare LF": b"HTTP/1.1 200 OK\nContent-Length: 0\n\n",
    "space before colon": b"HTTP/1.1 200 OK\r\nContent-Length : 0\r\n\r\n",
    "fold": b"HTTP/1.1 200 OK\r\nA: b\r\n c\r\nContent-Length: 0\r\n\r\n",
    "two lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\nx",
    "signed length": b"HTTP/1.1 200 OK\r\nContent-Length: +1\r\n\r\nx",
    "length and chunked": b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "odd coding": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: identity\r\n\r\n",
    "chunk extension": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;a\r\nx\r\n0\r\n\r\n",
    "no CRLF after chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nxy0\r\n\r\n",
    "CR in value": b"HTTP/1.1 200 OK\r\nA: b\rc\r\nContent-Length: 0\r\n\r\n",
    "HTTP/2.0": b"HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n",
}


@pytest.mark.parametrize("data", BAD_RESPONSES.values(), ids=BAD_RESPONSES)
def test_the_strict_reader_refuses(data):
    reader = reader_of(data)
    with pytest.raises(Malformed):
        reader.response_body(reader.response_head(), "GET")


@pytest.mark.parametrize("tail", [b"Content-Length: 5\r\n\r\nabc", b"Transfer-Encoding: chunked\r\n\r\n5\r\nabc",
                                  b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n", b"Content-Le"])
def test_the_strict_reader_sees_a_cut(tail):
    reader = reader_of(b"HTTP/1.1 200 OK\r\n" + tail)
    with pytest.raises(Truncated):
        reader.response_body(reader.response_head(), "GET")


def test_the_strict_reader_takes_two_messages_in_a_row():
    reader = reader_of(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nT: v\r\n\r\n"
                       b"HTTP/1.0 404 \r\nContent-Length: 2\r\n\r\nno")
    first = reader.response_head()
    reader.response_body(first, "GET")
    second = reader.response_head()
    reader.response_body(second, "GET")
    assert (first.body, first.trailers, first.chunks) == (b"abc", [("T", "v")], [3])
    assert (second.status, second.version, second.body) == (404, "1.0", b"no")


def test_a_scripted_origin_records_what_it_was_sent(stack, ca):
    origin = stack.origin(answering(echo))
    with tls_client(origin, ca) as client:
        client.send(b"POST /a HTTP/1.1\r\nHost: api.test\r\nContent-Length: 3\r\n\r\nabc")
        assert client.response().body == b"abc"
        client.send(b"POST /b HTTP/1.1\r\nHost: api.test\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nxy\r\n0\r\n\r\n")
        assert client.response().body == b"xy"
    assert [request.target for request in origin.requests] == ["/a", "/b"]
    assert origin.received.endswith(b"2\r\nxy\r\n0\r\n\r\n")
    assert (origin.accepted, origin.peak, origin.busy_peak) == (1, 1, 1)


def test_a_scripted_origin_counts_its_peak(stack):
    gate = threading.Barrier(5)

    def answer(connection, request):
        gate.wait(10)
        connection.reply()

    origin = stack.origin(answering(answer), tls=False)
    clients = [Client(origin.port) for _ in range(5)]
    for client in clients:
        client.request("/", host="api.test")
    assert [client.response().status for client in clients] == [200] * 5
    assert (origin.accepted, origin.peak, origin.busy_peak) == (5, 5, 5)


def test_a_scripted_origin_resets_and_truncates(stack, ca):
    def serve(connection):
        head = connection.read_head()
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf")
        {"/reset": connection.reset, "/cut": connection.close, "/end": connection.finish}[head.target]()

    plain = stack.origin(serve, tls=False)
    with Client(plain.port) as client:
        client.request("/reset", host="api.test")
        assert client.cut_response()[1].reset
    with Client(plain.port) as client:
        client.request("/cut", host="api.test")
        assert not client.cut_response()[1].reset
    secure = stack.origin(serve)
    for path, truncated in (("/cut", True), ("/end", False)):
        with tls_client(secure, ca) as client:
            client.request(path, host="api.test")
            client.head()
            try:
                client.reader.until_close()
                assert not truncated
            except ssl.SSLError as fault:
                assert fault.reason == "UNEXPECTED_EOF_WHILE_READING"
                assert truncated


def test_an_end_that_has_come_is_seen_however_late_one_looks(stack):
    origin = stack.origin(lambda connection: connection.close(), tls=False)
    with Client(origin.port) as client:
        assert select.select([client.sock], [], [], 10)[0], "it closes"
        assert client.ending(0) == "closed"


def test_a_connection_that_closes_while_the_peak_is_counted_is_not_there(stack):
    origin = stack.origin(lambda connection: connection.close(), tls=False)
    for _ in range(200):
        Client(origin.port).close()
    wait_until(lambda: origin.accepted == 200, "it goes on accepting")


TAKE_PORTS = "from support.ports import free_ports; print(*free_ports(150), flush=True); input()"


def test_ports_belong_to_one_process_and_the_kernel_gives_them_to_nobody():
    others = [subprocess.Popen([sys.executable, "-c", TAKE_PORTS], cwd=Path(__file__).parent, stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE, text=True) for _ in range(2)]
    taken = [free_ports(150), *([int(port) for port in other.stdout.readline().split()] for other in others)]
    for other in others:
        other.communicate("\n")
    assert len(set().union(*taken)) == 450
    lowest, highest = map(int, Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split())
    if lowest > 20_000:  # else nearly all ports are the kernel's
        assert not [port for ports in taken for port in ports if lowest <= port <= highest]


def test_steady_clients_count_a_connection_that_ends_without_a_word(stack):
    def serve(connection):
        connection.read_request()
        connection.reply()

    with SteadyLoad(stack.origin(serve, tls=False).port, kept=1, fresh=1) as load:
        wait_until(lambda: load.faults, "the kept connection's end is a fault")
    assert len(load.faults) == 1 and load.faults[0].startswith("kept") and load.served > 0


@pytest.mark.parametrize("kind, reason", [
    ({"expired": True}, "expired"), ({"common_name": "api.test", "names": ()}, "mismatch|not valid"),
    ({"names": ("other.test",)}, "mismatch"), ({"usage": "clientAuth"}, "purpose")])
def test_a_bad_certificate_is_bad(stack, ca, kind, reason):
    kind = dict(kind)
    names = kind.pop("names", ("api.test",))
    origin = stack.origin(context=server_context(ca.issue(*names, **kind)))
    with pytest.raises(ssl.SSLCertVerificationError, match=f"(?i){reason}"):
        tls_client(origin, ca)


@pytest.mark.parametrize("chunked", [False, True])
def test_the_load_client_counts_what_it_did(stack, chunked):
    gate = threading.Barrier(8)  # all of them at once, 25 times

    def answer(connection, request):
        gate.wait(10)
        connection.reply_chunks([b"ok"]) if chunked else connection.reply(b"ok")

    origin = stack.origin(answering(answer), tls=False)
    outcome = load(origin.port, "http://api.test/", 200, 8)
    assert (outcome.statuses, outcome.errors, outcome.peak, outcome.in_flight) == ({200: 200}, [], 8, 0)
    assert len(origin.requests) == 200 and origin.busy_peak == 8


def test_the_load_client_reports_a_lost_connection(stack):
    def serve(connection):
        connection.read_request()

    outcome = load(stack.origin(serve, tls=False).port, "http://api.test/", 5, 1)
    assert len(outcome.errors) == 1 and outcome.statuses == {}


def ask(server, name, kind, transport):
    query = b"\x12\x34\x01\x00\x00\x01" + bytes(6)
    query += b"".join(bytes([len(label)]) + label.encode() for label in name.split(".")) + b"\0"
    query += bytes([0, kind, 0, 1])
    if transport == "udp":
        sock = socket.socket(type=socket.SOCK_DGRAM)
        sock.settimeout(5)
        sock.sendto(query, ("127.0.0.1", server.port))
        return sock.recv(512)
    with socket.create_connection(("127.0.0.1", server.port), 5) as sock:
        sock.sendall(len(query).to_bytes(2, "big") + query)
        return sock.recv(512)[2:]


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_the_dns_server_answers_as_scripted(stack, transport):
    server = stack.dns(dns_server.addresses({"api.test": ["127.0.0.9", "::1"]}))
    assert ask(server, "api.test", dns_server.A, transport).endswith(bytes([0, 4, 127, 0, 0, 9]))
    assert ask(server, "API.test", dns_server.AAAA, transport).endswith(bytes(15) + b"\1")
    assert ask(server, "no.test", dns_server.A, transport)[3] & 15 == dns_server.NXDOMAIN
    assert server.queries[0] == ("api.test", dns_server.A, transport)


def test_the_nginx_origin_serves_and_keeps_its_ledger(stack, ca):
    origin = stack.nginx()
    context = ssl.create_default_context(cafile=ca.file)
    connection = http.client.HTTPSConnection("127.0.0.1", origin.port, context=context)
    connection._tunnel_host = None
    connection.sock = context.wrap_socket(socket.create_connection(("127.0.0.1", origin.port)),
                                          server_hostname="api.test")
    for path in ("/hello", "/bytes/64k", "/slow"):
        connection.request("GET", path, headers={"Host": "api.test"})
        response = connection.getresponse()
        assert response.status == 200, path
        response.read()
    connection.close()
    ledger = wait_until(lambda: len(found := origin.ledger()) == 3 and found, "nginx logged them")
    assert [(entry.path, entry.number) for entry in ledger] == [("/hello", 1), ("/bytes/64k", 2), ("/slow", 3)]
    assert len({entry.connection for entry in ledger}) == 1 and ledger[2].seconds >= 0.02


def test_the_busy_peak_counts_overlaps_only():
    def entry(connection, begun, ended):
        return Exchange(connection, 1, ended, ended - begun, False, "/")

    assert busy_peak([entry(1, 0, 2), entry(2, 1, 3), entry(1, 2, 4)]) == 2
    assert busy_peak([]) == 0


def test_metrics_and_proxy_status_are_read_strictly():
    assert parse_metrics('# HELP a b\na{x="y\\"z",u="v"} 3\nb 1.5e3\n') == [
        ("a", {"x": 'y\\"z', "u": "v"}, 3.0), ("b", {}, 1500.0)]
    with pytest.raises(AssertionError):
        parse_metrics('a{x="y} 3\n')
    told = proxy_status(Response(fields=[("Proxy-Status", 'origin, x'), (
        "Proxy-Status",
        'penstock; error=connection_timeout; details="phase=connect limit=timeouts.connect 5s spent=5.001s id=ab"')]))
    assert (told["error"], told["phase"], told["limit"], told["id"]) == (
        "connection_timeout", "connect", "timeouts.connect", "ab")


def test_the_harness_notices_a_daemon_that_does_not_end(tmp_path):
    """Penstock.stop() is the judge of every other test's end."""
    daemon = Penstock.__new__(Penstock)
    daemon.stopped, daemon.stderr_path = False, tmp_path / "err"
    daemon.stderr_path.write_text("")
    daemon.process = subprocess.Popen(["/bin/sh", "-c", "trap '' TERM; echo up; while :; do read x; done"],
                                      stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    daemon.process.stdout.readline()
    with pytest.raises(AssertionError, match="did not end"):
        daemon.stop(grace=0.2)
