"""The main job: plaintext in, a pooled, verified TLS connection out, and the next request reuses it.

Real curl and raw sockets in front, nginx or a scripted origin behind.
"""

import hashlib
import os
import threading

import pytest

from support.nginx import SIZES
from support.scripted_origin import answering, echo, server_context
from support.waiting import wait_until


@pytest.fixture(scope="module")
def nginx(shared):
    return shared.nginx()


@pytest.fixture(scope="module")
def proxy(shared, nginx):
    return shared.penstock(shared.to(nginx), shared.to(nginx, "*.api.test", name="wild"))


def test_curl_reaches_a_tls_origin_and_the_second_request_reuses_its_connection(proxy, nginx):
    for _ in range(2):
        assert proxy.curl("http://api.test/hello").stdout == b"hello from api.test\n"
    first, second = proxy.wait_for_log(lambda line: line["host"] == "api.test", count=2)
    assert second["reused"] is True and second["conn_id"] == first["conn_id"]
    assert second["conn_requests"] == first["conn_requests"] + 1
    served = wait_until(lambda: (found := nginx.ledger("/hello")) and len(found) >= 2 and found, "nginx logs")
    assert served[-1].connection == served[-2].connection and served[-1].number == served[-2].number + 1


# Go: TestTransportEventTrace, TestTransportEventTrace_NoHooks, TestTLSHandshakeTrace: our phases are fields of the log
def test_the_log_tells_each_phase_of_a_new_connection_and_only_those_of_a_reused_one(stack):
    origin = stack.origin()
    proxy = stack.penstock(stack.to(origin))
    for path in ("/first?secret=1", "/second"):
        proxy.fetch(f"http://api.test{path}")
    first, second = proxy.wait_for_log(count=2)
    for key in ("connect_ms", "tls_ms", "send_ms", "wait_ms", "receive_ms", "exchange_ms", "total_ms"):
        assert first[key] >= 0, key
    assert first["tls_ms"] > 0 and first["reused"] is False
    for key in ("connect_ms", "tls_ms", "resolve_ms", "error", "error_phase", "error_limit"):
        assert key not in second, second
    assert second["reused"] is True and second["conn_requests"] == 2
    wanted = {"method": "GET", "host": "api.test", "path": "/first", "upstream": "api", "form": "absolute",
              "address": f"127.0.0.1:{origin.port}", "status": 200, "status_source": "upstream",
              "response_bytes": 2, "attempts": 1}
    assert {key: first[key] for key in wanted} == wanted


def test_the_request_that_leaves_is_rebuilt_for_the_origin(stack):
    origin = stack.origin()
    proxy = stack.penstock(stack.to(origin))
    with proxy.client() as client:
        client.send(b"GET http://api.test/a%20b?x=%2F&y HTTP/1.1\r\nHost: other.test\r\nX-One: 1\r\n"
                    b"Proxy-Connection: keep-alive\r\nx-two:  2\t\r\n\r\n")
        response = client.response()
    request, = origin.requests
    assert (request.method, request.target, request.version) == ("GET", "/a%20b?x=%2F&y", "1.1")
    assert request.get("host") == "api.test"
    assert ("X-One", "1") in request.fields and ("x-two", "2") in request.fields
    assert request.get("proxy-connection") is None
    assert request.get("via").startswith("1.1 penstock-") and response.get("via").startswith("1.1 penstock-")
    assert response.get("date"), "a response without Date gets one"


# HAProxy: scheme_based_normalize, h1_host_normalization. Users: absolute https (onecli#259)
@pytest.mark.parametrize("url, target", [
    ("http://api.test", "/"), ("http://api.test/", "/"), ("http://api.test?q=1", "/?q=1"),
    ("http://api.test/a#fragment", "/a"), ("http://API.test./a", "/a"), ("http://api.test:80/a", "/a"),
    ("http://api.test/%7Euser/../x//y", "/%7Euser/../x//y"), ("https://api.test/s", "/s"),
    ("http://api.test/;p=[]|{}\"", "/;p=[]|{}\"")])
def test_path_and_query_stay_as_they_are(shared, url, target):
    if not hasattr(shared, "paths"):
        shared.paths = shared.origin()
        shared.paths_proxy = shared.penstock(shared.to(shared.paths))
    assert shared.paths_proxy.fetch(url).status == 200
    assert shared.paths.requests[-1].target == target
    assert shared.paths.requests[-1].get("host") == "api.test"


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
def test_methods_pass(stack, method):
    origin = stack.origin(answering(lambda connection, request: connection.reply(request.method.encode())))
    proxy = stack.penstock(stack.to(origin))
    assert proxy.fetch("http://api.test/x", method).body == method.encode()


