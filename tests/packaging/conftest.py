"""Tests of what is shipped around the binary: units, manifests, configurations for containers.
They need the [packaging] packages of deploy/packages.txt and the binary ($PENSTOCK_BIN)."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

TOP = Path(__file__).resolve().parents[2]
BINARY = os.environ.get("PENSTOCK_BIN") or str(TOP / "build/release/penstock")
TIMEOUT_SECONDS = 60

sys.path.insert(0, str(TOP / "tests/integration"))  # for its support.ports


def run(*words, **options):
    return subprocess.run([str(word) for word in words], capture_output=True, text=True, timeout=TIMEOUT_SECONDS, **options)


@pytest.fixture
def penstock():
    """Runs the binary with these arguments; the result has returncode, stdout and stderr."""
    environment = {key: value for key, value in os.environ.items() if key != "PENSTOCK_CONFIG"}
    return lambda *arguments: run(BINARY, *arguments, env=environment)
