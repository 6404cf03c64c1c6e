"""Every kind of listener against every kind of request and every sign of a web page: who is served, what the
origin is asked, who is refused with which status and token, and which refusals count as a web page's.

A cell says what is answered to an app (or to a page of our own) and, behind the slash, to a foreign page. 200 is
the answer of the host that the request is for, -- a connection that is closed unread.
"""

import itertools
import os
import shutil
import tempfile
from pathlib import Path

import pytest

from support.client import Client
from support.penstock import proxy_status
from support.scripted_origin import answering

STRANGER = os.geteuid() + 1
TABLE = """
request         plain    list     base     browsers open-base unix     unix-list unix-base unix-stranger
own-address     400/403  400/403  200/403  400/400  200/200   400/400  400/400   200/200   --/--
own-name        400/403  400/403  200/403  400/400  200/200   400/400  400/400   200/200   --/--
api-host        200/403  200/403  200/403  200/200  200/200   200/200  200/200   200/200   --/--
other-host      200/403  403/403  200/403  200/200  200/200   200/200  403/403   200/200   --/--
rebound-host    421/421  421/421  421/421  421/421  421/421   400/400  400/400   200/200   --/--
other-loopback  421/421  421/421  421/421  421/421  421/421   400/400  400/400   200/200   --/--
no-host         400/400  400/400  400/400  400/400  400/400   400/400  400/400   400/400   --/--
preflight       200/403  200/403  200/403  200/200  200/200   200/200  200/200   200/200   --/--
absolute-api    200/200  200/200  200/200  200/200  200/200   200/200  200/200   200/200   --/--
absolute-other  200/200  403/403  200/200  200/200  200/200   200/200  403/403   200/200   --/--
absolute-none   403/403  403/403  200/200  403/403  200/200   403/403  403/403   200/200   --/--
asterisk        200/200  200/200  200/200  200/200  200/200   200/200  200/200   200/200   --/--
"""

# The request's first line and its Host.
REQUESTS = {
    "own-address": ("GET /x", "127.0.0.1:{port}"),
    "own-name": ("GET /x", "localhost:{port}"),
    "api-host": ("GET /x", "api.test"),
    "other-host": ("GET /x", "other.test"),
    "rebound-host": ("GET /x", "evil.test:{port}"),
    "other-loopback": ("GET /x", "127.0.0.2:{port}"),
    "no-host": ("GET /x", ""),
    "preflight": ("OPTIONS /x", "api.test"),
    "absolute-api": ("GET http://api.test/x", "evil.test"),
    "absolute-other": ("GET http://other.test/x", "api.test"),
    "absolute-none": ("GET http://nowhere.test/x", "api.test"),
    "asterisk": ("OPTIONS *", "api.test"),
}

APP = {
    "an app": {},
    "an address that was typed": {"Sec-Fetch-Site": "none"},
    "our own page": {"Sec-Fetch-Site": "same-origin", "Origin": "http://127.0.0.1:{port}"},
    "our own page by name": {"Origin": "http://localhost:{port}"},
    "a page of the upstream": {"Origin": "https://api.test"},
}
FOREIGN = {
    "a link or an image": {"Sec-Fetch-Site": "cross-site"},
    "a page of the same site": {"Sec-Fetch-Site": "Same-Site"},
    "a form": {"Origin": "http://evil.test"},
    "a sandboxed frame": {"Origin": "null"},
    "a page of another port": {"Origin": "http://127.0.0.1:1"},
    "a page that says both": {"Sec-Fetch-Site": "same-origin", "Origin": "http://evil.test"},
    "a page of both": {"Sec-Fetch-Site": "cross-site", "Origin": "http://api.test"},
}

COLUMNS, *ROWS = (line.split() for line in TABLE.strip().splitlines())
CELLS = {(row[0], column): tuple(cell.split("/")) for row in ROWS for column, cell in zip(COLUMNS[1:], row[1:])}
LISTENERS = COLUMNS[1:]
NAMES_A_HOST = {"other-host": "other.test", "absolute-other": "other.test"}


