"""The command line: check, explain, schema, version, where the file comes from, and exit codes."""

import json
import os
import re
import subprocess
from pathlib import Path

import jsonschema
import pytest
import yaml

from support.client import Client
from support.penstock import BINARY, TOP, free_ports
from support.waiting import TIME_FACTOR, wait_until

OK, USAGE, UNAVAILABLE, OUTPUT, CONFIG = 0, 64, 69, 74, 78

GOOD = """\
upstreams:
  - name: payments
    hosts: [api.payments.test, "*.payments.test"]
    timeouts: {connect: 250ms}
defaults:
  timeouts: {response_header: 7s}
"""


def run(*arguments, env=None, cwd=None):
    environment = {key: value for key, value in os.environ.items() if key != "PENSTOCK_CONFIG"}
    return subprocess.run([BINARY, *map(str, arguments)], env={**environment, **(env or {})}, cwd=cwd,
                          capture_output=True, text=True, timeout=20 * TIME_FACTOR)


@pytest.fixture
def file(tmp_path):
    def write(text, name="penstock.yaml"):
        path = tmp_path / name
        path.write_text(text)
        return path

    return write


def test_version_names_the_libraries():
    done = run("--version")
    assert done.returncode == OK
    assert re.search(r"penstock \d+\.\d+\.\d+", done.stdout)
    for library in ("libuv", "llhttp", "OpenSSL", "c-ares"):
        assert re.search(library + r"\D{0,3}\d+\.\d+", done.stdout, re.IGNORECASE), done.stdout


@pytest.mark.parametrize("arguments", [["check"], ["check", "--diff"], ["explain", "http://x.test/"], ["schema"], ["env"],
                                       ["--help"], ["--version"]])
def test_an_answer_that_cannot_be_written_is_a_failure(file, arguments):
    files = [file(GOOD), file("workers: 1\n", "other.yaml")]
    arguments = [*arguments, *files] if "--diff" in arguments else arguments
    environment = {**os.environ, "PENSTOCK_CONFIG": str(files[0])}
    with open("/dev/full", "wb") as full:
        done = subprocess.run([BINARY, *arguments], env=environment, stdout=full, stderr=subprocess.PIPE, text=True,
                              timeout=20 * TIME_FACTOR)
    assert done.stderr == "penstock: cannot write to standard output: No space left on device\n"
    assert done.returncode == OUTPUT


def test_a_reader_that_is_gone_is_a_failure():
    """Also of a program that was started with SIGPIPE ignored, which is told by no signal."""
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = subprocess.run([BINARY, "schema"], stdout=writer, stderr=subprocess.PIPE, text=True, restore_signals=False,
                              timeout=20 * TIME_FACTOR)
    finally:
        os.close(writer)
    assert done.returncode == OUTPUT and "Broken pipe" in done.stderr


def test_help_names_the_commands():
    done = run("--help")
    assert done.returncode == OK
    for command in ("run", "check", "explain", "schema", "env", "probe", "doctor", "pools", "top"):
        assert re.search(rf"^\s+{command}\b", done.stdout, re.MULTILINE), done.stdout


@pytest.mark.parametrize("arguments", [["--no-such-option"], ["no-such-command"], ["explain"], ["check", "surplus"],
                                       ["run", "-c"]])
def test_wrong_usage_exits_64(arguments):
    done = run(*arguments)
    assert done.returncode == USAGE and done.stderr and not done.stdout


def test_check_of_a_good_file(file):
    done = run("check", "-c", file(GOOD))
    assert done.returncode == OK, done.stderr


def test_check_reports_every_fault_with_its_place(file):
    path = file("listeners: 5\nno_such: 1\nclient:\n  idle_timout: 5s\n  header_timeout: 10\n"
                "upstreams:\n  - name: a\n    hosts: [a.test]\n    pool: {max_connections: 0}\n")
    done = run("check", "-c", path)
    assert done.returncode == CONFIG
    for place, words in [("1:", "listeners"), ("2:", "no_such"), ("4:", "idle_timeout"), ("5:", "header_timeout"),
                         ("9:", "max_connections")]:
        assert re.search(rf"penstock\.yaml:{place}\d+: .*{words}", done.stderr), (place, words, done.stderr)


