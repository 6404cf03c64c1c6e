"""Each line of the access log says what happened in the words of config/access-log.schema.json, and nothing else; which
requests have one is what access_log asks for."""

import json
import os
import re
import signal
import subprocess
import threading
from contextlib import suppress

import jsonschema
import pytest

from support.client import Client
from support.http1 import Truncated
from support.penstock import TOP
from support.waiting import wait_until

SCHEMA = json.loads((TOP / "config/access-log.schema.json").read_text())
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)
TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
DIAL_TIMES = {"resolve_ms", "connect_ms", "tls_ms"}


class World:
    """A daemon and origins to which requests of every kind are sent, each known by its path or its status."""

    def __init__(self, shared, ca, folder):
        self.release = threading.Event()
        self.left = threading.Event()
        self.socket = folder / "s"
        self.api = shared.origin(self.serve, names=("api.test", "stranger.test"))
        self.plain = shared.origin(self.serve, tls=False)
        self.echo = shared.origin(lambda connection: connection.wait_closed(), tls=False)
        self.deaf = shared.origin(lambda connection: connection.stall(), tls=False, receive_buffer=4096)
        self.proxy = shared.penstock(
            shared.to(self.api, timeouts={"expect_continue": "10s"},
                      routes=[{"path_prefix": "/late", "timeouts": {"response_header": "300ms"}}]),
            shared.to(shared.origin(), "wrong.test"),  # its certificate is for api.test
            shared.to(self.plain, "one.test", pool={"max_connections": 1}, timeouts={"queue": "100ms"}),
            shared.to(self.echo, "echo.test"),
            shared.to(self.deaf, "deaf.test", timeouts={"write_stall": "200ms"}),
            shared.to(1, "down.test"),
            {"name": "nodns", "hosts": ["nodns.test"]},
            listeners=[{}, {"upstream": "api"}, {"address": f"unix:{self.socket}"}],
            dns={"servers": ["127.0.0.1:1"], "attempt_timeout": "100ms", "attempts": 1})

    def serve(self, connection):
        while request := connection.read_head():
            path = request.target
            if path == "/upgrade":
                connection.send("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: chat\r\n\r\n")
                connection.wait_closed()
                return
            if path in ("/late", "/leave"):
                connection.stall()
                return
            if path == "/continue":
                connection.send("HTTP/1.1 100 Continue\r\n\r\n")
            if path == "/hold":
                self.release.wait(20)
            connection.reader.request_body(request)
            if path == "/cut":
                connection.send("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf")
                connection.close()
                return
            connection.reply(b"body", "404 Not Found" if path == "/404" else "200 OK")
            if path == "/die":
                connection.read_request()
                connection.close()
                return

    def ask_everything(self):
        self.ask_what_succeeds()
        self.ask_what_fails()
        self.ask_what_is_refused()
        self.leave()

    def ask_what_succeeds(self):
        proxy = self.proxy
        for path in ("/first", "/reused", "/404", "/q?secret=1"):
            proxy.fetch(f"http://api.test{path}")
        proxy.fetch("http://api.test/trace", fields={"traceparent": TRACE})
        proxy.fetch("http://api.test/no-trace", fields={"traceparent": TRACE.upper()})
        proxy.fetch("http://api.test/post", "POST", body=b"12345")
        with proxy.client() as client:
            client.send("PUT http://api.test/continue HTTP/1.1\r\nHost: api.test\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n")
            assert client.reader.response_head().status == 100
            client.send(b"12345")
            client.response()
        proxy.fetch("/base", host=f"127.0.0.1:{proxy.ports[1]}", listener=1)
        with Client(self.socket) as client:
            client.fetch("http://api.test/unix")
        with proxy.client() as client:
            client.send("GET http://api.test/old HTTP/1.0\r\n\r\n")
            client.response()
        proxy.fetch("http://one.test/die")
        proxy.fetch("http://one.test/again")
        self.ask_for_tunnels()

    def ask_for_tunnels(self):
        with self.proxy.client() as client:
            client.send("CONNECT echo.test:443 HTTP/1.1\r\nHost: echo.test:443\r\n\r\n")
            client.reader.response_head()
            client.send(b"12345")
            wait_until(lambda: self.echo.received == b"12345", "it came through")
        with self.proxy.client() as client:
            client.send("CONNECT one.test:80 HTTP/1.1\r\nHost: one.test:80\r\n\r\n")
            client.reader.response_head()
            client.fetch("/unwrapped", host="one.test")
        with self.proxy.client() as client:
            client.request("http://api.test/upgrade", fields={"Connection": "Upgrade", "Upgrade": "chat"})
            client.reader.response_head()

    def ask_what_fails(self):
        proxy = self.proxy
        proxy.fetch("http://down.test/refused")
        proxy.fetch("http://nodns.test/nodns")
        proxy.fetch("http://wrong.test/wrong")
        proxy.fetch("http://api.test/late")
        with suppress(OSError, Truncated):  # the answer comes, and the end, while we send
            proxy.fetch("http://deaf.test/deaf", "PUT", body=bytes(8 << 20))
        with proxy.client() as client:
            client.request("http://api.test/cut")
            client.cut_response()
        with proxy.client() as holder:
            holder.request("http://one.test/hold")
            wait_until(lambda: any(r.target == "/hold" for r in self.plain.requests), "it is being served")
            proxy.fetch("http://one.test/queued")
            self.release.set()
            holder.response()

    def ask_what_is_refused(self):
        proxy = self.proxy
        proxy.fetch("http://no-such-upstream.test/nowhere")
        proxy.fetch("*", "OPTIONS", host="api.test")
        proxy.fetch("http://api.test/loop", fields={"X-Penstock-Timeout": "soon"})
        for data in (b"GET http://api.test/ HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", b"GET / HTTP/1.1\r\n\r\n",
                     b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"CONNECT api.test:22 HTTP/1.1\r\nHost: a\r\n\r\n"):
            with proxy.client() as client:
                client.send(data)
                client.ending()

    def leave(self):
        with self.proxy.client() as client:
            client.request("http://api.test/leave")
            wait_until(lambda: any(r.target == "/leave" for r in self.api.requests), "the upstream works on it")


