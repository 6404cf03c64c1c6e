"""When it fails, it says so: status, token, phase and a useful body for each way an exchange can fail."""

import json
import select
import ssl

import pytest

from support import dns_server
from support.http1 import Truncated
from support.penstock import assert_failed, free_ports, proxy_status
from support.scripted_origin import answering, reply_ok, server_context
from support.waiting import TIME_FACTOR


def ask(stack, upstream, **settings):
    """One request through a daemon with this upstream; the answer, and the log's line of it."""
    proxy = stack.penstock(upstream, **settings)
    response = proxy.fetch("http://api.test/x")
    return response, proxy.wait_for_log(lambda line: line["path"] == "/x")


def assert_told(response, line, status, error, phase, *words):
    assert_failed(response, status, error, phase)
    assert (line["status"], line["error"], line["status_source"]) == (status, error, "proxy")
    if phase:
        assert line["error_phase"] == phase
    for word in words:
        assert word.lower() in response.text.lower(), f"{word!r} is not in: {response.text}"


# Name and address


def test_connection_refused(stack):
    port, = free_ports(1)
    told = ask(stack, stack.to(port))
    assert_told(*told, 502, "connection_refused", "connect", f"127.0.0.1:{port}")


@pytest.mark.parametrize("answer, word", [
    (dns_server.Answer(rcode=dns_server.NXDOMAIN), "nowhere.test"), (dns_server.Answer(), "nowhere.test"),
    (dns_server.Answer(rcode=dns_server.SERVFAIL), "nowhere.test"),
    (dns_server.Answer(rcode=dns_server.REFUSED), "nowhere.test")], ids=["NXDOMAIN", "no data", "SERVFAIL", "REFUSED"])
def test_dns_error(stack, answer, word):
    dns = stack.dns(lambda name, kind, transport: answer)
    told = ask(stack, stack.to(80, connect_to="nowhere.test:80"),
               dns={"servers": [dns.address], "attempt_timeout": "3s", "attempts": 1})
    assert_told(*told, 502, "dns_error", "resolve", word)


# Go: TestTransportEventTraceRealDNS
def test_a_name_is_resolved_and_the_address_logged(stack):
    origin = stack.origin()
    dns = stack.dns(dns_server.addresses({"api.test": ["127.0.0.1"]}))
    upstream = stack.to(origin, connect_to=f"api.test:{origin.port}")
    response, line = ask(stack, upstream, dns={"servers": [dns.address]})
    assert response.status == 200
    assert line["address"] == f"127.0.0.1:{origin.port}" and line["resolve_ms"] >= 0


def test_the_next_address_is_tried_when_one_refuses(stack):
    origin = stack.origin()
    dns = stack.dns(dns_server.addresses({"api.test": ["127.0.0.2", "127.0.0.1"]}))
    response, line = ask(stack, stack.to(origin, connect_to=f"api.test:{origin.port}"), dns={"servers": [dns.address]})
    assert response.status == 200 and line["address"] == f"127.0.0.1:{origin.port}"


def test_unknown_hosts_are_denied(stack):
    proxy = stack.penstock(stack.to(stack.origin()))
    response = proxy.fetch("http://unknown.test/")
    assert_failed(response, 403, "http_request_denied")
    assert "unknown.test" in response.text
    assert proxy.wait_for_log()["error"] == "http_request_denied"


def test_an_upstream_that_a_listener_does_not_name_is_denied_there(stack):
    origin = stack.origin(names=("one.test", "two.test"))
    proxy = stack.penstock(stack.to(origin, "one.test"), stack.to(origin, "two.test"),
                           listeners=[{"upstreams": ["one"]}, {}])
    assert proxy.fetch("http://one.test/").status == 200
    assert_failed(proxy.fetch("http://two.test/"), 403, "http_request_denied")
    assert proxy.fetch("http://two.test/", listener=1).status == 200


@pytest.mark.parametrize("address", ["169.254.169.254", "169.254.1.1", "[fe80::1]", "[::ffff:169.254.169.254]",
                                     "[fd00:ec2::254]", "100.100.100.200", "[64:ff9b::a9fe:a9fe]"])
def test_egress_denies_link_local_and_metadata_addresses(stack, address):
    told = ask(stack, stack.to(80, connect_to=f"{address}:80"))
    assert_told(*told, 403, "destination_ip_prohibited", None, "egress")


