"""Sockets that systemd listens on (`systemd:NAME`): taken by name, kept through reloads, never removed. A small
program stands in for systemd (support/activate.py); systemd's own tool starts the daemon in the last test."""

import os
import shutil
import socket
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

import pytest
import yaml

from support.client import Client
from support.penstock import BINARY, free_ports
from support.steady_load import SteadyLoad
from support.waiting import TIME_FACTOR, wait_until

CONFIG = 78
ACTIVATE = str(Path(__file__).with_name("support") / "activate.py")


@pytest.fixture
def folder():
    path = Path(tempfile.mkdtemp(prefix="penstock-"))
    yield path
    shutil.rmtree(path)


@pytest.fixture
def origin(stack):
    return stack.origin()


def activated(*named):
    return [sys.executable, ACTIVATE, *named, "--"]


def run(folder, named, *listeners):
    """What a daemon says that cannot start."""
    path = folder / "penstock.yaml"
    path.write_text(yaml.safe_dump({"admin": {"address": "off"}, "listeners": list(listeners)}))
    return subprocess.run([*activated(*named), BINARY, "run", "-c", str(path)], capture_output=True, text=True,
                          timeout=20 * TIME_FACTOR)


def fetch(where):
    with Client(where) as client:
        return client.fetch("http://api.test/").status


def duplicates(proxy):
    """How many descriptors the daemon has of the first socket it was passed."""
    folder = f"/proc/{proxy.process.pid}/fd"
    links = []
    for descriptor in os.listdir(folder):
        with suppress(FileNotFoundError):  # closed since it was listed
            links.append(os.readlink(f"{folder}/{descriptor}"))
    return links.count(os.readlink(f"{folder}/3")) - 1


def test_sockets_of_both_kinds_are_served_by_name(stack, origin, folder):
    port, = free_ports(1)
    path = folder / "p.sock"
    proxy = stack.penstock(stack.to(origin), listeners=[{"address": "systemd:web"}, {"address": "systemd:local"}],
                           command=activated(f"web={port}", f"local={path}"))
    assert fetch(port) == fetch(path) == 200
    assert proxy.wait_for_log(lambda line: line["listener"] == "systemd:local")["client"] == "unix"
    assert proxy.wait_for_log(lambda line: line["listener"] == "systemd:web")["client"].startswith("127.0.0.1:")
    proxy.stop()
    assert path.is_socket(), "it is systemd's to remove"


def test_all_sockets_of_a_name_are_served(stack, origin, folder):
    ports = free_ports(2)
    proxy = stack.penstock(stack.to(origin), listeners=[{"address": "systemd:penstock.socket"}],
                           command=activated(*(f"penstock.socket={port}" for port in ports)))
    assert [fetch(port) for port in ports] == [200, 200]
    wait_until(lambda: proxy.metrics("penstock_client_connections", listener="systemd:penstock.socket") == 0,
               "the clients have left")
    proxy.reload({**proxy.settings, "listeners": [{}]})
    assert proxy.fetch("http://api.test/").status == 200


def test_a_socket_that_nothing_takes_is_warned_of(stack, origin, folder):
    port, spare = free_ports(2)
    proxy = stack.penstock(stack.to(origin), listeners=[{"address": "systemd:web"}],
                           command=activated(f"web={port}", f"spare={spare}"))
    assert fetch(port) == 200
    assert "systemd passed is not used" in proxy.stderr and "systemd:spare" in proxy.stderr
    assert "systemd:web" not in proxy.stderr.split("is not used")[1].splitlines()[0]


def test_a_listener_that_goes_and_comes_back_has_its_socket(stack, origin, folder):
    """A client that comes in between waits, and is served then."""
    path = folder / "p.sock"
    proxy = stack.penstock(stack.to(origin), listeners=[{}, {"address": "systemd:local"}],
                           command=activated(f"local={path}"))
    both = proxy.settings
    proxy.reload({**both, "listeners": [{}]})
    wait_until(lambda: duplicates(proxy) == 0, "the worker has closed its own")
    with Client(path) as waiting:
        waiting.request("http://api.test/")
        assert waiting.ending(0.3) == "open"
        assert origin.accepted == 0
        proxy.reload(both)
        assert waiting.response().status == 200
    proxy.reload(both)
    assert fetch(path) == 200


def test_a_socket_on_a_network_needs_to_be_told_whom_it_serves(stack, origin, folder):
    port, = free_ports(1)
    named = [f"web=0.0.0.0:{port}"]
    done = run(folder, named, {"address": "systemd:web"})
    assert done.returncode == CONFIG, done.stderr
    assert "listener systemd:web: address: " in done.stderr and "allow_clients must say which may" in done.stderr
    settings = [{"address": "systemd:web", "allow_clients": ["loopback"]}]
    proxy = stack.penstock(stack.to(origin), listeners=settings, command=activated(*named),
                           egress={"allow": ["loopback"]})
    assert fetch(port) == 200
    logged = proxy.reload({**proxy.settings, "listeners": [{"address": "systemd:web"}]})
    assert "allow_clients must say which may" in logged, "a reload is checked too"
    assert fetch(port) == 200


