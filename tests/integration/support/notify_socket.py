"""A service manager's side of $NOTIFY_SOCKET: keeps what the daemon tells, in its order."""

import os
import socket
import threading
import uuid
from contextlib import contextmanager

from .waiting import wait_until


class NotifySocket:
    def __init__(self):
        self.address = f"@penstock-test-{uuid.uuid4()}"  # an abstract name: no path to be too long
        self._sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self._sock.bind("\0" + self.address[1:])
        self.messages = []

    def close(self):
        self._sock.close()

    def fill(self):
        """Leaves no room for another message until read() makes some."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as sock:
            try:
                while True:
                    sock.sendto(b"FILLED=1", "\0" + self.address[1:])
            except BlockingIOError:
                pass

    def command(self, **variables):
        """What to put before the daemon's command line so that it tells us."""
        variables = {"NOTIFY_SOCKET": self.address, **variables}
        return ["env", *(f"{key}={value}" for key, value in variables.items())]

    def environment(self):
        return {**os.environ, "NOTIFY_SOCKET": self.address}

    def read(self):
        """All messages so far, each a dict; what a later call returns begins with these."""
        while True:
            try:
                text = self._sock.recv(1 << 16).decode()
            except BlockingIOError:
                return self.messages
            self.messages.append(dict(line.split("=", 1) for line in text.splitlines()))

    @contextmanager
    def reading(self):
        """Inside the with block all that comes is read at once, as a service manager does."""
        over = threading.Event()

        def read():
            while not over.wait(0.01):
                self.read()

        reader = threading.Thread(target=read)
        reader.start()
        try:
            yield
        finally:
            over.set()
            reader.join()

    def count(self, key):
        return sum(key in message for message in self.read())

    def wait_for(self, key, after=0, seconds=10, value=None):
        """(index, message) of the first one past the `after`th that carries the key (and the value)."""
        def find():
            for index, message in enumerate(self.read()):
                if index >= after and key in message and value in (None, message[key]):
                    return index, message
            return None

        return wait_until(find, f"{key} is told; there is {self.messages[-5:]}", seconds)

    def wait_for_status(self, text, seconds=30):
        return wait_until(lambda: next((m["STATUS"] for m in self.read() if text in m.get("STATUS", "")), None),
                          f"a status with {text!r}; there is {self.messages[-5:]}", seconds)
