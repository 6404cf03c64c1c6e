"""Each way into the admin address that must stay shut: web pages (rebinding, Origin, other sites, simple forms), through the
proxy itself, methods and bytes that mean something else, crowds and slow clients; and nothing but POST /drain ends it."""

import json
import threading
import time

import pytest

from support.admin_api import CONSENT, routes, target_of
from support.client import Client
from support.dns_server import Answer, A
from support.kernel_sockets import ESTABLISHED, connections_of
from support.penstock import assert_elapsed, assert_failed, free_ports
from support.scripted_origin import answering
from support.waiting import TIME_FACTOR, wait_until

EVERYWHERE = {"name": "any", "hosts": ["*"], "scheme": "http"}
OPEN = {"deny": [], "allow": ["any"], "connect_ports": "any"}


@pytest.fixture(scope="module")
def proxy(shared):
    return shared.penstock(shared.to(shared.origin()))


@pytest.fixture(autouse=True)
def nothing_has_happened(request):
    """Whatever came in by a door that is shut, the daemon is as it was."""
    yield
    if "proxy" in request.fixturenames and "stack" not in request.fixturenames:
        proxy = request.getfixturevalue("proxy")
        status, body = proxy.admin("/pools")
        told = json.loads(body)
        assert status == 200 and told["revision"] == 1 and not any(u.get("paused") for u in told["upstreams"])
        assert proxy.admin("/readyz")[0] == 200
        assert "in_force" not in json.loads(proxy.admin("/config")[1])["process"]["log.level"]


def ask(proxy, path, method="GET", fields=(), body=None, host="localhost"):
    with Client(proxy.admin_port) as client:
        return client.fetch(path, method, fields, body, host)


def refused_everywhere(proxy, status, fields=(), host="localhost", methods=("GET", "POST"), body=b""):
    """Every route with these methods refuses such a request and tells nothing of what it knows."""
    asked = [(method, path) for method, path in routes(proxy.admin_port) if method in methods]
    assert len(asked) >= 5
    for method, path in asked:
        response = ask(proxy, target_of(path), method, fields, body if method == "POST" else None, host)
        assert response.status == status, (method, path, response.status)
        assert len(response.text) < 200 and "api" not in response.text, response.text
        assert not [name for name, _ in response.fields if name.lower().startswith("access-control-")]


# Web pages

@pytest.mark.parametrize("host", ["evil.test", "evil.test:{port}", "127.0.0.1.evil.test", "localhost.evil.test:{port}",
                                  "127.0.0.2:{port}", "127.0.0.1:1", "[::1]:{port}", "0.0.0.0:{port}"])
def test_a_name_that_was_rebound_to_it_is_misdirected(proxy, host):
    refused_everywhere(proxy, 421, CONSENT, host.format(port=proxy.admin_port))


@pytest.mark.parametrize("host", ["0177.0.0.1:{port}", "127.1:{port}", "2130706433:{port}", "127.0.0.1:{port}@evil.test"])
def test_a_host_that_is_none_is_refused(proxy, host):
    refused_everywhere(proxy, 400, CONSENT, host.format(port=proxy.admin_port))


@pytest.mark.parametrize("origin", ["http://evil.test", "null", "", "http://127.0.0.1:{port}", "http://localhost:{port}"])
def test_no_origin_is_accepted_not_even_its_own(proxy, origin):
    refused_everywhere(proxy, 403, {**CONSENT, "Origin": origin.format(port=proxy.admin_port)})


