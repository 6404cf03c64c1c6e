"""What a reload tells: POST /reload, `penstock reload`, the log; and `penstock check --diff` before it."""

import json
import subprocess
import threading

import pytest
import yaml

from support.penstock import BINARY, free_ports
from support.scripted_origin import answering
from support.waiting import TIME_FACTOR, wait_until

OK, DIFFERENT, FAILURE, CONFIG = 0, 1, 1, 78
CONSENT = {"Penstock-Admin": "1"}


def run(*arguments):
    return subprocess.run([BINARY, *map(str, arguments)], capture_output=True, text=True, timeout=30 * TIME_FACTOR)


def post(proxy):
    status, body = proxy.admin("/reload", "POST", CONSENT)
    return status, json.loads(body)


def change_of(report, upstream):
    return next(change for change in report["changes"] if change.get("upstream") == upstream)


def fill_idle(proxy, origin, gate, count):
    clients = [proxy.client() for _ in range(count)]
    for client in clients:
        client.request("http://api.test/")
    wait_until(lambda: len(origin.requests) == count, "each has a connection")
    gate.set()
    for client in clients:
        assert client.response().status == 200
        client.close()


def test_the_answer_says_what_became_of_each_upstream(stack):
    gate = threading.Event()

    def answer(connection, request):
        gate.wait(20)
        connection.reply()

    slow_origin, other = stack.origin(answering(answer)), stack.origin(names=("other.test",))
    proxy = stack.penstock(stack.to(slow_origin), stack.to(other, "other.test"))
    fill_idle(proxy, slow_origin, gate, 4)
    assert proxy.fetch("http://other.test/").status == 200
    proxy.write_config({"upstreams": [stack.to(slow_origin, pool={"max_connections": 1}), stack.to(other, "other.test")]})
    status, report = post(proxy)
    assert (status, report["revision"]) == (200, 2)
    api, kept = change_of(report, "api"), change_of(report, "other")
    assert (api["fate"], api["trimmed"], api["retired"], api["open"]) == ("changed", 3, 0, 1), report
    assert "pool.max_connections" in api["keys"] and "3 trimmed, 1 kept" in api["text"]
    assert (kept["fate"], kept["keys"], kept["open"]) == ("kept", [], 1)
    assert api["text"] in proxy.stderr, "the log says the same"

    proxy.write_config({"upstreams": [stack.to(slow_origin, tls={"min_version": "1.3"}), stack.to(other, "new.test")]})
    status, report = post(proxy)
    fates = {change["upstream"]: change["fate"] for change in report["changes"] if "upstream" in change}
    assert fates == {"api": "retired", "new": "added", "other": "removed"}
    assert change_of(report, "api")["retired"] == 1 and change_of(report, "other")["retired"] == 1, report
    wait_until(lambda: slow_origin.open == 0 and other.open == 0, "their connections are closed")


def test_listeners_and_restart_keys_are_told_too(stack):
    proxy = stack.penstock(stack.to(stack.origin()), workers=1)
    removed, added = free_ports(2)
    proxy.ports.append(removed)
    proxy.write_config(proxy.settings)
    assert post(proxy)[0] == 200
    proxy.ports[1] = added
    proxy.write_config({**proxy.settings, "workers": 2})
    for _ in range(2):  # as long as nobody restarts it
        status, report = post(proxy)
        assert {"fate": "restart", "keys": ["workers"],
                "text": "changed, applied only by a restart: workers"} in report["changes"], report
    assert "applied only by a restart: workers" in proxy.stderr
    proxy.ports[1] = removed
    proxy.write_config({**proxy.settings, "workers": 1})
    status, report = post(proxy)
    listeners = {change["listener"].rpartition(":")[2]: change["fate"]
                 for change in report["changes"] if "listener" in change}
    assert listeners == {str(proxy.ports[0]): "kept", str(removed): "added", str(added): "removed"}
    assert not any(change["fate"] == "restart" for change in report["changes"])


def test_a_refused_file_is_answered_with_all_its_faults(stack):
    proxy = stack.penstock(stack.to(stack.origin()))
    proxy.config_path.write_text("listeners: 5\nno_such_key: 1\n")
    status, report = post(proxy)
    assert (status, report["revision"]) == (422, 1)
    assert len(report["faults"]) == 2 and "2 faults" in report["error"]
    assert report["faults"][1].startswith(f"{proxy.config_path}:2:1: no_such_key"), report
    assert all(fault in proxy.stderr for fault in report["faults"])


