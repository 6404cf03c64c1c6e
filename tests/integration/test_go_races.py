"""Races, after those of Go's tests: many clients, two workers, a few seconds each, and every outcome is a clean one.

A request has one line in the log and one end; a response is the one to its own request; afterwards nothing is counted
as busy or waiting, and the same pool serves whoever comes.
"""

import random
import threading

import pytest

from support.client import Client
from support.http1 import Truncated
from support.parallel import again_and_again, in_parallel
from support.scripted_origin import answering
from support.waiting import wait_until

SECONDS = 2.5


def settled(proxy):
    """Nothing is under way any more; returns what /pools says."""
    return wait_until(lambda: (hosts := proxy.pools()) and hosts[0]["waiting"] == 0 and hosts[0]["connections"]["idle"]
                      == sum(hosts[0]["connections"].values()) and hosts[0], "nothing is busy, dialling or draining", 20)


def name_back(connection, request):
    connection.reply(request.target.encode() + b" " + request.body)


def ask(client, i, turn, method="GET"):
    """One request whose answer nobody else's can be."""
    body = b"%d-%d" % (i, turn) * (1 + turn % 50) if method != "GET" else None
    response = client.fetch(f"http://api.test/{i}/{turn}", method, body=body)
    assert response.status == 200, (response.status, response.text)
    assert response.body == b"/%d/%d %s" % (i, turn, body or b"")


@pytest.mark.parametrize("policy", [{}, {"max_connections": 8}, {"max_connections": 8, "max_idle": 2}],
                         ids=["no cap", "cap", "cap and few idle"])
def test_many_clients_share_one_pool(stack, report, policy):
    """Go: TestTransportConcurrency."""
    origin = stack.origin(answering(name_back), tls=False)
    proxy = stack.penstock(stack.to(origin, pool=policy, timeouts={"queue": "30s"}), workers=2)
    clients = [proxy.client() for _ in range(32)]
    turns = again_and_again(32, SECONDS, lambda i, turn: ask(clients[i], i, turn, "PUT" if turn % 3 else "GET"))
    report("requests", turns)
    assert turns >= 200 and not origin.faults
    assert origin.peak <= policy.get("max_connections", 32)
    told = settled(proxy)
    assert sum(told["acquires"].values()) == turns and told["connections"]["idle"] <= policy.get("max_idle", 32)
    assert len(origin.requests) == turns, "each request was sent once"


def test_a_server_that_closes_at_random_makes_nobody_hang_or_fail(stack, report):
    """Go: TestStressSurpriseServerCloses. There some requests may fail; here a GET that met a dead connection is tried
    again, and a new connection does answer."""
    def serve(connection):
        chance = random.Random(connection.number)
        while request := connection.read_request():
            name_back(connection, request)
            if chance.random() < 0.2:
                getattr(connection, chance.choice(["close", "finish", "reset"]))()
                return

    origin = stack.origin(serve, tls=False)
    proxy = stack.penstock(stack.to(origin, retry={"attempts": 10, "budget": {"ratio": 1, "min_per_second": 100000}}),
                           workers=2)
    clients = [proxy.client() for _ in range(24)]
    turns = again_and_again(24, SECONDS, lambda i, turn: ask(clients[i], i, turn))
    report("requests, connections", (turns, origin.accepted))
    assert turns >= 200 and origin.accepted > 24 and not origin.faults
    settled(proxy)


class Crowd:
    """Clients of which each leaves at a moment of its own, beside others that stay and must be served right."""

    def __init__(self, proxy, leavers=12, stayers=6):
        self.proxy = proxy
        self.leavers = leavers
        self.count = 0
        self._lock = threading.Lock()
        self._stay = [proxy.client() for _ in range(stayers)]

    def run(self, seconds, leave):
        def work(i, turn):
            if i < self.leavers:
                with self._lock:
                    self.count += 1
                leave(random.Random(i * 100_000 + turn), f"/leaves/{i}/{turn}")
            else:
                ask(self._stay[i - self.leavers], i, turn)

        return again_and_again(self.leavers + len(self._stay), seconds, work)

    def assert_each_ended_once(self):
        lines = self.proxy.wait_for_log(lambda line: line["path"].startswith("/leaves"), self.count, 20)
        assert len({line["path"] for line in lines}) == len(self.proxy_lines()) == self.count
        outcomes = {(line["status"], line.get("error")) for line in lines}
        assert outcomes <= {(200, None), (499, "client_aborted"), (200, "client_aborted")}, outcomes
        return outcomes

    def proxy_lines(self):
        return [line for line in self.proxy.log_lines() if line["path"].startswith("/leaves")]


def leaves_after(proxy, wait):
    """A client that asks, waits for so long as `wait` says, and is gone, now and then by a reset."""
    def leave(chance, path):
        with Client(proxy.port) as client:
            client.request(f"http://api.test{path}")
            wait(chance, client)

    return leave


def a_moment(chance, client):
    threading.Event().wait(chance.random() * 0.006)


def test_a_client_that_leaves_as_its_response_comes(stack, report):
    """Go: TestTransportResponseCancelRace, TestCancelRequestWhenSharingConnection. The next user of the connection never
    gets the other's answer, nor its cancel."""
    def answer(connection, request):
        connection.pause(0.002)
        name_back(connection, request)

    origin = stack.origin(answering(answer), tls=False)
    proxy = stack.penstock(stack.to(origin, pool={"max_connections": 4}, timeouts={"queue": "30s"}), workers=2)
    crowd = Crowd(proxy)
    turns = crowd.run(SECONDS, leaves_after(proxy, a_moment))
    settled(proxy)
    report("requests, outcomes of those who left", (turns, sorted(map(str, crowd.assert_each_ended_once()))))
    assert turns >= 200 and origin.peak <= 4 and not origin.faults


