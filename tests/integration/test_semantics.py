"""HTTP's semantics hop by hop (RFC 9110 sections 7, 9, 10 and 15, RFC 9112), by the bytes that each side receives.

What test_vectors.py compares by a model is written out here; test_main_road.py, test_expect.py, test_errors.py and
test_upgrade.py have what takes more than one exchange of bytes.
"""

import pytest

from support.http1 import Reader
from support.penstock import assert_failed, proxy_status
from support.waiting import wait_until

DATE = b"Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
OK = b"HTTP/1.1 200 OK\r\n" + DATE
EMPTY = OK + b"Content-Length: 0\r\n\r\n"
KEPT = b"Connection: keep-alive\r\nKeep-Alive: timeout=60\r\n"


class Wire:
    """The proxy and an origin that answers with the bytes of a test, each request on a connection of its own."""

    def __init__(self, shared):
        self._origin = shared.origin(self._serve, tls=False)
        self.proxy = shared.penstock(shared.to(self._origin), shared.to(self._origin, "ported.test:8081"), workers=1,
                                     client={"idle_timeout": "60s"})
        self.reply = EMPTY
        self.via = b"Via: 1.1 " + self.proxy.fetch("http://api.test/").get("via").split()[1].encode() + b"\r\n"

    def _serve(self, connection):
        if connection.read_request():
            connection.send(self.reply)

    def ask(self, sent, reply=EMPTY, method="GET", interim=0):
        """(what the origin received, what the client received), for one request."""
        wait_until(lambda: self._origin.open == 0, "nobody is asked on a connection that is being closed")
        self.reply = reply
        seen, got = len(self._origin.connections), bytearray()
        with self.proxy.client() as client:
            def receive():
                data = client.sock.recv(1 << 18)
                got.extend(data)
                return data

            client.reader = Reader(receive)
            client.send(sent)
            for _ in range(interim):
                client.reader.response_head()
            client.response(method)
        connection = self._origin.connections[seen:]
        return bytes(connection[0].received) if connection else None, bytes(got)

    def forwarded(self, fields, first=b"GET / HTTP/1.1", body=b"", via=None):
        return first + b"\r\nHost: api.test\r\n" + fields + (via or self.via) + b"\r\n" + body

    def delivered(self, fields=b"Content-Length: 0\r\n", first=b"HTTP/1.1 200 OK", body=b"", kept=KEPT):
        return first + b"\r\n" + DATE + fields + kept + self.via + b"\r\n" + body


@pytest.fixture(scope="module")
def wire(shared):
    return Wire(shared)


def get(fields=b"", method=b"GET", version=b"1.1", target=b"http://api.test/"):
    return method + b" " + target + b" HTTP/" + version + b"\r\nHost: api.test\r\n" + fields + b"\r\n"


# Requests


@pytest.mark.parametrize("sent, left", [
    (b"A: 1\r\nKeep-Alive: 5\r\nB: 2\r\n", b"A: 1\r\nB: 2\r\n"),
    (b"Connection: x-one, close-not\r\nX-One: 1\r\nX-Two: 2\r\n", b"X-Two: 2\r\n"),
    (b"X-One: 1\r\nConnection: keep-alive\r\nConnection: , X-ONE ,\r\nX-One: again\r\n", b""),
    (b"Connection: Host, Via, Cookie, Authorization, Content-Type, X-Forwarded-For, Cache-Control, Date\r\n"
     b"Cookie: a\r\nAuthorization: b\r\nContent-Type: c\r\nX-Forwarded-For: d\r\nCache-Control: e\r\nDate: f\r\n",
     b"Cookie: a\r\nAuthorization: b\r\nContent-Type: c\r\nX-Forwarded-For: d\r\nCache-Control: e\r\nDate: f\r\n"),
    (b"Proxy-Connection: close\r\nProxy-Authorization: Basic eA==\r\nProxy: http://evil.test\r\nTE: gzip\r\n", b""),
    (b"Upgrade: websocket\r\nHTTP2-Settings: AA\r\n", b""),
], ids=["keep-alive", "one named", "named twice and in capitals", "what cannot be named", "of a proxy", "no upgrade"])
def test_hop_by_hop_fields_and_what_connection_names_end_here(wire, sent, left):
    assert wire.ask(get(sent))[0] == wire.forwarded(left)


def test_te_says_trailers_to_the_next_hop_in_our_name(wire):
    received, _ = wire.ask(get(b"TE: deflate, trailers;q=0.5, trailers\r\nConnection: TE\r\n"))
    assert received == wire.forwarded(b"TE: trailers\r\nConnection: TE\r\n")


