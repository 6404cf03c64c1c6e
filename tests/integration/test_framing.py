"""Messages are rebuilt, never copied: hostile framing in both directions.

Each refused request is followed by a second, well-formed one in the same bytes. Nothing of the
first may complete at the origin, and the second must never be read at all (RFC 9112 section 11.2).
Each refused response must become a 502 or an aborted body, and its connection must not be reused.
"""

import pytest

from support.penstock import proxy_status
from support.scripted_origin import answering
from support.waiting import wait_until

END = b"\r\n\r\n"
HOST = b"Host: api.test\r\n"


def post(*fields, body=b"", version=b"1.1", path=b"/victim"):
    return b"POST http://api.test" + path + b" HTTP/" + version + b"\r\n" + HOST + b"\r\n".join(fields) + END + body


def get(*fields, target=b"http://api.test/victim", version=b"HTTP/1.1", host=HOST, method=b"GET"):
    head = method + b" " + target + b" " + version + b"\r\n" + host
    return head + b"".join(field + b"\r\n" for field in fields) + b"\r\n"


CL, TE = b"Content-Length: ", b"Transfer-Encoding: "
CHUNKED = TE + b"chunked"
ZERO = b"0\r\n\r\n"

REFUSED_REQUESTS = {
    # Content-Length
    "length and coding": (post(CL + b"5", CHUNKED, body=ZERO), 400),
    "coding and length": (post(CHUNKED, CL + b"5", body=ZERO), 400),
    "two equal lengths": (post(CL + b"3", CL + b"3", body=b"abc"), 400),
    "two lengths that differ": (post(CL + b"3", CL + b"4", body=b"abcd"), 400),
    "list of lengths": (post(CL + b"3, 3", body=b"abc"), 400),
    "signed length": (post(CL + b"+3", body=b"abc"), 400),
    "negative length": (post(CL + b"-3", body=b"abc"), 400),
    "empty length": (post(CL, body=b"abc"), 400),
    "hex length": (post(CL + b"0x3", body=b"abc"), 400),
    "length with a point": (post(CL + b"3.0", body=b"abc"), 400),
    "length over 2^63": (post(CL + b"9223372036854775808", body=b"abc"), 400),
    "length over 2^64": (post(CL + b"18446744073709551619", body=b"abc"), 400),
    "length in words": (post(CL + b"three", body=b"abc"), 400),
    "length with inner space": (post(CL + b"1 1", body=b"abc"), 400),
    # Transfer-Encoding
    "identity": (post(TE + b"identity", body=b""), 501),
    "gzip, chunked": (post(TE + b"gzip, chunked", body=ZERO), 501),
    "chunked twice": (post(TE + b"chunked, chunked", body=ZERO), 501),
    "chunked on two lines": (post(CHUNKED, CHUNKED, body=ZERO), 501),
    "chunked and a comma": (post(CHUNKED + b",", body=ZERO), (400, 501)),  # Users: `chunked,` (tinyproxy#616)
    "chunked then identity": (post(CHUNKED, TE + b"identity", body=ZERO), 501),
    "xchunked": (post(TE + b"xchunked", body=ZERO), 501),
    "quoted chunked": (post(TE + b'"chunked"', body=ZERO), 501),
    "chunked with parameter": (post(TE + b"chunked;q=1", body=ZERO), 501),
    "chunked after vertical tab": (post(TE + b"\x0bchunked", body=ZERO), 400),
    "empty coding": (post(TE, body=ZERO), (400, 501)),
    "coding in HTTP/1.0": (post(CHUNKED, body=ZERO, version=b"1.0"), 400),
    # Field lines
    "space before the colon": (post(b"Content-Length : 3", body=b"abc"), 400),
    "tab before the colon": (post(b"Transfer-Encoding\t: chunked", body=ZERO), 400),
    "field line that begins with a space": (get(b" X: y"), 400),
    "folded field": (get(b"X: a\r\n b"), 400),
    "folded coding": (post(b"Transfer-Encoding:\r\n chunked", body=ZERO), 400),
    "empty field name": (get(b": v"), 400),
    "field without colon": (get(b"NoColon"), 400),
    "space within a name": (get(b"X Y: v"), 400),
    "parenthesis in a name": (get(b"X(Y): v"), 400),
    "non-ASCII name": (get(b"X\xe4: v"), 400),
    "NUL in a value": (get(b"X: a\x00b"), 400),
    "NUL in a name": (get(b"X\x00: v"), 400),
    "bell in a value": (get(b"X: a\x07b"), 400),
    "DEL in a value": (get(b"X: a\x7fb"), 400),
    "bare CR in a value": (get(b"X: a\rb"), 400),
    "bare CR hides a coding": (get(b"X: a\rTransfer-Encoding: chunked"), 400),
    "bare LF hides a coding": (get(b"X: a\nTransfer-Encoding: chunked"), 400),
    "bare LF ends the head": (b"GET http://api.test/victim HTTP/1.1\nHost: api.test\n\n", 400),
    "CR CR LF": (get(b"X: a\r"), 400),
    # Start line
    "two spaces": (get(target=b" http://api.test/victim"), 400),
    "tab in the line": (b"GET\thttp://api.test/victim HTTP/1.1\r\n" + HOST + b"\r\n", (400, 501)),
    "space in the target": (get(target=b"http://api.test/vic tim"), 400),
    "raw UTF-8 in the target": (get(target="http://api.test/vict\u00efm".encode()), 400),
    "control in the target": (get(target=b"http://api.test/vic\x01tim"), 400),
    "no version": (b"GET http://api.test/victim\r\n" + HOST + b"\r\n", 400),
    "HTTP/2.0": (get(version=b"HTTP/2.0"), (400, 505)),
    "HTTP/1.2": (get(version=b"HTTP/1.2"), (400, 505)),
    "HTTP/0.9": (get(version=b"HTTP/0.9"), (400, 505)),
    "HTTP/1.10": (get(version=b"HTTP/1.10"), (400, 505)),
    "lower-case http": (get(version=b"http/1.1"), 400),
    "unknown method": (get(method=b"FROBNICATE"), 501),
    "lower-case method": (get(method=b"get"), (400, 501)),
    "method with a control": (get(method=b"GE\x01T"), (400, 501)),
    "leading space": (b" " + get(), (400, 501)),
    "empty method": (get(method=b""), (400, 501)),  # Go: TestTransportEmptyMethod, where it stands for GET
    # Authority
    "userinfo": (get(target=b"http://user@api.test/victim"), 400),
    "userinfo with another host": (get(target=b"http://api.test@other.test/victim"), 400),
    "empty host": (get(target=b"http:///victim"), 400),
    "empty host with port": (get(target=b"http://:80/victim"), 400),
    "port of letters": (get(target=b"http://api.test:8o/victim"), 400),  # Go: TestTransportRejectsAlphaPort
    "port over 65535": (get(target=b"http://api.test:65616/victim"), 400),
    "signed port": (get(target=b"http://api.test:+80/victim"), 400),
    "two ports": (get(target=b"http://api.test:80:80/victim"), 400),
    # Go: TestTransportIDNA. There the client itself makes it punycode; what comes to a proxy has to be that already.
    "non-ASCII host": (get(target="http://\u00e4pi.test/victim".encode()), 400),
    "encoded host": (get(target=b"http://api%2etest/victim"), 400),
    "numeric host, short": (get(target=b"http://127.1/victim"), 400),
    "numeric host, hex": (get(target=b"http://0x7f000001/victim"), 400),
    "numeric host, decimal": (get(target=b"http://2130706433/victim"), 400),
    "numeric host, octal": (get(target=b"http://0177.0.0.1/victim"), 400),
    "open bracket": (get(target=b"http://[::1/victim"), 400),
    "backslash": (get(target=b"http://api.test\\@other.test/victim"), 400),
    "other scheme": (get(target=b"ftp://api.test/victim"), 400),
    "asterisk of GET": (get(target=b"*"), 400),
    "no host at all": (get(host=b""), 400),  # Go: TestTransportNoHost
    "two hosts": (get(host=HOST + b"Host: other.test\r\n"), 400),
    "two equal hosts": (get(host=HOST + HOST), 400),
    "Host with userinfo": (get(host=b"Host: a@api.test\r\n"), 400),
    "Host that is a list": (get(host=b"Host: api.test, other.test\r\n"), 400),
    "Host with a space": (get(host=b"Host: api.test x\r\n"), 400),
}

