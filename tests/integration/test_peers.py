"""What the tests of other proxies promise, and what users of other proxies had to report, asked of ours.

The names are those of HAProxy's vtest files, of Traffic Server's AuTests and of the reports; those whose behaviour other
files show stand beside those tests, and tests/structure/reference_names.py lists all of them.
"""

import os
import shutil
import ssl
import threading
from pathlib import Path

import pytest

from support.ca import CertificateAuthority
from support.dns_server import NXDOMAIN, Answer
from support.parallel import again_and_again
from support.penstock import assert_failed, free_ports
from support.scripted_origin import answering, server_context
from support.waiting import wait_until


def resumed(connection, request):
    connection.reply(str(connection.sock.session_reused).encode())


@pytest.mark.parametrize("version", ["TLSv1_2", "TLSv1_3"])
def test_a_new_connection_resumes_the_session_of_another(stack, ca, version):
    """HAProxy: tls13_resume_stateless."""
    one = getattr(ssl.TLSVersion, version)
    origin = stack.origin(answering(resumed), context=server_context(ca.issue("api.test"), one, one))
    proxy = stack.penstock(stack.to(origin, pool={"reuse": False}))
    with proxy.client() as client:
        assert [client.fetch("http://api.test/").body for _ in range(4)] == [b"False", b"True", b"True", b"True"]


class Mounted:
    """A folder as a cluster mounts a secret: its files are links through ..data, which is swapped as a whole."""

    def __init__(self, folder):
        self.folder = Path(folder)
        self.folder.mkdir()
        self._count = 0

    def put(self, **files):
        self._count += 1
        version = self.folder / f"..version{self._count}"
        version.mkdir()
        for name, source in files.items():
            shutil.copy(source, version / name)
            if not (self.folder / name).is_symlink():
                (self.folder / name).symlink_to(f"..data/{name}")
        (self.folder / "..next").symlink_to(version.name)
        os.replace(self.folder / "..next", self.folder / "..data")

    def path(self, name):
        return str(self.folder / name)


def test_a_client_certificate_is_changed_by_a_reload(stack, ca, tmp_path):
    """HAProxy: set_ssl_cert. Users: k8s secret symlink swap. The files' names, sizes and links stay, their bytes do not."""
    def name(connection, request):
        subject = dict(pair for part in connection.sock.getpeercert()["subject"] for pair in part)
        connection.reply(subject["commonName"].encode())

    origin = stack.origin(answering(name), context=server_context(ca.issue("api.test"), client_ca=ca.file))
    secret = Mounted(tmp_path / "secret")
    first, second = (ca.issue(f"{who}.test", common_name=f"{who}.test", usage="clientAuth") for who in ("first", "other"))
    secret.put(cert=first.cert, key=first.key)
    proxy = stack.penstock(stack.to(origin, tls={"cert_file": secret.path("cert"), "key_file": secret.path("key")}), workers=1)
    assert proxy.fetch("http://api.test/").body == b"first.test"
    secret.put(cert=second.cert, key=second.key)
    assert proxy.fetch("http://api.test/").body == b"first.test", "nothing changes before the reload"
    proxy.reload(proxy.settings)
    assert proxy.fetch("http://api.test/").body == b"other.test"
    assert origin.accepted == 2
    proxy.reload(proxy.settings)
    assert proxy.fetch("http://api.test/").body == b"other.test"
    assert origin.accepted == 2, "a reload that changes no byte leaves connections alone"


def test_an_authority_is_changed_by_a_reload(stack, tmp_path):
    """Users: k8s secret symlink swap, of the authority that upstreams are verified by."""
    authorities = Mounted(tmp_path / "authorities")
    authorities.put(ca=stack.ca.file)
    origin = stack.origin()
    proxy = stack.penstock(stack.to(origin, tls={"ca_file": authorities.path("ca")}))
    assert proxy.fetch("http://api.test/").status == 200
    authorities.put(ca=CertificateAuthority(tmp_path / "new", "new CA").file)
    proxy.reload(proxy.settings)
    assert_failed(proxy.fetch("http://api.test/"), 502, "tls_certificate_error", "tls_handshake")
    authorities.put(ca=stack.ca.file)
    proxy.reload(proxy.settings)
    assert proxy.fetch("http://api.test/").status == 200