@pytest.mark.parametrize("fields", [
    {"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"}, {"Sec-Fetch-Site": "something-new"},
    {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "script"},
    {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "iframe"},
    {"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "cors", "Sec-Fetch-Dest": "document"}])
def test_what_a_page_of_another_site_fetches_embeds_or_frames_is_refused(proxy, fields):
    refused_everywhere(proxy, 403, {**CONSENT, **fields})


@pytest.mark.parametrize("fields", [
    {"Sec-Fetch-Site": "none"}, {"Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "cors", "Sec-Fetch-Dest": "empty"},
    {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}])
def test_the_user_may_go_there_and_so_may_a_link(proxy, fields):
    assert ask(proxy, "/pools", fields=fields).status == 200


@pytest.mark.parametrize("fields", [{}, {"Penstock-Admin": ""}, {"Penstock-Admin": "0"}, {"Penstock-Admin": "1, 1"},
                                    {"X-Penstock-Admin": "1"}, {"Cookie": "Penstock-Admin=1"}])
def test_a_post_without_the_field_is_refused(proxy, fields):
    refused_everywhere(proxy, 403, fields, methods=("POST",))


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"])
def test_a_form_which_needs_no_preflight_cannot_bring_the_field(proxy, kind):
    refused_everywhere(proxy, 403, {"Content-Type": kind}, methods=("POST",), body=b"Penstock-Admin: 1\r\nPenstock-Admin=1")


def test_a_preflight_gets_no_permission(proxy):
    for _, path in routes(proxy.admin_port):
        response = ask(proxy, target_of(path), "OPTIONS", {
            "Origin": "http://evil.test", "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "penstock-admin", "Access-Control-Request-Private-Network": "true"})
        assert response.status == 403 and not any("access-control" in name.lower() for name, _ in response.fields)


def test_every_answer_says_that_it_is_for_nobody_else(proxy):
    for path in ("/pools", "/config", "/no-such-page"):
        response = ask(proxy, path)
        assert response.get("x-content-type-options") == "nosniff" and response.get("cache-control") == "no-store"
        assert response.get("cross-origin-resource-policy") == "same-origin"


# Through the proxy itself

@pytest.fixture(scope="module")
def wide(shared):
    """A daemon that may reach everything, by a DNS that leads every name here."""
    zone = shared.dns(lambda name, kind, transport: Answer(("127.0.0.1",) if kind == A else ()))
    return shared.penstock(EVERYWHERE, egress=OPEN, dns={"servers": [zone.address]})


def assert_loop(proxy, response):
    assert_failed(response, 502, "proxy_loop_detected")
    assert "upstreams" not in response.text and proxy.admin("/readyz")[0] == 200


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "LOCALHOST.", "0.0.0.0", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]",
                                  "[::127.0.0.1]", "[64:ff9b::127.0.0.1]", "rebound.test"])
@pytest.mark.parametrize("path, method", [("/pools", "GET"), ("/drain", "POST")])
def test_absolute_form_by_any_name_is_a_loop(wide, host, path, method):
    assert_loop(wide, wide.fetch(f"http://{host}:{wide.admin_port}{path}", method, {**CONSENT, "Content-Length": "0"}))


@pytest.mark.parametrize("host", ["127.1", "0x7f000001", "2130706433", "0177.0.0.1", "[::]", "[::1]"])
def test_what_a_resolver_might_take_for_it_does_not_lead_there(wide, host):
    response = wide.fetch(f"http://{host}:{wide.admin_port}/pools", fields=CONSENT)
    assert response.status >= 400 and response.get("proxy-status") and "upstreams" not in response.text


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "0.0.0.0", "rebound.test"])
def test_a_tunnel_to_it_is_a_loop(wide, host):
    target = f"{host}:{wide.admin_port}"
    assert_loop(wide, wide.fetch(target, "CONNECT", host=target))


def test_origin_form_by_its_host_is_misdirected(wide):
    assert_failed(wide.fetch("/pools", host=f"127.0.0.1:{wide.admin_port}"), 421, "http_request_error")


@pytest.mark.parametrize("way", [{"connect_to": "127.0.0.1:{port}"}, {"connect_to": "localhost:{port}"},
                                 {"origin": "127.0.0.1:{port}"}, {"origin": "0.0.0.0:{port}"}])
def test_an_upstream_that_leads_there_is_a_loop_in_base_url_mode_too(stack, way):
    proxy = stack.penstock(EVERYWHERE, listeners=2, egress=OPEN)
    led = {key: value.format(port=proxy.admin_port) for key, value in way.items()}
    proxy.reload({"upstreams": [{"name": "led", "hosts": ["led.test"], "scheme": "http", **led}], "egress": OPEN,
                  "listeners": [{}, {"upstream": "led"}]})
    assert_loop(proxy, proxy.fetch("http://led.test/pools", fields=CONSENT))
    assert_loop(proxy, proxy.fetch("/pools", fields=CONSENT, host="localhost", listener=1))


def test_an_admin_address_of_ipv6_is_known_by_its_names_too(stack):
    port, = free_ports(1)
    proxy = stack.penstock(EVERYWHERE, admin={"public_address": f"[::1]:{port}"}, egress=OPEN)
    for host in ("[::1]", "[::]"):
        assert_loop(proxy, proxy.fetch(f"http://{host}:{port}/metrics"))


@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "303 See Other", "307 Temporary Redirect", "308 Permanent Redirect"])
def test_a_redirect_to_it_is_handed_on_and_not_followed(stack, status):
    origin = stack.origin(answering(lambda connection, request: connection.reply(status=status, fields=location)))
    proxy = stack.penstock(stack.to(origin))
    location = [("Location", f"http://127.0.0.1:{proxy.admin_port}/drain")]
    response = proxy.fetch("http://api.test/", "POST", {**CONSENT, "Content-Length": "0"})
    assert response.status == int(status[:3]) and response.get("location") == location[0][1]
    assert proxy.admin("/readyz")[0] == 200