def test_a_body_with_content_length_passes_both_ways(stack):
    origin = stack.origin(answering(echo))
    proxy = stack.penstock(stack.to(origin))
    body = os.urandom(300_000)
    response = proxy.fetch("http://api.test/echo", "POST", body=body)
    assert response.body == body and response.content_length == len(body)
    assert origin.requests[0].content_length == len(body) and not origin.requests[0].chunks


def test_a_chunked_body_passes_both_ways(stack):
    def answer(connection, request):
        connection.reply_chunks([request.body[:7], request.body[7:]], trailers=b"X-Sum: 9\r\n")

    origin = stack.origin(answering(answer))
    proxy = stack.penstock(stack.to(origin))
    with proxy.client() as client:
        client.send(b"POST http://api.test/c HTTP/1.1\r\nHost: api.test\r\nTransfer-Encoding: chunked\r\n\r\n"
                    b"5\r\nhello\r\n6;ext=1\r\n world\r\n0\r\nX-Late: yes\r\n\r\n")
        response = client.response()
    assert response.body == b"hello world" and response.chunked
    assert response.trailers == [("X-Sum", "9")]
    assert origin.requests[0].body == b"hello world" and origin.requests[0].chunked
    assert origin.requests[0].trailers == [("X-Late", "yes")]


def test_an_upload_streams_before_it_has_ended(stack):
    seen = threading.Event()

    def serve(connection):
        connection.read_head()
        connection.reader.exactly(4)
        seen.set()
        connection.reader.exactly(4)
        connection.reply(b"done")

    proxy = stack.penstock(stack.to(stack.origin(serve)))
    with proxy.client() as client:
        client.send(b"PUT http://api.test/up HTTP/1.1\r\nHost: api.test\r\nContent-Length: 8\r\n\r\nfirs")
        assert seen.wait(10), "the first half did not arrive while the second was missing"
        client.send(b"tend")
        assert client.response().body == b"done"


@pytest.mark.parametrize("framing", ["length", "chunked", "close"])
def test_a_download_streams_before_it_has_ended(stack, framing):
    go_on = threading.Event()
    heads = {"length": b"Content-Length: 8\r\n\r\n", "chunked": b"Transfer-Encoding: chunked\r\n\r\n",
             "close": b"Connection: close\r\n\r\n"}

    def part(connection, data):
        connection.send(b"4\r\n" + data + b"\r\n" if framing == "chunked" else data)

    def serve(connection):
        connection.read_request()
        connection.send(b"HTTP/1.1 200 OK\r\n" + heads[framing])
        part(connection, b"firs")
        go_on.wait(10)
        part(connection, b"tend")
        if framing == "chunked":
            connection.send(b"0\r\n\r\n")
        connection.finish()

    proxy = stack.penstock(stack.to(stack.origin(serve)))
    with proxy.client() as client:
        client.request("http://api.test/down")
        head = client.head()
        while b"firs" not in client.reader.buffer:
            client.reader.fill("the first half did not arrive while the second was missing")
        go_on.set()
        client.reader.response_body(head, "GET")
        assert head.body == b"firstend"
        assert head.chunked == (framing != "length")


# Go: TestTransportHeadResponses
def test_head_has_no_body_and_keeps_the_connection(stack):
    def answer(connection, request):
        if request.method == "HEAD":
            connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1234\r\nX-Kind: head\r\n\r\n")
        else:
            connection.reply(b"body")

    origin = stack.origin(answering(answer))
    proxy = stack.penstock(stack.to(origin))
    with proxy.client() as client:
        head = client.fetch("http://api.test/x", "HEAD")
        assert (head.status, head.content_length, head.get("x-kind")) == (200, 1234, "head")
        assert client.fetch("http://api.test/x").body == b"body"
    assert origin.accepted == 1


# Go: TestNoBodyOnChunked304Response. HAProxy: http_bodyless_response
@pytest.mark.parametrize("status, fields", [("204 No Content", ""), ("304 Not Modified", "Content-Length: 99\r\n"),
                                            ("304 Not Modified", ""), ("304 Not Modified", "Transfer-Encoding: chunked\r\n")])