# These are seen only once the head is on its way: the origin's message must stay unfinished.
BAD_CHUNKS = {
    "size of letters": b"zz\r\nabc\r\n" + ZERO,
    "empty size": b"\r\nabc\r\n" + ZERO,
    "signed size": b"+3\r\nabc\r\n" + ZERO,
    "negative size": b"-3\r\nabc\r\n" + ZERO,
    "size with 0x": b"0x3\r\nabc\r\n" + ZERO,
    "size with a leading space": b" 3\r\nabc\r\n" + ZERO,
    "size with a trailing space": b"3 \r\nabc\r\n" + ZERO,
    "size with a tab": b"3\t\r\nabc\r\n" + ZERO,
    "size that overflows": b"10000000000000003\r\nabc\r\n" + ZERO,
    "size of all ones": b"ffffffffffffffff\r\nabc\r\n" + ZERO,
    "long run of zeros that wraps": b"1" + b"0" * 40 + b"\r\nabc\r\n" + ZERO,
    "bare LF after the size": b"3\nabc\r\n" + ZERO,
    "bare CR after the size": b"3\rabc\r\n" + ZERO,
    "bare LF after the data": b"3\r\nabc\n" + ZERO,
    "data longer than the size": b"3\r\nabcd\r\n" + ZERO,
    "data shorter than the size": b"5\r\nabc\r\n" + ZERO,
    "bare LF in an extension": b"3;a=b\nc\r\nabc\r\n" + ZERO,
    "bare CR in an extension": b"3;a=b\rc\r\nabc\r\n" + ZERO,
    "NUL in an extension": b"3;a=\x00\r\nabc\r\n" + ZERO,
    "extensions over 4 KiB": b"3;" + b"a" * 5000 + b"\r\nabc\r\n" + ZERO,
    "many small extensions": b"".join(b"1;%s\r\nx\r\n" % (b"e" * 100) for _ in range(50)) + ZERO,
    "bare LF ends the last chunk": b"3\r\nabc\r\n0\n\n",
    "trailer with a space before the colon": b"3\r\nabc\r\n0\r\nX : y\r\n\r\n",
    "trailer that is no field": b"3\r\nabc\r\n0\r\nrubbish\r\n\r\n",
    "trailer with a NUL": b"3\r\nabc\r\n0\r\nX: \x00\r\n\r\n",
    "trailer with a bare LF": b"3\r\nabc\r\n0\r\nX: y\nZ: w\r\n\r\n",
    "folded trailer": b"3\r\nabc\r\n0\r\nX: y\r\n z\r\n\r\n",
    "trailers without end": b"3\r\nabc\r\n0\r\n" + b"X: y\r\n" * 20000 + b"\r\n",
}