@pytest.fixture(scope="module")
def origin(shared):
    """Answers with the Host that it was asked for."""
    return shared.origin(answering(lambda connection, request: connection.reply(request.get("host").encode())), tls=False)


@pytest.fixture(scope="module")
def proxy(shared, origin):
    folder = Path(tempfile.mkdtemp(prefix="penstock-"))  # short, as a socket's path has to be
    shared.at_end(lambda: shutil.rmtree(folder))
    settings = {
        "plain": {}, "list": {"upstreams": ["api"]}, "base": {"upstream": "api"}, "browsers": {"allow_browsers": True},
        "open-base": {"upstream": "api", "allow_browsers": True},
        "unix": {}, "unix-list": {"upstreams": ["api"]}, "unix-base": {"upstream": "api", "allow_uids": [os.geteuid()]},
        "unix-stranger": {"upstream": "api", "allow_uids": [STRANGER]}}
    for name in settings:
        if name.startswith("unix"):
            settings[name]["address"] = f"unix:{folder / name}"
    proxy = shared.penstock(shared.to(origin), shared.to(origin, "other.test"),
                            listeners=[settings[name] for name in LISTENERS])
    proxy.places = {name: folder / name if name.startswith("unix") else port for name, port in zip(LISTENERS, proxy.ports)}
    return proxy


def head_of(request, port, fields):
    line, host = REQUESTS[request]
    lines = [f"{line} HTTP/1.1", f"Host: {host}", *(f"{name}: {value}" for name, value in fields.items())]
    if request == "preflight":
        lines.append("Access-Control-Request-Method: DELETE")
    return ("\r\n".join(lines) + "\r\n\r\n").format(port=port)


def ask(proxy, listener, request, fields):
    """The response, or None when the connection was closed."""
    place = proxy.places[listener]
    with Client(place) as client:
        head = head_of(request, place if isinstance(place, int) else 3128, fields)
        if listener == "unix-stranger":
            return None if client.ending() in ("closed", "reset") else "open"
        client.send(head)
        return client.response()


def from_web_pages(proxy):
    return proxy.metrics("penstock_client_rejected_total", reason="web_page")


def check_served(response, listener, request):
    if request == "asterisk":
        assert "OPTIONS" in response.get("allow")
        return
    base = "base" in listener
    assert response.text == ("api.test" if base else NAMES_A_HOST.get(request, "api.test"))


def check(proxy, origin, listener, request, fields, wanted):
    seen = len(origin.requests)
    response = ask(proxy, listener, request, fields)
    if wanted == "--":
        assert response is None
    else:
        assert response.status == int(wanted), response.text
        if wanted == "200":
            check_served(response, listener, request)
        else:
            token = "http_request_denied" if wanted == "403" else "http_request_error"
            assert proxy_status(response)["error"] == token
    reached = wanted == "200" and request != "asterisk"
    assert len(origin.requests) - seen == reached


@pytest.mark.parametrize("request_kind", REQUESTS)
@pytest.mark.parametrize("listener", LISTENERS)
def test_each_listener_answers_each_request_as_the_table_says(proxy, origin, listener, request_kind):
    to_app, to_page = CELLS[request_kind, listener]
    for who, fields in APP.items():
        check(proxy, origin, listener, request_kind, fields, to_app)
    before = from_web_pages(proxy)
    for who, fields in FOREIGN.items():
        check(proxy, origin, listener, request_kind, fields, to_page)
    refused_for_it = to_page == "421" or (to_page == "403" and to_app != "403")
    counted = from_web_pages(proxy) - before
    if request_kind != "other-host":  # on a listener with a list, both rules refuse it
        assert counted == (len(FOREIGN) if refused_for_it else 0)


def test_the_table_is_whole():
    assert set(CELLS) == set(itertools.product(REQUESTS, LISTENERS))


# Redirects and cookies: to the app as they are, or so that it comes back through the proxy.

