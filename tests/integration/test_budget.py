"""What a small request may cost: instructions of user space and system calls, counted and not timed, so that they repeat
on any machine. A change that passes a budget has to say why; one that gains enough lowers it."""

import os
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "bench"))

import counting  # noqa: E402
from proxies import Penstock  # noqa: E402
from stand import Stand  # noqa: E402
from support.hostile import SANITIZED  # noqa: E402

TOLERANCE = 1.05
INSTRUCTIONS = 30_000
CALLS = 4.0  # two reads and two writes; waits for events are shared by all that has come


@pytest.fixture(scope="module")
def stand(tmp_path_factory):
    stand = Stand(tmp_path_factory.mktemp("stand"))
    yield stand
    stand.close()


@pytest.mark.skipif("PENSTOCK_OPTIMISED" not in os.environ, reason="the budget is a release build's (tests/run.sh says which)")
def test_instructions(stand):
    assert counting.instructions(stand, Penstock) <= INSTRUCTIONS * TOLERANCE


@pytest.mark.skipif(SANITIZED, reason="a sanitizer makes calls of its own")
def test_system_calls(stand):
    calls = counting.system_calls(stand, Penstock)
    assert counting.without_waits(calls) <= CALLS * TOLERANCE, calls