# Methods and bytes that mean something else

@pytest.mark.parametrize("name", ["X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override", "_method"])
def test_no_field_makes_another_method_of_it(proxy, name):
    for method, path in routes(proxy.admin_port):
        asked, meant = ("GET", "POST") if method == "POST" else ("POST", "GET")
        response = ask(proxy, target_of(path), asked, {**CONSENT, name: meant}, b"" if asked == "POST" else None)
        assert response.status == 405 and response.get("allow") == ("POST" if method == "POST" else "GET, HEAD")


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("query", ["", "?method=POST", "?_method=POST&Penstock-Admin=1", "?level=off"])
def test_get_changes_nothing(proxy, method, query):
    for _, path in routes(proxy.admin_port):
        with Client(proxy.admin_port) as client:
            client.request(target_of(path) + query, method, CONSENT, host="localhost")
            assert client.response(method).status in (200, 405)


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "TRACE", "CONNECT", "PROPFIND", "REPORT"])
def test_other_methods_are_served_nowhere(proxy, method):
    for _, path in routes(proxy.admin_port):
        target = "localhost:80" if method == "CONNECT" else target_of(path)
        assert ask(proxy, target, method, CONSENT, b"" if method in ("PUT", "PATCH") else None).status in (400, 404, 405, 501)


@pytest.mark.parametrize("data, status", [
    (b"GET /pools\r\n\r\n", 400), (b"GET /pools HTTP/0.9\r\n\r\n", 505), (b"GET /pools HTTP/2.0\r\nHost: localhost\r\n\r\n", 505),
    (b"GET /pools HTTP/1.0\r\n\r\n", 421), (b"GET /pools HTTP/1.1\r\n\r\n", 400),
    (b"GET /pools HTTP/1.1\r\nHost: localhost\r\nHost: evil.test\r\n\r\n", 400),
    (b"GET http://localhost/pools HTTP/1.1\r\nHost: localhost\r\n\r\n", 404),
    (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505), (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400),
    (b"POST /drain HTTP/1.1\nHost: localhost\nPenstock-Admin: 1\n\n", 400),
    (b"POST /drain HTTP/1.1\r\nHost: localhost\r\nPenstock-Admin : 1\r\n\r\n", 400),
    (b"POST /drain HTTP/1.1\r\nHost: localhost\r\nX: a\r\n Penstock-Admin: 1\r\n\r\n", 400),
    (b"POST /pools/../drain HTTP/1.1\r\nHost: localhost\r\nPenstock-Admin: 1\r\nContent-Length: 0\r\n\r\n", 404),
    (b"POST /%64rain HTTP/1.1\r\nHost: localhost\r\nPenstock-Admin: 1\r\nContent-Length: 0\r\n\r\n", 404),
    (b"POST //drain HTTP/1.1\r\nHost: localhost\r\nPenstock-Admin: 1\r\nContent-Length: 0\r\n\r\n", 404),
])
def test_bytes_that_are_no_plain_request_do_nothing(proxy, data, status):
    with Client(proxy.admin_port) as client:
        client.send(data)
        assert client.response().status == status
        assert client.ending(15) in ("closed", "reset")


DRAIN = b"POST /drain HTTP/1.1\r\nHost: localhost\r\nPenstock-Admin: 1\r\nContent-Length: 0\r\n\r\n"