def test_204_and_304_have_no_body_and_keep_the_connection(stack, status, fields):
    def answer(connection, request):
        if request.target == "/empty":
            connection.send(f"HTTP/1.1 {status}\r\n{fields}\r\n")
        else:
            connection.reply(b"body")

    origin = stack.origin(answering(answer))
    proxy = stack.penstock(stack.to(origin))
    with proxy.client() as client:
        assert client.fetch("http://api.test/empty").status == int(status[:3])
        assert client.fetch("http://api.test/next").body == b"body"
    assert origin.accepted == 1


def test_length_and_coding_go_from_a_204(stack):
    origin = stack.origin(answering(lambda connection, request: connection.send(
        "HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n")))
    response = stack.penstock(stack.to(origin)).fetch("http://api.test/")
    assert response.status == 204 and not response.all("content-length") and not response.all("transfer-encoding")


@pytest.mark.parametrize("reply", [
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nT: x\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc",
    b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc",
], ids=["chunked", "length", "after a 1xx"])
def test_a_client_of_http_1_0_gets_no_chunks_and_no_1xx_and_a_close(stack, reply):
    origin = stack.origin(answering(lambda connection, request: connection.send(reply)))
    proxy = stack.penstock(stack.to(origin))
    with proxy.client() as client:
        client.send(b"GET http://api.test/old HTTP/1.0\r\nHost: api.test\r\nConnection: keep-alive\r\n\r\n")
        response = client.reader.response_head()
        assert (response.status, response.version) == (200, "1.1") and not response.chunked
        client.reader.response_body(response, "GET")
        assert response.body == b"abc"
        assert client.ending() == "closed"
    assert origin.requests[0].version == "1.1"