class Recorder:
    """An origin that keeps which requests it read to their end, and answers each with bytes of choice."""

    def __init__(self):
        self.completed = []
        self.reply = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
        self.close_after = False

    def __call__(self, connection, request):
        self.completed.append(request)
        if request.target.startswith("/plain"):
            connection.reply(b"plain")
        else:
            connection.send(self.reply)
            if self.close_after:
                connection.finish()


@pytest.fixture(scope="module")
def recorder():
    return Recorder()


@pytest.fixture(scope="module")
def origin(shared, recorder):
    return shared.origin(answering(recorder), tls=False)


@pytest.fixture(scope="module")
def proxy(shared, origin):
    return shared.penstock(shared.to(origin), shared.to(origin, "other.test"), client={"body_stall": "3s"})


SECOND = b"GET http://api.test/smuggled HTTP/1.1\r\nHost: api.test\r\n\r\n"


def refused(proxy, recorder, data, statuses):
    """Sends `data` and a second request; asserts the one refusal, the close, and what the origin saw."""
    recorder.completed.clear()
    with proxy.client(seconds=10) as client:
        client.send(data + SECOND)
        response = client.response()
        rest = client.reader.until_close()
    assert response.status in statuses, (response.status, response.text)
    assert proxy_status(response)["error"] == "http_request_error"
    assert rest == b"", f"more came after the refusal: {rest[:80]}"
    assert [request.target for request in recorder.completed] == []


