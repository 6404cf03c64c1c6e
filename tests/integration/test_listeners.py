"""Unix sockets (file, owner, users, what was left behind) and TCP listeners that other machines reach: who is
let in, who is turned away, and what reloads and stops do about it."""

import os
import shutil
import signal
import socket
import stat
import subprocess
import tempfile
from pathlib import Path

import pytest
import yaml

from support.client import Client
from support.penstock import BINARY, assert_failed, free_ports
from support.scripted_origin import answering
from support.waiting import TIME_FACTOR, wait_until

FAILURE, UNAVAILABLE, CONFIG = 1, 69, 78
NOBODY = 65534
only_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root may act as somebody else")


@pytest.fixture
def folder():
    """A short path that other users may pass through, for sockets."""
    path = Path(tempfile.mkdtemp(prefix="penstock-"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


@pytest.fixture
def origin(stack):
    return stack.origin()


def start(stack, origin, *listeners, **settings):
    return stack.penstock(stack.to(origin), listeners=list(listeners), **settings)


def run(folder, *listeners):
    """What a daemon says that cannot start."""
    path = folder / "penstock.yaml"
    path.write_text(yaml.safe_dump({"admin": {"address": "off"}, "listeners": list(listeners)}))
    return subprocess.run([BINARY, "run", "-c", str(path)], capture_output=True, text=True,
                          timeout=20 * TIME_FACTOR)


def fetch(path, url="http://api.test/", **options):
    with Client(path) as client:
        return client.fetch(url, **options)


def listener_of(path):
    return f"unix:{path}"


def rejected(proxy, listener):
    return proxy.metrics("penstock_client_rejected_total", listener=listener, reason="not_allowed")


def curl(path, *arguments, **options):
    return subprocess.run(["curl", "-sS", "--max-time", "20", "--unix-socket", str(path), *arguments],
                          capture_output=True, text=True, **options)


# Unix sockets


def test_curl_is_served_over_a_unix_socket(stack, origin, folder):
    path = folder / "p.sock"
    start(stack, origin, {"address": listener_of(path)}, {"address": listener_of(folder / "base.sock"), "upstream": "api"})
    done = curl(path, "--request-target", "http://api.test/x", "http://api.test/")
    assert (done.returncode, done.stdout) == (0, "ok"), done.stderr
    done = curl(folder / "base.sock", "http://localhost/v1")
    assert (done.returncode, done.stdout) == (0, "ok"), done.stderr
    assert [request.target for request in origin.requests] == ["/x", "/v1"]


def test_the_log_names_the_user_of_a_unix_socket(stack, origin, folder):
    path = folder / "p.sock"
    proxy = start(stack, origin, {"address": listener_of(path)}, {})
    with Client(path) as client:
        assert client.fetch("http://api.test/unix").status == 200
        assert proxy.metrics("penstock_client_connections", listener=listener_of(path)) == 1
    assert proxy.fetch("http://api.test/tcp", listener=1).status == 200
    line = proxy.wait_for_log(lambda line: line["path"] == "/unix")
    assert (line["listener"], line["client"], line["client_uid"]) == (listener_of(path), "unix", os.geteuid())
    line = proxy.wait_for_log(lambda line: line["path"] == "/tcp")
    assert line["client"].startswith("127.0.0.1:") and "client_uid" not in line


def test_web_pages_are_no_concern_of_a_unix_socket(stack, origin, folder):
    path = folder / "p.sock"
    start(stack, origin, {"address": listener_of(path), "upstream": "api"})
    fields = {"Origin": "http://evil.test", "Sec-Fetch-Site": "cross-site"}
    assert fetch(path, "/", host="anything.test:81", fields=fields).status == 200


def test_origin_form_without_an_upstream_is_told_what_to_ask_for(stack, origin, folder):
    path = folder / "p.sock"
    start(stack, origin, {"address": listener_of(path)})
    response = fetch(path, "/", host="localhost")
    assert_failed(response, 400, "http_request_error")
    assert "ask for http://HOST/PATH" in response.text and "unix:" not in response.text


@pytest.mark.parametrize("mode", [None, "0660", "0666"])
def test_a_socket_has_its_mode(stack, origin, folder, mode):
    path = folder / "p.sock"
    start(stack, origin, {"address": listener_of(path), **({"mode": mode} if mode else {})})
    assert stat.S_IMODE(path.stat().st_mode) == int(mode or "0600", 8)
    assert (path.stat().st_uid, path.stat().st_gid) == (os.geteuid(), os.getegid())


@only_root
def test_a_socket_is_given_to_its_owner_who_may_connect(stack, origin, folder):
    path = folder / "p.sock"
    start(stack, origin, {"address": listener_of(path), "owner": f"nobody:{NOBODY - 1}"})
    assert (path.stat().st_uid, path.stat().st_gid) == (NOBODY, NOBODY - 1)
    done = curl(path, "--request-target", "http://api.test/", "http://api.test/", user=NOBODY)
    assert (done.returncode, done.stdout) == (0, "ok"), done.stderr


@only_root
def test_a_user_that_is_not_allowed_is_disconnected(stack, origin, folder):
    path = folder / "p.sock"
    proxy = start(stack, origin, {"address": listener_of(path), "mode": "0666", "allow_uids": [os.geteuid()]})
    for _ in range(3):
        done = curl(path, "--request-target", "http://api.test/", "http://api.test/", user=NOBODY)
        # However early curl notices: while it connects, without a reply, by a reset.
        assert done.returncode in (7, 52, 56), (done.returncode, done.stdout, done.stderr)
    assert fetch(path).status == 200
    assert rejected(proxy, listener_of(path)) == 3
    assert proxy.stderr.count("a client that the listener does not allow") == 1
    assert f"user {NOBODY}" in proxy.stderr
    assert len(origin.requests) == 1


def test_a_socket_that_a_dead_process_left_is_taken_over(stack, origin, folder):
    path = folder / "p.sock"
    proxy = start(stack, origin, {"address": listener_of(path)})
    proxy.process.kill()
    proxy.process.wait()
    proxy.stopped = True
    assert path.is_socket()
    start(stack, origin, {"address": listener_of(path)})
    assert fetch(path).status == 200


def test_a_socket_that_is_served_is_left_alone(stack, origin, folder):
    path = folder / "p.sock"
    start(stack, origin, {"address": listener_of(path)})
    done = run(folder, {"address": listener_of(path)})
    assert done.returncode == UNAVAILABLE, done.stderr
    assert "another process listens there already" in done.stderr and str(path) in done.stderr
    assert fetch(path).status == 200


def test_a_file_that_is_no_socket_is_left_alone(folder):
    path = folder / "precious"
    path.write_text("data")
    done = run(folder, {"address": listener_of(path)})
    assert done.returncode == FAILURE and "not a socket: remove it or choose another path" in done.stderr, done.stderr
    assert path.read_text() == "data"


def test_a_missing_folder_is_named(folder):
    done = run(folder, {"address": listener_of(folder / "missing/p.sock")})
    assert done.returncode == FAILURE, done.stderr
    assert f"there is no folder {folder}/missing: make it first" in done.stderr


def test_an_unknown_owner_is_a_fault_of_the_file(folder):
    path = folder / "p.sock"
    done = run(folder, {"address": listener_of(folder / "first.sock")},
               {"address": listener_of(path), "owner": "no-such-user"})
    assert done.returncode == CONFIG and "owner: no user is named no-such-user" in done.stderr, done.stderr
    assert not path.exists() and not (folder / "first.sock").exists()


@only_root
def test_a_folder_of_others_is_refused_in_words(folder):
    folder.chmod(0o755)
    (folder / "penstock.yaml").write_text(
        f"admin: {{address: off}}\nlisteners: [{{address: 'unix:{folder}/p.sock'}}]\n")
    binary = shutil.copy(BINARY, folder / "penstock")
    done = subprocess.run([binary, "run", "-c", str(folder / "penstock.yaml")], capture_output=True, text=True,
                          user=NOBODY, timeout=20 * TIME_FACTOR)
    assert done.returncode == FAILURE and f"user {NOBODY} may not make files in {folder}" in done.stderr, done.stderr


def test_the_file_goes_at_once_when_a_stop_is_asked_for(stack, folder):
    """...while the request that is under way is still served."""
    asked = []

    def answer(connection, request):
        asked.append(request)
        wait_until(lambda: not path.exists(), "the socket's file is removed")
        connection.reply(b"served")

    path = folder / "p.sock"
    proxy = start(stack, stack.origin(answering(answer)), {"address": listener_of(path)})
    with Client(path) as client:
        client.request("http://api.test/")
        wait_until(lambda: asked, "it is under way")
        proxy.process.send_signal(signal.SIGTERM)
        assert client.response().body == b"served"
    assert proxy.process.wait(20 * TIME_FACTOR) == 0
    assert not path.exists()


def test_a_file_that_is_not_ours_any_more_stays(stack, origin, folder):
    path = folder / "p.sock"
    proxy = start(stack, origin, {"address": listener_of(path)})
    path.unlink()
    with socket.socket(socket.AF_UNIX) as successor:
        successor.bind(str(path))
        proxy.stop()
        assert path.is_socket()


def test_a_reload_makes_a_file_anew_that_was_removed(stack, origin, folder):
    path = folder / "p.sock"
    proxy = start(stack, origin, {}, {"address": listener_of(path), "mode": "0660"})
    with Client(path) as kept:
        assert kept.fetch("http://api.test/").status == 200
        path.unlink()
        logged = proxy.reload(proxy.settings)
        assert f"listening there anew address=unix:{path}" in logged
        assert stat.S_IMODE(path.stat().st_mode) == 0o660 and fetch(path).status == 200
        assert kept.fetch("http://api.test/").status == 200, "who came by the old one is served on"
    inode = path.stat().st_ino
    assert "anew" not in proxy.reload(proxy.settings) and path.stat().st_ino == inode
    proxy.stop()
    assert not path.exists()


def test_a_reload_leaves_a_file_alone_that_is_somebody_elses(stack, origin, folder):
    path = folder / "p.sock"
    proxy = start(stack, origin, {}, {"address": listener_of(path)})
    path.unlink()
    with socket.socket(socket.AF_UNIX) as successor:
        successor.bind(str(path))
        successor.listen()
        assert "another process listens there already" in proxy.reload(proxy.settings)
        proxy.stop()
        assert path.is_socket()


def test_unix_listeners_come_and_go_with_a_reload(stack, origin, folder):
    old, new = folder / "old.sock", folder / "new.sock"
    proxy = start(stack, origin, {}, {"address": listener_of(old)})
    with Client(old) as kept:
        assert kept.fetch("http://api.test/").status == 200
        kept.send("GET http://api.test/ HTTP/1.1\r\n")  # who asks nothing has half a second, however slow the machine is
        proxy.reload({**proxy.settings, "listeners": [{}, {"address": listener_of(new), "mode": "0666"}]})
        assert not old.exists() and fetch(new).status == 200
        kept.send("Host: api.test\r\n\r\n")
        response = kept.response()
        assert (response.status, response.get("connection")) == (200, "close"), "a client of a listener that went is served on"
    proxy.reload({**proxy.settings, "listeners": [{}, {"address": listener_of(old)}]})
    assert fetch(old).status == 200 and not new.exists()


def test_a_reload_that_fails_leaves_no_file_behind(stack, origin, folder):
    path, busy = folder / "p.sock", folder / "busy"
    busy.write_text("")
    proxy = start(stack, origin, {})
    settings = {**proxy.settings, "listeners": [{}]}
    proxy.ports = [proxy.ports[0], 0, 0]
    logged = proxy.reload({**settings, "listeners": [{}, {"address": listener_of(path)}, {"address": listener_of(busy)}]})
    assert "not a socket" in logged and not path.exists()
    assert proxy.fetch("http://api.test/").status == 200


def test_a_reload_changes_the_mode_of_an_open_socket(stack, origin, folder):
    path = folder / "p.sock"
    proxy = start(stack, origin, {"address": listener_of(path)})
    inode = path.stat().st_ino
    logged = proxy.reload({**proxy.settings, "listeners": [{"address": listener_of(path), "mode": "0640"}]})
    assert (stat.S_IMODE(path.stat().st_mode), path.stat().st_ino) == (0o640, inode)
    assert f"listener unix:{path}: changed, its socket stays" in logged
    assert fetch(path).status == 200


@only_root
def test_a_reload_gives_a_socket_to_another_owner_and_back(stack, origin, folder):
    path = folder / "p.sock"
    proxy = start(stack, origin, {"address": listener_of(path)})
    proxy.reload({**proxy.settings, "listeners": [{"address": listener_of(path), "owner": str(NOBODY)}]})
    assert (path.stat().st_uid, path.stat().st_gid) == (NOBODY, os.getegid())
    proxy.reload({**proxy.settings, "listeners": [{"address": listener_of(path)}]})
    assert path.stat().st_uid == os.geteuid()
    logged = proxy.reload({**proxy.settings, "listeners": [{"address": listener_of(path), "owner": "no-such-user"}]})
    assert "no user is named no-such-user" in logged and path.stat().st_uid == os.geteuid()


def test_a_reload_turns_away_users_that_are_connected(stack, origin, folder):
    path = folder / "p.sock"
    proxy = start(stack, origin, {"address": listener_of(path)})
    with Client(path) as client:
        assert client.fetch("http://api.test/").status == 200
        proxy.reload({**proxy.settings, "listeners": [{"address": listener_of(path), "allow_uids": [os.geteuid() + 1]}]})
        assert client.ending() == "closed"
    with Client(path) as client:
        assert client.ending() == "closed"
    assert rejected(proxy, listener_of(path)) == 1


# TCP listeners that are not loopback


# Our origins are on this machine, which clients of the network do not reach by themselves.
ORIGINS = {"egress": {"allow": ["loopback"]}}


def everywhere(port, *clients, **more):
    return {"address": f"0.0.0.0:{port}", "allow_clients": list(clients), **more}


def test_a_listener_on_every_address_needs_to_be_told_whom_it_serves(folder):
    done = run(folder, {"address": "0.0.0.0:0"})
    assert done.returncode == CONFIG, done.stderr
    assert "is not loopback" in done.stderr and "allow_clients must say which may" in done.stderr


def test_only_the_clients_that_are_allowed_are_served(stack, origin):
    port, = free_ports(1)
    proxy = start(stack, origin, everywhere(port, "127.0.0.2", "10.0.0.0/8"), **ORIGINS)
    name = f"0.0.0.0:{port}"
    for _ in range(3):
        with Client(port) as client:
            assert client.ending() in ("closed", "reset")
    with Client(port, source="127.0.0.2") as client:
        assert client.fetch("http://api.test/").status == 200
    assert rejected(proxy, name) == 3
    assert proxy.stderr.count("a client that the listener does not allow") == 1 and "127.0.0.1" in proxy.stderr
    assert "its clients reach this machine's loopback" not in proxy.stderr, "there is no catch-all"


def test_a_base_url_by_literal_works_on_every_address(stack, origin):
    """...also where a port is mapped; a name that is not ours is still misdirected, a foreign page denied."""
    port, = free_ports(1)
    start(stack, origin, everywhere(port, "loopback", upstream="api"), **ORIGINS)
    assert fetch(port, "/", host=f"127.0.0.1:{port}").status == 200
    assert fetch(port, "/", host="192.0.2.7:8080").status == 200
    own = {"Origin": "http://192.0.2.7:8080"}
    assert fetch(port, "/", host="192.0.2.7:8080", fields=own).status == 200
    assert_failed(fetch(port, "/", host="rebound.test"), 421, "http_request_error")
    foreign = {"Origin": "http://192.0.2.8"}
    assert_failed(fetch(port, "/", host="192.0.2.7:8080", fields=foreign), 403, "http_request_denied")


def test_somebody_who_opens_the_port_is_told_the_address_that_was_asked(stack, origin):
    port, = free_ports(1)
    start(stack, origin, everywhere(port, "any"))
    assert f"http_proxy=http://127.0.0.1:{port} " in fetch(port, "/", host=f"127.0.0.1:{port}").text


def test_a_catch_all_that_leads_a_network_to_loopback_is_warned_of(stack, origin):
    port, = free_ports(1)
    proxy = stack.penstock(stack.to(origin, "*", name="all"), listeners=[everywhere(port, "private")], **ORIGINS)
    assert "its clients reach this machine's loopback services too" in proxy.stderr


def test_a_reload_applies_to_new_and_to_open_connections(stack):
    asked = []

    def answer(connection, request):
        asked.append(request)
        if request.target == "/slow":
            wait_until(lambda: idle.ending(0.1) != "open", "the reload is applied")
        connection.reply()

    port, = free_ports(1)
    proxy = start(stack, stack.origin(answering(answer)), everywhere(port, "loopback"), **ORIGINS)
    with Client(port) as idle, Client(port) as busy, Client(port, source="127.0.0.2") as other:
        assert idle.fetch("http://api.test/").status == other.fetch("http://api.test/").status == 200
        busy.request("http://api.test/slow")
        wait_until(lambda: len(asked) == 3, "it is under way")
        proxy.reload({**proxy.settings, "listeners": [everywhere(port, "127.0.0.2")]})
        assert busy.response().status == 200, "its exchange is finished"
        assert busy.ending() == "closed"
        assert other.fetch("http://api.test/").status == 200
        with Client(port) as late:
            assert late.ending() in ("closed", "reset")