@pytest.fixture(scope="module")
def world(shared, ca, tmp_path_factory):
    world = World(shared, ca, tmp_path_factory.mktemp("w"))
    world.ask_everything()
    world.proxy.wait_for_log(lambda line: line.get("path") == "/leave")
    world.proxy.stop()  # the log is whole then
    return world


@pytest.fixture(scope="module")
def lines(world):
    return world.proxy.log_lines()


@pytest.fixture(scope="module")
def by_path(lines):
    return {line["path"]: line for line in lines if "path" in line}


def test_the_schema_is_one_and_knows_the_words_of_the_code():
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    words = lambda path: set(re.findall(r'return "(\w+)";', (TOP / path).read_text()))
    properties = SCHEMA["properties"]
    assert set(properties["error"]["enum"] + properties["error_phase"]["enum"]) == words("daemon/base/error.cc")
    assert set(properties["close_reason"]["enum"]) == words("daemon/telemetry/close_reason.cc")


def test_every_line_is_what_the_schema_says(lines):
    faults = [f"{error.message} in {line}" for line in lines for error in VALIDATOR.iter_errors(line)]
    assert faults == []


def test_every_field_of_the_schema_is_in_some_line(lines):
    seen = set().union(*lines)
    assert set(SCHEMA["properties"]) - seen == set()
    for field in ("form", "status_source", "protocol"):
        assert {line[field] for line in lines if field in line} == set(SCHEMA["properties"][field]["enum"])


def test_times_have_three_decimals_and_nothing_is_null(world):
    text = world.proxy.log_path.read_text()
    times = re.findall(r'"\w+_ms":([^,}]+)', text)
    assert len(times) > 100 and all(re.fullmatch(r"\d+\.\d{3}", time) for time in times)
    assert "null" not in text


