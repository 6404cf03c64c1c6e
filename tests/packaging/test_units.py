"""The systemd units: systemd takes them, they are well locked up, and the daemon takes their sockets."""

import re
import shutil
import socket

import pytest

import unit_file
from conftest import BINARY, TOP, run
from daemon import accepts, started
from support.ports import free_ports

UNITS = ("penstock.service", "penstock.socket", "penstock@.service")
SERVICES = ("penstock.service", "penstock@.service")
MOST_EXPOSED = 15  # tenths of what systemd-analyze calls the exposure level
FOLDER = TOP / "systemd"


@pytest.fixture
def root(tmp_path):
    """A root with systemd's own units, ours, and the programs that they call."""
    shutil.copytree("/usr/lib/systemd/system", tmp_path / "usr/lib/systemd/system", symlinks=True)
    for unit in UNITS:
        shutil.copy(FOLDER / unit, tmp_path / "usr/lib/systemd/system")
    for program in ("usr/bin/penstock", "bin/kill"):
        (tmp_path / program).parent.mkdir(exist_ok=True, parents=True)
        shutil.copy("/bin/true", tmp_path / program)
    return tmp_path


def verify(root):
    names = [unit.replace("@", "@instance") for unit in UNITS]
    return run("systemd-analyze", "verify", "--man=no", f"--root={root}", "--recursive-errors=no", *names)


def test_systemd_finds_no_fault(root):
    done = verify(root)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("unit", UNITS)
def test_a_planted_fault_is_found(root, unit):
    path = root / "usr/lib/systemd/system" / unit
    path.write_text(path.read_text() + "NoSuchSetting=1\n")
    assert "NoSuchSetting" in verify(root).stderr


def exposure(path):
    return run("systemd-analyze", "security", "--offline=true", "--no-pager", f"--threshold={MOST_EXPOSED}", path)


@pytest.mark.parametrize("unit", SERVICES)
def test_the_exposure_is_small(tmp_path, unit, capsys):
    path = shutil.copy(FOLDER / unit, tmp_path / unit.replace("@", "@instance"))
    done = exposure(path)
    level = re.search(r"Overall exposure level for \S+: ([\d.]+)", done.stdout).group(1)
    with capsys.disabled():
        print(f" exposure of {unit}: {level} ", end="")
    assert done.returncode == 0


def test_a_service_with_less_of_it_is_too_exposed(tmp_path):
    path = tmp_path / "penstock.service"
    text = (FOLDER / "penstock.service").read_text()
    path.write_text("".join(line for line in text.splitlines(True) if not line.startswith(("Protect", "Capability"))))
    assert exposure(path).returncode != 0


def test_an_instance_differs_only_in_its_names():
    def without_names(unit):
        return [(section, key, value.replace("-%i", "").replace("%i", "penstock"))
                for section, key, value in unit_file.read(FOLDER / unit) if key not in ("Description", "Documentation")]

    assert without_names("penstock@.service") == without_names("penstock.service")
    assert unit_file.values(FOLDER / "penstock@.service", "ExecStart") == [
        "/usr/bin/penstock run -c /etc/penstock/%i.yaml"]


def test_the_user_is_one_that_sysusers_makes():
    made = run("systemd-sysusers", "--dry-run", FOLDER / "penstock.sysusers")
    user, = unit_file.values(FOLDER / "penstock.service", "User")
    known = run("id", user).returncode == 0
    assert made.returncode == 0 and (known or f"user '{user}'" in made.stdout + made.stderr)


def test_a_faulty_configuration_is_not_tried_again(tmp_path, penstock):
    stays, = unit_file.values(FOLDER / "penstock.service", "RestartPreventExitStatus")
    (tmp_path / "penstock.yaml").write_text("no_such_key: 1\n")
    assert str(penstock("run", "-c", tmp_path / "penstock.yaml").returncode) in stays.split()
    assert str(penstock("no-such-command").returncode) in stays.split()


def ask(address):
    """The answer's first bytes to a request for a host that the configuration refuses."""
    family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
    with socket.socket(family) as sock:
        sock.settimeout(30)
        sock.connect(address)
        sock.sendall(b"GET http://unknown.test/ HTTP/1.1\r\nHost: unknown.test\r\n\r\n")
        return sock.recv(100)


def test_the_daemon_takes_both_sockets_by_their_one_name(tmp_path):
    name, = unit_file.values(FOLDER / "penstock.socket", "FileDescriptorName")
    addresses = unit_file.values(FOLDER / "penstock.socket", "ListenStream")
    assert f"systemd:{name}" in (FOLDER / "penstock.socket").read_text(), "its comment says how to take it"
    assert [address.startswith("/") for address in addresses] == [True, False]
    path, (port,) = str(tmp_path / "s"), free_ports(1)
    config = tmp_path / "penstock.yaml"
    config.write_text(f"listeners: [{{address: 'systemd:{name}'}}]\nadmin: {{address: off}}\n"
                      "upstreams: [{name: one, hosts: [one.test]}]\n")
    words = ["systemd-socket-activate", "-l", path, "-l", f"127.0.0.1:{port}", f"--fdname={name}:{name}",
             BINARY, "run", "-c", config]
    with started(words, lambda: accepts(path)):
        for address in (path, ("127.0.0.1", port)):
            assert ask(address).startswith(b"HTTP/1.1 403 "), address