LOCATIONS = {  # what the origin says: what a request in absolute form gets, and one in origin form
    "https://api.test/new?q#f": ("http://api.test/new?q#f", "/new?q#f"),
    "https://api.test": ("http://api.test/", "/"),
    "https://api.test:443/new": ("http://api.test/new", "/new"),
    "HTTPS://API.test/new": ("http://api.test/new", "/new"),
    "https://api.test//evil.test/": ("http://api.test//evil.test/", "https://api.test//evil.test/"),
    "https://api.test/x": ("https://api.test/x", "https://api.test/x"),  # the URL just asked: a loop otherwise
    "https://api.test:8443/new": ("https://api.test:8443/new", "https://api.test:8443/new"),
    "https://user@api.test/new": ("https://user@api.test/new", "https://user@api.test/new"),
    "https://other.test/new": ("https://other.test/new", "https://other.test/new"),
    "https://api.test.evil.test/": ("https://api.test.evil.test/", "https://api.test.evil.test/"),
    "http://api.test/new": ("http://api.test/new", "http://api.test/new"),
    "/new": ("/new", "/new"), "new": ("new", "new"), "": ("", ""),
}
COOKIES = {  # with `cookies: strip_secure`
    "a=1; Secure; HttpOnly": "a=1; HttpOnly", "a=1;secure": "a=1", "a=1; Path=/; SECURE": "a=1; Path=/",
    "Secure": "Secure", "a=secure; SameSite=None": "a=secure; SameSite=None", "a=1": "a=1",
}


@pytest.fixture(scope="module")
def rewriting(shared, ca):
    """Listeners 0 and 1 strip Secure, 2 and 3 pass everything as it comes; 0 and 2 are in base-URL mode."""
    def answer(connection, request):
        location, cookie = request.get("x-location"), request.get("x-cookie")
        connection.send(f"HTTP/1.1 302 Found\r\nContent-Length: 0\r\nLocation: {location}\r\n"
                        f"Set-Cookie: {cookie}\r\nset-cookie: b=2; Secure\r\n\r\n")

    origin = shared.origin(answering(answer), names=("api.test", "as-is.test"))
    return shared.penstock(shared.to(origin, cookies="strip_secure"),
                           shared.to(origin, "as-is.test", cookies="pass", redirects="pass"),
                           listeners=[{"upstream": "api"}, {}, {"upstream": "as-is"}, {}])


def redirected(proxy, listener, url, host, location, cookie):
    response = proxy.fetch(url, host=host, listener=listener, fields={"X-Location": location, "X-Cookie": cookie})
    assert response.status == 302
    return response.get("location"), response.all("set-cookie")


@pytest.mark.parametrize("location", LOCATIONS)
def test_a_redirect_leads_back_through_the_proxy(rewriting, location):
    absolute, origin_form = LOCATIONS[location]
    own = f"127.0.0.1:{rewriting.ports[0]}"
    assert redirected(rewriting, 0, "/x", own, location, "a=1")[0] == origin_form
    assert redirected(rewriting, 1, "/x", "api.test", location, "a=1")[0] == origin_form
    assert redirected(rewriting, 1, "http://api.test/x", None, location, "a=1")[0] == absolute


@pytest.mark.parametrize("cookie", COOKIES)
def test_the_secure_attribute_goes_where_it_was_asked_for(rewriting, cookie):
    own = f"127.0.0.1:{rewriting.ports[0]}"
    for listener, url, host in ((0, "/x", own), (1, "http://api.test/x", None)):
        assert redirected(rewriting, listener, url, host, "/", cookie)[1] == [COOKIES[cookie], "b=2"]


@pytest.mark.parametrize("listener, url, host", [(2, "/x", "as-is.test"), (3, "http://as-is.test/x", None)])
def test_both_pass_as_they_came_where_that_was_asked_for(rewriting, listener, url, host):
    location, cookies = redirected(rewriting, listener, url, host, "https://as-is.test/new", "a=1; Secure")
    assert (location, cookies) == ("https://as-is.test/new", ["a=1; Secure", "b=2; Secure"])
