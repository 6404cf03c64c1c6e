"""A place that nobody can connect to: a listening socket whose queue is full."""

import socket


class FullBacklog:
    """The kernel drops every further SYN until the queue is drained."""

    tls = False

    def __init__(self):
        self.listener = socket.socket()
        self.listener.bind(("127.0.0.1", 0))
        self.listener.listen(0)
        self.port = self.listener.getsockname()[1]
        self.fillers = []
        while self._one_more():
            pass

    def _one_more(self):
        filler = socket.socket()
        filler.settimeout(0.2)
        self.fillers.append(filler)
        try:
            filler.connect(("127.0.0.1", self.port))
            return True
        except TimeoutError:
            return False

    def close(self):
        for sock in [self.listener, *self.fillers]:
            sock.close()
