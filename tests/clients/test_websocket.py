"""100 MB of WebSocket echo through the proxy, by a real client and a real TLS server: every byte comes back.

aiohttp asks for the upgrade as a proxy request, as an app with an http:// URL does.
"""

import asyncio
import hashlib
import os
import threading

import pytest

aiohttp = pytest.importorskip("aiohttp")
from aiohttp import web  # noqa: E402

from support.scripted_origin import server_context  # noqa: E402
from support.waiting import wait_until  # noqa: E402

MESSAGE, COUNT = 1024 * 1024, 100


class EchoServer:
    """A WebSocket echo on 127.0.0.1 with TLS, on a thread of its own."""

    tls = True

    def __init__(self, certificate):
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._runner, self.port = self._call(self._start(server_context(certificate)))

    def _call(self, coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(30)

    async def _start(self, context):
        app = web.Application()
        app.router.add_get("/echo", self._echo)
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context)
        await site.start()
        return runner, site._server.sockets[0].getsockname()[1]

    @staticmethod
    async def _echo(request):
        socket = web.WebSocketResponse(max_msg_size=2 * MESSAGE, compress=False)
        await socket.prepare(request)
        async for message in socket:
            await socket.send_bytes(message.data)
        return socket

    def stop(self):
        self._call(self._runner.cleanup())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(30)


@pytest.fixture
def echo_server(ca):
    server = EchoServer(ca.issue("api.test"))
    yield server
    server.stop()


async def echo_all(port):
    """Sends COUNT random messages while it takes them back; the two hashes."""
    sent, received = hashlib.sha256(), hashlib.sha256()
    timeout = aiohttp.ClientTimeout(total=120)
    async with aiohttp.ClientSession(timeout=timeout) as session:
        async with session.ws_connect("http://api.test/echo", proxy=f"http://127.0.0.1:{port}",
                                      max_msg_size=2 * MESSAGE) as socket:
            async def send():
                for _ in range(COUNT):
                    message = os.urandom(MESSAGE)
                    sent.update(message)
                    await socket.send_bytes(message)

            sending = asyncio.ensure_future(send())
            for _ in range(COUNT):
                received.update(await socket.receive_bytes(timeout=60))
            await sending
    return sent.hexdigest(), received.hexdigest()


def test_100_megabytes_of_websocket_echo(stack, echo_server):
    proxy = stack.penstock(stack.to(echo_server))
    sent, received = asyncio.run(echo_all(proxy.port))
    print(f"sha256 sent     {sent}\nsha256 received {received}")
    assert sent == received
    line = proxy.wait_for_log()
    assert line["status"] == 101 and line["form"] == "absolute"
    assert min(line["request_bytes"], line["response_bytes"]) > COUNT * MESSAGE
    wait_until(lambda: proxy.pools()[0]["connections"]["upgraded"] == 0, "the permit is back")