def test_a_tunnel_has_a_port_and_no_path(lines):
    tunnels = [line for line in lines if line.get("form") == "connect"]
    assert {line["host"] for line in tunnels} >= {"echo.test:443", "api.test:22"}
    assert not any("path" in line for line in tunnels), tunnels
    refused, = [line for line in tunnels if line["host"] == "api.test:22"]
    assert refused["status"] == 403


# Absent where it did not happen


@pytest.mark.parametrize("path, there, absent", [
    ("/first", {"connect_ms", "tls_ms", "send_ms", "wait_ms", "receive_ms", "exchange_ms", "total_ms"},
     {"queue_ms", "resolve_ms", "continue_ms", "error", "error_phase", "error_limit", "close_reason", "client_uid", "traceparent"}),
    ("/reused", {"send_ms", "wait_ms"}, DIAL_TIMES | {"queue_ms"}),
    ("/continue", {"continue_ms"}, {"queue_ms"}),
    ("/refused", {"connect_ms", "total_ms"}, {"tls_ms", "send_ms", "wait_ms", "receive_ms", "exchange_ms", "conn_id", "reused",
                                              "attempts", "response_bytes", "address"}),
    ("/nodns", {"resolve_ms"}, {"connect_ms", "tls_ms", "send_ms", "conn_id"}),
    ("/wrong", {"connect_ms", "tls_ms"}, {"send_ms", "conn_id"}),
    ("/late", {"wait_ms", "conn_id", "close_reason"}, {"receive_ms", "response_bytes", "exchange_ms"}),
    ("/queued", {"queue_ms"}, DIAL_TIMES | {"send_ms", "conn_id"}),
    ("/unix", {"client_uid"}, set()),
    ("/trace", {"traceparent", "span_id"}, set()),
    ("/no-trace", set(), {"traceparent", "span_id"}),
])
def test_a_field_is_there_when_it_happened(by_path, path, there, absent):
    line = set(by_path[path])
    assert there - line == set()
    assert line & absent == set()


@pytest.mark.parametrize("path, wanted", [
    ("/first", {"status": 200, "status_source": "upstream", "reused": False, "conn_requests": 1, "attempts": 1, "response_bytes": 4,
                "method": "GET", "host": "api.test", "upstream": "api", "form": "absolute", "protocol": "HTTP/1.1"}),
    ("/reused", {"reused": True, "conn_requests": 2}),
    ("/404", {"status": 404, "status_source": "upstream"}),
    ("/q", {"status": 200}),
    ("/post", {"method": "POST", "request_bytes": 5}),
    ("/base", {"form": "origin", "status": 200}),
    ("/unix", {"client": "unix", "client_uid": os.geteuid()}),
    ("/old", {"protocol": "HTTP/1.0"}),
    ("/again", {"attempts": 2, "status": 200}),
    ("/unwrapped", {"form": "unwrapped", "status": 200}),
    ("/upgrade", {"status": 101, "status_source": "upstream"}),
    ("/refused", {"status": 502, "status_source": "proxy", "error": "connection_refused", "error_phase": "connect"}),
    ("/nodns", {"status": 504, "error": "dns_timeout", "error_phase": "resolve"}),
    ("/wrong", {"status": 502, "error": "tls_certificate_error", "error_phase": "tls_handshake"}),
    ("/deaf", {"status": 504, "error": "connection_write_timeout", "error_phase": "send", "error_limit": "timeouts.write_stall"}),
    ("/late", {"status": 504, "error": "http_response_timeout", "error_phase": "await_head",
               "error_limit": "timeouts.response_header", "close_reason": "timeout"}),
    ("/cut", {"status": 200, "error": "http_response_incomplete", "error_phase": "receive", "close_reason": "error"}),
    ("/queued", {"status": 503, "error_phase": "queue", "error_limit": "timeouts.queue"}),
    ("/leave", {"status": 499, "status_source": "none", "error": "client_aborted", "error_phase": "await_head"}),
])
def test_a_line_says_what_happened(by_path, path, wanted):
    assert {field: by_path[path].get(field) for field in wanted} == wanted