def test_egress_judges_the_address_that_a_name_leads_to(stack):
    dns = stack.dns(dns_server.addresses({"rebound.test": ["169.254.169.254"]}))
    told = ask(stack, stack.to(80, connect_to="rebound.test:80"), dns={"servers": [dns.address]})
    assert_told(*told, 403, "destination_ip_prohibited", None, "169.254.169.254")


def test_egress_rules_of_the_file(stack):
    origin = stack.origin()
    denied = ask(stack, stack.to(origin), egress={"deny": ["loopback"]})
    assert_told(*denied, 403, "destination_ip_prohibited", None)
    assert origin.accepted == 0
    allowed, _ = ask(stack, stack.to(origin), egress={"deny": ["any"], "allow": ["127.0.0.1/32"]})
    assert allowed.status == 200


@pytest.mark.parametrize("whose", ["listener", "admin"])
def test_our_own_addresses_are_a_loop(stack, whose):
    proxy = stack.penstock({"name": "all", "hosts": ["*"]})
    port = proxy.port if whose == "listener" else proxy.admin_port
    for host in ("127.0.0.1", "localhost"):
        assert_failed(proxy.fetch(f"http://{host}:{port}/"), 502, "proxy_loop_detected")


def test_our_own_pseudonym_in_via_is_a_loop(stack):
    origin = stack.origin()
    proxy = stack.penstock(stack.to(origin))
    via = proxy.fetch("http://api.test/").get("via")
    assert_failed(proxy.fetch("http://api.test/", fields={"Via": f"1.1 other, {via}"}), 502, "proxy_loop_detected")
    assert proxy.fetch("http://api.test/", fields={"Via": "1.1 penstock-00000000"}).status == 200
    vias = ", ".join(origin.requests[-1].all("via")).split(", ")
    assert vias[0] == "1.1 penstock-00000000" and len(vias) == 2


# TLS: on failure not one request byte is sent


# Go: TestTransportEventTraceTLSVerify
@pytest.mark.parametrize("kind, words", [
    ({"expired": True}, ["expired"]),
    ({"names": ("other.test", "*.elsewhere.test")}, ["api.test", "other.test"]),
    ({"names": (), "common_name": "api.test"}, ["api.test"]),
    ({"usage": "clientAuth"}, ["purpose"]),
    ({"names": ("a*.test",)}, ["api.test"]),
    ({"names": ("127.0.0.1",)}, ["api.test"]),
], ids=["expired", "wrong name", "common name only", "wrong usage", "partial wildcard", "address for a name"])
def test_certificate_failures(stack, ca, kind, words):
    kind = dict(kind)
    certificate = ca.issue(*kind.pop("names", ("api.test",)), **kind)
    origin = stack.origin(certificate=certificate)
    assert_told(*ask(stack, stack.to(origin)), 502, "tls_certificate_error", "tls_handshake", *words)
    assert origin.accepted == 1 and not origin.received


def test_an_unknown_authority_is_a_certificate_failure(stack):
    origin = stack.origin()
    upstream = stack.to(origin)
    del upstream["tls"]
    assert_told(*ask(stack, upstream), 502, "tls_certificate_error", "tls_handshake", "ca_file")
    assert not origin.received


def test_verify_off_accepts_and_warns(stack):
    proxy = stack.penstock(stack.to(stack.origin(names=("other.test",)), tls={"verify": False}))
    assert proxy.fetch("http://api.test/").status == 200
    assert "verify" in proxy.stderr


# Go: TestTransportDialTLS, TestTransportDialContext, TestTransportDialTLSContext: our override is connect_to with server_name
def test_server_name_is_what_is_verified(stack):
    origin = stack.origin(names=("other.test",))
    response, _ = ask(stack, stack.to(origin, tls={"server_name": "other.test"}))
    assert response.status == 200
    assert origin.requests[0].get("host") == "api.test"


def test_min_version(stack, ca):
    old = server_context(ca.issue("api.test"), maximum=ssl.TLSVersion.TLSv1_2)
    assert ask(stack, stack.to(stack.origin(context=old)))[0].status == 200
    response, line = ask(stack, stack.to(stack.origin(context=old), tls={"min_version": "1.3"}))
    assert response.status == 502 and line["error"] in ("tls_alert_received", "tls_protocol_error")
    assert line["error_phase"] == "tls_handshake"


