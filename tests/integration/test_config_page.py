"""GET /config says what is in force and where it stands, POST /log-level changes one value for a while, GET /version
what was built from what; none of them tells a secret."""

import json
import subprocess
from pathlib import Path

import pytest

from support.penstock import BINARY, free_ports
from support.waiting import TIME_FACTOR, wait_until

CONSENT = {"Penstock-Admin": "1"}


def config(proxy, query=""):
    status, body = proxy.admin(f"/config{query}")
    assert status == 200, body
    return json.loads(body)


def line_of(proxy, text):
    """The first line of the file that holds it."""
    return next(number for number, line in enumerate(proxy.config_path.read_text().splitlines(), 1) if text in line)


def set_level(proxy, query, status=200):
    got, body = proxy.admin(f"/log-level?{query}", "POST", CONSENT)
    assert got == status, body
    return json.loads(body) if status == 200 else body


def level_in_force(proxy):
    shown = config(proxy)["process"]["log.level"]
    return shown.get("in_force", shown["value"])


def test_each_value_comes_with_the_line_that_says_it(stack):
    origin = stack.origin()
    proxy = stack.penstock(stack.to(origin, timeouts={"total": "41s"}, routes=[{"methods": ["POST"], "timeouts": {"total": "off"}}]),
                           stack.to(origin, "other.test"), defaults={"pool": {"max_idle": 43}}, workers=2)
    told = config(proxy)
    assert told["revision"] == 1 and told["file"] == str(proxy.config_path) and told["last_error"] is None
    assert told["time"] >= told["loaded_at"]
    assert told["process"]["workers"] == {"value": "2", "source": "process", "line": line_of(proxy, "workers: 2")}
    assert told["listeners"][0]["address"]["value"] == f"127.0.0.1:{proxy.port}"
    api, other = told["upstreams"]
    assert api["values"]["timeouts.total"] == {"value": "41s", "source": "upstream", "line": line_of(proxy, "total: 41s")}
    assert api["routes"][0]["timeouts.total"] == {"value": "off", "source": "route", "line": line_of(proxy, "total: 'off'")}
    assert other["values"]["pool.max_idle"] == {"value": "43", "source": "defaults", "line": line_of(proxy, "max_idle: 43")}
    assert other["values"]["timeouts.total"] == {"value": "off", "source": "built-in"} and other["routes"] == []
    assert [u["name"] for u in config(proxy, "?upstream=other")["upstreams"]] == ["other"]
    assert config(proxy, "?upstream=nobody")["upstreams"] == []


def test_an_upstream_has_the_values_that_explain_shows(stack):
    proxy = stack.penstock(stack.to(stack.origin(), timeouts={"connect": "3s"}), defaults={"pool": {"max_idle": 4}})
    done = subprocess.run([BINARY, "explain", "-c", proxy.config_path, "--json", "http://api.test/"],
                          capture_output=True, check=True, timeout=20 * TIME_FACTOR)
    explained = {key: {name: value[name] for name in value if name != "file"}
                 for key, value in json.loads(done.stdout)["policy"].items()}
    shown = config(proxy)["upstreams"][0]["values"]
    assert {key: shown[key] for key in explained} == explained and set(shown) - set(explained) == {"name", "hosts", "origin"}


def test_what_auto_came_to_is_in_force(stack):
    shown = config(stack.penstock(stack.to(1), workers="auto"))["process"]
    for key in ("workers", "client.max_connections", "process.max_upstream_connections"):
        assert shown[key]["value"] == "auto" and int(shown[key]["in_force"]) >= 1, key


def test_a_listener_shows_the_port_it_got(stack):
    proxy = stack.penstock(stack.to(1), listeners=[{}, {"address": "127.0.0.1:0"}])
    first, second = (listener["address"] for listener in config(proxy)["listeners"])
    assert "in_force" not in first and second["value"] == "127.0.0.1:0"
    assert f"address={second['in_force']}" in proxy.stderr


def test_a_key_that_waits_for_a_restart_shows_both(stack):
    proxy = stack.penstock(stack.to(1), workers=1)
    port, = free_ports(1)
    proxy.reload({**proxy.settings, "workers": 2, "admin": {"public_address": f"127.0.0.1:{port}"}})
    shown = config(proxy)["process"]
    assert (shown["workers"]["value"], shown["workers"]["in_force"]) == ("2", "1")
    assert shown["admin.public_address"]["in_force"] == "off"


