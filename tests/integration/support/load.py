"""A concurrent keep-alive client: many connections on one event loop, each asking one after another."""

import asyncio
import time
from dataclasses import dataclass, field


@dataclass
class Outcome:
    statuses: dict = field(default_factory=dict)
    errors: list = field(default_factory=list)
    in_flight: int = 0
    peak: int = 0        # most requests in flight at once
    seconds: float = 0.0


class _Asker(asyncio.Protocol):
    """One connection. Responses are known to carry a Content-Length or chunks of a known end."""

    def __init__(self, outcome, request, todo, done):
        self._outcome, self._request, self._todo, self._done = outcome, request, todo, done
        self._buffer = bytearray()

    def connection_made(self, transport):
        self._transport = transport
        self._ask()

    def _ask(self):
        if not self._todo:
            self._transport.close()
            self._finish()
            return
        self._todo.pop()
        self._outcome.in_flight += 1
        self._outcome.peak = max(self._outcome.peak, self._outcome.in_flight)
        self._transport.write(self._request)

    def data_received(self, data):
        self._buffer += data
        status = complete(self._buffer)
        if status:
            self._outcome.in_flight -= 1
            self._outcome.statuses[status] = self._outcome.statuses.get(status, 0) + 1
            self._buffer.clear()
            self._ask()

    def connection_lost(self, fault):
        if not self._done.done():
            self._outcome.in_flight -= 1
            self._outcome.errors.append(f"connection lost: {fault}, had {bytes(self._buffer[:80])!r}")
            self._finish()

    def _finish(self):
        if not self._done.done():
            self._done.set_result(None)


def complete(buffer):
    """The status, once the one response in the buffer is whole."""
    end = buffer.find(b"\r\n\r\n")
    if end < 0:
        return None
    head = bytes(buffer[:end]).lower()
    if b"transfer-encoding: chunked" in head:
        return int(head[9:12]) if buffer.endswith(b"0\r\n\r\n") else None
    at = head.index(b"content-length: ") + 16
    length = int(head[at:].split(b"\r\n", 1)[0])
    return int(head[9:12]) if len(buffer) - end - 4 == length else None


async def _load(port, request, count, clients, outcome):
    loop = asyncio.get_running_loop()
    todo, ends = [None] * count, []
    for _ in range(clients):
        end = loop.create_future()
        ends.append(end)
        await loop.create_connection(lambda end=end: _Asker(outcome, request, todo, end), "127.0.0.1", port)
    await asyncio.wait_for(asyncio.gather(*ends), 240)


def load(port, url, count, clients):
    """`count` GETs of a URL through the proxy on `port`, `clients` at once."""
    host = url.split("/")[2]
    request = f"GET {url} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()
    outcome, begun = Outcome(), time.monotonic()
    asyncio.run(_load(port, request, count, clients, outcome))
    outcome.seconds = time.monotonic() - begun
    return outcome