@pytest.mark.parametrize("listener, complaint", [
    ({"address": "systemd:http"}, "no socket named http was passed (systemd passed local, web): see FileDescriptorName="),
    ({"address": "systemd:web", "allow_uids": [33]}, "allow_uids: is for unix sockets"),
    ({"address": "systemd:local", "allow_clients": ["any"]}, "allow_clients: clients of a unix socket have no address")])
def test_what_does_not_fit_a_socket_is_said(folder, listener, complaint):
    port, = free_ports(1)
    done = run(folder, [f"web={port}", f"local={folder}/p.sock"], listener)
    assert done.returncode == CONFIG and complaint in done.stderr, done.stderr


def test_a_daemon_that_got_no_socket_says_so(folder):
    path = folder / "penstock.yaml"
    path.write_text("listeners: [{address: 'systemd:http'}]\n")
    done = subprocess.run([BINARY, "run", "-c", str(path)], capture_output=True, text=True, timeout=20 * TIME_FACTOR)
    assert done.returncode == CONFIG and "systemd passed no socket at all" in done.stderr, done.stderr


def test_sockets_for_another_process_are_not_taken(folder):
    port, = free_ports(1)
    path = folder / "penstock.yaml"
    path.write_text("listeners: [{address: 'systemd:web'}]\n")
    done = subprocess.run([*activated(f"web={port}"), "/usr/bin/env", "LISTEN_PID=1", BINARY, "run", "-c", str(path)],
                          capture_output=True, text=True, timeout=20 * TIME_FACTOR)
    assert done.returncode == CONFIG and "systemd passed no socket at all" in done.stderr, done.stderr


def test_a_socket_without_a_name_is_called_unknown(stack, origin):
    port, = free_ports(1)
    stack.penstock(stack.to(origin), listeners=[{"address": "systemd:unknown"}],
                   command=[*activated(f"web={port}"), "/usr/bin/env", "-u", "LISTEN_FDNAMES"])
    assert fetch(port) == 200


RESTARTS = 10


def test_restarts_under_load_refuse_nobody(stack, origin, folder, report):
    """Whoever comes between two processes waits in the queue of the socket that the manager keeps."""
    with socket.create_server(("127.0.0.1", 0), backlog=1000) as tcp, socket.socket(socket.AF_UNIX) as unix:
        unix.bind(str(folder / "p.sock"))
        unix.listen(1000)
        proxy = stack.penstock(stack.to(origin), listeners=[{"address": "systemd:web"}, {"address": "systemd:local"}],
                               command=activated(f"web=fd:{tcp.fileno()}", f"local=fd:{unix.fileno()}"),
                               descriptors=[tcp.fileno(), unix.fileno()])
        with (SteadyLoad(tcp.getsockname()[1], kept=4, fresh=4) as by_tcp,
              SteadyLoad(folder / "p.sock", kept=4, fresh=4) as by_unix):
            for _ in range(RESTARTS):
                by_tcp.wait_for(20)
                by_unix.wait_for(20)
                proxy.restart()
            by_tcp.wait_for(20)
            by_unix.wait_for(20)
        proxy.stop()
    report("restarts, served by TCP, by unix socket", (RESTARTS, by_tcp.served, by_unix.served))
    assert (by_tcp.refused, by_unix.refused) == (0, 0)
    assert not by_tcp.faults and not by_unix.faults, by_tcp.faults + by_unix.faults


@pytest.mark.skipif(not shutil.which("systemd-socket-activate"), reason="systemd's own tool is not installed")
def test_systemds_own_tool_starts_it_with_the_first_client(stack, origin, folder):
    port, = free_ports(1)
    config = folder / "penstock.yaml"
    config.write_text(yaml.safe_dump({"admin": {"address": "off"}, "listeners": [{"address": "systemd:web"}],
                                      "upstreams": [stack.to(origin)]}))
    command = ["systemd-socket-activate", "-l", f"127.0.0.1:{port}", "--fdname=web", BINARY, "run", "-c", str(config)]
    with open(folder / "stderr", "wb") as err:
        process = subprocess.Popen(command, stdout=err, stderr=err)
    try:
        wait_until(lambda: b"Listening on" in (folder / "stderr").read_bytes(), "the tool listens")
        assert fetch(port) == 200
    finally:
        process.terminate()
        assert process.wait(20 * TIME_FACTOR) == 0, (folder / "stderr").read_text()
