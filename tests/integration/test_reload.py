"""SIGHUP applies a whole new file or nothing: good, bad, a changed identity, limits, listeners, and all of it
under load without one failed request."""

import shutil
import threading
import time
from pathlib import Path

import pytest

from support.ca import CertificateAuthority
from support.client import refuses
from support.http1 import Truncated
from support.penstock import assert_failed, free_ports
from support.scripted_origin import answering
from support.steady_load import RESTED_SECONDS
from support.waiting import pause, wait_until


def successful(proxy):
    return proxy.metrics("penstock_config_last_reload_successful")


def test_a_new_upstream_is_served_after_a_reload(stack):
    one, two = stack.origin(names=("one.test",)), stack.origin(names=("two.test",))
    proxy = stack.penstock(stack.to(one, "one.test"))
    assert proxy.fetch("http://two.test/").status == 403
    proxy.reload({"upstreams": [stack.to(one, "one.test"), stack.to(two, "two.test")]})
    assert successful(proxy) == 1
    assert proxy.fetch("http://two.test/").status == 200
    proxy.reload({"upstreams": [stack.to(two, "two.test")]})
    assert proxy.fetch("http://one.test/").status == 403
    wait_until(lambda: one.open == 0, "the removed upstream's connections are closed")


@pytest.mark.parametrize("text, complaint", [
    ("upstreams: [", "penstock.yaml"), ("no_such_key: 1\n", "no_such_key"),
    ("upstreams: [{name: api, hosts: [api.test], timeouts: {connect: 0}}]\n", "timeouts.connect"),
    ("upstreams: [{name: api, hosts: [api.test], tls: {ca_file: /nowhere/ca.pem}}]\n", "/nowhere/ca.pem")])
def test_a_bad_file_changes_nothing_and_says_why(stack, text, complaint):
    origin = stack.origin()
    proxy = stack.penstock(stack.to(origin))
    assert proxy.fetch("http://api.test/").status == 200
    logged = proxy.reload(text=text)
    assert complaint in logged
    assert successful(proxy) == 0
    assert proxy.fetch("http://api.test/").status == 200
    assert origin.accepted == 1, "a pool was lost to a file that was refused"
    proxy.reload(proxy.settings)
    assert successful(proxy) == 1


def test_pools_that_did_not_change_stay_warm(stack):
    origin = stack.origin()
    proxy = stack.penstock(stack.to(origin))
    assert proxy.fetch("http://api.test/").status == 200
    proxy.reload({"upstreams": [stack.to(origin, timeouts={"response_header": "7s"})]})
    assert proxy.fetch("http://api.test/").status == 200
    assert origin.accepted == 1 and origin.open == 1


def test_a_changed_identity_retires_idle_connections(stack):
    old = stack.origin(answering(lambda c, r: c.reply(b"old")))
    new = stack.origin(answering(lambda c, r: c.reply(b"new")))
    proxy = stack.penstock(stack.to(old))
    assert proxy.fetch("http://api.test/").body == b"old"
    proxy.reload({"upstreams": [stack.to(new)]})
    assert proxy.fetch("http://api.test/").body == b"new"
    wait_until(lambda: old.open == 0, "the old connection is closed")
    assert proxy.metrics("penstock_connections_closed_total", reason="retired_reload") == 1


def test_changed_bytes_of_a_certificate_file_are_a_changed_identity(stack, ca, tmp_path):
    file = tmp_path / "trusted.pem"
    shutil.copy(ca.file, file)
    origin = stack.origin()
    proxy = stack.penstock(stack.to(origin, tls={"ca_file": str(file)}))
    assert proxy.fetch("http://api.test/").status == 200
    shutil.copy(CertificateAuthority(tmp_path / "other", "another CA").file, file)
    proxy.reload(proxy.settings)
    assert_failed(proxy.fetch("http://api.test/"), 502, "tls_certificate_error")


