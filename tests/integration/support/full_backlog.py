"""A place that nobody can connect to: a listening socket whose queue is full."""

import socket
import struct

from .waiting import wait_until

QUEUE_IN_TCP_INFO = 24  # of a listener: how many wait there, and the backlog


class FullBacklog:
    """The kernel drops every further SYN until the queue is drained."""

    tls = False

    def __init__(self):
        self.listener = socket.socket()
        self.listener.bind(("127.0.0.1", 0))
        self.listener.listen(0)
        self.port = self.listener.getsockname()[1]
        self.fillers = [socket.create_connection(("127.0.0.1", self.port))]
        wait_until(self._is_full, "the queue is full")

    def _is_full(self):
        info = self.listener.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 104)
        queued, backlog = struct.unpack_from("II", info, QUEUE_IN_TCP_INFO)
        return queued > backlog

    def close(self):
        for sock in [self.listener, *self.fillers]:
            sock.close()