@pytest.mark.parametrize("text", ["a: [", "upstreams: [{name: a, hosts: [*.x.test]}]", "\t- x", ""])
def test_faults_of_syntax_are_said_in_words(file, text):
    done = run("check", "-c", file(text))
    if not text:
        assert done.returncode == OK, "an empty file is the default configuration"
        return
    assert done.returncode == CONFIG and "penstock.yaml:1:" in done.stderr
    assert "terminate" not in done.stderr and "exception" not in done.stderr.lower()
    if "*" in text:
        assert "quote" in done.stderr


def test_a_feature_that_this_version_lacks_is_said_to_be_one(file):
    done = run("check", "-c", file("defaults: {compression: gzip}\n"))
    assert done.returncode == CONFIG and "not supported in this version" in done.stderr


@pytest.mark.parametrize("command", ["run", "check", "explain"])
def test_a_file_that_is_not_there_exits_78(command, tmp_path):
    done = run(command, "-c", tmp_path / "none.yaml", *(["http://a.test/"] if command == "explain" else []))
    assert done.returncode == CONFIG and "none.yaml" in done.stderr


def test_run_refuses_a_bad_file(file):
    done = run("run", "-c", file("nonsense: 1\n"))
    assert done.returncode == CONFIG and "penstock.yaml:1:" in done.stderr


def test_explain_shows_the_upstream_and_where_each_value_comes_from(file):
    path = file(GOOD)
    done = run("explain", "-c", path, "http://eu.payments.test/x")
    assert done.returncode == OK, done.stderr
    assert 'upstream: payments (hosts[1] "*.payments.test")' in done.stdout
    assert "eu.payments.test:443" in done.stdout
    values = dict(re.findall(r"^\s*([\w.]+): .*?# (.*)$", done.stdout, re.MULTILINE))
    assert values["timeouts.connect"].endswith("penstock.yaml:4")
    assert values["timeouts.response_header"].startswith("defaults")
    assert values["timeouts.queue"] == "built-in"


def test_explain_as_json(file):
    done = run("explain", "--json", "-c", file(GOOD), "http://api.payments.test/x")
    explained = json.loads(done.stdout)
    assert done.returncode == OK and explained["upstream"] == "payments"


ROUTES = """\
upstreams:
  - name: reports
    hosts: [reports.test]
    timeouts: {total: 20s, min_rate: off}
    routes:
      - {methods: [POST], path_prefix: /reports, timeouts: {total: off, exchange: 10m}}
"""


def test_explain_names_the_route_of_the_method(file):
    path = file(ROUTES)
    done = run("explain", "-c", path, "--method", "POST", "http://reports.test/reports/1")
    assert done.returncode == OK, done.stderr
    assert "\nroute: routes[0] (POST /reports)\n" in done.stdout
    assert re.search(r"^timeouts\.exchange: 10m +# route .*penstock\.yaml:6$", done.stdout, re.MULTILINE)
    done = run("explain", "-c", path, "http://reports.test/reports/1")
    assert "\nroute: none takes GET" in done.stdout
    assert re.search(r"^timeouts\.total: 20s +# .*penstock\.yaml:4$", done.stdout, re.MULTILINE)
    explained = json.loads(run("explain", "--json", "-c", path, "--method", "POST",
                               "http://reports.test/reports").stdout)
    assert explained["route"] == {"index": 0, "text": "POST /reports"}
    assert explained["policy"]["timeouts.total"] == {"value": "off", "source": "route", "file": str(path), "line": 6}


def test_explain_of_no_method_is_wrong_usage(file):
    done = run("explain", "-c", file(ROUTES), "--method", "post", "http://reports.test/")
    assert done.returncode == USAGE and "write POST" in done.stderr


def test_explain_of_a_host_that_nothing_matches(file):
    done = run("explain", "-c", file(GOOD), "http://other.test/")
    assert done.returncode == OK and "none" in done.stdout and "403" in done.stdout


@pytest.mark.parametrize("url", ["not a url", "ftp://a.test/", "http://", "http://user@a.test/"])
def test_explain_of_no_url_is_wrong_usage(url):
    assert run("explain", url).returncode == USAGE


