"""The admin address tells the truth, and only to those who may ask."""

import json
import threading

import pytest

from support.client import Client
from support.penstock import parse_metrics
from support.scripted_origin import answering
from support.waiting import wait_until


@pytest.fixture(scope="module")
def origin(shared):
    return shared.origin()


@pytest.fixture(scope="module")
def proxy(shared, origin):
    return shared.penstock(shared.to(origin), shared.to(origin, "idle.test"))


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/metrics", "/pools", "/dns"])
def test_the_pages_answer_get_and_head(proxy, path):
    assert proxy.admin(path)[0] == 200
    with Client(proxy.admin_port) as client:
        assert client.fetch(path, "HEAD", host=f"127.0.0.1:{proxy.admin_port}").status == 200


def test_other_pages_and_methods_are_refused(proxy):
    assert proxy.admin("/no-such-page")[0] == 404
    assert proxy.admin("/pools", "DELETE")[0] in (404, 405)
    assert proxy.admin("/livez", "PUT")[0] in (404, 405)


@pytest.mark.parametrize("host, status", [("127.0.0.1:{port}", 200), ("localhost:{port}", 200), ("localhost", 200),
                                          ("evil.test", 421), ("evil.test:{port}", 421), ("127.0.0.1.evil.test:{port}", 421),
                                          ("127.0.0.2:{port}", 421)])
def test_host_must_be_the_address_itself_or_localhost(proxy, host, status):
    with Client(proxy.admin_port) as client:
        response = client.fetch("/pools", host=host.format(port=proxy.admin_port))
    assert response.status == status or (status == 421 and response.status in (400, 403)), response.status
    if status != 200:
        assert "upstreams" not in response.text


@pytest.mark.parametrize("origin_field", ["http://evil.test", "null", "http://127.0.0.1:{port}"])
def test_no_origin_is_accepted(proxy, origin_field):
    status, body = proxy.admin("/pools", fields={"Origin": origin_field.format(port=proxy.admin_port)})
    assert status == 403 and "upstreams" not in body


def test_the_admin_address_is_no_proxy(proxy):
    with Client(proxy.admin_port) as client:
        assert client.fetch("http://api.test/").status in (400, 403, 404, 421)


@pytest.mark.parametrize("data", [b"\x00\x01\x02\r\n\r\n", b"GET / HTTP/1.1\r\n\r\n", b"GET /pools HTTP/9.9\r\nHost: x\r\n\r\n",
                                  b"POST /pools HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"])
def test_rubbish_is_refused_and_closed(proxy, data):
    with Client(proxy.admin_port) as client:
        client.send(data)
        assert 400 <= client.response().status < 600
        assert client.ending(15) == "closed"


def test_a_page_is_the_same_when_its_request_comes_in_pieces(proxy):
    with Client(proxy.admin_port) as client:
        for byte in f"GET /livez HTTP/1.1\r\nHost: 127.0.0.1:{proxy.admin_port}\r\n\r\n".encode():
            client.send(bytes([byte]))
        assert client.response().status == 200


def test_pools_tell_limits_and_counts(stack):
    origin = stack.origin()
    proxy = stack.penstock(stack.to(origin, pool={"max_connections": 5, "max_idle": 4, "max_waiting": 7}))
    for _ in range(3):
        proxy.fetch("http://api.test/")
    status, body = proxy.admin("/pools")
    told = json.loads(body)
    assert status == 200 and told["revision"] >= 1 and told["time"]
    upstream, = told["upstreams"]
    host, = upstream["hosts"]
    assert upstream["name"] == "api" and host["origin"] == "api.test:443"
    assert {key: host["limits"][key] for key in ("max_connections", "max_idle", "max_waiting")} == {
        "max_connections": 5, "max_idle": 4, "max_waiting": 7}
    assert host["connections"]["idle"] == 1 == sum(host["connections"].values())
    assert (host["waiting"], host["oldest_wait_ms"], host["opened"]) == (0, 0, 1)
    assert host["acquires"]["idle"] + host["acquires"]["takeover"] == 2 and host["acquires"]["dialed"] == 1
    assert host["last_error"] is None


def test_pools_can_be_asked_for_one_upstream(proxy):
    proxy.fetch("http://api.test/")
    status, body = proxy.admin("/pools?upstream=api")
    assert status == 200 and [u["name"] for u in json.loads(body)["upstreams"]] == ["api"]


def test_pools_tell_the_last_error(stack):
    proxy = stack.penstock(stack.to(1))
    proxy.fetch("http://api.test/")
    assert "connection_refused" in json.dumps(proxy.pools()[0]["last_error"])


