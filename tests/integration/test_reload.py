"""SIGHUP applies a whole new file or nothing: good, bad, a changed identity, limits, listeners, and all of it
under load without one failed request."""

import shutil
import threading

import pytest

from support.ca import CertificateAuthority
from support.client import Client
from support.penstock import assert_failed, free_ports
from support.scripted_origin import answering
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
    with pytest.raises(OSError):
        Client(kept.sock.getpeername()[1]).fetch("http://api.test/")
    assert kept.fetch("http://api.test/").status == 200, "a client of a listener that went is served on"
    kept.close()


def test_a_listener_that_cannot_be_opened_refuses_the_whole_file(stack):
    origin = stack.origin()
    proxy = stack.penstock(stack.to(origin), listeners=2)
    proxy.ports[1] = origin.port
    logged = proxy.reload(proxy.settings)
    assert str(origin.port) in logged and successful(proxy) == 0
    assert proxy.fetch("http://api.test/").status == 200


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