@pytest.mark.parametrize("first, status", [
    (b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n", 200), (b"GET /pools HTTP/1.1\r\nHost: evil.test\r\n\r\n", 421),
    (b"POST /reload HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % len(DRAIN), 403),
    (b"POST /reload HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 403),
    (b"rubbish\r\n\r\n", 400)])
def test_one_request_a_connection_whatever_comes_behind_it(proxy, first, status):
    with Client(proxy.admin_port) as client:
        client.send(first + DRAIN)
        assert client.response().status == status
        assert client.ending(15) in ("closed", "reset"), "no second answer"


# Crowds, slow ones and large ones

def test_a_crowd_that_says_nothing_does_not_keep_others_out(proxy):
    crowd = [Client(proxy.admin_port) for _ in range(200)]
    try:
        for client in crowd:
            client.send(b"GET /pools HTTP/1.1\r\nX")
        assert proxy.admin("/livez")[0] == 200
        assert sum(client.ending(0.01) == "open" for client in crowd) <= 64
    finally:
        for client in crowd:
            client.close()


def test_who_is_slow_to_ask_or_to_take_the_answer_is_cut_after_ten_seconds(stack):
    # An answer that no socket's buffer holds.
    route = {"path_prefix": "/" + 3000 * "x", "timeouts": {"total": "1s"}}
    proxy = stack.penstock(*({"name": f"u{number}", "hosts": [f"u{number}.test"], "routes": [route]} for number in range(1001)))
    begun = time.monotonic()
    with Client(proxy.admin_port) as slow, Client(proxy.admin_port) as silent, \
            Client(proxy.admin_port, receive_buffer=4096) as taker:
        over = threading.Event()
        taker.request("/config", host="localhost")
        slow.send(b"GET /pools HTTP/1.1\r\n")

        def trickle():
            while not over.wait(0.2):
                try:
                    slow.send(b"X")
                except OSError:
                    return

        thread = threading.Thread(target=trickle)
        thread.start()
        assert slow.ending(20) in ("closed", "reset") and silent.ending(20) == "closed"
        over.set()
        thread.join()
        assert_elapsed(time.monotonic() - begun, 10)
        wait_until(lambda: connections_of(proxy.admin_port).get(taker.sock.getsockname()[1]) != ESTABLISHED, "the taker is cut")
        head, cut = taker.cut_response()
        assert head.status == 200 and len(head.body) < head.content_length, cut
    told = json.loads(proxy.admin("/config")[1])
    assert len(told["upstreams"]) == 1000 and told["truncated"] is True


@pytest.mark.parametrize("head", [b"X: " + b"a" * 17000 + b"\r\n", b"X: a\r\n" * 200, b"X: a\r\n" * 3000])
def test_a_huge_head_is_refused(proxy, head):
    with Client(proxy.admin_port) as client:
        client.send(b"GET /pools HTTP/1.1\r\nHost: localhost\r\n" + head + b"\r\n")
        assert client.response().status == 431


def test_a_head_without_end_is_cut(proxy):
    before = proxy.rss_bytes
    with Client(proxy.admin_port) as client:
        client.send(b"GET /" + b"a" * 100_000)
        assert client.response().status == 431
    assert proxy.rss_bytes - before < 8 << 20 or TIME_FACTOR > 1


# The public address

def test_the_public_address_has_the_probes_alone(stack):
    port, = free_ports(1)
    proxy = stack.penstock(stack.to(stack.origin()), admin={"public_address": f"127.0.0.1:{port}"})
    assert routes(port) == [("GET", "/livez"), ("GET", "/readyz"), ("GET", "/metrics")]
    for method, path in routes(proxy.admin_port):
        with Client(port) as client:
            response = client.fetch(target_of(path), method, {**CONSENT, "Content-Length": "0"}, host="localhost")
        assert response.status == (200 if ("GET", path) in routes(port) else 404), path
    assert proxy.admin("/readyz")[0] == 200 and json.loads(proxy.admin("/config")[1])["revision"] == 1


# The end

def test_no_action_but_drain_ends_the_daemon(stack):
    proxy = stack.penstock(stack.to(stack.origin()))
    for method, path in routes(proxy.admin_port):
        if method == "POST" and path != "/drain":
            query = "?level=off" if path == "/log-level" else ""
            assert proxy.admin(target_of(path) + query, "POST", CONSENT)[0] == 200, path
    assert proxy.fetch("http://api.test/").status == 200 and proxy.process.poll() is None


def test_drain_ends_it_as_sigterm_does_and_twice_is_once(stack):
    gate = threading.Event()
    origin = stack.origin(answering(lambda connection, request: (gate.wait(20), connection.reply())))
    proxy = stack.penstock(stack.to(origin))
    with proxy.client() as client, proxy.client():
        client.request("http://api.test/")
        wait_until(lambda: origin.requests, "it is under way")
        for _ in range(2):
            status, body = proxy.admin("/drain", "POST", CONSENT)
            assert (status, json.loads(body)) == (200, {"state": "draining"})
        assert proxy.admin("/readyz")[0] == 503 and proxy.admin("/reload", "POST", CONSENT)[0] == 409
        gate.set()
        assert client.response().status == 200
    assert proxy.process.wait(10 * TIME_FACTOR) == 0
    assert proxy.stderr.count(" draining") == 1 and "stopped" in proxy.stderr
