"""admin.address: unix:/path is the whole admin address for the daemon's user and root, and for nobody else: whose file
it is, what was left behind at its path, the commands that ask it, and that the proxy does not lead there."""

import json
import os
import shutil
import stat
import subprocess
import tempfile
from pathlib import Path

import pytest

from support.client import Client
from support.penstock import BINARY, assert_failed
from support.waiting import TIME_FACTOR, wait_until

FAILURE, UNAVAILABLE = 1, 69
NOBODY = 65534
CONSENT = {"Penstock-Admin": "1"}
only_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root may act as somebody else")


@pytest.fixture
def path():
    """Of a socket, in a folder that other users may pass through."""
    folder = Path(tempfile.mkdtemp(prefix="penstock-"))
    folder.chmod(0o755)
    yield folder / "admin.sock"
    shutil.rmtree(folder)


@pytest.fixture
def proxy(stack, path):
    return stack.penstock(stack.to(stack.origin()), admin={"address": f"unix:{path}"})


def run(*arguments):
    return subprocess.run([BINARY, *map(str, arguments)], capture_output=True, text=True, timeout=20 * TIME_FACTOR)


@pytest.mark.parametrize("host", ["localhost", "penstock", "127.0.0.1:9128", "evil.test"])
def test_its_pages_and_actions_are_served_under_any_host(proxy, path, host):
    for page in ("/livez", "/readyz", "/metrics", "/pools", "/config"):
        with Client(path) as client:
            assert client.fetch(page, host=host).status == 200
    with Client(path) as client:
        assert client.fetch("/pools/api/pause", "POST", {**CONSENT, "Content-Length": "0"}, host=host).status == 200
    assert json.loads(proxy.admin("/pools")[1])["upstreams"][0]["paused"] is True


@pytest.mark.parametrize("fields", [{}, {**CONSENT, "Origin": "null"}, {**CONSENT, "Sec-Fetch-Site": "cross-site"}])
def test_consent_is_asked_for_all_the_same(proxy, fields):
    assert proxy.admin("/pools/api/pause", "POST", fields)[0] == 403


def test_the_file_lets_its_owner_in_and_goes_with_the_daemon(proxy, path):
    found = path.stat()
    assert stat.S_ISSOCK(found.st_mode) and stat.S_IMODE(found.st_mode) == 0o600 and found.st_uid == os.geteuid()
    proxy.stop()
    assert not path.exists()


@only_root
def test_another_user_does_not_get_in(proxy, path):
    curl = ["curl", "-sS", "--unix-socket", str(path), "http://localhost/pools"]
    assert subprocess.run(curl, capture_output=True, timeout=20 * TIME_FACTOR).returncode == 0
    refused = subprocess.run(curl, capture_output=True, text=True, user=NOBODY, timeout=20 * TIME_FACTOR)
    assert refused.returncode != 0 and refused.stdout == ""


def test_the_commands_ask_it(proxy, path):
    proxy.fetch("http://api.test/")
    for how in (("--admin", f"unix:{path}"), ("-c", proxy.config_path)):
        assert run("probe", *how).returncode == 0
        assert "api.test:443" in run("pools", *how).stdout
        assert run("pools", "api", "pause", *how).returncode == 0
        assert "api (paused)" in run("pools", *how).stdout
        assert run("pools", "api", "resume", *how).returncode == 0


@pytest.mark.parametrize("address, complaint", [("unix:{path}.none", "No such file"), ("unix:", "no address"),
                                                ("unix:/" + "x" * 200, "no address")])
def test_a_socket_that_is_not_there_is_said(path, address, complaint):
    done = run("pools", "--admin", address.format(path=path))
    assert done.returncode == FAILURE and complaint in done.stderr


def test_what_a_killed_daemon_left_is_replaced(stack, proxy, path):
    proxy.process.kill()
    proxy.process.wait()
    proxy.stopped = True
    assert path.exists()
    again = stack.penstock(stack.to(1), admin={"address": f"unix:{path}"})
    assert again.admin("/livez")[0] == 200


def start_beside(folder, address):
    config = folder / "second.yaml"
    config.write_text(f"listeners: [{{address: '127.0.0.1:0'}}]\nadmin: {{address: '{address}'}}\n")
    return run("run", "-c", config)


def test_a_socket_that_is_served_ends_the_start_with_69(proxy, path, tmp_path):
    done = start_beside(tmp_path, f"unix:{path}")
    assert done.returncode == UNAVAILABLE and str(path) in done.stderr
    assert proxy.admin("/livez")[0] == 200, "the first one's file stays"


def test_a_file_that_is_no_socket_is_not_touched(path, tmp_path):
    path.write_text("mine")
    done = start_beside(tmp_path, f"unix:{path}")
    assert done.returncode == FAILURE and "not a socket" in done.stderr and path.read_text() == "mine"


def test_the_proxy_does_not_lead_there_by_whatever_path(stack, path):
    alias = path.with_name("alias.sock")
    alias.symlink_to(path.name)
    ways = {"straight": path, "dotted": f"{path.parent}/./{path.name}", "alias": alias}
    proxy = stack.penstock(*({"name": name, "hosts": [f"{name}.test"], "scheme": "http", "connect_to": f"unix:{way}"}
                             for name, way in ways.items()), admin={"address": f"unix:{path}"})
    for name in ways:
        assert_failed(proxy.fetch(f"http://{name}.test/pools"), 502, "proxy_loop_detected")


def test_a_reload_leaves_it_alone(stack, proxy, path):
    before = path.stat().st_ino
    logged = proxy.reload({**proxy.settings, "admin": {"address": f"unix:{path}"}, "log": {"level": "debug"}})
    assert "log.level" in logged and path.stat().st_ino == before
    wait_until(lambda: proxy.admin("/livez")[0] == 200, "it is served")
