"""The table of the HTTP rules (tests/unit/http/*_vectors.cc, which the parsers pass in memory) against the real
binary on sockets, whole and cut in two.

What is accepted reaches the other side as http_model.py says, byte for byte; a chunked body is compared by its content.
Of what is refused nothing is completed on the other side, the answer has the documented status and token, and the
connection serves nobody after it.
"""

import json
import re
from collections import Counter
from pathlib import Path

import pytest

from support import http_model as model
from support.http1 import Reader, Truncated
from support.penstock import proxy_status
from support.waiting import wait_until

VECTORS = [json.loads(line) for line in (Path(__file__).parent / "http_vectors.jsonl").read_text().splitlines()]
SMUGGLED = b"GET http://h/smuggled HTTP/1.1\r\nHost: h\r\n\r\n"

# Well-formed, but no request for an origin: what the proxy itself answers.
ANSWERED_HERE = {
    "9112 3 authority-form": 200,  # a tunnel
    "9112 3 asterisk-form": 200,
    "9110 9.1 a method with a hyphen": 400,  # M-SEARCH *: the asterisk is for OPTIONS
}
CLOSED_UNANSWERED = {"a TLS greeting", "SOCKS 5", "SOCKS 4"}  # an answer in HTTP would not be understood
# Well-formed, but no answer to what was asked.
REFUSED_ANSWERS = {"9110 15.2.2 101 is a head like others": "http_upgrade_failed"}


def vectors(direction):
    """Answers to CONNECT are left out: the proxy sends none upstream."""
    found = [v for v in VECTORS if v["of"] == direction and v["method"] != "CONNECT"]
    return pytest.mark.parametrize("vector", found, ids=[v["rule"].replace(" ", "-") for v in found])


def data_of(vector):
    """An old request without Host says in its target where it goes."""
    return vector["bytes"].encode("latin-1").replace(b"GET / HTTP/1.0\r\n", b"GET http://h/ HTTP/1.0\r\n")


