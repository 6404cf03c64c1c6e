"""Requests for host after host, each another name, all of one plaintext origin: what a forward proxy meets."""

import asyncio

CLIENTS = 16


async def answer(reader, writer):
    try:
        while await reader.readuntil(b"\r\n\r\n"):
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    writer.close()


class EndlessNames:
    """As an asynchronous context: the origin at `port`, and clients that ask for names."""

    async def __aenter__(self):
        self.server = await asyncio.start_server(answer, "127.0.0.1", 0, backlog=1024)
        self.port = self.server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_):
        self.server.close()

    @property
    def upstream(self):
        return {"name": "any", "hosts": ["*.test"], "scheme": "http", "connect_to": f"127.0.0.1:{self.port}"}

    async def visit(self, port, first, count):
        """Asks the proxy at `port` for so many new names; how many were not answered with 200."""
        each = [self._ask(port, range(first + i, first + count, CLIENTS)) for i in range(CLIENTS)]
        return sum(await asyncio.gather(*each))

    async def _ask(self, port, numbers):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        failed = 0
        for number in numbers:
            writer.write(b"GET http://h%d.test/ HTTP/1.1\r\nHost: h%d.test\r\n\r\n" % (number, number))
            head = await reader.readuntil(b"\r\n\r\n")
            await reader.readexactly(2)
            failed += not head.startswith(b"HTTP/1.1 200")
        writer.close()
        return failed
