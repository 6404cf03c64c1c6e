"""The dashboard without its script: a row for each upstream with the numbers of /pools, the last failures with their
phases, what an operator has to know; its head keeps browsers from everything else, and no byte that a request brings
becomes markup."""

import json
import re
import socket
import threading

import pytest

from support.client import Client
from support.dashboard import DashboardPage, admin_response, connections, dashboard, text_of
from support.penstock import parse_metrics
from support.scripted_origin import answering
from support.waiting import wait_until

POLICY = ("default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; "
          "base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
ASSETS = {"/dashboard.css": "text/css; charset=utf-8", "/dashboard.js": "text/javascript; charset=utf-8",
          "/dashboard.svg": "image/svg+xml"}
SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module")
def proxy(shared):
    return shared.penstock(shared.to(shared.origin()), shared.to(1, "down.test"),
                           shared.to(1, "other.test", name="never_asked"))


def taking(seconds):
    def answer(connection, request):
        connection.pause(seconds)
        connection.reply()
    return answer


def row_when_counted(proxy, upstream, requests):
    """A request is counted after its response has been sent."""
    wait_until(lambda: dashboard(proxy).upstreams()[upstream]["Requests"] == str(requests), "all are counted")
    return dashboard(proxy).upstreams()[upstream]


def milliseconds(value, unit):
    return float(value) * {"ms": 1, "s": 1000}[unit]


def failures(proxy, query=""):
    status, body = proxy.admin("/failures" + query)
    assert status == 200, body
    return json.loads(body)["failures"]


# What is served, and to whom

@pytest.mark.parametrize("path, kind", [("/", "text/html; charset=utf-8"), *ASSETS.items()])
def test_each_part_is_guarded(proxy, path, kind):
    for method in ("GET", "HEAD"):
        response = admin_response(proxy, path, method)
        assert response.status == 200
        head = {name: response.get(name) for name in ("content-type", "content-security-policy", "referrer-policy",
                                                      "x-content-type-options", "cache-control",
                                                      "cross-origin-opener-policy")}
        assert list(head.values()) == [kind, POLICY, "no-referrer", "nosniff", "no-store", "same-origin"]
        assert len(response.body) == (int(response.get("content-length")) if method == "GET" else 0)


@pytest.mark.parametrize("path", ["/", "/failures", *ASSETS])
def test_pages_of_others_and_posts_are_refused(proxy, path):
    assert admin_response(proxy, path, fields={"Origin": "http://localhost"}).status == 403
    assert admin_response(proxy, path, host="evil.test").status == 421
    assert admin_response(proxy, path, "POST", {"Penstock-Admin": "1", "Content-Length": "0"}).status == 405


def test_nothing_comes_from_elsewhere_and_nothing_is_inline(proxy):
    page = dashboard(proxy)
    for element in page.root.iter():
        assert not [name for name in element.attrib if name.startswith("on") or name == "style"], element.attrib
        for name in ("href", "src"):
            if name in element.attrib:
                assert re.fullmatch(r"/[a-z.]*", element.get(name)), element.attrib
                assert proxy.admin(element.get(name))[0] == 200, element.attrib
    assert [text_of(script) for script in page.elements("script")] == [""]
    assert page.elements("style") == [] and page.elements("form") == [] and page.elements("iframe") == []


def test_it_is_small(proxy, report):
    sizes = {path: len(admin_response(proxy, path).body) for path in ASSETS}
    sizes["/"] = len(dashboard(proxy).text.encode())
    report("bytes", sizes)
    assert sum(sizes.values()) < 40 * 1024


# What it says

def test_every_upstream_has_a_row_with_the_numbers_of_pools(stack):
    gate = threading.Event()

    def serve(connection, request):
        if request.target == "/held":
            gate.wait(20)
        connection.reply()

    proxy = stack.penstock(stack.to(stack.origin(answering(serve)), pool={"max_connections": 2}),
                           stack.to(1, "other.test", name="never_asked"))
    for _ in range(6):
        assert proxy.fetch("http://api.test/").status == 200
    clients = [proxy.client() for _ in range(3)]
    try:
        for client in clients:
            client.request("http://api.test/held")
        wait_until(lambda: (proxy.pools("api")[0]["connections"]["busy"], proxy.waiting("api")) == (2, 1),
                   "two are served, one waits")
        row, host = row_when_counted(proxy, "api", 6), proxy.pools("api")[0]
        shown = connections(row["Connections"])
        assert shown == {"busy": 2, "idle": 0, "limit": 2}
        assert {state: host["connections"][state] for state in ("busy", "idle")} == {"busy": 2, "idle": 0}
        assert row["Waiting"].split(" ")[0] == "1" and row["Requests"] == "6"
        acquired = sum(host["acquires"].values())
        assert row["Reuse"] == f"{100 * (acquired - host['opened']) / acquired:.1f}%"
    finally:
        gate.set()
        for client in clients:
            client.response()
            client.close()
    assert connections(row_when_counted(proxy, "api", 9)["Connections"]) == {"busy": 0, "idle": 2, "limit": 2}
    never = dashboard(proxy).upstreams()["never_asked"]
    assert (never["Requests"], never["Reuse"], never["p99"], never["Errors"]) == ("0", "–", "–", "–")


def test_quantiles_lie_where_the_buckets_say(stack):
    proxy = stack.penstock(stack.to(stack.origin(answering(taking(0.12)))))
    for _ in range(5):
        proxy.fetch("http://api.test/")
    row = row_when_counted(proxy, "api", 5)
    buckets = [(float(labels["le"]), count) for name, labels, count in parse_metrics(proxy.admin("/metrics")[1])
               if name == "penstock_request_duration_seconds_bucket"]
    assert (0.1, 0) in buckets
    for name, share in (("p50", 0.5), ("p99", 0.99)):
        above = next(i for i, (_, count) in enumerate(buckets) if count >= share * 5)  # whatever a request was held up by
        shown = milliseconds(*row[name].split(" ")) / 1000
        assert buckets[above - 1][0] <= shown <= buckets[above][0], (row, buckets)
    assert float(row["Rate"].removesuffix("/s")) > 0


def test_errors_are_counted_by_token(stack):
    proxy = stack.penstock(stack.to(stack.origin(down=True), "down.test"))
    for _ in range(3):
        assert proxy.fetch("http://down.test/").status == 502
    row = row_when_counted(proxy, "down", 3)
    assert row["Errors"] == "3 connection_refused" and row["Reuse"] == "–"


def test_the_phases_are_drawn_and_readable(stack):
    proxy = stack.penstock(stack.to(stack.origin(answering(taking(0.05)))))
    assert "requests" not in dashboard(proxy).text.split("<svg class=\"chart\"")[1].split("</svg>")[0]
    for _ in range(3):
        proxy.fetch("http://api.test/")
    row_when_counted(proxy, "api", 3)
    page = dashboard(proxy)
    section = page.section("phases")
    chart = next(part for part in section.iter("svg") if part.get("class") == "chart")
    assert chart.get("role") == "img" and "table" in chart.get("aria-label")
    drawn = {path.get("class"): path.get("d") for path in chart.iter("path")}
    assert len(drawn) == 8 and drawn["p6"] and drawn["p3"], drawn  # await_head, tls_handshake
    titles = [text_of(title) for title in chart.iter("title")]
    assert sum(int(re.search(r": (\d+) requests", title).group(1)) for title in titles) == 3
    assert all("await_head" in title for title in titles)
    table = section.find(".//table[@class='plain']")
    names = [text_of(head) for head in table.find("thead/tr")]
    rows = [dict(zip(names, map(text_of, row))) for row in table.find("tbody")]
    assert sum(int(row["Requests"]) for row in rows) == 3 and all(row["await_head"] for row in rows)


def test_what_an_operator_has_to_know_stands_above(stack):
    settings = stack.to(stack.origin())
    proxy = stack.penstock(settings)
    assert dashboard(proxy).alerts() == []
    assert dashboard(proxy).facts()["State"] == "serving"
    proxy.admin("/pools/api/pause", "POST", {"Penstock-Admin": "1"})
    proxy.reload(text="upstreams: <oops>\n")
    reload_failed, paused = dashboard(proxy).alerts()
    assert reload_failed.startswith("The last reload failed, revision 1 stays in force: ")
    assert paused == "Paused by an operator: api"
    assert "paused" in dashboard(proxy).upstreams()["api"][""]
    proxy.admin("/pools/api/resume", "POST", {"Penstock-Admin": "1"})
    proxy.reload({"upstreams": [settings]})
    assert dashboard(proxy).alerts() == []
    assert dashboard(proxy).facts()["Configuration"].startswith("revision 2 of ")


def test_the_configuration_is_shown_where_there_is_a_page_of_it(proxy):
    has_page = proxy.admin("/config")[0] == 200
    assert ("config-details" in dashboard(proxy).text) == has_page


# Failures

def test_failures_are_listed_with_their_phases(stack):
    origin = stack.origin(answering(lambda connection, request:
                                    connection.reply() if request.target == "/" else connection.stall()))
    limited = {"path_prefix": "/slow", "timeouts": {"response_header": "200ms"}}
    proxy = stack.penstock(stack.to(origin, routes=[limited], retry={"attempts": 1}),
                           stack.to(stack.origin(down=True), "down.test"))
    assert failures(proxy) == [] and dashboard(proxy).failures() == []
    proxy.fetch("http://api.test/")
    assert proxy.fetch("http://api.test/slow?token=secret").status == 504
    assert proxy.fetch("http://down.test/x").status == 502
    logged = proxy.wait_for_log(lambda line: line["status"] >= 500, 2)
    assert failures(proxy) == logged[::-1]
    assert failures(proxy, "?upstream=down") == logged[1:]
    down, slow = dashboard(proxy).failures()
    assert down["Request"].startswith("GET down.test/x from 127.0.0.1:")
    assert down["Result"] == "502 connection_refused connect"
    assert slow["Request"].startswith("GET api.test/slow from 127.0.0.1:")
    assert slow["Result"] == "504 http_response_timeout await_head, timeouts.response_header"
    times = re.search(r"send .*, await_head (\S+) (m?s), total (\S+) (m?s)$", slow["Phases"])
    assert [milliseconds(*times.groups()[at:at + 2]) for at in (0, 2)] == [
        pytest.approx(logged[0][key], rel=0.01) for key in ("wait_ms", "total_ms")], slow
    assert "secret" not in dashboard(proxy).text


def test_only_the_last_failures_are_kept(stack):
    proxy = stack.penstock(stack.to(stack.origin(down=True), "down.test"), workers=2)
    for i in range(60):
        assert proxy.fetch(f"http://down.test/{i}").status == 502
    proxy.wait_for_workers()
    assert [failure["path"] for failure in failures(proxy)] == [f"/{i}" for i in range(59, 9, -1)]


HOSTILE = [
    b"GET http://down.test/<script>alert(1)</script>\"'&amp; HTTP/1.1\r\nHost: down.test\r\n\r\n",
    b"GET http://down.test/{{failures}}]]>--><!--<svg/onload=alert(1)> HTTP/1.1\r\nHost: down.test\r\n\r\n",
    b"GET http://down.test/\xff\xfe\xc3( HTTP/1.1\r\nHost: down.test\r\n\r\n",
    b"GET http://down.test/%3Cscript%3E%00%0d HTTP/1.1\r\nHost: down.test\r\n\r\n",
    b"<script>alert(1)</script> http://down.test/ HTTP/1.1\r\nHost: down.test\r\n\r\n",
    b"GET http://<script>alert(1)</script>.test/ HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: \"><img src=x onerror=alert(1)>\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: '\x01\xc2\x9b\xe2\x80\xae\r\n\r\n",
    b"CONNECT down.test<b>:443 HTTP/1.1\r\nHost: down.test\r\n\r\n",
    b"X" * 300 + b" http://down.test/" + b"y" * 5000 + b"?<b> HTTP/1.1\r\nHost: down.test\r\n\r\n",
]


def test_no_request_brings_markup_into_the_page(proxy):
    def active(page):
        return [element.attrib for element in page.root.iter() if element.tag in ("script", "img", "link", "svg")]

    def ours(attributes):
        return attributes.get("class") not in ("bar", "chart")

    before_page = dashboard(proxy)
    before = len(failures(proxy))
    for data in HOSTILE:
        with Client(proxy.port) as client:
            client.send(data)
            assert client.response().status >= 400
    wait_until(lambda: len(failures(proxy)) - before == len(HOSTILE), "each of them is listed")
    page = dashboard(proxy)
    assert list(filter(ours, active(page))) == list(filter(ours, active(before_page)))
    assert all(ord(char) >= 0x20 or char == "\n" for char in page.text)
    shown = [row["Request"] for row in page.failures()]
    assert len(shown) == before + len(HOSTILE) and max(map(len, shown)) < 900
    for inert in ("<script>alert(1)</script>\"'&amp;", "{{failures}}]]>--><!--<svg/onload=alert(1)>", "…"):
        assert any(inert in request for request in shown), shown


def test_it_is_there_while_the_daemon_drains(stack):
    gate = threading.Event()
    origin = stack.origin(answering(lambda connection, request: (gate.wait(20), connection.reply())))
    proxy = stack.penstock(stack.to(origin))
    with proxy.client() as client:
        client.request("http://api.test/")
        wait_until(lambda: origin.requests, "the request is under way")
        proxy.admin("/drain", "POST", {"Penstock-Admin": "1"})
        page = dashboard(proxy)
        assert page.facts()["State"] == "draining" and page.alerts() == ["The daemon is draining."]
        gate.set()
        assert client.response().status == 200
    proxy.process.wait(30)
