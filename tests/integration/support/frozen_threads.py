"""Stops some threads of a process of ours and lets the others run, as ptrace can."""

import ctypes
import os
from contextlib import contextmanager
from pathlib import Path

from .waiting import wait_until

PTRACE_DETACH, PTRACE_SEIZE, PTRACE_INTERRUPT = 17, 0x4206, 0x4207
WALL = 0x40000000
libc = ctypes.CDLL(None, use_errno=True)
libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]


def ptrace(request, thread):
    if libc.ptrace(request, thread, None, None) == -1:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def other_threads(pid):
    """All threads but the main one."""
    return [int(task.name) for task in Path(f"/proc/{pid}/task").iterdir() if int(task.name) != pid]


def is_asleep(thread):
    return Path(f"/proc/{thread}/stat").read_text().rpartition(")")[2].split()[0] == "S"


@contextmanager
def frozen(threads):
    """They stand still inside the with block. Enter and leave it on one thread: the kernel asks so."""
    # Who has something to do may hold a lock, which then those who run would wait for.
    wait_until(lambda: all(map(is_asleep, threads)), "all of them wait for something to do")
    seized = []
    try:
        for thread in threads:
            ptrace(PTRACE_SEIZE, thread)
            seized.append(thread)
            ptrace(PTRACE_INTERRUPT, thread)
            os.waitpid(thread, WALL)
        yield
    finally:
        for thread in seized:
            ptrace(PTRACE_DETACH, thread)