# penstock reload


def test_the_command_prints_the_changes(stack):
    origin = stack.origin()
    proxy = stack.penstock(stack.to(origin))
    proxy.write_config({"upstreams": [stack.to(origin, pool={"max_connections": 7})]})
    done = run("reload", "-c", proxy.config_path)
    assert done.returncode == OK, done.stderr
    assert "upstream api: changed" in done.stdout and "pool.max_connections" in done.stdout
    assert done.stdout.endswith("revision 2 is in force\n") and not done.stderr


@pytest.mark.parametrize("by", ["file", "address"])
def test_the_command_prints_the_faults_and_exits_78(stack, by):
    proxy = stack.penstock(stack.to(stack.origin()))
    address = f"127.0.0.1:{proxy.admin_port}"
    proxy.config_path.write_text(f"no_such_key: 1\nadmin: {{address: '{address}'}}\n")
    done = run("reload", *(["-c", proxy.config_path] if by == "file" else ["--admin", address]))
    assert done.returncode == CONFIG and "no_such_key" in done.stderr and not done.stdout
    assert done.stderr.endswith("refused: revision 1 stays in force\n")
    assert proxy.fetch("http://api.test/").status == 200
    assert "no_such_key" in proxy.stderr, "the daemon knows"
    assert "no_such_key" in json.dumps(json.loads(proxy.admin("/config")[1])["last_error"])
    assert "penstock_config_last_reload_successful 0\n" in proxy.admin("/metrics")[1]


def test_the_command_says_that_nobody_answers(tmp_path):
    port, = free_ports(1)
    done = run("reload", "--admin", f"127.0.0.1:{port}")
    assert done.returncode == FAILURE and str(port) in done.stderr
    file = tmp_path / "penstock.yaml"
    file.write_text("admin: {address: off}\n")
    done = run("reload", "-c", file)
    assert done.returncode == FAILURE and "SIGHUP" in done.stderr


# penstock check --diff


@pytest.fixture
def files(tmp_path):
    def write(**settings):
        path = tmp_path / f"{len(list(tmp_path.iterdir()))}.yaml"
        path.write_text(yaml.safe_dump(settings))
        return path

    return write


def api(**policy):
    return {"name": "api", "hosts": ["api.test"], **policy}


def test_a_diff_of_equal_files_is_empty(files):
    done = run("check", "--diff", files(upstreams=[api()]), files(upstreams=[api(timeouts={"queue": "5s"})]))
    assert (done.returncode, done.stdout, done.stderr) == (OK, "", "")


def test_a_diff_names_each_key_with_both_values(files):
    before = files(upstreams=[api(pool={"max_connections": 50}), {"name": "gone", "hosts": ["gone.test"]}])
    after = files(upstreams=[api(pool={"max_connections": 20}, connect_to="127.0.0.1:1")], workers=3,
                  log={"level": "debug"}, listeners=[{"address": "127.0.0.1:3128", "allow_browsers": True}])
    done = run("check", "--diff", before, after)
    assert done.returncode == DIFFERENT and not done.stderr
    lines = done.stdout.splitlines()
    assert "listener 127.0.0.1:3128: changed, its socket stays" in lines
    assert "  allow_browsers: false -> true" in lines
    assert "upstream api: dialled otherwise from now on, its idle connections are closed" in lines
    assert "  pool.max_connections: 50 -> 20" in lines and "  connect_to: off -> 127.0.0.1:1" in lines
    assert "upstream gone: removed" in lines
    assert "  log.level: info -> debug" in lines
    assert lines[-2:] == ["the daemon: changed, applied only by a restart", "  workers: auto -> 3"]


def test_a_diff_with_a_bad_file_exits_78(files, tmp_path):
    bad = files(no_such_key=1)
    good = files(upstreams=[api()])
    for order in ([bad, good], [good, bad], [good, tmp_path / "nowhere.yaml"]):
        done = run("check", "--diff", *order)
        assert done.returncode == CONFIG and not done.stdout
        assert "no_such_key" in done.stderr or "nowhere.yaml" in done.stderr