def test_the_systems_certificates_are_looked_at_anew(stack, tmp_path, monkeypatch):
    other = CertificateAuthority(tmp_path / "other", "another CA")
    bundle = tmp_path / "bundle.pem"
    ours = Path(stack.ca.file).read_text()
    bundle.write_text(ours + Path(other.file).read_text())
    monkeypatch.setenv("SSL_CERT_FILE", str(bundle))
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path / "nowhere"))
    trusted, distrusted = stack.origin(), stack.origin(certificate=other.issue("b.test"))
    upstreams = [{**stack.to(trusted), "tls": {}}, {**stack.to(distrusted, host="b.test"), "tls": {}}]
    proxy = stack.penstock(*upstreams)
    assert [proxy.fetch(f"http://{host}/").status for host in ("api.test", "b.test")] == [200, 200]
    proxy.reload(proxy.settings)
    assert [proxy.fetch(f"http://{host}/").status for host in ("api.test", "b.test")] == [200, 200]
    assert trusted.accepted == distrusted.accepted == 1, "nothing had changed"
    bundle.write_text(ours)
    proxy.reload(proxy.settings)
    wait_until(lambda: "the system's CA certificates" in proxy.stderr, "it is told when all workers have it")
    assert proxy.fetch("http://api.test/").status == 200
    assert_failed(proxy.fetch("http://b.test/"), 502, "tls_certificate_error")


def test_a_running_exchange_keeps_the_policy_it_began_with(stack):
    gate = threading.Event()

    def answer(connection, request):
        gate.wait(20)
        connection.reply()

    origin = stack.origin(answering(answer))
    proxy = stack.penstock(stack.to(origin))
    with proxy.client() as client:
        client.request("http://api.test/")
        wait_until(lambda: origin.requests, "it is under way")
        proxy.reload({"upstreams": [stack.to(origin, timeouts={"response_header": "50ms"})]})
        pause(0.2)
        gate.set()
        assert client.response().status == 200
    gate.clear()
    assert_failed(proxy.fetch("http://api.test/"), 504, "http_response_timeout", limit="timeouts.response_header")
    gate.set()


def test_a_lowered_limit_trims_idle_connections_at_once(stack):
    barrier = threading.Barrier(6)

    def answer(connection, request):
        barrier.wait(10)
        connection.reply()

    origin = stack.origin(answering(answer))
    proxy = stack.penstock(stack.to(origin))
    clients = [proxy.client() for _ in range(6)]
    for client in clients:
        client.request("http://api.test/")
    assert [client.response().status for client in clients] == [200] * 6
    assert proxy.pools()[0]["connections"]["idle"] == 6
    proxy.reload({"upstreams": [stack.to(origin, pool={"max_connections": 2})]})
    wait_until(lambda: origin.open == 2, "four are trimmed")
    assert proxy.metrics("penstock_connections_closed_total", reason="trimmed") == 4
    assert proxy.pools()[0]["limits"]["max_connections"] == 2


def test_a_limit_stays_exact_across_a_change_of_identity(stack):
    gate = threading.Event()

    def answer(connection, request):
        gate.wait(20)
        connection.reply(request.target.encode())

    origin = stack.origin(answering(answer))
    proxy = stack.penstock(stack.to(origin, pool={"max_connections": 2}))
    busy = [proxy.client() for _ in range(2)]
    for client in busy:
        client.request("http://api.test/old")
    wait_until(lambda: len(origin.requests) == 2, "both are busy")
    proxy.reload({"upstreams": [stack.to(origin, pool={"max_connections": 2}, tls={"min_version": "1.3"})]})
    with proxy.client() as client:
        client.request("http://api.test/new")
        wait_until(lambda: proxy.waiting() == 1, "it waits for the old ones' permits")
        assert origin.accepted == 2
        gate.set()
        assert client.response().body == b"/new"
    assert [client.response().body for client in busy] == [b"/old"] * 2
    assert origin.peak == 2


# Those who wait for a connection


def queue_behind_a_busy_connection(proxy, origin, count=2, host="api.test"):
    """One request is busy and `count` wait behind it, in this order; (busy, waiting)."""
    clients = [proxy.client() for _ in range(count + 1)]
    for i, client in enumerate(clients):
        client.request(f"http://{host}/{i}")
        if i == 0:
            wait_until(lambda: origin.requests, "the connection is busy")
        wait_until(lambda: proxy.waiting() == i, "the others wait")
    return clients[0], clients[1:]