def test_via_is_added_behind_what_is_there_with_the_version_received(wire):
    received, _ = wire.ask(get(b"Via: 1.0 first, 1.1 second\r\nVia: 1.1 third\r\n", version=b"1.0"))
    assert received == wire.forwarded(b"Via: 1.0 first, 1.1 second\r\nVia: 1.1 third\r\n", via=wire.via.replace(b"1.1", b"1.0"))


@pytest.mark.parametrize("method, before, after", [
    (b"OPTIONS", b"3", b"2"), (b"TRACE", b"1", b"0"), (b"GET", b"0", b"0"), (b"GET", b"x", b"x"), (b"POST", b"5", b"5")])
def test_max_forwards_is_counted_for_options_and_trace_alone(wire, method, before, after):
    received, _ = wire.ask(get(b"Max-Forwards: " + before + b"\r\n", method))
    assert received == wire.forwarded(b"Max-Forwards: " + after + b"\r\n", method + b" / HTTP/1.1")


@pytest.mark.parametrize("target", [b"*", b"http://api.test"], ids=["asterisk", "of the server"])
def test_options_of_the_server_as_a_whole(wire, target):
    received, delivered = wire.ask(get(b"", b"OPTIONS", target=target), method="OPTIONS")
    if target == b"*":
        assert received is None and b"Allow: " in delivered
    else:
        assert received == wire.forwarded(b"", b"OPTIONS * HTTP/1.1")


@pytest.mark.parametrize("target, host, wanted", [
    (b"http://api.test/", b"other.test", b"api.test"), (b"http://API.Test.:80/", b"api.test", b"api.test"),
    (b"http://ported.test:8081/", b"api.test", b"ported.test:8081"), (b"/", b"api.test", b"api.test"),
    (b"/", b"ported.test:8081", b"ported.test:8081")])
def test_host_is_made_from_the_authority(wire, target, host, wanted):
    received, _ = wire.ask(b"GET " + target + b" HTTP/1.1\r\nHost: " + host + b"\r\n\r\n")
    assert received == b"GET / HTTP/1.1\r\nHost: " + wanted + b"\r\n" + wire.via + b"\r\n"


def test_order_case_repeats_obs_text_and_empty_fields_of_a_request_stay(wire):
    fields = b"b: 2\r\nA: 1\r\nB: \xff\xfe caf\xe9\r\nEmpty: \r\nb: 2\r\nX: a\tb  c\r\n"
    assert wire.ask(get(fields))[0] == wire.forwarded(fields)


@pytest.mark.parametrize("version", [b"1.1", b"1.0"])
def test_a_length_passes_from_either_version(wire, version):
    received, delivered = wire.ask(get(b"Content-Length: 3\r\n", b"POST", version) + b"abc")
    via = wire.via.replace(b"1.1", version)
    assert received == wire.forwarded(b"Content-Length: 3\r\n", b"POST / HTTP/1.1", b"abc", via)
    kept = KEPT if version == b"1.1" else b"Connection: close\r\n"
    assert delivered == wire.delivered(kept=kept)


def test_trailers_pass_but_for_those_of_another_meaning(wire):
    sent = (get(b"Transfer-Encoding: chunked\r\nTrailer: X-Sum\r\n", b"POST") +
            b"3\r\nabc\r\n0\r\nX-Sum: 1\r\nContent-Type: x\r\nHost: y\r\nx-sum: \xff\r\n\r\n")
    received, _ = wire.ask(sent)
    assert received == wire.forwarded(b"Trailer: X-Sum\r\nTransfer-Encoding: chunked\r\n", b"POST / HTTP/1.1",
                                      b"3\r\nabc\r\n0\r\nX-Sum: 1\r\nx-sum: \xff\r\n\r\n")


def test_a_huge_head_passes_and_one_over_the_limit_is_431(wire):
    fields = b"Big: " + b"x" * 60000 + b"\r\n"
    assert wire.ask(get(fields))[0] == wire.forwarded(fields)
    many = b"".join(b"F%d: v\r\n" % number for number in range(90))
    assert wire.ask(get(many))[0] == wire.forwarded(many)
    received, delivered = wire.ask(get(b"Big: " + b"x" * 66000 + b"\r\n"))
    assert received is None and delivered.startswith(b"HTTP/1.1 431 ")


# Responses


@pytest.mark.parametrize("status, reason", [
    (200, b"OK"), (200, b""), (218, b"This is fine"), (299, b"d\xe9j\xe0\tvu"), (306, b"x"), (418, b"I'm a teapot"),
    (451, b"No"), (499, b"z"), (599, b"!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~")])
def test_odd_but_legal_status_codes_and_reasons_pass(wire, status, reason):
    first = b"HTTP/1.1 %d %s" % (status, reason)
    assert wire.ask(get(), first + b"\r\n" + DATE + b"Content-Length: 0\r\n\r\n")[1] == wire.delivered(first=first)