# HAProxy: h1_request_target_validation
@pytest.mark.parametrize("data, status", REFUSED_REQUESTS.values(), ids=REFUSED_REQUESTS)
def test_a_request_that_cannot_be_framed_is_refused_and_the_connection_closed(proxy, origin, recorder, data, status):
    faults, received = len(origin.faults), len(origin.received)
    refused(proxy, recorder, data, status if isinstance(status, tuple) else (status,))
    assert len(origin.received) == received, "bytes of a refused request reached the origin"
    assert len(origin.faults) == faults


# Go: TestValidateClientRequestTrailers, TestTransportInvalidTrailer: trailers with what breaks a line
@pytest.mark.parametrize("body", BAD_CHUNKS.values(), ids=BAD_CHUNKS)
def test_a_bad_chunk_never_completes_the_request_upstream(proxy, origin, recorder, body):
    faults = len(origin.faults)
    refused(proxy, recorder, post(CHUNKED, body=body), (400, 431))
    assert origin.faults[faults:] == []


def sent(proxy, recorder, data):
    """What the origin received for a request that is accepted."""
    recorder.completed.clear()
    with proxy.client() as client:
        client.send(data)
        assert client.response().status == 200
    request, = recorder.completed
    return request


def test_chunks_are_written_anew(proxy, recorder):
    request = sent(proxy, recorder, post(CHUNKED, body=b"003;x=1;y=\"z\"\r\nabc\r\n0A\r\n0123456789\r\n000;end\r\n\r\n"))
    assert request.body == b"abc0123456789" and request.chunked and request.trailers == []


# Users: `chunked\t` (tinyproxy#616)
@pytest.mark.parametrize("coding", [b"chunked", b"Chunked", b"CHUNKED", b" chunked\t"])
def test_chunked_is_known_in_every_spelling(proxy, recorder, coding):
    assert sent(proxy, recorder, post(b"transfer-encoding:" + coding, body=b"3\r\nabc\r\n" + ZERO)).body == b"abc"


def test_a_length_with_leading_zeros_is_written_anew(proxy, recorder):
    request = sent(proxy, recorder, post(CL + b"0003", body=b"abc"))
    assert request.get("content-length") == "3" and request.body == b"abc"


@pytest.mark.parametrize("field", ["Content-Length: 9", "Transfer-Encoding: chunked", "Host: other.test", "Trailer: X",
                                   "Authorization: x", "Content-Type: y", "Connection: close", "Proxy-Authorization: x"])
def test_trailers_pass_but_for_framing_routing_and_content_fields(proxy, recorder, field):
    body = f"3\r\nabc\r\n0\r\nX-Fine: 1\r\n{field}\r\nX-Also: 2\r\n\r\n".encode()
    request = sent(proxy, recorder, post(CHUNKED, body=body))
    assert request.trailers == [("X-Fine", "1"), ("X-Also", "2")]


HOP_BY_HOP = (b"Connection: close-not, X-Named, keep-alive\r\nConnection: X-Also\r\nX-Named: 1\r\nx-also: 1\r\nKeep-Alive: 5\r\n"
              b"Proxy-Connection: keep-alive\r\nProxy-Authorization: Basic eA==\r\nProxy-Authenticate: Basic\r\n"
              b"TE: trailers, deflate\r\nUpgrade: h2c\r\nHTTP2-Settings: AA\r\nProxy: http://evil.test\r\n").rstrip()


# ATS: hopbyhop_connection
def test_hop_by_hop_fields_stay_on_their_hop(proxy, recorder):
    request = sent(proxy, recorder, get(HOP_BY_HOP, b"X-Stays: 1"))
    names = {name.lower() for name, _ in request.fields}
    gone = {"x-named", "x-also", "keep-alive", "proxy-connection", "proxy-authorization", "proxy-authenticate", "upgrade",
            "http2-settings", "proxy"}
    assert not names & gone and "x-stays" in names
    assert request.all("te") in ([], ["trailers"])


