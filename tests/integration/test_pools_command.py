"""`penstock pools` and `penstock top`: the pools of a running daemon in a shell, and on a terminal (a pty here)."""

import codecs
import fcntl
import json
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time

import pytest

from support.load import load
from support.penstock import BINARY, free_ports
from support.waiting import TIME_FACTOR, wait_until

FAILURE, USAGE = 1, 64
ENTER, LEAVE = "\x1b[?1049h", "\x1b[?1049l"
THE_END = b"\x1b]the end"


def run(*arguments):
    return subprocess.run([BINARY, *map(str, arguments)], capture_output=True, text=True, timeout=30 * TIME_FACTOR,
                          stdin=subprocess.DEVNULL)


@pytest.fixture(scope="module")
def proxy(shared):
    proxy = shared.penstock(shared.to(shared.origin(), pool={"max_connections": 50}), shared.to(1, "down.test"))
    for _ in range(4):
        proxy.fetch("http://api.test/")
    proxy.fetch("http://down.test/")
    return proxy


def test_the_table_has_a_line_for_each_host(proxy):
    done = run("pools", "-c", proxy.config_path)
    assert (done.returncode, done.stderr) == (0, "")
    titles, api, down = done.stdout.splitlines()
    assert titles.split() == ["UPSTREAM", "ORIGIN", "BUSY", "IDLE", "DIALING", "DRAINING", "UPGRADED", "LIMIT", "WAITING",
                              "OLDEST", "OPENED", "REUSE", "LAST", "ERROR"]
    assert api.split() == ["api", "api.test:443", "0", "1", "0", "0", "0", "50", "0", "-", "1", "75.0%", "-"]
    assert down.split()[0] == "down" and down.endswith("connection_refused")


def test_the_admin_address_may_be_given_and_one_upstream_asked_for(proxy):
    done = run("pools", "--admin", f"127.0.0.1:{proxy.admin_port}", "--upstream", "down")
    assert done.returncode == 0 and [line.split()[0] for line in done.stdout.splitlines()] == ["UPSTREAM", "down"]


def test_json_is_what_is_served(proxy):
    done = run("pools", "-c", proxy.config_path, "--json", "--upstream", "api")
    assert [upstream["name"] for upstream in json.loads(done.stdout)["upstreams"]] == ["api"]


def test_actions_are_taken(stack):
    proxy = stack.penstock(stack.to(stack.origin()))
    proxy.fetch("http://api.test/")
    done = run("pools", "api", "pause", "-c", proxy.config_path)
    assert json.loads(done.stdout) == {"upstream": "api", "action": "pause", "hosts": 1}
    assert "api (paused)" in run("pools", "-c", proxy.config_path).stdout
    for action in ("close-idle", "reconnect", "resume"):
        assert run("pools", "api", action, "-c", proxy.config_path).returncode == 0
    assert "paused" not in run("pools", "-c", proxy.config_path).stdout
    assert proxy.pools()[0]["closed"] == {"admin": 1}


@pytest.mark.parametrize("arguments, code, words", [
    (("pools", "nobody", "pause"), FAILURE, ["404", "nobody" and "no such upstream", "api"]),
    (("pools", "a b\r\nX: y", "pause"), FAILURE, ["404"]),
    (("pools", "api", "stop"), USAGE, ["close-idle"]),
    (("pools", "api"), USAGE, ["close-idle", "pause", "resume", "reconnect"]),
    (("top",), USAGE, ["terminal", "penstock pools"]),
])
def test_what_cannot_be_done_is_explained(proxy, arguments, code, words):
    done = run(*arguments, "-c", proxy.config_path)
    assert done.returncode == code and all(word in done.stderr for word in words), done
    assert done.stdout == ""


@pytest.mark.parametrize("command", ["pools", "top"])
def test_an_address_that_is_off_is_said(tmp_path, command):
    config = tmp_path / "penstock.yaml"
    config.write_text("admin: {address: 'off', public_address: '0.0.0.0:9129'}\n")
    arguments = [BINARY, command, "-c", str(config)]
    if command == "top":
        with OnTerminal(*arguments[1:]) as top:
            assert top.end() == FAILURE
            assert "admin.address is off" in top.text and ENTER not in top.text
    else:
        done = run(*arguments[1:])
        assert done.returncode == FAILURE and "admin.address is off" in done.stderr


def test_nobody_there_is_said():
    port, = free_ports(1)
    done = run("pools", "--admin", f"127.0.0.1:{port}")
    assert done.returncode == FAILURE and f"127.0.0.1:{port}" in done.stderr and "refused" in done.stderr


# On a terminal