def test_order_case_repeats_and_cookies_of_a_response_stay(wire):
    fields = b"Set-Cookie: a=1; Secure\r\nx: 1\r\nset-cookie: a=2\r\nX: \xff\r\nSet-Cookie: a=1; Secure\r\nEmpty: \r\n"
    assert wire.ask(get(), OK + fields + b"Content-Length: 0\r\n\r\n")[1] == wire.delivered(fields + b"Content-Length: 0\r\n")


def test_hop_by_hop_fields_of_a_response_end_here(wire):
    reply = (OK + b"Connection: x-one, Set-Cookie, Location\r\nX-One: 1\r\nSet-Cookie: a\r\nLocation: /b\r\nKeep-Alive: timeout=1\r\n"
             b"Proxy-Authenticate: Basic\r\nProxy-Connection: close\r\nUpgrade: h2c\r\nProxy: x\r\nTE: x\r\nContent-Length: 0\r\n\r\n")
    assert wire.ask(get(), reply)[1] == wire.delivered(b"Set-Cookie: a\r\nLocation: /b\r\nContent-Length: 0\r\n")


def test_via_of_a_response_is_added_behind_what_is_there(wire):
    assert wire.ask(get(), OK + b"Via: 1.1 far\r\nContent-Length: 0\r\n\r\n")[1] == wire.delivered(
        b"Via: 1.1 far\r\nContent-Length: 0\r\n")


@pytest.mark.parametrize("code", [102, 103, 104, 150, 199])
def test_every_1xx_passes_bare(wire, code):
    interim = b"HTTP/1.1 %d Hm\r\nLink: </a>\r\nX: \xff\r\n" % code
    _, delivered = wire.ask(get(), interim + b"\r\n" + EMPTY, interim=1)
    assert delivered == interim + wire.via + b"\r\n" + wire.delivered()


def test_a_100_that_nobody_asked_for_goes_no_further(wire):
    assert wire.ask(get(), b"HTTP/1.1 100 Continue\r\n\r\n" * 3 + EMPTY)[1] == wire.delivered()


@pytest.mark.parametrize("reply, left", [
    (b"204 No Content\r\n" + DATE + b"Content-Length: 5\r\nX: 1\r\n", b"X: 1\r\n"),
    (b"204 No Content\r\n" + DATE + b"Transfer-Encoding: chunked\r\n", b""),
    (b"304 Not Modified\r\n" + DATE + b"Content-Length: 5\r\nETag: \"e\"\r\n", b"ETag: \"e\"\r\nContent-Length: 5\r\n"),
    (b"304 Not Modified\r\n" + DATE + b"Transfer-Encoding: chunked\r\n", b"")],
    ids=["204 with a length", "204 with a coding", "304 with a length", "304 with a coding"])
def test_204_and_304_have_no_body_whatever_their_fields_say(wire, reply, left):
    first = b"HTTP/1.1 " + reply.split(b"\r\n")[0]
    assert wire.ask(get(), b"HTTP/1.1 " + reply + b"\r\n")[1] == wire.delivered(left, first)


@pytest.mark.parametrize("framing, body", [(b"Content-Length: 0\r\n", b""), (b"Transfer-Encoding: chunked\r\n", b"0\r\n\r\n")])
def test_205_is_framed_like_others(wire, framing, body):
    first = b"HTTP/1.1 205 Reset Content"
    assert wire.ask(get(), first + b"\r\n" + DATE + framing + b"\r\n" + body)[1] == wire.delivered(framing, first, body)


@pytest.mark.parametrize("framing, left", [(b"Content-Length: 5\r\n", b"Content-Length: 5\r\n"),
                                           (b"Transfer-Encoding: chunked\r\n", b""), (b"", b"")])
def test_head_has_no_body_whatever_its_fields_say(wire, framing, left):
    received, delivered = wire.ask(get(method=b"HEAD"), OK + framing + b"\r\n", "HEAD")
    assert (received, delivered) == (wire.forwarded(b"", b"HEAD / HTTP/1.1"), wire.delivered(left))


@pytest.mark.parametrize("reply_version", [b"1.1", b"1.0"])
@pytest.mark.parametrize("client_version", [b"1.1", b"1.0"])
def test_a_body_that_ends_with_its_connection(wire, client_version, reply_version):
    reply = b"HTTP/" + reply_version + b" 200 OK\r\n" + DATE + b"\r\nabc"
    _, delivered = wire.ask(get(version=client_version), reply)
    via = wire.via.replace(b"1.1", reply_version)
    if client_version == b"1.1":
        wanted = wire.delivered(b"Transfer-Encoding: chunked\r\n", body=b"3\r\nabc\r\n0\r\n\r\n")
    else:
        wanted = wire.delivered(b"", kept=b"Connection: close\r\n", body=b"abc")
    assert delivered == wanted.replace(wire.via, via)


