"""Clients that ask without a pause: some keep their connection as long as they are let, some make a new one for each
request. They honour `Connection: close` and try nothing twice, so whatever goes wrong is counted."""

import threading
import time

from .client import Client
from .http1 import Truncated
from .waiting import wait_until

# A daemon that drains gives each client half a second for one request more (README, "A drain").
RESTED_SECONDS = 0.4


class SteadyLoad:
    def __init__(self, where, url="http://api.test/", kept=8, fresh=8):
        """`where`: a port or the path of a unix socket. A client ends when it finds nobody there, or at the end."""
        self.where, self.url = where, url
        self.served = 0
        self.refused = 0
        self.faults = []
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(i < kept,)) for i in range(kept + fresh)]

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.end()

    def end(self):
        """No further requests; returns when those under way are over."""
        self._over.set()
        self.wait()

    def wait(self):
        for thread in self._threads:
            thread.join()

    def wait_for(self, more):
        """Until so many requests more were served, or something went wrong."""
        wanted = self.served + more
        wait_until(lambda: self.served >= wanted or self.faults or self.refused, f"{more} requests more are served", 60)

    def _run(self, keeps):
        client = None
        try:
            while not self._over.is_set():
                client = client or self._connect()
                response = self._ask(client)
                if response is not None:
                    assert response.status == 200, f"{response.status} {response.text[:200]}"
                    with self._lock:
                        self.served += 1
                if response is None or not keeps or response.get("connection") == "close":
                    client.close()
                    client = None
        except (ConnectionRefusedError, FileNotFoundError):
            with self._lock:
                self.refused += 1
        except BaseException as fault:
            with self._lock:
                self.faults.append(f"{'kept' if keeps else 'fresh'}: {fault!r}")
        finally:
            if client:
                client.close()

    def _connect(self):
        begun = time.monotonic()
        client = Client(self.where)
        client.asked = begun
        return client

    def _ask(self, client):
        """None where the machine kept us from asking for so long that a drain may have ended the connection meanwhile."""
        before, sent = client.asked, None
        try:
            client.asked = time.monotonic()
            client.request(self.url)
            sent = time.monotonic()
            return client.response()
        except (Truncated, ConnectionError):
            if (sent or time.monotonic()) - before < RESTED_SECONDS:
                raise
            return None