def test_an_alert_is_told_by_name(stack, ca):
    origin = stack.origin(context=server_context(ca.issue("api.test"), maximum=ssl.TLSVersion.TLSv1_2, client_ca=ca.file))
    response, line = ask(stack, stack.to(origin))
    assert_told(response, line, 502, "tls_alert_received", "tls_handshake")


def test_a_plaintext_port_is_recognised(stack):
    def serve(connection):
        connection.reader.fill("a ClientHello")
        connection.send(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")

    origin = stack.origin(serve, tls=False)
    told = ask(stack, stack.to(origin, scheme="https", tls={"ca_file": stack.ca.file}))
    assert_told(*told, 502, "tls_protocol_error", "tls_handshake", "plaintext", "scheme")


def test_a_close_in_the_handshake(stack):
    def before(origin, number):
        raise OSError("closed in the handshake")

    response, line = ask(stack, stack.to(stack.origin(before_handshake=before)))
    assert response.status == 502 and line["error_phase"] == "tls_handshake"
    assert proxy_status(response)["error"] in ("connection_terminated", "tls_protocol_error")


# Responses


def serving(reply, end="finish"):
    """Answers every request with these bytes, then ends the connection."""

    def serve(connection):
        connection.read_request()
        connection.send(reply)
        getattr(connection, end)()

    return serve


@pytest.mark.parametrize("end", ["finish", "close", "reset"])
@pytest.mark.parametrize("reply", [b"", b"HTTP/1.1 2", b"HTTP/1.1 200 OK\r\nContent-Le"], ids=["nothing", "line", "head"])
def test_closed_before_the_head_has_ended(stack, reply, end):
    told = ask(stack, stack.to(stack.origin(serving(reply, end))))
    assert_told(*told, 502, "connection_terminated", "await_head")


# Go: TestTransportIssue10457
def test_a_close_without_a_reply_is_no_empty_200_over_plaintext_either(stack):
    told = ask(stack, stack.to(stack.origin(serving(b""), tls=False)))
    assert_told(*told, 502, "connection_terminated", "await_head")


CUT = {
    "length": b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nsome",
    "chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nsome",
    "last chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nsome\r\n",
    "trailers": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nsome\r\n0\r\nX: y",
}


# HAProxy: truncated
@pytest.mark.parametrize("end", ["finish", "close", "reset"])
@pytest.mark.parametrize("reply", CUT.values(), ids=CUT)
def test_a_cut_body_looks_cut(stack, reply, end):
    proxy = stack.penstock(stack.to(stack.origin(serving(reply, end))))
    with proxy.client() as client:
        client.request("http://api.test/x")
        head, cut = client.cut_response()
    assert cut.reset, "the client's connection is aborted, not closed in order"
    line = proxy.wait_for_log()
    assert (line["error"], line["error_phase"], line["status"]) == ("http_response_incomplete", "receive", 200)


def test_a_close_delimited_body_without_close_notify_looks_cut(stack):
    reply = b"HTTP/1.1 200 OK\r\n\r\nsome"
    proxy = stack.penstock(stack.to(stack.origin(serving(reply, "close"))))
    with proxy.client() as client:
        client.request("http://api.test/x")
        assert client.cut_response()[1].reset
    assert proxy.wait_for_log()["error"] == "http_response_incomplete"
    whole = stack.penstock(stack.to(stack.origin(serving(reply, "finish")))).fetch("http://api.test/x")
    assert whole.body == b"some"


@pytest.mark.parametrize("body", [b"zz\r\nab\r\n0\r\n\r\n", b"2\r\nabX\r\n0\r\n\r\n", b"-2\r\nab\r\n0\r\n\r\n",
                                  b"2\nab\n0\n\n", b"10000000000000000\r\nab", b"0x2\r\nab\r\n0\r\n\r\n",
                                  b"2 \r\nab\r\n0\r\n\r\n", b"2\r\nab\r\n0\r\nBad Trailer: x\r\n\r\n"])
def test_bad_chunking_never_completes_the_response(stack, body):
    reply = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + body
    proxy = stack.penstock(stack.to(stack.origin(serving(reply))))
    with proxy.client() as client:
        client.request("http://api.test/x")
        with pytest.raises(Truncated) as cut:
            whole = client.response()
            assert whole.status == 502, "it looks complete"
            raise Truncated("refused before anything was passed on", reset=True)
        assert cut.value.reset
    tokens = {"http_response_transfer_coding"} | ({"http_protocol_error"} if b"Trailer" in body else set())
    assert proxy.wait_for_log()["error"] in tokens


# HAProxy: http_abortonclose
def test_a_client_that_leaves_cancels_its_request(stack):
    def serve(connection):
        connection.read_request()
        connection.wait_closed()

    origin = stack.origin(serve)
    proxy = stack.penstock(stack.to(origin))
    with proxy.client() as client:
        client.request("http://api.test/x")
        while not origin.requests:
            origin.stopping.wait(0.01)
    line = proxy.wait_for_log()
    assert (line["status"], line["error"], line["error_phase"]) == (499, "client_aborted", "await_head")
    assert line["status_source"] == "none" and "close_reason" not in line, "its response is drained first"


def test_an_upload_cut_short_is_aborted_upstream_never_completed(stack):
    for framing in (b"Content-Length: 100\r\n\r\nsome", b"Transfer-Encoding: chunked\r\n\r\n4\r\nsome\r\n"):
        origin = stack.origin(answering(reply_ok))
        proxy = stack.penstock(stack.to(origin))
        with proxy.client() as client:
            client.send(b"PUT http://api.test/x HTTP/1.1\r\nHost: api.test\r\n" + framing)
            while b"some" not in origin.received:
                origin.stopping.wait(0.01)
        assert proxy.wait_for_log()["error"] == "client_aborted"
        assert not origin.received.endswith(b"0\r\n\r\n")


# Go: TestIssue3595
def test_an_early_answer_to_an_upload_is_delivered(stack):
    def serve(connection):
        connection.read_head()
        connection.reply(b"no", status="413 Content Too Large", fields={"Connection": "close"})
        connection.finish()

    origin = stack.origin(serve)
    proxy = stack.penstock(stack.to(origin))
    with proxy.client() as client:
        client.send(b"PUT http://api.test/x HTTP/1.1\r\nHost: api.test\r\nContent-Length: 1000000\r\n\r\n" + bytes(4000))
        response = client.response()
    assert (response.status, response.body) == (413, b"no")


# What a refusal looks like


@pytest.mark.parametrize("accept, kind", [
    (None, "text/plain"), ("*/*", "text/plain"), ("text/html", "text/plain"), ("application/json", "application/problem+json"),
    ("application/problem+json", "application/problem+json"), ("text/plain;q=0.5, application/json", "application/problem+json"),
    ("application/json;q=0.1, text/plain", "text/plain")])
def test_the_body_is_text_or_problem_json_as_accept_prefers(shared, accept, kind):
    if not hasattr(shared, "refusing"):
        shared.refusing = shared.penstock(shared.to(free_ports(1)[0]))
    response = shared.refusing.fetch("http://api.test/", fields={"Accept": accept} if accept else {})
    assert response.get("content-type").startswith(kind)
    assert response.get("cache-control") in (None, "no-store")
    if "json" in kind:
        problem = json.loads(response.body)
        assert problem["status"] == 502 and "connection_refused" in response.text and problem["title"]


def test_a_refusal_of_head_has_no_body_and_keeps_the_connection(stack):
    proxy = stack.penstock(stack.to(free_ports(1)[0]))
    with proxy.client() as client:
        assert client.fetch("http://api.test/", "HEAD").status == 502
        assert client.fetch("http://api.test/").status == 502


def test_a_failed_exchange_does_not_cost_the_client_its_connection(stack):
    origin = stack.origin()
    proxy = stack.penstock(stack.to(origin), stack.to(free_ports(1)[0], "down.test"))
    with proxy.client() as client:
        assert client.fetch("http://down.test/").status == 502
        assert client.fetch("http://api.test/").body == b"ok"


def test_a_refusal_is_not_lost_to_a_reset_while_the_client_still_sends(stack):
    proxy = stack.penstock(stack.to(free_ports(1)[0]))
    with proxy.client() as client:
        client.send(b"PUT http://api.test/ HTTP/1.1\r\nHost: api.test\r\nContent-Length: 900000\r\n\r\n")
        assert select.select([client.sock], [], [], 10 * TIME_FACTOR)[0], "it is refused"
        client.send(bytes(900000))
        assert client.response().status == 502


def test_an_origin_s_own_proxy_status_is_kept_and_ours_appended(stack):
    origin = stack.origin(answering(lambda c, r: c.reply(fields={"Proxy-Status": "edge; error=dns_error"})))
    proxy = stack.penstock(stack.to(origin))
    assert "edge; error=dns_error" in proxy.fetch("http://api.test/").all("proxy-status")[0]