def gated():
    """(the gate, a script that answers with the target once the gate is open)"""
    gate = threading.Event()

    def answer(connection, request):
        gate.wait(20)
        connection.reply(request.target.encode())

    return gate, answering(answer)


def test_who_waits_goes_to_the_upstream_that_has_the_host_now(stack):
    gate, script = gated()
    old, new = stack.origin(script), stack.origin(answering(lambda c, r: c.reply(b"new " + r.target.encode())))
    proxy = stack.penstock(stack.to(old, pool={"max_connections": 1}))
    busy, waiting = queue_behind_a_busy_connection(proxy, old)
    proxy.reload({"upstreams": [stack.to(new, name="other", pool={"max_connections": 1})]})
    # The old upstream's one permit is not what they wait for.
    assert [client.response().body for client in waiting] == [b"new /1", b"new /2"]
    gate.set()
    assert busy.response().body == b"/0", "it had begun"
    assert len(old.requests) == 1


def test_who_waits_goes_to_the_new_address_of_its_upstream(stack):
    gate, script = gated()
    old, new = stack.origin(script), stack.origin(answering(lambda c, r: c.reply(b"new " + r.target.encode())))
    proxy = stack.penstock(stack.to(old, pool={"max_connections": 1}))
    busy, waiting = queue_behind_a_busy_connection(proxy, old)
    proxy.reload({"upstreams": [stack.to(new, pool={"max_connections": 1})]})
    assert proxy.waiting() == 2, "the limit is the host's, whatever the address"
    gate.set()
    assert busy.response().body == b"/0"
    assert [client.response().body for client in waiting] == [b"new /1", b"new /2"]
    assert len(old.requests) == 1


def test_who_waits_for_a_host_that_is_refused_now_is_told(stack):
    gate, script = gated()
    origin = stack.origin(script)
    proxy = stack.penstock(stack.to(origin, pool={"max_connections": 1}))
    busy, waiting = queue_behind_a_busy_connection(proxy, origin)
    proxy.reload({"upstreams": [stack.to(origin, "else.test")]})
    for client in waiting:
        assert_failed(client.response(), 403, "http_request_denied")
    gate.set()
    assert busy.response().status == 200


def test_a_lowered_queue_refuses_nobody_who_stands_in_it(stack):
    gate, script = gated()
    origin = stack.origin(script)
    proxy = stack.penstock(stack.to(origin, pool={"max_connections": 1}))
    busy, waiting = queue_behind_a_busy_connection(proxy, origin, 4)
    proxy.reload({"upstreams": [stack.to(origin, pool={"max_connections": 1, "max_waiting": 1})]})
    assert_failed(proxy.fetch("http://api.test/"), 503, "connection_limit_reached", limit="pool.max_waiting")
    gate.set()
    assert [client.response().body for client in (busy, *waiting)] == [b"/0", b"/1", b"/2", b"/3", b"/4"]


def test_a_raised_limit_serves_those_who_wait(stack):
    gate, script = gated()
    origin = stack.origin(script)
    proxy = stack.penstock(stack.to(origin, pool={"max_connections": 1}))
    busy, waiting = queue_behind_a_busy_connection(proxy, origin)
    proxy.reload({"upstreams": [stack.to(origin, pool={"max_connections": 3})]})
    wait_until(lambda: len(origin.requests) == 3, "all are under way")
    gate.set()
    assert {client.response().status for client in (busy, *waiting)} == {200}


def test_a_dial_that_hangs_is_given_up_for_the_new_address(stack):
    """The operator mends `connect_to` while requests hang in their dials: they are served, within their time."""
    nowhere = stack.full_backlog()
    origin = stack.origin()
    one = {"max_connections": 1}
    proxy = stack.penstock(stack.to(nowhere, scheme="https", tls={"ca_file": stack.ca.file}, pool=one,
                                    timeouts={"connect": "1m"}))
    with proxy.client() as client:
        client.request("http://api.test/")
        wait_until(lambda: [host["connections"]["dialing"] for host in proxy.pools()] == [1], "it dials")
        proxy.reload({"upstreams": [stack.to(origin, pool=one)]})
        assert client.response().status == 200


