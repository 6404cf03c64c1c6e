"""What an operator does with the Debian package, on a booted Debian: installs it, uses, reloads, breaks and upgrades
it, and takes it away. Run as root by nspawn.sh, with the packages in /packages/1 and /packages/2. It prints what it
did; a step that does not hold ends it with an error."""

import contextlib
import http.client
import http.server
import os
import pwd
import re
import signal
import socket
import subprocess
import threading
import time
import traceback
from pathlib import Path

CONFIG = Path("/etc/penstock/penstock.yaml")
INSTANCE = Path("/etc/penstock/second.yaml")
PROXY, SECOND, ORIGIN = 3128, 3129, 8080
UNIX_SOCKET = "/run/penstock.sock"
DEADLINE_SECONDS = 60
BEGUN = time.monotonic()

ORIGINAL = """\
upstreams:
  - name: everything
    hosts: ["*"]
    timeouts: {total: 30s}
"""
WITH_SOCKETS = "listeners:\n  - address: systemd:penstock\n" + ORIGINAL
OF_INSTANCE = f"listeners:\n  - address: 127.0.0.1:{SECOND}\nadmin: {{address: off}}\n" + ORIGINAL


def say(text):
    print(f"{time.monotonic() - BEGUN:6.1f} s  {text}")


def command(line):
    done = subprocess.run(line, shell=True, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{line}: {done.returncode}\n{done.stdout}{done.stderr}"
    return done.stdout


def status_of(line):
    return subprocess.run(line, shell=True, capture_output=True, check=False).returncode


def shown(line):
    """Runs it, and prints it with what it said."""
    said = command(line)
    for number, part in enumerate([line] + said.rstrip().splitlines()):
        print(f"          {'|' if number else '#'} {part}")
    return said


def wait_until(condition, what):
    end = time.monotonic() + DEADLINE_SECONDS
    while not condition():
        assert time.monotonic() < end, f"in vain: {what}"
        time.sleep(0.02)


def of_unit(name, unit="penstock.service"):
    return command(f"systemctl show --value -p {name} {unit}").strip()


def is_active(unit="penstock.service"):
    return of_unit("ActiveState", unit) == "active"


def journal(unit="penstock.service"):
    command("journalctl --sync")
    return command(f"journalctl --no-pager -o cat -u {unit}")


def revision():
    """As the status line has it."""
    return int(re.search(r"revision (\d+)", of_unit("StatusText")).group(1))


class Origin(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # a response is one packet

    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", "5")
        self.end_headers()
        self.wfile.write(b"hello")

    def log_message(self, *_):
        pass


class UnixConnection(http.client.HTTPConnection):
    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(UNIX_SOCKET)


def fetch(connection=None, port=PROXY):
    connection = connection or http.client.HTTPConnection("127.0.0.1", port, timeout=DEADLINE_SECONDS)
    with contextlib.closing(connection):
        connection.request("GET", f"http://127.0.0.1:{ORIGIN}/", headers={"Connection": "close"})
        response = connection.getresponse()
        return response.status, response.read()


SERVED = (200, b"hello")


class Load:
    """Requests without a pause, each on a connection of its own; whatever goes wrong is kept."""

    def __init__(self, **where):
        self.where, self.requests, self.failures = where, 0, []
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._run) for _ in range(4)]

    def _run(self):
        while not self._over.is_set():
            try:
                answer = fetch(**self.where)
            except (OSError, http.client.HTTPException) as error:
                answer = repr(error)
            self.requests += 1
            if answer != SERVED:
                self.failures.append(answer)

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def more(self, count=200):
        goal = self.requests + count
        wait_until(lambda: self.requests >= goal, f"{count} more requests")

    def __exit__(self, *_):
        self._over.set()
        for thread in self._threads:
            thread.join()


def installed_files():
    """All that is there but for what runs, and for what apt, dpkg, systemd and the journal keep for themselves."""
    apart = re.compile(r"/(proc|sys|dev|run|tmp|packages|var/(cache|tmp|log/(journal|apt)|lib/(apt|dpkg|systemd)))(/|$)"
                       r"|/var/log/dpkg.log|/var/log/alternatives.log|/etc/(passwd|group|shadow|gshadow)-?$|/etc/\.pwd\.lock")
    found = set()
    for folder, folders, files in os.walk("/"):
        folders[:] = [name for name in folders if not apart.match(os.path.join(folder, name))]
        found.update(os.path.join(folder, name) for name in folders + files)
    return {path for path in found if not apart.match(path)}


