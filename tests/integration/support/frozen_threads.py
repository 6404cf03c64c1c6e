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


def place(thread):
    """Where it is: the system call that it waits in, with its arguments and its stack. For who runs the kernel says only that."""
    return Path(f"/proc/{thread}/syscall").read_text()


def stop_where_they_wait(threads):
    """False, and they run on, when one of them was woken before it was stopped."""
    wait_until(lambda: all(map(is_asleep, threads)), "all of them wait for something to do")
    places = [place(thread) for thread in threads]
    seized, done = [], False
    try:
        for thread in threads:
            ptrace(PTRACE_SEIZE, thread)
            seized.append(thread)
            ptrace(PTRACE_INTERRUPT, thread)
            os.waitpid(thread, WALL)
        done = [place(thread) for thread in threads] == places
        return done
    finally:
        if not done:
            resume(seized)


def resume(threads):
    for thread in threads:
        ptrace(PTRACE_DETACH, thread)


@contextmanager
def frozen(threads):
    """They stand still inside the with block. Enter and leave it on one thread: the kernel asks so."""
    # Who has something to do may hold a lock, which then those who run would wait for.
    wait_until(lambda: stop_where_they_wait(threads), "they are stopped while they wait")
    try:
        yield
    finally:
        resume(threads)
