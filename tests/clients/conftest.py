"""Fixtures of the client tests: the integration suite's stack, a work folder, Node's packages."""

import fcntl
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "integration"))

from support import penstock as daemon  # noqa: E402
from support.ca import CertificateAuthority  # noqa: E402
from support.stack import Stack  # noqa: E402

import exercises  # noqa: E402

# Kept from run to run: the registry is asked once for a build folder.
NODE_FOLDER = daemon.TOP / "build/clients-node"


def pytest_configure():
    if not os.access(daemon.BINARY, os.X_OK):
        pytest.exit(f"no binary at {daemon.BINARY}: build it, or set PENSTOCK_BIN", 2)


@pytest.fixture(scope="session")
def ca(tmp_path_factory):
    return CertificateAuthority(tmp_path_factory.mktemp("ca"))


@pytest.fixture
def stack(tmp_path, ca):
    stack = Stack(tmp_path, ca)
    yield stack
    stack.close()


@pytest.fixture
def exercise_origin(stack):
    return stack.origin(exercises.serve)


@pytest.fixture
def exercise_proxy(stack, exercise_origin):
    """Leads to that origin, and for refusing.test to a port where nobody listens."""
    refusing = stack.origin(down=True, names=("refusing.test",))
    return stack.penstock(stack.to(exercise_origin), stack.to(refusing, "refusing.test"))


@pytest.fixture
def exercise_folder(tmp_path):
    """Where a client runs: with upload.bin in it."""
    folder = tmp_path / "scratch"
    folder.mkdir()
    (folder / "upload.bin").write_bytes(exercises.UPLOAD)
    return folder


@pytest.fixture(scope="session")
def node_modules():
    """Where undici, axios and got are; the path of node_modules."""
    if not shutil.which("npm"):
        pytest.skip("npm is not installed")
    NODE_FOLDER.mkdir(parents=True, exist_ok=True)
    with open(NODE_FOLDER / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # the test processes share the folder
        install_node_modules()
    loading = "for (const name of ['undici', 'axios', 'got', 'hpagent']) await import(name)"
    loads = subprocess.run(["node", "--input-type=module", "-e", loading], cwd=NODE_FOLDER, capture_output=True, text=True)
    if loads.returncode != 0:
        pytest.skip("this Node is too old for undici, axios or got: " + loads.stderr.strip()[-300:])
    return str(NODE_FOLDER / "node_modules")


def install_node_modules():
    wanted = (HERE / "package.json").read_text()
    installed = NODE_FOLDER / "package.json"
    if not installed.exists() or installed.read_text() != wanted or not (NODE_FOLDER / "node_modules").exists():
        installed.write_text(wanted)
        done = subprocess.run(["npm", "install", "--no-audit", "--no-fund", "--no-package-lock"], cwd=NODE_FOLDER,
                              capture_output=True, text=True, timeout=120)
        if done.returncode != 0:
            installed.unlink()
            pytest.skip("npm cannot install undici, axios and got: " + done.stderr.strip()[-300:])
