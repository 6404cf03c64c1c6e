"""The daemon with a configuration that is shipped, its addresses changed to free ports."""

import os
import socket
import subprocess
import time
from contextlib import contextmanager

import yaml

from conftest import BINARY, TIMEOUT_SECONDS
from support.ports import free_ports


def accepts(address):
    family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
    with socket.socket(family) as sock:
        return sock.connect_ex(address) == 0


def wait_until(condition, what):
    end = time.monotonic() + TIMEOUT_SECONDS
    while not condition():
        assert time.monotonic() < end, f"in vain: {what}"
        time.sleep(0.01)


@contextmanager
def started(words, ready, **options):
    """A process of ours, once `ready()`; it must end well when it is asked to."""
    process = subprocess.Popen([str(word) for word in words], stdout=subprocess.DEVNULL, **options)
    try:
        wait_until(lambda: ready() or process.poll() is not None, f"{words[0]} is ready")
        assert process.poll() is None, f"it ended with {process.returncode}"
        yield process
        process.terminate()
        assert process.wait(TIMEOUT_SECONDS) == 0
    finally:
        process.kill()
        process.wait()


@contextmanager
def running(settings, folder):
    """(proxy's port, probes' port) of a daemon with these settings, all on loopback."""
    proxy, probes = free_ports(2)
    settings = {**settings, "listeners": [{"address": f"127.0.0.1:{proxy}"}],
                "admin": {"address": "off", "public_address": f"127.0.0.1:{probes}"}}
    path = folder / "penstock.yaml"
    path.write_text(yaml.safe_dump(settings))
    with started([BINARY, "run", "-c", path], lambda: accepts(("127.0.0.1", probes)), env=dict(os.environ)):
        yield proxy, probes
