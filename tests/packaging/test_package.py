"""The Debian package, made by deploy/deb.sh from the build that is tested: twice the same bytes, no word from
lintian, each file where it belongs. How it installs, upgrades and goes is tried by nspawn.sh."""

import hashlib
import os
import re
from pathlib import Path

import pytest

from conftest import BINARY, TOP, run

CHANGELOG = TOP / "deploy/debian/changelog"
FILES = {
    "etc/logrotate.d/penstock", "etc/penstock/penstock.yaml", "lib/systemd/system/penstock.service",
    "lib/systemd/system/penstock.socket", "lib/systemd/system/penstock@.service", "usr/bin/penstock", "usr/lib/sysusers.d/penstock.conf",
    "usr/share/bash-completion/completions/penstock", "usr/share/zsh/vendor-completions/_penstock",
    "usr/share/lintian/overrides/penstock", "usr/share/man/man5/penstock.yaml.5.gz", "usr/share/man/man8/penstock.8.gz",
} | {f"usr/share/doc/penstock/{name}" for name in (
    "README.md", "changelog.Debian.gz", "changelog.gz", "copyright", "minimal.yaml",
    *(path.name for pattern in ("config/*.schema.json", "deploy/*.openapi.yaml") for path in TOP.glob(pattern)),
    *(f"examples/{path.name}" for pattern in ("prometheus/*.rules.yaml", "grafana/*.json")
      for path in (TOP / "deploy").glob(pattern)))}


def make():
    """The package's path."""
    done = run(TOP / "deploy/deb.sh", "--build-dir", Path(BINARY).resolve().parent, env=os.environ)
    assert done.returncode == 0, done.stderr
    return Path(done.stdout.strip())


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture(scope="module")
def package():
    return make()


def field(package, name):
    return run("dpkg-deb", "--field", package, name).stdout.strip()


def test_the_same_sources_give_the_same_bytes(package):
    before = digest(package)
    assert digest(make()) == before


def test_lintian_says_nothing(package, capsys):
    words = ("--display-info", "--fail-on=error,warning,info", "--allow-root", "--no-cfg")
    done = run("lintian", *words, package)
    assert (done.returncode, done.stdout) == (0, "")
    with capsys.disabled():
        print(f" {package.stat().st_size / 1024:.0f} KiB ", end="")


def test_it_has_these_files_of_root_in_the_clear(package):
    lines = run("dpkg-deb", "--contents", package).stdout.splitlines()
    modes = {line.split()[5].removeprefix("./"): line.split()[:2] for line in lines if not line.endswith("/")}
    assert set(modes) == FILES
    assert {owner for _, owner in modes.values()} == {"root/root"}
    assert {name for name, (mode, _) in modes.items() if mode != "-rw-r--r--"} == {"usr/bin/penstock"}


def test_the_configuration_is_the_administrators(package):
    conffiles = run("dpkg-deb", "--info", package, "conffiles").stdout.split()
    assert set(conffiles) == {"/" + name for name in FILES if name.startswith("etc/")}


def test_its_version_is_that_of_the_changelog_and_of_the_program(package, penstock):
    version = run("dpkg-parsechangelog", "-l", CHANGELOG, "-S", "Version").stdout.strip()
    assert field(package, "Version") == version
    assert penstock("--version").stdout.split()[1] == version.split("-")[0]


def test_it_depends_on_what_the_image_installs(package):
    """The image's list is written by hand, the package's is found by dpkg-shlibdeps."""
    section = re.search(r"^\[runtime\]\n(.*?)^$", (TOP / "deploy/packages.txt").read_text(), re.DOTALL | re.MULTILINE)
    depends = set(re.findall(r"(?:^|, )([\w.+-]+?)(?=[ ,]|$)", field(package, "Depends")))
    assert depends - {"libc6", "libgcc-s1", "procps", "systemd"} == set(section.group(1).split())


def test_the_program_is_hardened_and_says_nothing_of_where_it_was_built(package, tmp_path):
    run("dpkg-deb", "--extract", package, tmp_path)
    program = tmp_path / "usr/bin/penstock"
    of_program = run("readelf", "--file-header", "--program-headers", "--dynamic", "--dyn-syms", "--wide", program).stdout
    for sign in ("DYN (Position-Independent", "GNU_RELRO", "BIND_NOW", "__stack_chk_fail", "_chk@GLIBC"):
        assert sign in of_program
    assert re.search(r"GNU_STACK .* RW ", of_program)
    assert str(TOP).encode() not in program.read_bytes()


def test_it_is_made_only_where_cmake_has_built(tmp_path):
    done = run(TOP / "deploy/deb.sh", "--build-dir", tmp_path)
    assert done.returncode == 64 and "--build-dir" in done.stderr and not list(tmp_path.iterdir())


def test_the_units_say_where_to_read_on():
    for unit in ("penstock.service", "penstock@.service", "penstock.socket"):
        assert "Documentation=man:penstock(8)" in (TOP / "systemd" / unit).read_text()
