"""The mistakes of the first day, each with the whole text that the user meets, word by word."""

import os
import re
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path

import pytest

from support.client import Client
from support.penstock import BINARY, free_ports
from support.waiting import TIME_FACTOR, wait_until

UNAVAILABLE, CONFIG = 69, 78
NOBODY = 65534


def without_id(response):
    """The body less its last line, whose id differs each time."""
    body, id_line, end = response.text.rsplit("\n", 2)
    assert re.fullmatch(r"request id: [0-9a-f]{16}", id_line) and end == ""
    return body


# The proxy's port in a browser

BROWSER = {"User-Agent": "Mozilla/5.0", "Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
           "Sec-Fetch-Site": "none", "Sec-Fetch-Mode": "navigate", "Upgrade-Insecure-Requests": "1"}


@pytest.mark.parametrize("host, path", [("127.0.0.1:{}", "/"), ("localhost:{}", "/"), ("127.0.0.1:{}", "/favicon.ico")])
def test_the_port_opened_in_a_browser(stack, host, path):
    proxy = stack.penstock(stack.to(stack.origin()))
    response = proxy.fetch(path, host=host.format(proxy.port), fields=BROWSER)
    assert response.status == 400 and response.get("content-type") == "text/plain; charset=utf-8"
    assert without_id(response) == (
        "penstock: http_request_error\n"
        f"this is an HTTP proxy, not a web site: set http_proxy={proxy.url} and ask for http://HOST/PATH, "
        "or give the listener an `upstream` and use it as base URL")


# Another protocol on the port


@pytest.mark.parametrize("hello, words", [
    (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
     "TLS is spoken to a plaintext proxy port: use http:// in the proxy's address"),
    (b"\x05\x01\x00", "SOCKS is spoken to an HTTP proxy port: use http:// in the proxy's address")], ids=["TLS", "SOCKS"])
def test_another_protocol_spoken_to_the_port(stack, hello, words):
    proxy = stack.penstock(stack.to(stack.origin()))
    with Client(proxy.port) as client:
        client.send(hello)
        assert client.ending() in ("closed", "reset")
    wait_until(lambda: words in proxy.stderr, "the log says what was spoken")
    line, = [line for line in proxy.stderr.splitlines() if words in line]
    assert "warning" in line and f"listener=127.0.0.1:{proxy.port}" in line and "client=127.0.0.1:" in line


# An upstream without TLS


def plain_origin(stack, serve):
    """An origin that speaks no TLS, behind an upstream that keeps the default scheme."""
    origin = stack.origin(serve, tls=False)
    return stack.penstock(stack.to(origin, "svc:8080", name="svc", scheme="https", connect_to=f"127.0.0.1:{origin.port}"))


def refuses(connection):
    """What an HTTP server makes of a TLS hello."""
    connection.sock.recv(1 << 16)
    connection.send("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")


def hangs_up(connection):
    connection.sock.recv(1 << 16)
    connection.close()


@pytest.mark.parametrize("serve, token, words", [
    (refuses, "tls_protocol_error", "the upstream speaks plaintext on this port; if that is meant, set scheme: http"),
    (hangs_up, "connection_terminated", "unexpected eof: the upstream closed during the TLS handshake; if it speaks plaintext "
                                        "on this port, set scheme: http")], ids=["answers", "hangs up"])
def test_an_upstream_that_speaks_no_tls(stack, serve, token, words):
    response = plain_origin(stack, serve).fetch("http://svc:8080/")
    assert response.status == 502
    told = response.text.splitlines()
    assert told[:3] == [f"penstock: {token}", words, "phase: tls_handshake"]


# A certificate that does not verify


def test_a_certificate_of_an_unknown_issuer(stack):
    origin = stack.origin()
    proxy = stack.penstock(stack.to(origin, tls={"ca_file": stack.ca.issue("unrelated.test").cert}))
    response = proxy.fetch("http://api.test/")
    assert response.status == 502
    assert response.text.splitlines()[1] == (
        "the certificate of api.test is refused: unable to get local issuer certificate at depth 0, "
        'subject "CN=api.test", issuer "CN=penstock test CA"; '
        "if it is to be trusted, name its CA in tls.extra_ca_file or tls.ca_file")


def test_a_certificate_for_another_name(stack):
    proxy = stack.penstock(stack.to(stack.origin(names=("other.test",))))
    assert proxy.fetch("http://api.test/").text.splitlines()[1] == (
        "the certificate of api.test is refused: hostname mismatch at depth 0, "
        'subject "CN=other.test", issuer "CN=penstock test CA"; '
        "it is for other.test; if that is the right server, set tls.server_name")