PROTECTED = ["Host", "Content-Length", "Content-Type", "Transfer-Encoding", "Authorization", "Cookie", "Cache-Control",
             "Via", "Forwarded", "X-Forwarded-For"]


# HAProxy: forwarded-header-7239. There the proxy writes a Forwarded of its own; here the app's own stays as it is.
@pytest.mark.parametrize("name", PROTECTED)
def test_connection_cannot_remove_what_matters(proxy, recorder, name):
    value = b"abc" if name not in ("Host", "Content-Length", "Transfer-Encoding") else None
    fields = [b"Connection: " + name.encode(), CL + b"3"]
    if name == "Transfer-Encoding":
        fields, body = [b"Connection: " + name.encode(), CHUNKED], b"3\r\nabc\r\n" + ZERO
    else:
        body = b"abc"
        if value:
            fields.append(name.encode() + b": " + value)
    request = sent(proxy, recorder, post(*fields, body=body))
    assert request.body == b"abc" and request.all(name)
    assert request.get("host") == "api.test"


def test_order_repeats_and_spelling_of_fields_stay(proxy, recorder):
    request = sent(proxy, recorder, get(b"x-B: 1", b"X-a:2", b"Cookie: a=1", b"x-b:\t3  ", b"Cookie: b=2", b"X-Empty:"))
    kept = [(n, v) for n, v in request.fields if n.lower().startswith(("x-", "cookie"))]
    assert kept == [("x-B", "1"), ("X-a", "2"), ("Cookie", "a=1"), ("x-b", "3"), ("Cookie", "b=2"), ("X-Empty", "")]


def test_empty_lines_before_a_request_are_skipped(proxy, recorder):
    assert sent(proxy, recorder, b"\r\n" + get()).target == "/victim"


def test_bytes_above_127_pass_in_values(proxy, recorder):
    assert sent(proxy, recorder, get("X: gr\u00fcn".encode())).get("x") == "gr\u00fcn".encode().decode("latin-1")


def test_a_head_that_comes_byte_by_byte_is_the_same_head(proxy, recorder):
    recorder.completed.clear()
    with proxy.client() as client:
        for byte in post(CHUNKED, body=b"3;a\r\nabc\r\n0\r\nX-T: 1\r\n\r\n"):
            client.send(bytes([byte]))
        assert client.response().status == 200
    request, = recorder.completed
    assert (request.body, request.trailers) == (b"abc", [("X-T", "1")])


@pytest.mark.parametrize("first", [b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"\x05\x01\x00"], ids=["TLS", "SOCKS"])
def test_tls_or_socks_spoken_to_us_is_closed(proxy, first):
    with proxy.client() as client:
        client.send(first)
        assert client.ending() in ("closed", "reset")
    word = "TLS" if first[0] == 0x16 else "SOCKS"
    wait_until(lambda: word in proxy.stderr, "the log says so")


# Responses

OK = b"HTTP/1.1 200 OK\r\n"
PROTOCOL, CODING = "http_protocol_error", "http_response_transfer_coding"