def test_a_refused_file_is_the_last_error_until_one_is_taken(stack):
    proxy = stack.penstock(stack.to(1))
    before = config(proxy)
    proxy.reload(text="no_such_key: 1\nupstreams: 3\n")
    told = config(proxy)
    assert told["revision"] == 1 and told["last_error"]["error"] == f"2 faults in {proxy.config_path}"
    assert [fault.removeprefix(str(proxy.config_path))[:7] for fault in told["last_error"]["faults"]] == [":1:1: n", ":2:12: "]
    assert told["upstreams"] == before["upstreams"] and told["loaded_at"] == before["loaded_at"]
    proxy.reload(proxy.settings)
    told = config(proxy)
    assert told["revision"] == 2 and told["last_error"] is None and told["loaded_at"] > before["loaded_at"]


def test_no_secret_is_told_but_where_it_stands(stack, ca):
    certificate = ca.issue("client.test")
    proxy = stack.penstock(stack.to(stack.origin(), tls={"cert_file": certificate.cert, "key_file": certificate.key}))
    body = proxy.admin("/config")[1]
    assert certificate.key in body
    for line in Path(certificate.key).read_text().splitlines():
        assert line not in body


@pytest.mark.parametrize("policy, secret", [({"connect_to": "http://me:hunter2@proxy.test:80"}, "hunter2"),
                                            ({"tls": {"key_file": "-----BEGIN PRIVATE KEY-----\nMIIBhunter2\n"}}, "MIIB")])
def test_a_secret_that_was_written_where_none_belongs_is_masked_in_the_log_too(stack, policy, secret):
    proxy = stack.penstock(stack.to(1))
    logged = proxy.reload({"upstreams": [stack.to(1, **policy)]})
    assert "***" in logged and secret not in logged
    assert config(proxy)["last_error"] and secret not in proxy.admin("/config")[1]


# The log level

def test_a_log_level_holds_until_the_next_reload(stack):
    proxy = stack.penstock(stack.to(1))
    assert set_level(proxy, "level=debug") == {"level": "debug", "was": "info", "for": None}
    assert level_in_force(proxy) == "debug" and "log level is set by hand" in proxy.stderr
    assert set_level(proxy, "level=trace") == {"level": "trace", "was": "debug", "for": None}
    proxy.reload(text="no_such_key: 1\n")
    assert level_in_force(proxy) == "trace", "a file that was refused changes nothing"
    proxy.reload(proxy.settings)
    assert level_in_force(proxy) == "info"


def test_a_log_level_holds_for_a_time(stack):
    proxy = stack.penstock(stack.to(1))
    assert set_level(proxy, "level=debug&for=1h")["was"] == "info"
    assert level_in_force(proxy) == "debug"
    assert set_level(proxy, "level=trace&for=200ms") == {"level": "trace", "was": "debug", "for": "200ms"}
    wait_until(lambda: level_in_force(proxy) == "info", "it went back")
    assert "the log level is the configuration's again" in proxy.stderr


@pytest.mark.parametrize("query, complaint", [
    ("", "level"), ("level=", "warning"), ("level=loud", "trace, debug, info, warning, error or off"),
    ("level=debug&for=10", "no unit; write 10s"), ("level=debug&for=-1s", "negative"), ("level=debug&for=48h", "24h")])
def test_a_log_level_that_is_none_changes_nothing(stack, query, complaint):
    proxy = stack.penstock(stack.to(1))
    assert complaint in set_level(proxy, query, 400)
    assert level_in_force(proxy) == "info"


def test_version_is_that_of_the_command(stack):
    status, body = stack.penstock(stack.to(1)).admin("/version")
    told = json.loads(body)
    printed = subprocess.run([BINARY, "--version"], capture_output=True, text=True, check=True, timeout=20 * TIME_FACTOR).stdout
    assert status == 200 and f"penstock {told['version']} " in printed
    for library, version in told["libraries"].items():
        assert f"{library.replace('_', '-')} {version}" in printed