class OnTerminal:
    """A command of penstock's on a pty of `width` by `height`; `text` is all that it wrote."""

    def __init__(self, *arguments, width=160, height=12):
        self.master, self.slave = pty.openpty()
        self.resize(width, height)
        self.before = termios.tcgetattr(self.slave)
        self.process = subprocess.Popen([BINARY, *map(str, arguments)], stdin=self.slave, stdout=self.slave,
                                        stderr=self.slave, start_new_session=True,
                                        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0))
        self.text = ""
        self._decoder = codecs.getincrementaldecoder("utf-8")()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self.master)
        os.close(self.slave)

    def resize(self, width, height):
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", height, width, 0, 0))

    def type(self, keys):
        os.write(self.master, keys.encode())

    def read(self):
        while select.select([self.master], [], [], 0)[0]:
            self.text += self._decoder.decode(os.read(self.master, 1 << 16))
        return self.text

    def wait_for(self, condition, what):
        """Until it is true of a whole screen, as lines."""
        return wait_until(lambda: any(condition(screen) for screen in self.screens()), what)

    def screens(self):
        whole = re.findall(r"\x1b\[H(.*?)\x1b\[\?2026l", self.read(), re.DOTALL)
        return [re.sub(r"\x1b\[[KJ]", "", screen).split("\r\n") for screen in whole]

    def read_to_the_end(self):
        """All that the process has written: what we write behind it has come too."""
        os.write(self.slave, THE_END)
        wait_until(lambda: self.read().endswith(THE_END.decode()), "the terminal hands it over")
        self.text = self.text.removesuffix(THE_END.decode())

    def end(self):
        """The exit code; the terminal must be what it was."""
        code = self.process.wait(20 * TIME_FACTOR)
        self.read_to_the_end()
        assert termios.tcgetattr(self.slave) == self.before, "the terminal is not restored"
        return code


@pytest.mark.parametrize("leave", [lambda top: top.type("q"), lambda top: top.type("\x03"),
                                   lambda top: top.process.send_signal(signal.SIGTERM)], ids=["q", "ctrl-c", "sigterm"])
def test_top_shows_the_pools_and_leaves_the_terminal_as_it_was(proxy, leave):
    with OnTerminal("top", "-c", proxy.config_path) as top:
        top.wait_for(lambda screen: any(line.startswith("api ") for line in screen), "the hosts are shown")
        assert not termios.tcgetattr(top.slave)[3] & (termios.ECHO | termios.ICANON)
        leave(top)
        assert top.end() == 0
        assert top.text.startswith(ENTER) and top.text.endswith(LEAVE)


def test_top_tells_rates_while_requests_come(stack):
    proxy = stack.penstock(stack.to(stack.origin(tls=False)))
    with OnTerminal("top", "-c", proxy.config_path) as top:
        def rate(screen):
            lines = [line.split() for line in screen if line.startswith("api ")]
            return lines and lines[0][2] != "-" and float(lines[0][2]) > 10

        top.wait_for(lambda screen: "0 hosts" in screen[0], "it looks")
        load(proxy.port, "http://api.test/", 2000, 8)
        top.wait_for(rate, "the rate is shown")
        top.type("q")
        assert top.end() == 0


def test_top_fits_the_window_whatever_its_size(stack):
    origin = stack.origin(tls=False)
    proxy = stack.penstock(stack.to(origin, "*.test", name="any"))
    for number in range(30):
        proxy.fetch(f"http://host{number}.test/")
    with OnTerminal("top", "-c", proxy.config_path, width=50, height=8) as top:
        top.wait_for(lambda screen: len(screen) == 8, "it is full")
        longest = max((line for screen in top.screens() for line in screen), key=len)
        assert len(longest) <= 50, repr(longest)
        top.resize(100, 20)
        top.wait_for(lambda screen: len(screen) == 20 and max(map(len, screen)) == 100, "it grows")
        top.type("q")
        assert top.end() == 0


def test_top_waits_for_a_daemon_that_comes_back(stack):
    proxy = stack.penstock(stack.to(stack.origin()))
    with OnTerminal("top", "-c", proxy.config_path) as top:
        top.wait_for(lambda screen: "0 hosts" in screen[0], "it looks")
        proxy.stop()
        top.wait_for(lambda screen: len(screen) == 1 and "refused" in screen[0], "it says that nobody is there")
        top.process.send_signal(signal.SIGTERM)
        assert top.end() == 0


def test_top_ends_when_its_terminal_goes(proxy):
    top = OnTerminal("top", "-c", proxy.config_path)
    top.wait_for(lambda screen: len(screen) > 2, "the hosts are shown")
    os.close(top.slave)
    os.close(top.master)
    began = time.monotonic()
    assert top.process.wait(20 * TIME_FACTOR) == 0
    assert time.monotonic() - began < 10 * TIME_FACTOR