def test_trailers_of_a_response_pass_to_1_1_and_not_to_1_0(wire):
    reply = OK + b"Transfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n3\r\nabc\r\n0\r\nX-Sum: 1\r\nSet-Cookie: no\r\n\r\n"
    assert wire.ask(get(), reply)[1] == wire.delivered(
        b"Trailer: X-Sum\r\nTransfer-Encoding: chunked\r\n", body=b"3\r\nabc\r\n0\r\nX-Sum: 1\r\n\r\n")
    assert wire.ask(get(version=b"1.0"), reply)[1] == wire.delivered(b"", kept=b"Connection: close\r\n", body=b"abc")


def test_a_huge_head_of_a_response_passes_and_one_over_the_limit_is_a_502(wire):
    fields = b"Big: " + b"x" * 60000 + b"\r\n"
    assert wire.ask(get(), OK + fields + b"Content-Length: 0\r\n\r\n")[1] == wire.delivered(fields + b"Content-Length: 0\r\n")
    wire.reply = OK + b"Big: " + b"x" * 300000 + b"\r\nContent-Length: 0\r\n\r\n"
    response = wire.proxy.fetch("http://api.test/")
    assert response.status == 502
    assert proxy_status(response)["error"] in ("http_response_header_section_size", "http_response_header_size")


# Both at once


@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_an_answer_that_begins_before_the_upload_has_ended_streams_beside_it(stack, framing):
    """The origin gives back each piece as it comes: neither direction waits for the end of the other."""
    def serve(connection):
        connection.read_head()
        connection.send(OK + b"Transfer-Encoding: chunked\r\n\r\n")
        for _ in range(3):
            if framing == "chunked":
                assert connection.reader.line() == b"5"
            piece = connection.reader.exactly(5)
            connection.send(b"5\r\n" + piece + b"\r\n")
            if framing == "chunked":
                connection.reader.exactly(2)
        connection.send(b"0\r\n\r\n")
        connection.wait_closed()

    proxy = stack.penstock(stack.to(stack.origin(serve)))
    with proxy.client() as client:
        client.send(get(b"Content-Length: 15\r\n" if framing == "length" else b"Transfer-Encoding: chunked\r\n", b"POST"))
        head = client.head()
        assert head.status == 200 and head.chunked
        for piece in (b"first", b"secon", b"third"):
            client.send(piece if framing == "length" else b"5\r\n" + piece + b"\r\n")
            assert client.reader.line() == b"5"
            assert client.reader.exactly(7) == piece + b"\r\n"


def test_a_final_answer_while_the_body_is_still_coming_is_delivered_and_the_rest_not_read(stack):
    def serve(connection):
        connection.read_head()
        connection.reader.exactly(10)
        connection.reply(b"enough", "413 Content Too Large")
        connection.finish()

    proxy = stack.penstock(stack.to(stack.origin(serve)))
    with proxy.client() as client:
        client.send(get(b"Content-Length: 1000000\r\n", b"POST") + b"x" * 10)
        response = client.response()
        assert (response.status, response.body, response.get("connection")) == (413, b"enough", "close")
        assert client.ending() in ("closed", "reset")


@pytest.mark.parametrize("request_line", ["GET /x HTTP/1.1", "GET http://anything.test/x HTTP/1.1"])
def test_a_base_url_listener_sends_every_form_to_its_upstream(stack, request_line):
    origin = stack.origin()
    proxy = stack.penstock(stack.to(origin), listeners=[{"upstream": "api"}])
    with proxy.client() as client:
        client.send(f"{request_line}\r\nHost: 127.0.0.1:{proxy.port}\r\n\r\n")
        assert client.response().status == 200
    request, = origin.requests
    assert request.raw_head.startswith(b"GET /x HTTP/1.1\r\nHost: api.test\r\nVia: 1.1 penstock-")


def test_a_cut_answer_to_1_0_is_cut_by_a_reset(stack):
    """Without length or chunks only that tells it from a whole one."""
    def serve(connection):
        connection.read_request()
        connection.send(OK + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
        connection.finish()

    proxy = stack.penstock(stack.to(stack.origin(serve)))
    with proxy.client() as client:
        client.send(get(version=b"1.0"))
        assert client.ending() == "reset"
    line = proxy.wait_for_log()
    assert line["error"] == "http_response_incomplete"


def test_max_forwards_that_is_no_number_is_refused(wire):
    response = wire.proxy.fetch("http://api.test/", "OPTIONS", {"Max-Forwards": "many"})
    assert_failed(response, 400, "http_request_error")