def test_listeners_come_and_go_with_a_reload(stack):
    origin = stack.origin()
    proxy = stack.penstock(stack.to(origin), listeners=2)
    added, = free_ports(1)
    kept = proxy.client(1)
    assert kept.fetch("http://api.test/").status == 200
    proxy.ports[1] = added
    proxy.reload(proxy.settings)
    assert proxy.fetch("http://api.test/", listener=0).status == 200
    assert proxy.fetch("http://api.test/", listener=1).status == 200
    assert refuses(kept.sock.getpeername()[1]), "the reload is over when each worker has closed the old one"
    kept.close()


def test_an_idle_client_of_a_listener_that_goes_has_one_request_more(stack):
    proxy = stack.penstock(stack.to(stack.origin()), listeners=2)
    served = False
    while not served:
        with proxy.client(1) as kept:
            assert kept.fetch("http://api.test/").status == 200
            proxy.ports[1], = free_ports(1)
            rested = time.monotonic()
            proxy.reload(proxy.settings)
            try:
                response = kept.fetch("http://api.test/")
                assert (response.status, response.get("connection")) == (200, "close")
                served = True
            except (Truncated, ConnectionError):
                assert time.monotonic() - rested > RESTED_SECONDS, "only who asks nothing for half a second finds it closed"


def test_a_listener_that_cannot_be_opened_refuses_the_whole_file(stack):
    origin = stack.origin()
    proxy = stack.penstock(stack.to(origin), listeners=2)
    proxy.ports[1] = origin.port
    logged = proxy.reload(proxy.settings)
    assert str(origin.port) in logged and successful(proxy) == 0
    assert proxy.fetch("http://api.test/").status == 200


def test_an_address_in_whose_way_we_are_ourselves_is_told_so(stack):
    origin = stack.origin()
    proxy = stack.penstock(stack.to(origin), listeners=2)
    every = {"address": f"0.0.0.0:{proxy.port}", "allow_clients": ["loopback"]}
    logged = proxy.reload({**proxy.settings, "listeners": [every, {}]})
    assert "by this process itself: restart it, or reload twice" in logged
    assert "stop that" not in logged and successful(proxy) == 0
    assert proxy.fetch("http://api.test/").status == 200
    other = {"address": f"127.0.0.1:{proxy.ports[1]}"}
    proxy.reload({**proxy.settings, "listeners": [other]})
    proxy.reload({**proxy.settings, "listeners": [other, every]})
    assert successful(proxy) == 1


# HAProxy: seamless-reload. There by a second process, here by SIGHUP.
def test_reloads_under_load_fail_no_request(stack, report):
    """Eight clients ask without a pause while twenty reloads flip limits, timeouts and the TLS identity."""
    origin = stack.origin()
    variants = [stack.to(origin), stack.to(origin, pool={"max_connections": 3}), stack.to(origin, tls={"min_version": "1.3"}),
                stack.to(origin, pool={"max_idle": 1}, timeouts={"total": "20s"})]
    proxy = stack.penstock(variants[0])
    over, faults, served = threading.Event(), [], [0] * 8

    def work(i):
        try:
            with proxy.client() as client:
                while not over.is_set():
                    response = client.fetch(f"http://api.test/{i}", "POST", body=b"x" * 100)
                    assert response.status == 200, response.text
                    served[i] += 1
        except Exception as fault:  # reported by the test's own thread
            faults.append(fault)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for i in range(20):
        before = sum(served)
        proxy.reload({"upstreams": [variants[i % len(variants)]]})
        assert successful(proxy) == 1
        wait_until(lambda: faults or sum(served) >= before + 50, "requests go on")
    over.set()
    for thread in threads:
        thread.join()
    report("requests over 20 reloads", sum(served))
    assert not faults and min(served) > 0
    assert not origin.faults
