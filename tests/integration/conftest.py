"""Fixtures of the integration tests: the real binary between real clients and real or scripted origins."""

import os
import shutil
import sys
import tempfile
from pathlib import Path

import pytest

from support import penstock as daemon
from support.ca import CertificateAuthority
from support.stack import Stack


def pytest_addoption(parser):
    parser.addoption("--report", default=os.environ.get("PENSTOCK_REPORT"), help="append measured figures to this file")


def pytest_collection_modifyitems(items):
    """Tests of the harness alone need no binary; all others fail early and clearly without one."""
    needs_binary = any(Path(item.fspath).name != "test_harness.py" for item in items)
    if needs_binary and not os.access(daemon.BINARY, os.X_OK):
        pytest.exit(f"no binary at {daemon.BINARY}: build it, or set PENSTOCK_BIN", 2)


@pytest.fixture(scope="session")
def ca(tmp_path_factory):
    return CertificateAuthority(tmp_path_factory.mktemp("ca"))


@pytest.fixture
def short_folder():
    """A folder whose path leaves room for the name of a unix socket."""
    path = Path(tempfile.mkdtemp(prefix="penstock-"))
    yield path
    shutil.rmtree(path)


@pytest.fixture
def stack(tmp_path, ca):
    stack = Stack(tmp_path, ca)
    yield stack
    stack.close()


@pytest.fixture(scope="module")
def shared(tmp_path_factory, ca):
    """A stack that all tests of a module share: for tables of cases that do not disturb each other."""
    stack = Stack(tmp_path_factory.mktemp("shared"), ca)
    yield stack
    stack.close()


@pytest.fixture
def report(request):
    """report("what", value): printed (-s shows it) and appended to the --report file."""
    path = request.config.getoption("--report")

    def tell(what, value):
        line = f"{request.node.name}: {what}: {value}\n"
        sys.stdout.write(line)
        if path:
            with open(path, "a") as out:
                out.write(line)

    return tell
