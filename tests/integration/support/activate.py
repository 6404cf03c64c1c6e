"""Starts a program as systemd does for a .socket unit: listening sockets from descriptor 3 on, named.

    activate.py NAME=ADDRESS... -- PROGRAM ARGUMENT...

ADDRESS is a path, PORT or IP:PORT, or fd:NUMBER for a socket that is inherited; the process id stays, as LISTEN_PID must name it."""

import os
import socket
import sys

FIRST = 3


def listen(address):
    if address.startswith("fd:"):
        return int(address[3:])
    if address.startswith("/"):
        sock = socket.socket(socket.AF_UNIX)
        sock.bind(address)
    else:
        ip, _, port = address.rpartition(":")
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((ip or "127.0.0.1", int(port)))
    sock.listen(128)
    return sock.detach()


def main(arguments):
    end = arguments.index("--")
    named = [word.split("=", 1) for word in arguments[:end]]
    # First above the numbers they will have, so that none is in another's way.
    high = [os.dup2(listen(address), 100 + i) for i, (_, address) in enumerate(named)]
    for i, fd in enumerate(high):
        os.dup2(fd, FIRST + i, inheritable=True)
        os.close(fd)
    environment = {**os.environ, "LISTEN_PID": str(os.getpid()), "LISTEN_FDS": str(len(named)),
                   "LISTEN_FDNAMES": ":".join(name for name, _ in named)}
    os.execve(arguments[end + 1], arguments[end + 1:], environment)


if __name__ == "__main__":
    main(sys.argv[1:])
