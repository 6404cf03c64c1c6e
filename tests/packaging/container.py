"""Runs an image as a container engine would: its root read-only, its user, its command, a network of
its own. Shows that it becomes healthy, proxies for private addresses alone, and drains at SIGTERM.

    unshare --mount-proc --net --pid --fork container.py ROOT IMAGE.json   (of buildah inspect)
"""

import http.client
import http.server
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from pathlib import Path

PRIVATE, FOREIGN = "10.99.0.1", "203.0.113.1"  # of this network; RFC 5737 for the one that is not private
PROXY, PROBES, ORIGIN = 3128, 9129, 8080
UID = 65532
DEADLINE_SECONDS = 30


def command(*words):
    subprocess.run(words, check=True)


def allow_origin(root):
    """The origin stands for another machine, but has an address of this one, where the clients of a network do not get."""
    with open(f"{root}/etc/penstock/penstock.yaml", "a", encoding="utf-8") as config:
        config.write(f"egress:\n  allow: [{PRIVATE}]\n")


def prepare(root):
    """The network of a container, and its root as --read-only makes it."""
    allow_origin(root)
    command("ip", "link", "set", "lo", "up")
    for address in (PRIVATE, FOREIGN):
        command("ip", "address", "add", address, "dev", "lo")
    command("mount", "--make-rprivate", "/")
    command("mount", "--bind", root, root)
    command("mount", "-o", "remount,bind,ro", root)
    command("mount", "-t", "proc", "proc", f"{root}/proc")


def wait_until(condition, what):
    end = time.monotonic() + DEADLINE_SECONDS
    while not condition():
        assert time.monotonic() < end, f"in vain: {what}"
        time.sleep(0.02)


class Origin(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", "5")
        self.end_headers()
        self.wfile.write(b"hello")

    def log_message(self, *_):
        pass


def in_container(root, config, words):
    # chroot(1) gives up root after it: no capability is left, and setpriv lets none come back.
    return ["setpriv", "--no-new-privs", "chroot", f"--userspec={config['User']}", "--groups=", root, *words]


def fetch(source, url):
    connection = http.client.HTTPConnection("127.0.0.1", PROXY, timeout=10, source_address=(source, 0))
    connection.request("GET", url)
    response = connection.getresponse()
    return response.status, response.read()


def is_served(source):
    try:
        return fetch(source, f"http://{PRIVATE}:{ORIGIN}/") == (200, b"hello")
    except (OSError, http.client.HTTPException):
        return False


def metric(name, label):
    """The sum of all samples of that name with that label."""
    text = urllib.request.urlopen(f"http://{PRIVATE}:{PROBES}/metrics", timeout=5).read().decode()
    lines = [line for line in text.splitlines() if line.startswith(name + "{") and label in line]
    assert lines, f"no {name} with {label}"
    return sum(float(line.split()[-1]) for line in lines)


def answers_probes():
    try:
        return urllib.request.urlopen(f"http://{PRIVATE}:{PROBES}/readyz", timeout=5).status == 200
    except OSError:
        return False


def status_field(pid, name):
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(line.split()[1:] for line in lines if line.startswith(name + ":"))


def check_image(config):
    assert config["User"] == f"{UID}:{UID}", config["User"]
    assert {f"{PROXY}/tcp", f"{PROBES}/tcp"} == set(config["ExposedPorts"]), config["ExposedPorts"]


def check_confinement(root, config, pid):
    assert status_field(pid, "Uid") == [str(UID)] * 4 and status_field(pid, "Gid") == [str(UID)] * 4
    assert status_field(pid, "CapEff") == ["0" * 16]
    write = in_container(root, config, ["touch", "/tmp/written"])
    done = subprocess.run(write, capture_output=True, text=True)
    assert "Read-only file system" in done.stderr, "the root can be written to"


def check_health(root, config):
    kind, *words = config["Healthcheck"]["Test"]
    assert kind == "CMD"
    command(*in_container(root, config, words))


def check_proxying():
    assert is_served("127.0.0.1"), "a request did not come through"
    # An answer may be here before its connection is back in the pool.
    wait_until(lambda: metric("penstock_pool_connections", 'state="idle"') == 1, "the connection comes back")
    assert is_served(PRIVATE), "a request from the network did not come through"
    assert metric("penstock_connections_opened_total", "upstream=") == 1, "no connection was reused"
    assert not is_served(FOREIGN), "a client without a private address was served"
    # Whoever may use the proxy must not come through it to the proxy itself, by any of its addresses.
    for port in (PROXY, PROBES):
        assert fetch(PRIVATE, f"http://{PRIVATE}:{port}/livez")[0] == 502, "the proxy proxied to itself"


def main(root, image_file):
    config = json.loads(Path(image_file).read_text())["Docker"]["config"]
    check_image(config)
    prepare(root)
    server = http.server.ThreadingHTTPServer((PRIVATE, ORIGIN), Origin)
    server.protocol_version = Origin.protocol_version = "HTTP/1.1"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    daemon = subprocess.Popen(in_container(root, config, config["Entrypoint"] + config["Cmd"]), env={"PATH": os.environ["PATH"]})
    try:
        wait_until(lambda: answers_probes() or daemon.poll() is not None, "the container becomes ready")
        assert daemon.poll() is None, f"it ended with {daemon.returncode}"
        check_confinement(root, config, daemon.pid)
        check_health(root, config)
        check_proxying()
        daemon.send_signal(signal.SIGTERM)
        assert daemon.wait(DEADLINE_SECONDS) == 0, daemon.returncode
        failed = subprocess.run(in_container(root, config, config["Healthcheck"]["Test"][1:]), capture_output=True)
        assert failed.returncode == 1, "a container that is gone is healthy"
    finally:
        daemon.kill()
        daemon.wait()


if __name__ == "__main__":
    main(*sys.argv[1:])