BAD_RESPONSES = {
    "length and coding": (OK + CL + b"5\r\n" + CHUNKED + END + ZERO, {PROTOCOL}),
    "two equal lengths": (OK + CL + b"2\r\n" + CL + b"2" + END + b"ok", {PROTOCOL}),
    "two lengths that differ": (OK + CL + b"2\r\n" + CL + b"3" + END + b"okk", {PROTOCOL}),
    "list of lengths": (OK + CL + b"2, 2" + END + b"ok", {PROTOCOL}),
    "signed length": (OK + CL + b"+2" + END + b"ok", {PROTOCOL}),
    "negative length": (OK + CL + b"-2" + END + b"ok", {PROTOCOL}),
    "empty length": (OK + CL + END + b"ok", {PROTOCOL}),
    "length over 2^63": (OK + CL + b"9223372036854775808" + END + b"ok", {PROTOCOL}),
    "identity coding": (OK + TE + b"identity" + END + b"ok", {PROTOCOL, CODING}),
    "gzip, chunked": (OK + TE + b"gzip, chunked" + END + ZERO, {PROTOCOL, CODING}),
    "chunked twice": (OK + TE + b"chunked, chunked" + END + ZERO, {PROTOCOL, CODING}),
    "chunked on two lines": (OK + CHUNKED + b"\r\n" + CHUNKED + END + ZERO, {PROTOCOL, CODING}),
    "coding in HTTP/1.0": (b"HTTP/1.0 200 OK\r\n" + CHUNKED + END + ZERO, {PROTOCOL, CODING}),
    "space before the colon": (OK + b"X : y\r\n" + CL + b"2" + END + b"ok", {PROTOCOL}),
    "empty field name": (OK + b": y\r\n" + CL + b"2" + END + b"ok", {PROTOCOL}),
    "field without colon": (OK + b"rubbish\r\n" + CL + b"2" + END + b"ok", {PROTOCOL}),
    "NUL in a value": (OK + b"X: \x00\r\n" + CL + b"2" + END + b"ok", {PROTOCOL}),
    "bare CR in a value": (OK + b"X: a\rb\r\n" + CL + b"2" + END + b"ok", {PROTOCOL}),
    "bare LF in a value": (OK + b"X: a\nSet-Cookie: x=1\r\n" + CL + b"2" + END + b"ok", {PROTOCOL}),
    "bare LF ends lines": (b"HTTP/1.1 200 OK\nContent-Length: 2\n\nok", {PROTOCOL}),
    "bare CR in the reason": (b"HTTP/1.1 200 O\rK\r\n" + CL + b"2" + END + b"ok", {PROTOCOL}),
    "NUL in the reason": (b"HTTP/1.1 200 O\x00K\r\n" + CL + b"2" + END + b"ok", {PROTOCOL}),
    "status of two digits": (b"HTTP/1.1 20 OK\r\n" + CL + b"2" + END + b"ok", {PROTOCOL}),
    "status of four digits": (b"HTTP/1.1 2000 OK\r\n" + CL + b"2" + END + b"ok", {PROTOCOL}),
    "status of letters": (b"HTTP/1.1 abc OK\r\n" + CL + b"2" + END + b"ok", {PROTOCOL}),
    "no status": (b"HTTP/1.1 \r\n" + CL + b"2" + END + b"ok", {PROTOCOL}),
    "version alone": (b"HTTP/1.1\r\n" + CL + b"2" + END + b"ok", {PROTOCOL}),
    "status 099": (b"HTTP/1.1 099 OK\r\n" + CL + b"2" + END + b"ok", {PROTOCOL}),
    "status 700": (b"HTTP/1.1 700 OK\r\n" + CL + b"2" + END + b"ok", {PROTOCOL}),
    "HTTP/2.0": (b"HTTP/2.0 200 OK\r\n" + CL + b"2" + END + b"ok", {PROTOCOL}),
    "HTTP/0.9": (b"<html>hello</html>\r\n\r\n", {PROTOCOL}),
    "garbage": (b"\x15\x03\x03\x00\x02\x02\x28\r\n\r\n", {PROTOCOL}),
    "101 that nobody asked for": (b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\nConnection: upgrade\r\n\r\n",
                                  {PROTOCOL, "http_upgrade_failed"}),
}


# Go: TestInvalidHeaderResponse, TestTransportRejectsSignInContentLength, TestMissingStatusNoPanic, of which each is a row
@pytest.mark.parametrize("reply, tokens", BAD_RESPONSES.values(), ids=BAD_RESPONSES)
def test_a_response_that_cannot_be_framed_is_a_502_and_its_connection_closed(proxy, origin, recorder, reply, tokens):
    recorder.reply, recorder.close_after = reply, True
    try:
        with proxy.client() as client:
            response = client.fetch("http://api.test/bad")
            assert response.status == 502, (response.status, response.fields, response.body)
            assert proxy_status(response)["error"] in tokens
            assert client.fetch("http://api.test/plain").body == b"plain"
    finally:
        recorder.reply, recorder.close_after = Recorder().reply, False
    used = [c for c in origin.connections if any(r.target == "/bad" for r in c.requests)]
    assert all(c.requests[-1].target == "/bad" for c in used), "the connection was used again"
    assert used


