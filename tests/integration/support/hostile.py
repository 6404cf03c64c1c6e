"""What tests with hostile peers share: somebody else who is served meanwhile, and the size of the process."""

import threading
import time

from .waiting import TIME_FACTOR, pause, wait_until

MIB = 1 << 20
# A sanitizer's allocator keeps what was freed, so there the process's size says nothing.
SANITIZED = TIME_FACTOR > 1


class Watch:
    """As long as the with block lasts, clients of other connections ask one after another (several, so that each worker
    has one), and the largest size of the process is noted. Afterwards `check` says what became of both."""

    def __init__(self, proxy, url, clients=3):
        self.proxy, self._url = proxy, url
        self.seconds, self.statuses, self._faults = [], set(), []
        self._clients = [proxy.client() for _ in range(clients)]
        for client in self._clients:
            assert client.fetch(url).status == 200
        self.before = self.peak = proxy.rss_bytes
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._ask, args=(client,)) for client in self._clients]
        self._threads.append(threading.Thread(target=self._look))

    def _ask(self, client):
        try:
            while not self._over.is_set():
                begun = time.monotonic()
                self.statuses.add(client.fetch(self._url).status)
                self.seconds.append(time.monotonic() - begun)
                pause(0.01)
        except Exception as fault:  # told by check(), on the test's own thread
            self._faults.append(fault)

    def _look(self):
        while not self._over.wait(0.05):
            self.peak = max(self.peak, self.proxy.rss_bytes)

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, fault, *_):
        if fault is None:  # a short attack: enough of them to say something
            wait_until(lambda: self._faults or len(self.seconds) >= 20, "the others are served", 30)
        self._over.set()
        for thread in self._threads:
            thread.join()
        self.peak = max(self.peak, self.proxy.rss_bytes)
        for client in self._clients:
            client.close()

    @property
    def growth(self):
        return self.peak - self.before

    def _quantile(self, share):
        return sorted(self.seconds)[int(len(self.seconds) * share)]

    def check(self, report, grows=16 * MIB):
        """The others were all served, half of them soon and 99 of 100 before long (the bounds are wide: all of a test's
        peers share one interpreter), and the process grew by less than `grows`."""
        p50, p99 = self._quantile(0.5), self._quantile(0.99)
        report("others: requests, p50 ms, p99 ms; growth KiB",
               (len(self.seconds), round(p50 * 1e3, 1), round(p99 * 1e3, 1), self.growth >> 10))
        assert not self._faults, self._faults
        assert self.statuses == {200}
        assert p50 < 0.5 * TIME_FACTOR and p99 < 3 * TIME_FACTOR
        assert SANITIZED or self.growth < grows


def at_ease(proxy):
    """Nothing is held for anybody: no client but ours, no busy connection."""
    counts = [host["connections"] for host in proxy.pools()]
    busy = sum(count[kind] for count in counts for kind in ("dialing", "busy", "draining", "upgraded"))
    return busy == 0 and proxy.metrics("penstock_client_connections") == 0