def test_a_client_that_leaves_as_its_dial_ends(stack, report):
    """Go: TestTransportDialCancelRace, TestCancelRequestWithChannelBeforeDo_Cancel: some of them leave at once."""
    origin = stack.origin(answering(name_back))
    patient = {"queue": "30s", "tls_handshake": "30s"}
    proxy = stack.penstock(stack.to(origin, pool={"max_idle": 0}, timeouts=patient), workers=2)
    crowd = Crowd(proxy, stayers=2)
    turns = crowd.run(SECONDS, leaves_after(proxy, a_moment))
    settled(proxy)
    report("requests, outcomes of those who left", (turns, sorted(map(str, crowd.assert_each_ended_once()))))
    assert turns >= 100 and not origin.faults


def test_a_client_that_leaves_in_the_middle_of_its_upload(stack, report):
    """Go: TestErrorWriteLoopRace, TestHandlerAbortRacesBodyRead. Half an upload is never somebody else's request."""
    def serve(connection):
        chance = random.Random(connection.number)
        while head := connection.read_head():
            if head.method == "POST" and chance.random() < 0.5:
                connection.reset()
                return
            connection.reader.request_body(head)
            name_back(connection, head)

    origin = stack.origin(serve, tls=False)
    proxy = stack.penstock(stack.to(origin, pool={"max_connections": 6}, timeouts={"queue": "30s"},
                                    retry={"attempts": 10, "budget": {"ratio": 1, "min_per_second": 100000}}), workers=2)

    def half_an_upload(chance, path):
        with Client(proxy.port) as client:
            try:
                client.send(f"POST http://api.test{path} HTTP/1.1\r\nHost: api.test\r\nContent-Length: 200000\r\n\r\n")
                client.send(bytes(chance.randrange(1, 50_000)))  # that much is read while it waits, so its leaving is seen
                a_moment(chance, client)
            except (ConnectionResetError, BrokenPipeError):
                pass  # the answer came first, and the proxy has closed

    crowd = Crowd(proxy)
    turns = crowd.run(SECONDS, half_an_upload)
    settled(proxy)
    report("requests", turns)
    assert turns >= 200 and origin.peak <= 6 and not origin.faults
    posts = [request for request in origin.requests if request.method == "POST"]
    assert posts and not any(request.body for request in posts), "no upload was completed"


def test_idle_connections_closed_by_hand_while_responses_come(stack, report):
    """Go: TestTransportIdleConnCrash."""
    origin = stack.origin(answering(name_back), tls=False)
    proxy = stack.penstock(stack.to(origin), workers=2)
    clients = [proxy.client() for _ in range(16)]
    closed = []

    def work(i, turn):
        if i < 16:
            ask(clients[i], i, turn, "PUT" if turn % 2 else "GET")
        else:
            closed.append(proxy.admin("/pools/api/close-idle", "POST", {"Penstock-Admin": "1"})[0])

    turns = again_and_again(17, SECONDS, work)
    report("requests, closes by hand, connections", (turns, len(closed), origin.accepted))
    assert set(closed) == {200} and len(closed) >= 20 and turns >= 200
    assert settled(proxy)["opened"] == origin.accepted and not origin.faults


def test_a_timeout_as_the_answer_comes(stack, report):
    """Go: TestClientTimeoutKillsConn_BeforeHeaders, as a race: the limit and the answer meet, and whichever is first,
    the next answer on the connection is the next request's."""
    def answer(connection, request):
        if request.target.startswith("/late"):
            limit = int(request.target.rpartition("/")[2])
            connection.pause(random.random() * 2 * limit / 1000)
        name_back(connection, request)

    origin = stack.origin(answering(answer), tls=False)
    proxy = stack.penstock(stack.to(origin, pool={"max_connections": 8}, timeouts={"queue": "30s"}), workers=2)
    clients = [proxy.client() for _ in range(16)]
    seen = set()

    def work(i, turn):
        if turn % 2:
            ask(clients[i], i, turn)
            return
        limit = (10, 20, 20, 20, 200)[turn // 2 % 5]  # ms; the last one is for slow machines
        path = f"/late/{i}/{turn}/{limit}"
        response = clients[i].fetch(f"http://api.test{path}", fields={"X-Penstock-Timeout": f"{limit}ms"})
        seen.add(response.status)
        assert response.status == 504 or response.body == f"{path} ".encode()

    turns = again_and_again(16, SECONDS, work)
    report("requests", turns)
    assert turns >= 200 and {200, 504} <= seen <= {200, 504, 503}
    assert origin.peak <= 8 and not origin.faults
    settled(proxy)


def test_a_response_that_is_cut_at_random_never_looks_whole(stack, report):
    """Go: TestHandlerAbortRacesBodyRead, from the side of the response."""
    def serve(connection):
        chance = random.Random(connection.number)
        while connection.read_request():
            connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 30000\r\n\r\n" + bytes(chance.randrange(30_000)))
            if chance.random() < 0.7:
                connection.reset()
                return
            connection.finish()
            return

    origin = stack.origin(serve, tls=False)
    proxy = stack.penstock(stack.to(origin), workers=2)

    def work(i, turn):
        with proxy.client() as client:
            client.request("http://api.test/")
            try:
                response = client.response()
            except Truncated:
                return
            assert response.status == 502, "it looks whole"

    report("requests", again_and_again(16, 1.5, work))
    settled(proxy)
    assert in_parallel(4, lambda i: proxy.admin("/livez")[0]) == [200] * 4