def test_an_origin_of_http_1_0_is_served_but_never_reused(stack):
    def serve(connection):
        connection.read_request()
        connection.send(b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\nConnection: keep-alive\r\n\r\nok")
        connection.wait_closed()

    origin = stack.origin(serve)
    proxy = stack.penstock(stack.to(origin))
    with proxy.client() as client:
        for _ in range(2):
            response = client.fetch("http://api.test/")
            assert (response.status, response.version, response.body) == (200, "1.1", b"ok")
    assert origin.accepted == 2


# Go: TestReuseRequest
def test_a_client_connection_is_kept_and_tells_its_idle_timeout(stack):
    origin = stack.origin()
    proxy = stack.penstock(stack.to(origin), client={"idle_timeout": "7s"})
    with proxy.client() as client:
        for _ in range(20):
            response = client.fetch("http://api.test/")
            assert response.body == b"ok"
            assert "timeout=7" in response.get("keep-alive")
    assert origin.accepted == 1 and len(origin.requests) == 20


# Go: TestTransportConnectionCloseOnRequest. There the header goes to the server and ends that connection; here it is for one hop.
def test_a_client_that_asks_for_a_close_gets_one_and_the_upstream_connection_stays(stack):
    origin = stack.origin()
    proxy = stack.penstock(stack.to(origin))
    for _ in range(3):
        with proxy.client() as client:
            response = client.fetch("http://api.test/", fields={"Connection": "close"})
            assert response.get("connection") == "close"
            assert client.ending() == "closed"
    assert origin.accepted == 1 and not any(request.get("connection") for request in origin.requests)


# Go: TestTransportConnectionCloseOnResponse
def test_an_origin_that_asks_for_a_close_is_not_reused_and_the_client_stays(stack):
    def serve(connection):
        connection.read_request()
        connection.reply(fields={"Connection": "close"})
        connection.finish()

    origin = stack.origin(serve)
    proxy = stack.penstock(stack.to(origin))
    with proxy.client() as client:
        for _ in range(3):
            response = client.fetch("http://api.test/")
            assert response.body == b"ok" and response.get("connection") != "close"
    assert origin.accepted == 3


def test_pipelined_requests_are_answered_in_order(stack):
    def answer(connection, request):
        if request.target == "/1":
            connection.pause(0.1)
        connection.reply(request.target.encode() + request.body)

    origin = stack.origin(answering(answer))
    proxy = stack.penstock(stack.to(origin))
    with proxy.client() as client:
        client.send(b"".join(
            b"POST http://api.test/%d HTTP/1.1\r\nHost: api.test\r\nContent-Length: 2\r\n\r\n#%d" % (i, i)
            for i in range(1, 6)) + b"GET http://api.test/last HTTP/1.1\r\nHost: api.test\r\n\r\n")
        assert [client.response().body for _ in range(6)] == [b"/1#1", b"/2#2", b"/3#3", b"/4#4", b"/5#5", b"/last"]


def test_one_client_connection_names_several_hosts_and_they_share_no_connection(stack):
    one = stack.origin(answering(lambda c, r: c.reply(b"one")), names=("one.test",))
    two = stack.origin(answering(lambda c, r: c.reply(b"two")), names=("two.test",))
    proxy = stack.penstock(stack.to(one, "one.test"), stack.to(two, "two.test"))
    with proxy.client() as client:
        for name in ("one", "two", "one", "two"):
            assert client.fetch(f"http://{name}.test/").body == name.encode()
    assert (one.accepted, two.accepted) == (1, 1)


# HAProxy: http_reuse_conn_hash, ssl_sni_auto. ATS: session_match
def test_two_names_with_one_address_never_share_a_connection(proxy, nginx):
    with proxy.client() as client:
        for name in ("a", "b", "a", "b"):
            assert client.fetch(f"http://{name}.api.test/hello?{name}").body == f"hello from {name}.api.test\n".encode()
    served = wait_until(lambda: (found := [e for e in nginx.ledger() if "?" in e.path]) and len(found) == 4 and found,
                        "nginx logs")
    by_name = {name: {e.connection for e in served if e.path.endswith(name)} for name in "ab"}
    assert len(by_name["a"]) == len(by_name["b"]) == 1 and by_name["a"] != by_name["b"]


def test_base_url_mode_takes_origin_form(stack):
    origin = stack.origin(names=("api.test", "127.0.0.1"))
    proxy = stack.penstock(stack.to(origin, origin="api.test"), listeners=[{"upstream": "api"}])
    with proxy.client() as client:
        assert client.fetch("/orders?id=1", host=f"127.0.0.1:{proxy.port}").status == 200
        assert client.fetch("/orders/2", host="api.test").status == 200
    assert [(r.target, r.get("host")) for r in origin.requests] == [("/orders?id=1", "api.test"), ("/orders/2", "api.test")]
    assert proxy.wait_for_log()["form"] == "origin"


def test_origin_form_reaches_a_named_upstream_on_any_listener(stack):
    origin = stack.origin()
    proxy = stack.penstock(stack.to(origin))
    assert proxy.fetch("/x", host="api.test").status == 200
    refused = proxy.fetch("/x", host=f"127.0.0.1:{proxy.port}")
    assert refused.status == 400 and "http_proxy" in refused.text
    assert len(origin.requests) == 1


@pytest.mark.parametrize("name", SIZES)
def test_downloads_arrive_whole(proxy, nginx, name):
    hashed = hashlib.sha256(proxy.curl(f"http://api.test/bytes/{name}").stdout).hexdigest()
    assert hashed == nginx.hashes[name]


def test_fifty_mebibytes_arrive_whole_upstream(stack, tmp_path):
    def serve(connection):
        head = connection.read_head()
        sha, left = hashlib.sha256(), head.content_length
        while left:
            connection.received.clear()  # 50 MiB are not worth recording
            data = connection.reader.exactly(min(left, 1 << 18))
            sha.update(data)
            left -= len(data)
        connection.reply(sha.hexdigest().encode())

    file = tmp_path / "big"
    file.write_bytes(os.urandom(1 << 20) * 50)
    proxy = stack.penstock(stack.to(stack.origin(serve)))
    answer = proxy.curl("-T", str(file), "-H", "Expect:", "http://api.test/big").stdout
    assert answer.decode() == hashlib.sha256(file.read_bytes()).hexdigest()


def test_a_resumed_session_makes_the_second_handshake(stack):
    def serve(connection):
        connection.read_request()
        connection.reply(fields={"Connection": "close"})
        connection.finish()

    origin = stack.origin(serve)
    proxy = stack.penstock(stack.to(origin))
    for _ in range(2):
        proxy.fetch("http://api.test/")
    assert proxy.metrics("penstock_tls_handshakes_total", upstream="api", resumed="false") == 1
    assert proxy.metrics("penstock_tls_handshakes_total", upstream="api", resumed="true") == 1


def test_a_client_certificate_is_presented(stack, ca):
    mine = ca.issue("app.test", usage="clientAuth")
    origin = stack.origin(context=server_context(ca.issue("api.test"), client_ca=ca.file))
    proxy = stack.penstock(stack.to(origin, tls={"cert_file": mine.cert, "key_file": mine.key}))
    assert proxy.fetch("http://api.test/").status == 200
    assert dict(pair[0] for pair in origin.connections[0].sock.getpeercert()["subject"])["commonName"] == "app.test"