def test_a_tunnel_has_a_line_with_what_it_moved(lines):
    line = next(line for line in lines if line.get("host") == "echo.test:443")
    assert (line["form"], line["request_bytes"], line["response_bytes"], line["status"]) == ("connect", 5, 0, 200)


def test_what_was_never_routed_has_a_line_too(lines):
    unrouted = [line for line in lines if "upstream" not in line]
    assert {line.get("status") for line in unrouted} >= {200, 400, None}
    assert not any(field.endswith("_ms") and field != "total_ms" for line in unrouted for field in line)


def test_a_trace_goes_on_and_the_line_is_a_span_of_it(world, by_path):
    sent = {request.target: request.all("traceparent") for request in world.api.requests}
    assert (sent["/trace"], sent["/no-trace"], sent["/first"]) == ([TRACE], [TRACE.upper()], [])
    line = by_path["/trace"]
    assert (line["traceparent"], line["span_id"]) == (TRACE, line["id"])


# Which requests have a line


def paths_in(text, key="path"):
    return [json.loads(line)[key] for line in text.splitlines()]


def logging(stack, serve=None, **settings):
    """A daemon with these settings of access_log; its origin answers /slow after 3.2 s and /500 with 500."""

    def answer(connection):
        while request := connection.read_request():
            if request.target == "/slow":
                connection.pause(3.2)
            connection.reply(status="500 Oops" if request.target == "/500" else "200 OK")

    return stack.penstock(stack.to(stack.origin(serve or answer)), stack.to(1, "down.test"), access_log=settings)


def ask(proxy, *paths):
    with proxy.client() as client:
        for path in paths:
            client.fetch(f"http://api.test{path}" if path.startswith("/") else path)


def logged(proxy):
    proxy.stop()
    return [line["path"] for line in proxy.log_lines()]


def test_only_errors_and_what_was_slow(stack):
    proxy = logging(stack, only="errors", slow="3s")
    ask(proxy, "/ok", "/500", "/slow", "http://down.test/down", "/ok")
    assert logged(proxy) == ["/500", "/slow", "/down"]


def test_only_errors_without_the_slow(stack):
    proxy = logging(stack, only="errors", slow="off")
    ask(proxy, "/ok", "/slow", "/500")
    assert logged(proxy) == ["/500"]


def test_a_sample_of_nothing_still_has_errors_and_the_slow(stack):
    proxy = logging(stack, only="all", sample=0, slow="3s")
    ask(proxy, "/ok", "/500", "/slow", "http://down.test/down", "/ok")
    assert logged(proxy) == ["/500", "/slow", "/down"]


def test_a_sample_is_about_its_share(stack):
    proxy = logging(stack, only="all", sample=0.25, slow="off")
    ask(proxy, *["/ok"] * 800)
    assert 100 < len(logged(proxy)) < 300  # 200 in the mean, eight deviations to either side


def test_the_query_is_written_where_it_is_asked_for(stack):
    proxy = logging(stack, only="all", query=True)
    ask(proxy, "/x?token=secret")
    assert logged(proxy) == ["/x?token=secret"]


def test_a_reload_changes_what_is_written_and_where(stack, tmp_path):
    proxy = logging(stack, only="errors")
    ask(proxy, "/before")
    proxy.wait_for_workers()  # its line is due after its response, by the settings of that moment
    second = tmp_path / "second.log"
    settings = {**proxy.settings, "access_log": {"path": str(second), "only": "all"}}
    proxy.reload(settings)
    ask(proxy, "/after")
    proxy.stop()
    assert proxy.log_lines() == [] and paths_in(second.read_text()) == ["/after"]


def test_text_is_for_people(stack):
    proxy = logging(stack, only="all", format="text")
    ask(proxy, "/x", "http://down.test/down")
    proxy.stop()
    good, bad = proxy.log_path.read_text().splitlines()
    assert re.match(r"\d{4}-\d\d-\d\dT\S+Z 200 GET api\.test/x connect_ms=\d+\.\d{3} ", good)
    assert re.match(r"\S+Z 502 GET down\.test/down error=connection_refused error_phase=connect ", bad)
    for field in ("status_source=upstream", "upstream=api", "reused=false", "id=", "total_ms="):
        assert f" {field}" in good


