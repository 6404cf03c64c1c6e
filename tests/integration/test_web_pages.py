"""A web page in the user's browser must not use the proxy: origin-form is guarded against cross-site
requests (Sec-Fetch-Site, Origin) and DNS rebinding (Host), unless a listener says allow_browsers."""

import pytest

from support.penstock import assert_failed


@pytest.fixture(scope="module")
def origin(shared):
    return shared.origin()


@pytest.fixture(scope="module")
def proxy(shared, origin):
    """Listener 0 is in base-URL mode, 1 in base-URL mode and open to browsers, 2 an ordinary one."""
    return shared.penstock(shared.to(origin, origin="api.test"),
                           listeners=[{"upstream": "api"}, {"upstream": "api", "allow_browsers": True}, {}])


def ask(proxy, host, listener=0, **fields):
    return proxy.fetch("/x", host=host.format(port=proxy.ports[listener]), listener=listener,
                       fields={name.replace("_", "-"): value.format(port=proxy.ports[listener])
                               for name, value in fields.items()})


@pytest.mark.parametrize("host", ["127.0.0.1:{port}", "localhost:{port}", "localhost", "api.test", "API.test."])
def test_hosts_that_are_ours_are_served(proxy, host):
    assert ask(proxy, host).status == 200


@pytest.mark.parametrize("host", ["evil.test", "evil.test:{port}", "127.0.0.1.evil.test:{port}", "localhost.evil.test",
                                  "api.test.evil.test", "127.0.0.2:{port}", "[::1]:{port}"])
def test_a_host_that_was_rebound_to_us_is_misdirected(proxy, origin, host):
    seen = len(origin.requests)
    assert_failed(ask(proxy, host), 421, "http_request_error")
    assert len(origin.requests) == seen


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_a_cross_site_request_is_denied(proxy, origin, site):
    seen = len(origin.requests)
    assert_failed(ask(proxy, "127.0.0.1:{port}", Sec_Fetch_Site=site), 403, "http_request_denied")
    assert len(origin.requests) == seen


@pytest.mark.parametrize("site", ["same-origin", "none"])
def test_a_request_of_our_own_origin_or_the_user_is_served(proxy, site):
    assert ask(proxy, "127.0.0.1:{port}", Sec_Fetch_Site=site).status == 200


@pytest.mark.parametrize("source", ["http://evil.test", "https://evil.test", "null", "http://127.0.0.1.evil.test:{port}",
                                    "http://api.test.evil.test", "file://"])
def test_a_foreign_origin_is_denied(proxy, origin, source):
    seen = len(origin.requests)
    assert_failed(ask(proxy, "127.0.0.1:{port}", Origin=source), 403, "http_request_denied")
    assert len(origin.requests) == seen


@pytest.mark.parametrize("source", ["http://127.0.0.1:{port}", "http://localhost:{port}", "http://api.test"])
def test_an_origin_of_ours_is_served(proxy, source):
    assert ask(proxy, "127.0.0.1:{port}", Origin=source).status == 200


@pytest.mark.parametrize("fields", [{"Origin": "http://evil.test"}, {"Sec_Fetch_Site": "cross-site"}])
def test_a_listener_may_allow_browsers(proxy, fields):
    assert ask(proxy, "127.0.0.1:{port}", listener=1, **fields).status == 200


@pytest.mark.parametrize("fields", [{"Origin": "http://evil.test"}, {"Sec_Fetch_Site": "cross-site"}])
def test_an_ordinary_listener_guards_origin_form_too(proxy, fields):
    assert_failed(ask(proxy, "api.test", listener=2, **fields), 403, "http_request_denied")


def test_absolute_form_is_no_concern_of_these_rules(proxy):
    """A page cannot send absolute-form; an app behind the proxy may well send an Origin."""
    assert proxy.fetch("http://api.test/x", fields={"Origin": "http://evil.test"}, listener=2).status == 200
