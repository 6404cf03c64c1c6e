"""admin.public_address: probes and metrics for whoever asks under any name, and nothing else."""

import http.client
import socket
import subprocess

import pytest

from support.client import Client
from support.penstock import BINARY, assert_failed, free_ports, proxy_status
from support.scripted_origin import answering
from support.waiting import TIME_FACTOR

EX_UNAVAILABLE = 69


def start(stack, *upstreams, host="127.0.0.1", **settings):
    """A daemon with a public address; its port was free a moment ago."""
    port, = free_ports(1)
    proxy = stack.penstock(*upstreams, admin={"public_address": f"{host}:{port}"}, **settings)
    return proxy, port


@pytest.fixture(scope="module")
def public(shared):
    return start(shared, shared.to(1), host="0.0.0.0")


def ask(port, path, method="GET", host="10.1.2.3", fields=()):
    with Client(port) as client:
        return client.fetch(path, method, fields, host=host)


@pytest.mark.parametrize("host", ["10.1.2.3:9129", "penstock.test", "[2001:db8::1]:80", "localhost"])
@pytest.mark.parametrize("path", ["/livez", "/readyz", "/metrics"])
def test_probes_and_metrics_are_served_under_any_host(public, path, host):
    assert ask(public[1], path, host=host).status == 200


def test_a_probe_of_http_1_0_without_a_host_is_served(public):
    with Client(public[1]) as client:
        client.send("GET /livez HTTP/1.0\r\n\r\n")
        assert client.response().status == 200


def test_the_whole_of_127_reaches_the_unspecified_address(public):
    connection = http.client.HTTPConnection("127.0.0.9", public[1], timeout=10 * TIME_FACTOR)
    connection.request("GET", "/livez")
    assert connection.getresponse().status == 200
    connection.close()


@pytest.mark.parametrize("path", ["/pools", "/pools?upstream=api", "/dns", "/", "/config", "/reload"])
def test_other_pages_do_not_exist(public, path):
    response = ask(public[1], path)
    assert response.status == 404 and "/pools" not in response.text and "/dns" not in response.text


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
def test_only_get_is_served(public, method):
    assert ask(public[1], "/metrics", method).status == 405


def test_no_origin_is_accepted(public):
    assert ask(public[1], "/metrics", fields={"Origin": "http://evil.test"}).status == 403


def test_the_full_address_stays_strict(public):
    assert ask(public[0].admin_port, "/pools").status == 421


def test_both_addresses_hear_of_the_workers(public):
    proxy, port = public
    with Client(port) as first, Client(proxy.admin_port) as second:
        first.request("/livez", host="x")
        second.request("/livez", host="localhost")
        assert (first.response().status, second.response().status) == (200, 200)


def address_towards(elsewhere):
    """This machine's own address on the way there; loopback where there is no way."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        reached = sock.connect_ex((elsewhere, 9)) == 0
        return sock.getsockname()[0] if reached else "127.0.0.1"


def test_the_proxy_does_not_proxy_to_it_by_any_address_of_the_machine(stack):
    proxy, port = start(stack, {"name": "any", "hosts": ["*"], "scheme": "http"}, host="0.0.0.0", egress={"deny": []})
    for host in ("127.0.0.1", "127.0.0.9", "0.0.0.0", address_towards("192.0.2.77")):
        assert_failed(proxy.fetch(f"http://{host}:{port}/metrics"), 502, "proxy_loop_detected")


def test_the_same_port_of_another_machine_is_not_ours(stack):
    proxy, port = start(stack, {"name": "any", "hosts": ["*"], "scheme": "http", "timeouts": {"connect": "50ms"}},
                        host="0.0.0.0")
    response = proxy.fetch(f"http://203.0.113.1:{port}/")
    # What comes instead is the network's matter: mostly a failure, an answer where something takes every connection.
    assert not any("proxy_loop_detected" in told for told in response.all("proxy-status"))


def test_a_busy_public_address_exits_69(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        config = tmp_path / "penstock.yaml"
        config.write_text(f"listeners: [{{address: '127.0.0.1:0'}}]\n"
                          f"admin: {{address: off, public_address: '{address}'}}\n")
        done = subprocess.run([BINARY, "-c", config], capture_output=True, text=True, timeout=20 * TIME_FACTOR)
    assert done.returncode == EX_UNAVAILABLE and address in done.stderr


def test_a_changed_public_address_waits_for_a_restart_and_says_so(stack):
    origin = stack.origin(answering(lambda c, r: c.reply()))
    proxy, port = start(stack, stack.to(origin))
    logged = proxy.reload({**proxy.settings, "admin": {"public_address": "off"}})
    assert "applied only by a restart: admin.public_address" in logged
    assert ask(port, "/livez").status == 200