# The steps, in their order: each finds what the one before has left.

def installs_and_serves():
    shown("apt-get install -y -q /packages/1/*.deb 2>&1 | grep '^Unpacking\\|^Setting\\|^Created'")
    assert is_active() and of_unit("UnitFileState") == "enabled"
    assert of_unit("UnitFileState", "penstock.socket") == "disabled"
    shown("systemctl status --no-pager penstock.service")
    user = pwd.getpwnam("penstock")
    assert user.pw_shell.endswith("nologin") and of_unit("NRestarts") == "0"
    assert os.stat(f"/proc/{of_unit('MainPID')}").st_uid == user.pw_uid
    assert fetch() == SERVED
    say(f"active as {user.pw_name} ({user.pw_uid}); a request came through")


def is_locked_up():
    line = shown("systemd-analyze security --no-pager penstock.service | tail -1")
    assert float(re.search(r"\d+\.\d+", line).group()) <= 1.5


def reloads():
    before, pid = revision(), of_unit("MainPID")
    CONFIG.write_text(ORIGINAL)
    with subprocess.Popen(["busctl", "monitor", "--match", "type='signal',path_namespace='/org/freedesktop/systemd1'"],
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as monitor:
        monitor.stdout.readline()  # "Monitoring bus message stream."
        shown("systemctl reload penstock")
        wait_until(lambda: revision() > before, "a newer revision")
        # It may not have come to it yet. Should it never, the service's own limit of time ends this (nspawn.sh).
        assert any('"reloading"' in line for line in monitor.stdout)
        monitor.terminate()
    assert (revision(), of_unit("MainPID")) == (before + 1, pid) and fetch() == SERVED
    say(f"revision {before} became {before + 1} in the same process; systemd saw it reloading")


def says_why_a_reload_failed():
    before = revision()
    CONFIG.write_text(ORIGINAL.replace("timeouts", "timeoutz"))
    command("systemctl reload penstock")
    wait_until(lambda: "fault" in of_unit("StatusText"), "the fault in the status")
    shown("systemctl status --no-pager penstock.service | grep -v CGroup")
    wait_until(lambda: "timeoutz" in journal(), "the fault in the journal, which has it by another way")
    assert is_active() and revision() == before and fetch() == SERVED
    CONFIG.write_text(ORIGINAL)
    command("systemctl reload penstock")
    wait_until(lambda: "fault" not in of_unit("StatusText"), "a status without it")


def is_restarted_when_it_hangs():
    drop_in = Path("/run/systemd/system/penstock.service.d/watchdog.conf")
    drop_in.parent.mkdir(parents=True)
    drop_in.write_text("[Service]\nWatchdogSec=3s\n")
    command("systemctl daemon-reload && systemctl restart penstock")
    pid = of_unit("MainPID")
    os.kill(int(pid), signal.SIGSTOP)
    wait_until(lambda: int(of_unit("NRestarts")) >= 1 and is_active(), "a restart by the watchdog")
    assert of_unit("MainPID") != pid and fetch() == SERVED
    shown("journalctl --no-pager -o short-monotonic -u penstock.service | grep -i 'watchdog\\|restart'")
    drop_in.unlink()
    drop_in.parent.rmdir()
    command("systemctl daemon-reload && systemctl restart penstock")


def takes_its_sockets_from_systemd():
    command("systemctl stop penstock.service")
    CONFIG.write_text(WITH_SOCKETS)
    shown("systemctl enable --now penstock.socket 2>&1")
    assert not is_active()
    assert fetch() == SERVED
    wait_until(is_active, "systemd hears that it is ready, which is told after the sockets are served")
    assert fetch(UnixConnection("unix", timeout=DEADLINE_SECONDS)) == SERVED
    say("the first request started the service; the unix socket serves too")


def runs_instances():
    INSTANCE.write_text(OF_INSTANCE)
    shown("systemctl enable --now penstock@second.service 2>&1")
    assert fetch(port=SECOND) == SERVED


def upgrades_under_load():
    before = {unit: of_unit("MainPID", unit) for unit in ("penstock.service", "penstock@second.service")}
    with Load() as load:
        load.more()
        begun = time.monotonic()
        shown("apt-get install -y -q /packages/2/*.deb 2>&1 | grep '^Unpacking\\|^Setting'")
        took = time.monotonic() - begun
        load.more()
    say(f"upgraded in {took:.1f} s: {load.requests} requests on connections of their own, {len(load.failures)} failed")
    assert not load.failures, load.failures[:5]
    assert CONFIG.read_text() == WITH_SOCKETS
    for unit, pid in before.items():
        assert is_active(unit) and of_unit("MainPID", unit) != pid, unit
    assert is_active("penstock.socket")


def stops_when_it_is_removed():
    shown("apt-get remove -y -q penstock 2>&1 | grep '^Removing'")
    for unit in ("penstock.service", "penstock.socket", "penstock@second.service"):
        assert not is_active(unit), unit
    for port in (PROXY, SECOND):
        assert socket.socket().connect_ex(("127.0.0.1", port)) != 0
    assert status_of("pgrep -x penstock") == 1 and not Path("/usr/bin/penstock").exists()
    assert CONFIG.read_text() == WITH_SOCKETS


def comes_back_as_it_was():
    command("apt-get install -y -q /packages/2/*.deb")
    assert of_unit("UnitFileState") == of_unit("UnitFileState", "penstock.socket") == "enabled"
    command("systemctl start penstock.socket")
    assert fetch() == SERVED
    say("installed again: both units enabled, the old configuration in force")


def leaves_what_the_administrator_switched_off():
    forbid = Path("/usr/sbin/policy-rc.d")
    forbid.write_text("#!/bin/sh\nexit 101\n")
    forbid.chmod(0o755)
    pid = of_unit("MainPID")
    command("apt-get install -y -q --reinstall /packages/2/*.deb")
    assert of_unit("MainPID") == pid
    forbid.unlink()
    command("systemctl disable --now penstock.socket penstock.service")
    command("apt-get install -y -q --reinstall /packages/2/*.deb")
    for unit in ("penstock.service", "penstock.socket"):
        assert of_unit("UnitFileState", unit) == "disabled" and not is_active(unit), unit
    say("not restarted where policy-rc.d forbids it; disabled units stay disabled")


def leaves_nothing_when_it_is_purged(before):
    INSTANCE.unlink()
    shown("apt-get purge -y -q penstock 2>&1 | grep '^Removing\\|^Purging\\|dpkg: '")
    assert installed_files() - before == set()
    left = command("ls -d /run/penstock* /var/log/penstock* /var/lib/systemd/deb-systemd-helper-*/*penstock* "
                   "/var/lib/systemd/deb-systemd-helper-*/*/*penstock* 2>/dev/null || true")
    assert left == "", left
    units = command("systemctl list-unit-files --no-legend 'penstock*'; systemctl list-units --all --no-legend 'penstock*'")
    assert units == "", units
    say("no file and no unit is left; the user is, without a shell: files may still be its own")


def main():
    origin = http.server.ThreadingHTTPServer(("127.0.0.1", ORIGIN), Origin)
    threading.Thread(target=origin.serve_forever, daemon=True).start()
    before = installed_files()
    steps = (installs_and_serves, is_locked_up, reloads, says_why_a_reload_failed, is_restarted_when_it_hangs,
             takes_its_sockets_from_systemd, runs_instances, upgrades_under_load, stops_when_it_is_removed,
             comes_back_as_it_was, leaves_what_the_administrator_switched_off)
    for step in steps:
        say("== " + step.__name__.replace("_", " "))
        step()
    say("== leaves nothing when it is purged")
    leaves_nothing_when_it_is_purged(before)
    say("all of it holds")


try:
    main()
except Exception:
    traceback.print_exc()
    print(subprocess.run("systemctl status --no-pager 'penstock*'; journalctl --no-pager -u 'penstock*' | tail -50",
                         shell=True, capture_output=True, text=True, check=False).stdout)
    raise SystemExit(1)