def test_an_expired_certificate(stack, ca):
    proxy = stack.penstock(stack.to(stack.origin(certificate=ca.issue("api.test", expired=True))))
    assert proxy.fetch("http://api.test/").text.splitlines()[1] == (
        "the certificate of api.test is refused: certificate has expired at depth 0, "
        'subject "CN=api.test", issuer "CN=penstock test CA"; '
        "it was valid until 2020-01-02 00:00:00Z; renew it, or set this machine's clock")


# A metadata address


def test_the_metadata_address_of_a_cloud(stack):
    proxy = stack.penstock({"name": "all", "hosts": ["*"]})
    response = proxy.fetch("http://169.254.169.254/latest/meta-data/")
    assert response.status == 403
    body = without_id(response).splitlines()
    assert body[:3] == ["penstock: destination_ip_prohibited", "169.254.169.254 is denied by egress.deny: link_local",
                        "phase: connect"]
    assert body[-1] == ("It is refused so that no app reaches credentials of this machine by accident; "
                        "egress.allow permits an address.")


# A port in use


def start(tmp_path, listener, admin="off", **options):
    path = tmp_path / "penstock.yaml"
    path.write_text(f"listeners: [{{address: '127.0.0.1:{listener}'}}]\nadmin: {{address: '{admin}'}}\n"
                    "log: {format: text}\naccess_log: {path: off}\n")
    return subprocess.run([options.pop("binary", BINARY), "run", "-c", str(path)], capture_output=True, text=True,
                          timeout=20 * TIME_FACTOR, **options)


@pytest.mark.parametrize("which", ["listener", "admin"])
def test_a_port_in_use_says_by_whom(tmp_path, which):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        busy = taken.getsockname()[1]
        free, = free_ports(1)
        done = start(tmp_path, *((busy,) if which == "listener" else (free, f"127.0.0.1:{busy}")))
    assert done.returncode == UNAVAILABLE
    assert re.search(rf"cannot listen on 127\.0\.0\.1:{busy}: Address already in use by pid {os.getpid()} \(.*python3.*\); "
                     r"stop that, or set another address", done.stderr), done.stderr


# A file that cannot be read


@pytest.fixture
def unprivileged():
    """A folder that everybody reaches, with the binary in it; files in it are root's alone where a test says so."""
    if os.getuid() != 0:
        pytest.skip("only root can become another user")
    folder = Path(tempfile.mkdtemp(prefix="penstock-nobody-"))
    folder.chmod(0o755)
    shutil.copy(BINARY, folder / "penstock")
    yield folder
    shutil.rmtree(folder)


def check_as_nobody(folder, config):
    return subprocess.run([folder / "penstock", "check", "-c", config], capture_output=True, text=True, user=NOBODY,
                          group=NOBODY, extra_groups=[], cwd=folder, timeout=20 * TIME_FACTOR)


def test_a_configuration_that_cannot_be_read_says_by_whom(unprivileged):
    config = unprivileged / "penstock.yaml"
    config.touch(0o600)
    done = check_as_nobody(unprivileged, config)
    assert done.returncode == CONFIG
    assert done.stderr == f"{config}: cannot be read by uid {NOBODY} (nobody): Permission denied\n"


@pytest.mark.parametrize("key", ["ca_file", "extra_ca_file", "cert_file"])
def test_a_certificate_file_that_cannot_be_read_says_by_whom(unprivileged, stack, key):
    secret = unprivileged / "secret.pem"
    certificate = stack.ca.issue("client.test")
    secret.write_text(Path(certificate.cert).read_text())
    secret.chmod(0o600)
    config = unprivileged / "penstock.yaml"
    pair = f", key_file: {unprivileged}/key.pem" if key == "cert_file" else ""
    shutil.copy(certificate.key, unprivileged / "key.pem")
    (unprivileged / "key.pem").chmod(0o644)
    config.write_text(f"upstreams:\n  - name: api\n    hosts: [api.test]\n    tls: {{{key}: {secret}{pair}}}\n")
    done = check_as_nobody(unprivileged, config)
    assert done.returncode == CONFIG
    assert re.fullmatch(rf'{config}:4:\d+: upstreams\[0\]\.tls\.{key}: "{secret}" cannot be read by uid {NOBODY} \(nobody\): '
                        "Permission denied\n", done.stderr), done.stderr