SURPLUS = {
    "after a length": OK + CL + b"2" + END + b"ok" + b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison",
    "after a last chunk": OK + CHUNKED + END + b"2\r\nok\r\n" + ZERO + b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison",
    "after a 204": b"HTTP/1.1 204 No Content\r\n\r\n" + b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison",
    "a body of a 304": b"HTTP/1.1 304 Not Modified\r\nContent-Length: 6\r\n\r\npoison",
    "a body of a 204": b"HTTP/1.1 204 No Content\r\nContent-Length: 6\r\n\r\npoison",
}


@pytest.mark.parametrize("reply", SURPLUS.values(), ids=SURPLUS)
def test_bytes_after_a_response_poison_the_connection_and_reach_nobody(proxy, origin, recorder, reply):
    recorder.reply = reply
    try:
        with proxy.client() as client:
            assert client.fetch("http://api.test/surplus").body in (b"ok", b"")
            assert client.fetch("http://api.test/plain").body == b"plain"
    finally:
        recorder.reply = Recorder().reply
    used = [c for c in origin.connections if any(r.target == "/surplus" for r in c.requests)]
    assert used and all(c.requests[-1].target == "/surplus" for c in used)


def test_a_body_in_answer_to_head_poisons_the_connection(proxy, origin, recorder):
    recorder.reply = OK + CL + b"6" + END + b"poison"
    try:
        with proxy.client() as client:
            assert client.fetch("http://api.test/head", "HEAD").status == 200
            assert client.fetch("http://api.test/plain").body == b"plain"
    finally:
        recorder.reply = Recorder().reply
    used = [c for c in origin.connections if any(r.target == "/head" for r in c.requests)]
    assert used and all(c.requests[-1].target == "/head" for c in used)


def reply_through(proxy, recorder, reply):
    recorder.reply = reply
    try:
        return proxy.fetch("http://api.test/reply")
    finally:
        recorder.reply = Recorder().reply


def test_a_folded_field_of_a_response_is_joined_by_a_space(proxy, recorder):
    response = reply_through(proxy, recorder, OK + b"X-Folded: a\r\n  b\r\n\tc\r\n" + CL + b"2" + END + b"ok")
    assert response.get("x-folded").split() == ["a", "b", "c"] and response.body == b"ok"


def test_hop_by_hop_fields_of_a_response_stay_on_their_hop(proxy, recorder):
    response = reply_through(proxy, recorder, OK + HOP_BY_HOP + b"\r\nX-Stays: 1\r\n" + CL + b"2" + END + b"ok")
    names = {name.lower() for name, _ in response.fields}
    assert not names & {"x-named", "x-also", "proxy-connection", "proxy-authenticate", "upgrade", "http2-settings"}
    assert "x-stays" in names and response.body == b"ok"


def test_a_response_s_fields_stay_in_order_and_repeat(proxy, recorder):
    response = reply_through(proxy, recorder, OK + b"Set-Cookie: a=1\r\nX-b: 1\r\nset-cookie: b=2\r\n" + CL + b"2" + END + b"ok")
    kept = [(n, v) for n, v in response.fields if n.lower() in ("set-cookie", "x-b")]
    assert kept == [("Set-Cookie", "a=1"), ("X-b", "1"), ("set-cookie", "b=2")]


@pytest.mark.parametrize("line, reason", [(b"HTTP/1.1 200\r\n", ""), (b"HTTP/1.1 200 \r\n", ""),
                                          (b"HTTP/1.1 299 Odd But Fine\r\n", "Odd But Fine")])
def test_any_reason_phrase_will_do(proxy, recorder, line, reason):
    response = reply_through(proxy, recorder, line + CL + b"2" + END + b"ok")
    assert response.body == b"ok" and response.status == int(line[9:12])
    assert response.reason in (reason, "OK")


def test_1xx_pass_to_the_client(proxy, recorder):
    recorder.reply = (b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" b"HTTP/1.1 102 Processing\r\n\r\n"
                      + OK + CL + b"2" + END + b"ok")
    try:
        with proxy.client() as client:
            client.request("http://api.test/hints")
            first, second = client.reader.response_head(), client.reader.response_head()
            assert (first.status, first.get("link"), second.status) == (103, "</a>", 102)
            assert client.response().body == b"ok"
    finally:
        recorder.reply = Recorder().reply