def cuts(data):
    """Whole; then in two: in the middle, inside the end of the head, before the last byte."""
    return sorted({0, len(data) // 2, data.find(b"\r\n\r\n") + 3, len(data) - 1} & set(range(len(data))))


class Scripted:
    """What the origin answers next, and what it received: a connection a request, unless it is told otherwise."""

    def __init__(self):
        self.pieces = self.finish = None
        self.between = lambda: None

    def serve(self, connection):
        while connection.read_request():
            if self.pieces is None:
                connection.send(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok")
                return
            connection.send(self.pieces[0])
            self.between()
            connection.send(self.pieces[1])
            if self.finish:
                return


@pytest.fixture(scope="module")
def scripted():
    return Scripted()


@pytest.fixture(scope="module")
def origin(shared, scripted):
    return shared.origin(scripted.serve, tls=False)


@pytest.fixture(scope="module")
def proxy(shared, origin, scripted):
    proxy = shared.penstock(shared.to(origin, "h"), workers=1, client={"idle_timeout": "60s"})
    marker = proxy.client()
    shared.at_end(marker.close)

    def taken():
        """Returns when the one worker has read what was sent to it before: it has answered a later request."""
        marker.send(b"OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n")
        assert marker.response().status == 200

    proxy.taken = scripted.between = taken
    scripted.pieces = None
    proxy.pseudonym = proxy.fetch("http://h/").get("via").split()[1].encode()
    return proxy


def used_since(origin, count):
    """The connections since that brought anything, when they have ended."""
    wait_until(lambda: origin.open == 0, "the connections to the origin have ended")
    return [connection for connection in origin.connections[count:] if connection.received]


def send_cut(client, data, cut, proxy):
    client.send(data[:cut])
    if cut:
        proxy.taken()
    client.send(data[cut:])


# Requests


def check_forwarded(connections, messages, proxy):
    assert len(connections) == len(messages)
    for connection, message in zip(connections, messages):
        assert connection.fault is None
        request, = connection.requests
        assert request.raw_head in model.forwarded_request(message, proxy.pseudonym)
        assert request.body == message.body
        sent = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in request.trailers]
        assert sent == [t for t in message.trailers if not t[0].lower().startswith((b"content-", b"transfer-encoding"))]
        if not message.chunked:
            assert bytes(connection.received) == request.raw_head + message.body


def check_accepted(vector, cut, proxy, origin):
    data = data_of(vector)
    here = ANSWERED_HERE.get(vector["rule"])
    messages = [] if here else model.read_requests(data)
    seen = len(origin.connections)
    with proxy.client() as client:
        send_cut(client, data, cut, proxy)
        statuses = [client.head().status] if here else [client.response().status for _ in messages]
    assert statuses == ([here] if here else [200] * len(messages))
    if not here:
        check_forwarded(used_since(origin, seen), messages, proxy)


def check_refused(vector, cut, proxy, origin):
    data = data_of(vector)
    seen = len(origin.connections)
    with proxy.client() as client:
        send_cut(client, data + SMUGGLED, cut, proxy)
        for _ in range(vector["ends"]):
            assert client.response().status == 200
        response = client.response()
        assert (response.status, proxy_status(response)["error"]) == (vector["status"], vector["token"])
        assert client.reader.until_close() == b""
    if vector["heads"] > vector["ends"]:  # its head may be on the way, on a dial even that has not ended
        wait_until(lambda: no_dial_is_under_way(proxy, origin), "the origin has seen every dial")
    connections = used_since(origin, seen)
    assert sum(is_complete(bytes(c.received)) for c in connections) == vector["ends"]
    assert all(c.fault is None for c in connections)
    if vector["heads"] == vector["ends"]:
        assert len(connections) == vector["ends"], "bytes of a refused request reached the origin"


def no_dial_is_under_way(proxy, origin):
    dialing = any(host["connections"]["dialing"] for host in proxy.pools())
    return not dialing and origin.accepted == proxy.metrics("penstock_connections_opened_total")


def check_closed(vector, proxy, origin):
    seen = len(origin.connections)
    with proxy.client() as client:
        client.send(data_of(vector))
        assert client.ending() in ("closed", "reset")
    assert not used_since(origin, seen)


def is_complete(received):
    reader = Reader(iter([received, b""]).__next__)
    try:
        reader.request_body(reader.request_head())
        return True
    except Truncated:
        return False


@vectors("request")
def test_requests(proxy, origin, scripted, vector):
    scripted.pieces = None
    if vector["rule"] in CLOSED_UNANSWERED:
        check_closed(vector, proxy, origin)
        return
    check = check_refused if vector["status"] else check_accepted
    for cut in cuts(data_of(vector)):
        check(vector, cut, proxy, origin)


# Responses


def ask(client, vector):
    client.send(f"{vector['method']} http://h/ HTTP/1.1\r\nHost: h\r\n\r\n")


def without_our_date(head, message):
    return head if message.all(b"date") else re.sub(rb"Date: [^\r]*\r\n", b"", head, count=1)


def check_delivered(client, vector, proxy):
    """Of the interim ones a 100 that nobody waits for goes no further."""
    for message in model.read_responses(vector["bytes"].encode("latin-1"), vector["method"]):
        if message.start[1] == b"100":
            continue
        response = client.reader.response_head()
        client.reader.response_body(response, vector["method"])
        wanted = model.forwarded_response(message, vector["method"], proxy.pseudonym, b"timeout=60")
        assert without_our_date(response.raw_head, message) == wanted
        assert response.body == message.body
        sent = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in response.trailers]
        assert sent == message.trailers


def check_not_delivered(client, vector):
    try:
        response = client.response(vector["method"])
    except Truncated:
        assert vector["heads"] > vector["ends"], "only a head that was fine may be on its way already"
        return
    token = REFUSED_ANSWERS.get(vector["rule"]) or vector["token"]
    assert (response.status, proxy_status(response)["error"]) == (502, token)


@vectors("response")
def test_responses(proxy, origin, scripted, vector):
    data = vector["bytes"].encode("latin-1")
    refused = vector["status"] or vector["rule"] in REFUSED_ANSWERS
    scripted.finish = not refused and model.read_responses(data, vector["method"])[-1].until_close
    for cut in cuts(data):
        scripted.pieces = data[:cut], data[cut:]
        seen = len(origin.connections)
        with proxy.client() as client:
            ask(client, vector)
            if refused:
                check_not_delivered(client, vector)
            else:
                check_delivered(client, vector, proxy)
        if refused:
            wait_until(lambda: not any(c.open for c in origin.connections), "the connection that brought it is closed")
            assert len(origin.connections) - seen <= 1


# The table itself


def test_each_rule_is_taken_and_refused(report):
    """At least 250 vectors, and of each direction's rules (by section) one that is taken and one that is refused."""
    counts = Counter((v["of"], section_of(v), bool(v["status"])) for v in VECTORS)
    for direction, section in sorted({key[:2] for key in counts}):
        report(f"{direction} {section}", f"{counts[direction, section, False]} taken, {counts[direction, section, True]} refused")
    assert len(VECTORS) >= 250


def section_of(vector):
    return " ".join(vector["rule"].split()[:2]) if vector["rule"][0].isdigit() else "other protocols"
