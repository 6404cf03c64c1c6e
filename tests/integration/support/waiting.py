"""Waiting for conditions, and the one place that knows how slow this build is allowed to be."""

import os
import threading
import time

# Sanitized builds are slower: upper bounds of timing assertions are multiplied, lower ones never.
TIME_FACTOR = float(os.environ.get("PENSTOCK_TIME_FACTOR", "1"))

# How long any process may stand still on a busy machine before a test calls something late.
SLACK_SECONDS = 2.5

_never = threading.Event()


def pause(seconds):
    """Lets time pass, where time itself is what a test is about."""
    _never.wait(seconds)


def wait_until(condition, what, seconds=10.0):
    """Polls until `condition()` is true and returns its value; fails with `what` after `seconds`."""
    deadline = time.monotonic() + seconds * TIME_FACTOR
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {seconds * TIME_FACTOR:g} s in vain: {what}")
        pause(0.01)


def slack(seconds=SLACK_SECONDS):
    """How much later than its limit an event may come."""
    return seconds * TIME_FACTOR