# Where the lines go


def test_sigusr1_opens_the_file_anew_and_no_line_is_lost(stack):
    """What logrotate does: the file gets another name, the daemon a signal, requests go on all the while."""
    proxy = logging(stack, only="all")
    moved = proxy.log_path.with_name("access.log.1")
    ended = threading.Event()
    count = [0]

    def go_on():
        with proxy.client() as client:
            while not ended.is_set():
                client.fetch("http://api.test/x")
                count[0] += 1

    thread = threading.Thread(target=go_on)
    thread.start()
    wait_until(lambda: len(proxy.log_lines()) > 10, "lines are written")
    os.rename(proxy.log_path, moved)
    proxy.process.send_signal(signal.SIGUSR1)
    wait_until(lambda: len(proxy.log_lines()) > 10, "lines are in the new file")
    ended.set()
    thread.join()
    proxy.stop()
    assert len(moved.read_text().splitlines()) + len(proxy.log_lines()) == count[0]


def test_logrotate_moves_the_file_as_we_ship_it(stack, tmp_path):
    logs = tmp_path / "log/penstock"
    logs.mkdir(parents=True)
    path = logs / "access.log"
    proxy = logging(stack, only="all", path=str(path))
    ask(proxy, "/before")
    wait_until(lambda: path.exists() and path.read_text(), "it is written")
    conf = tmp_path / "penstock"
    conf.write_text((TOP / "deploy/logrotate/penstock").read_text().replace("/var/log", str(tmp_path / "log")))
    systemctl = tmp_path / "systemctl"
    systemctl.write_text(f'#!/bin/sh\necho "$@" >{tmp_path}/called\nkill -USR1 {proxy.process.pid}\n')
    systemctl.chmod(0o755)
    conf.chmod(0o644)
    subprocess.run(["logrotate", "--force", "--state", str(tmp_path / "state"), str(conf)], check=True, capture_output=True,
                   env={**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}:/usr/sbin"}, timeout=60)
    assert (tmp_path / "called").read_text() == "kill --kill-whom=main --signal=USR1 penstock.service penstock@*.service\n"
    wait_until(path.exists, "the file is there again")
    assert proxy.admin("/readyz")[0] == 200  # the turn in which it was made has ended: lines go there
    ask(proxy, "/after")
    proxy.stop()
    assert paths_in((logs / "access.log.1").read_text()) == ["/before"]
    assert paths_in(path.read_text()) == ["/after"]


def test_a_file_that_cannot_be_opened_anew_is_told_and_the_old_one_used(stack, tmp_path):
    folder = tmp_path / "logs"
    folder.mkdir()
    path = folder / "access.log"
    proxy = logging(stack, only="all", path=str(path))
    folder.rename(tmp_path / "moved")
    proxy.process.send_signal(signal.SIGUSR1)
    wait_until(lambda: "the access log cannot be opened again" in proxy.stderr, "it is told")
    ask(proxy, "/x")
    proxy.stop()
    assert paths_in((tmp_path / "moved/access.log").read_text()) == ["/x"]


def test_stdout_has_the_lines_alone(stack):
    proxy = logging(stack, only="all", path="stdout")
    ask(proxy, "/x", "/y")
    proxy.stop()
    assert paths_in((proxy.folder / "stdout.log").read_text()) == ["/x", "/y"]


def test_a_full_disk_is_counted_and_told_once(stack):
    proxy = logging(stack, only="all", path="/dev/full")
    for count in (1, 2, 3):
        ask(proxy, "/x")
        wait_until(lambda: proxy.metrics("penstock_log_dropped_lines_total", log="access") == count, "it is counted")
    assert proxy.stderr.count("lines of the access log are lost") == 1
    assert 'why="No space left on device"' in proxy.stderr and "path=/dev/full" in proxy.stderr