def test_a_change_of_address_under_load_fails_nobody(stack, report):
    """Users: DNS answer change under load. The old address serves on while the name moves to the new one; nobody fails,
    and after the TTL new connections go where the name leads."""
    def by_address(connection, request):
        connection.reply(connection.sock.getsockname()[0].encode())

    port, = free_ports(1)  # on both addresses
    old = stack.origin(answering(by_address), tls=False, address="127.0.0.2", port=port)
    stack.origin(answering(by_address), tls=False, address="127.0.0.3", port=port)
    moved = threading.Event()

    def script(name, kind, transport):
        if name != "moving.test":
            return Answer(rcode=NXDOMAIN)
        return Answer(("127.0.0.3" if moved.is_set() else "127.0.0.2",), ttl=1)

    proxy = stack.penstock(
        stack.to(old, connect_to=f"moving.test:{old.port}", pool={"max_requests": 20}), workers=2,
        dns={"servers": [stack.dns(script).address], "min_ttl": "100ms"})
    clients = [proxy.client() for _ in range(16)]
    seen = set()

    def work(i, turn):
        if turn == 10:
            moved.set()
        response = clients[i].fetch("http://api.test/")
        assert response.status == 200, response.text
        seen.add(response.body)

    report("requests", again_and_again(16, 4, work))
    assert b"127.0.0.2" in seen and seen <= {b"127.0.0.2", b"127.0.0.3"}
    if b"127.0.0.3" not in seen:  # the machine was slow; the name is old by now
        again_and_again(16, 4, work)
        assert b"127.0.0.3" in seen
    wait_until(lambda: proxy.fetch("http://api.test/").body == b"127.0.0.3", "the name has moved")


def test_a_client_that_leaves_the_queue_is_not_served_what_it_sent_ahead(stack):
    """HAProxy: http_abortonclose, with requests that were sent ahead of the first one's answer."""
    gate = threading.Event()

    def answer(connection, request):
        gate.wait(20)
        connection.reply()

    origin = stack.origin(answering(answer))
    proxy = stack.penstock(stack.to(origin, pool={"max_connections": 1}))
    with proxy.client() as holder:
        holder.request("http://api.test/holder")
        wait_until(lambda: origin.requests, "the only place is taken")
        with proxy.client() as client:
            client.send(b"".join(b"GET http://api.test/%d HTTP/1.1\r\nHost: api.test\r\n\r\n" % i for i in range(5)))
            wait_until(lambda: proxy.waiting() == 1, "its first waits")
        wait_until(lambda: proxy.waiting() == 0, "it has left")
        gate.set()
        assert holder.response().status == 200
    assert [request.target for request in origin.requests] == ["/holder"]


@pytest.mark.parametrize("target, host", [
    ("http://API.test/", "api.test"), ("http://api.test:80/", "api.test:80"), ("http://api.test./", "api.test."),
    ("https://api.test:443/", "api.test:443"), ("http://api.test/", "other.test")])
def test_one_authority_in_every_spelling_is_one_pool_and_one_host(stack, target, host):
    """HAProxy: h1_host_normalization, scheme_based_normalize. There a Host that contradicts the target is an error by
    option; here the target counts (RFC 9112 section 3.2.2)."""
    origin = stack.origin()
    proxy = stack.penstock(stack.to(origin), workers=1)
    assert proxy.fetch("http://api.test/").status == 200
    assert proxy.fetch(target, host=host).status == 200
    assert origin.accepted == 1 and [request.get("host") for request in origin.requests] == ["api.test"] * 2