def test_pools_show_who_is_busy_and_who_waits(stack):
    gate = threading.Event()

    def answer(connection, request):
        gate.wait(20)
        connection.reply()

    proxy = stack.penstock(stack.to(stack.origin(answering(answer)), pool={"max_connections": 1}))
    clients = [proxy.client() for _ in range(2)]
    for client in clients:
        client.request("http://api.test/")
    pool = wait_until(lambda: (p := proxy.pools()) and p[0]["waiting"] == 1 and p[0]["connections"]["busy"] == 1
                      and p[0]["oldest_wait_ms"] > 20 and p[0], "one is busy, one waits")
    assert pool["connections"]["idle"] == 0
    assert proxy.metrics("penstock_pool_oldest_wait_seconds", upstream="api") > 0.02
    assert proxy.metrics("penstock_pool_connections", upstream="api", state="busy") == 1
    gate.set()
    assert [client.response().status for client in clients] == [200, 200]


def test_metrics_count_what_happened(stack):
    def answer(connection, request):
        status = {"/200": "200 OK", "/404": "404 Not Found", "/500": "500 Oops"}[request.target]
        connection.reply(status=status)

    proxy = stack.penstock(stack.to(stack.origin(answering(answer))), stack.to(1, "down.test"))
    for path, times in (("200", 3), ("404", 2), ("500", 1)):
        for _ in range(times):
            proxy.fetch(f"http://api.test/{path}")
    proxy.fetch("http://down.test/")

    def counted():
        return [proxy.metrics("penstock_requests_total", upstream="api", code_class=c, source="upstream")
                for c in ("2xx", "4xx", "5xx")]

    proxy.wait_for_workers()
    assert counted() == [3, 2, 1]
    assert proxy.metrics("penstock_requests_total", upstream="down", code_class="5xx", source="proxy") == 1
    assert proxy.metrics("penstock_errors_total", upstream="down", token="connection_refused", phase="connect") == 1
    assert proxy.metrics("penstock_connections_opened_total", upstream="api") == 1
    assert sum(proxy.metrics("penstock_pool_acquires_total", upstream="api", result=r) for r in ("idle", "takeover")) == 5
    assert proxy.metrics("penstock_request_duration_seconds_count", upstream="api") == 6
    assert proxy.metrics("penstock_phase_duration_seconds_count", upstream="api", phase="tls_handshake") == 1
    assert proxy.metrics("penstock_pool_connections_limit", upstream="api") == 1000


def test_metrics_are_well_formed_prometheus_text(proxy):
    proxy.fetch("http://api.test/")
    status, text = proxy.admin("/metrics")
    series = parse_metrics(text)
    keys = [(name, tuple(sorted(labels.items()))) for name, labels, _ in series]
    assert status == 200 and len(keys) == len(set(keys)), "a series is there twice"
    typed = {line.split()[2] for line in text.splitlines() if line.startswith("# TYPE ")}
    for name, _, value in series:
        base = name
        for suffix in ("_bucket", "_sum", "_count"):
            base = base.removesuffix(suffix) if base not in typed else base
        assert base in typed, f"{name} has no TYPE"
    for name in ("penstock_build_info", "penstock_config_last_reload_successful", "penstock_client_connections",
                 "penstock_loop_lag_seconds", "penstock_log_dropped_lines_total", "process_resident_memory_bytes",
                 "process_cpu_seconds_total", "process_open_fds"):
        assert name in {key for key, _, _ in series}, name


def test_buckets_add_up(proxy):
    for _ in range(5):
        proxy.fetch("http://api.test/")
    proxy.wait_for_workers()
    series = [(labels, value) for name, labels, value in parse_metrics(proxy.admin("/metrics")[1])
              if name == "penstock_request_duration_seconds_bucket" and labels["upstream"] == "api"]
    values = [value for _, value in series]
    assert [labels["le"] for labels, _ in series] == ["0.001", "0.005", "0.025", "0.1", "0.5", "2.5", "10", "60", "+Inf"]
    assert values == sorted(values) and values[-1] >= 5


def test_client_connections_are_counted_while_they_are_there(stack):
    proxy = stack.penstock(stack.to(stack.origin()))
    clients = [proxy.client() for _ in range(4)]
    for client in clients:
        client.fetch("http://api.test/")
    assert proxy.metrics("penstock_client_connections") == 4
    for client in clients:
        client.close()
    wait_until(lambda: proxy.metrics("penstock_client_connections") == 0, "they are gone")