@pytest.fixture(scope="module")
def schema():
    done = run("schema")
    assert done.returncode == OK
    schema = json.loads(done.stdout)
    jsonschema.Draft202012Validator.check_schema(schema)
    return schema


def test_the_schema_is_the_one_in_config(schema):
    assert schema == json.loads((TOP / "config/penstock.schema.json").read_text())


@pytest.mark.parametrize("name", sorted(path.name for path in (TOP / "config").glob("*.yaml")) or ["no file yet"])
def test_every_file_in_config_is_good(schema, name):
    path = TOP / "config" / name
    jsonschema.Draft202012Validator(schema).validate(yaml.safe_load(path.read_text()) or {})
    done = run("check", "-c", path)
    assert done.returncode == OK, done.stderr


@pytest.mark.parametrize("text", [ROUTES, "defaults: {timeouts: {min_rate: {size: 1KiB, window: 20s}}}",
                                  "defaults: {timeouts: {min_rate: false}}", "client: {deadline_header: off}",
                                  "defaults: {drain: {size: 0}, retry: {buffer: 0}}",
                                  "upstreams: [{name: 0-a_b, hosts: [a.test]}]"])
def test_the_schema_takes_what_the_loader_takes(schema, file, text):
    jsonschema.Draft202012Validator(schema).validate(yaml.safe_load(text))
    assert run("check", "-c", file(text)).returncode == OK


@pytest.mark.parametrize("text", ["nonsense: 1", "client: {idle_timeout: 5}", "upstreams: [{name: a, hosts: [a], pool: {reuse: 3}}]",
                                  "access_log: {only: some}", "defaults: {timeouts: {min_rate: 1KiB}}",
                                  "upstreams: [{name: a, hosts: [a], routes: [{path_prefix: /a, pool: {reuse: off}}]}]",
                                  "client: {max_header_size: 0}", "defaults: {timeouts: {min_rate: {size: 0}}}",
                                  "upstreams: [{name: A, hosts: [a.test]}]", "upstreams: [{name: -a, hosts: [a.test]}]",
                                  f"upstreams: [{{name: {'a' * 65}, hosts: [a.test]}}]"])
def test_the_schema_refuses_what_the_loader_refuses(schema, file, text):
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft202012Validator(schema).validate(yaml.safe_load(text))
    assert run("check", "-c", file(text)).returncode == CONFIG


# Where the file comes from


def test_the_file_of_the_environment_is_used_and_c_wins_over_it(file):
    by_environment, by_option = file("nonsense: 1", "env.yaml"), file(GOOD, "option.yaml")
    assert run("check", env={"PENSTOCK_CONFIG": str(by_environment)}).returncode == CONFIG
    assert run("check", "-c", by_option, env={"PENSTOCK_CONFIG": str(by_environment)}).returncode == OK


@pytest.mark.skipif(Path("/etc/penstock/penstock.yaml").exists(), reason="this machine has a configuration")
def test_without_any_file_the_built_in_default_is_explained():
    done = run("explain", "http://example.test/")
    assert done.returncode == OK and "built-in" in done.stdout


def test_run_is_the_default_command(stack):
    port, admin = free_ports(2)
    path = stack.folder / "plain.yaml"
    path.write_text(f"listeners: [{{address: '127.0.0.1:{port}'}}]\nadmin: {{address: '127.0.0.1:{admin}'}}\n")
    process = subprocess.Popen([BINARY, "-c", str(path)], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    try:
        wait_until(lambda: answers(admin), "it is ready")
    finally:
        process.terminate()
        assert process.wait(10 * TIME_FACTOR) == OK


def answers(port):
    try:
        with Client(port) as client:
            return client.fetch("/readyz", host=f"127.0.0.1:{port}").status == 200
    except OSError:
        return False


@pytest.mark.parametrize("which", ["listener", "admin"])
def test_a_busy_address_exits_69(stack, file, which):
    busy = stack.origin(tls=False).port
    free, = free_ports(1)
    listener, admin = (busy, free) if which == "listener" else (free, busy)
    done = run("run", "-c", file(f"listeners: [{{address: '127.0.0.1:{listener}'}}]\nadmin: {{address: '127.0.0.1:{admin}'}}\n"))
    assert done.returncode == UNAVAILABLE and str(busy) in done.stderr
