"""Which addresses are dialled for whom: what a name leads to at the moment of the dial, in every form that an address
has, and this machine itself only for clients that are on it anyway."""

import socket

import pytest

from support.client import Client
from support.dns_server import A, Answer, addresses
from support.penstock import assert_failed, free_ports
from support.scripted_origin import answering, reply_ok

EVERYWHERE = {"name": "any", "hosts": ["*"], "scheme": "http", "timeouts": {"connect": "10s", "resolve": "60s"}}


def two_doors(stack, *upstreams, **settings):
    """A daemon with a listener on loopback (0) and one on every address (1)."""
    port, = free_ports(1)
    network = {"address": f"0.0.0.0:{port}", "allow_clients": ["loopback"]}
    proxy = stack.penstock(*(upstreams or [EVERYWHERE]), listeners=[{}, network], **settings)
    proxy.ports[1] = port
    return proxy


def plain_origin(stack):
    return stack.origin(tls=False)


def own_address():
    """The one this machine would use towards the network; loopback where there is none."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        return sock.getsockname()[0] if sock.connect_ex(("192.0.2.77", 9)) == 0 else "127.0.0.1"


def assert_denied(response, *words):
    assert_failed(response, 403, "destination_ip_prohibited", "connect")
    for word in words:
        assert word in response.text, response.text


# This machine, for clients of a listener that is not loopback


@pytest.fixture(scope="module")
def both(shared):
    origin = plain_origin(shared)
    proxy = two_doors(shared)
    proxy.origin = origin
    return proxy


@pytest.mark.parametrize("host", [
    "127.0.0.1", "127.9.9.9", "0.0.0.0", "0.1.2.3", "localhost", "[::1]", "[::]", "[::ffff:127.0.0.1]", "[::127.0.0.1]",
    "[::ffff:0:127.0.0.1]", "[64:ff9b::127.0.0.1]", "[64:ff9b:1::127.0.0.1]", "[64:ff9b:1:7f00:0:100::]", "[2002:7f00:1::]",
    "[2001:0:102:304:0:0:80ff:fffe]", "[2001:db8::5efe:127.0.0.1]", own_address()])
def test_a_client_of_the_network_does_not_reach_the_machine(both, host):
    assert_denied(both.fetch(f"http://{host}:{both.origin.port}/", listener=1), "egress.allow")
    assert both.origin.accepted == 0 or host != "127.0.0.1"


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0", "localhost", "[::ffff:127.0.0.1]"])
def test_a_client_on_the_machine_does(both, host):
    assert both.fetch(f"http://{host}:{both.origin.port}/").status == 200


def test_each_refusal_is_logged_and_counted(stack):
    proxy = two_doors(stack)
    assert_denied(proxy.fetch("http://127.0.0.1:9/x", listener=1))
    line = proxy.wait_for_log()
    assert (line["status"], line["error"], line["error_phase"]) == (403, "destination_ip_prohibited", "connect")
    assert proxy.metrics("penstock_errors_total", token="destination_ip_prohibited") == 1


def test_connections_of_the_machine_s_own_clients_are_not_lent_to_the_network(stack):
    """The idle connection is there, and the waiting request of a stranger would take it: egress is not asked about
    what is open already."""
    origin = plain_origin(stack)
    dns = stack.dns(addresses({"inner.test": ["127.0.0.1"]}))
    proxy = two_doors(stack, dns={"servers": [dns.address]})
    url = f"http://inner.test:{origin.port}/"
    for _ in range(3):
        assert proxy.fetch(url).status == 200
        assert_denied(proxy.fetch(url, listener=1), "127.0.0.1")
    assert origin.accepted == 1, "the own client's connection was kept all the while"


def test_a_stranger_s_refusal_is_not_shared_with_own_clients_that_wait(stack):
    origin = stack.origin(answering(lambda connection, request: reply_ok(connection, request)), tls=False)
    proxy = two_doors(stack, {**EVERYWHERE, "pool": {"max_connections": 1}})
    url = f"http://127.0.0.1:{origin.port}/"
    with proxy.client() as own, proxy.client(1) as stranger:
        for _ in range(20):
            stranger.request(url)
            own.request(url)
            assert own.response().status == 200
            assert_denied(stranger.response())


def test_a_tunnel_is_no_way_around(stack):
    origin = plain_origin(stack)
    proxy = two_doors(stack, egress={"connect_ports": [origin.port]})
    target = f"127.0.0.1:{origin.port}"
    assert_denied(proxy.fetch(target, "CONNECT", host=target, listener=1))
    assert origin.accepted == 0
    with proxy.client() as client:
        client.request(target, "CONNECT", host=target)
        assert client.head().status == 200


def test_egress_allow_opens_what_it_names_and_a_reload_closes_it_again(stack):
    origin = plain_origin(stack)
    proxy = two_doors(stack, {**EVERYWHERE, "pool": {"reuse": False}}, egress={"allow": ["127.0.0.1"]})
    url = f"http://127.0.0.1:{origin.port}/"
    assert proxy.fetch(url, listener=1).status == 200
    assert_denied(proxy.fetch(f"http://127.0.0.2:{origin.port}/", listener=1))
    proxy.reload({key: value for key, value in proxy.settings.items() if key != "egress"})
    assert_denied(proxy.fetch(url, listener=1))


def test_where_an_upstream_leads_is_judged_too(stack):
    """Whoever configured it: egress.allow says that strangers are meant."""
    origin = stack.origin()
    proxy = two_doors(stack, stack.to(origin))
    assert proxy.fetch("http://api.test/").status == 200
    assert_denied(proxy.fetch("http://api.test/", listener=1), "egress.allow")
    proxy.reload({**proxy.settings, "egress": {"allow": ["loopback"]}})
    assert proxy.fetch("http://api.test/", listener=1).status == 200


def test_what_is_kept_warm_serves_the_network_where_only_that_gets_there(stack):
    origin = stack.origin()
    port, = free_ports(1)
    network = {"address": f"0.0.0.0:{port}", "allow_clients": ["loopback"]}
    proxy = stack.penstock(stack.to(origin, pool={"min_idle": 1, "warmup": "required"}), listeners=[network], workers=1,
                           egress={"allow": ["loopback"]})
    with Client(port) as client:
        assert client.fetch("http://api.test/").status == 200
    assert proxy.pools()[0]["acquires"]["idle"] == 1


# DNS


def test_an_address_is_judged_by_the_answer_that_is_dialled(stack):
    """Every second answer leads to the metadata service. A request asks once at most, and what it was told is judged and
    dialled: it is served by the origin or denied, and nothing is ever tried at the other address."""
    origin = plain_origin(stack)
    asked = []

    def alternate(name, kind, transport):
        if kind != A:
            return Answer(ttl=0)
        asked.append(name)
        return Answer(("127.0.0.1",) if len(asked) % 2 else ("169.254.169.254",), ttl=0)

    dns = stack.dns(alternate)
    proxy = stack.penstock({**EVERYWHERE, "pool": {"reuse": False}},
                           dns={"servers": [dns.address], "min_ttl": "1ms", "max_ttl": "1ms", "serve_stale": "off",
                                "attempt_timeout": "20s"})
    served = denied = 0
    while min(served, denied) < 20:
        response = proxy.fetch(f"http://rebound.test:{origin.port}/")
        if response.status == 200:
            served += 1
        else:
            assert_denied(response, "169.254.169.254", "egress.deny")
            denied += 1
    assert len(asked) <= served + denied, "no second look between the check and the dial"
    assert origin.accepted == served
    lines = proxy.wait_for_log(lambda line: line["status"] == 200, count=served)
    assert {line["address"] for line in lines} == {f"127.0.0.1:{origin.port}"}


@pytest.mark.parametrize("told, status", [
    (["169.254.169.254", "127.0.0.1"], 200), (["fe80::1", "::ffff:169.254.170.2", "127.0.0.1"], 200),
    (["169.254.169.254"], 403), (["169.254.170.23", "fd00:ec2::254", "64:ff9b::a9fe:a9fe"], 403)])
def test_each_address_of_a_name_is_judged(stack, told, status):
    origin = plain_origin(stack)
    dns = stack.dns(addresses({"mixed.test": told}))
    proxy = stack.penstock(EVERYWHERE, dns={"servers": [dns.address]})
    for _ in range(4):
        response = proxy.fetch(f"http://mixed.test:{origin.port}/")
        assert response.status == status
        if status == 403:
            assert_denied(response)


# Hosts that some readers take for addresses


@pytest.fixture(scope="module")
def counting_dns(shared):
    dns = shared.dns(addresses({}))
    proxy = shared.penstock(EVERYWHERE, dns={"servers": [dns.address]})
    proxy.dns = dns
    return proxy


@pytest.mark.parametrize("host", [
    "127.1", "127.0.1", "0x7f.1", "0x7f000001", "0X7F.0.0.1", "2130706433", "017700000001", "0177.0.0.1", "127.0.0.01",
    "127.0.0.256", "127.0.0.1.1", "1.2.3.4.5", "127.0.0.1.", "127.0.0.1..", "0", "127.0.0.0x1", "127%2e0%2e0%2e1", "\xb9\xb2\xb7.0.0.1",
    "[127.0.0.1]", "[::1%25lo]", "[::1%lo]", "[fe80::1%25eth0]", "[::ffff:127.1]", "[::ffff:0x7f.0.0.1]", "[v1.a]"])
def test_an_odd_form_of_an_address_is_no_host(counting_dns, host):
    """...neither an address nor a name that a resolver is asked for."""
    with counting_dns.client() as client:
        client.send(f"GET http://{host}:80/ HTTP/1.1\r\nHost: {host}:80\r\n\r\n")
        assert_failed(client.response(), 400, "http_request_error")
    assert counting_dns.dns.queries == []
