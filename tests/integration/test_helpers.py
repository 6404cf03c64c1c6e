"""The commands beside the daemon: env, probe and doctor, as a user calls them."""

import os
import re
import signal
import subprocess
import sys

import pytest

from support.client import Client
from support.penstock import BINARY, free_ports
from support.scripted_origin import answering
from support.waiting import TIME_FACTOR, wait_until

OK, FAILURE, USAGE, CONFIG = 0, 1, 64, 78


def clean_environment(**more):
    kept = {key: value for key, value in os.environ.items() if not key.lower().endswith("_proxy") and key != "PENSTOCK_CONFIG"}
    return {**kept, **more}


def run(*arguments, **environment):
    return subprocess.run([BINARY, *map(str, arguments)], env=clean_environment(**environment), capture_output=True, text=True,
                          timeout=60 * TIME_FACTOR)


@pytest.fixture
def file(tmp_path):
    def write(text):
        path = tmp_path / "penstock.yaml"
        path.write_text(text)
        return path

    return write


# env


@pytest.mark.parametrize("shell", ["sh", "bash"])
def test_what_env_prints_is_what_a_shell_takes(file, shell):
    config = file("listeners: [{address: '127.0.0.1:4000'}, {address: '[::1]:4001'}]\n")
    show = f'eval "$({BINARY} env -c {config})"; echo $http_proxy $HTTP_PROXY $no_proxy $NO_PROXY; env | grep -c -i _proxy='
    done = subprocess.run([shell, "-c", show], env=clean_environment(), capture_output=True, text=True)
    assert done.stdout == ("http://127.0.0.1:4000 http://127.0.0.1:4000 localhost,127.0.0.1,::1 localhost,127.0.0.1,::1\n4\n")


def test_env_names_the_listener_that_is_asked_for(file):
    config = file("listeners: [{address: '127.0.0.1:4000'}, {address: '[::1]:4001'}]\n")
    done = run("env", "-c", config, "--listener", "[::1]:4001", "--format", "java")
    assert done.returncode == OK
    assert done.stdout == "-Dhttp.proxyHost=::1 -Dhttp.proxyPort=4001 -Dhttp.nonProxyHosts=localhost|127.*|[::1]\n"


@pytest.mark.parametrize("arguments, words", [
    (["--format", "csh"], "no format csh (there are: sh, fish, systemd, compose, kubernetes, java)"),
    (["--listener", "127.0.0.1:1"], "no listener has the address 127.0.0.1:1 (there are: 127.0.0.1:4000)")])
def test_env_says_what_there_is_instead(file, arguments, words):
    done = run("env", "-c", file("listeners: [{address: '127.0.0.1:4000'}]\n"), *arguments)
    assert done.returncode == USAGE and done.stdout == "" and words in done.stderr


def test_env_of_a_bad_file_exits_78(file):
    assert run("env", "-c", file("nonsense: 1\n")).returncode == CONFIG


# probe


@pytest.mark.parametrize("path", [[], ["/readyz"], ["/livez"]])
def test_probe_of_a_healthy_daemon_is_silent(stack, path):
    proxy = stack.penstock(stack.to(stack.origin()))
    for how in (["--admin", f"127.0.0.1:{proxy.admin_port}"], ["-c", proxy.config_path]):
        done = run("probe", *how, *path)
        assert (done.returncode, done.stdout, done.stderr) == (OK, "", "")


def test_probe_of_a_draining_daemon_says_so_and_fails(stack):
    origin = stack.origin(lambda connection: (connection.read_request(), connection.stall()))
    proxy = stack.penstock(stack.to(origin), shutdown={"grace": "20s"})
    with proxy.client() as client:
        client.request("http://api.test/")
        wait_until(lambda: origin.requests, "a request is under way")
        proxy.process.send_signal(signal.SIGTERM)
        wait_until(lambda: "draining" in proxy.stderr, "it drains")
        done = run("probe", "--admin", f"127.0.0.1:{proxy.admin_port}")
        assert done.returncode == FAILURE and done.stderr == "penstock probe: /readyz: draining\n"
    proxy.process.wait(30 * TIME_FACTOR)


def test_probe_of_nobody_says_why():
    port, = free_ports(1)
    done = run("probe", "--admin", f"127.0.0.1:{port}")
    assert (done.returncode, done.stderr) == (FAILURE, f"penstock probe: /readyz: 127.0.0.1:{port}: Connection refused\n")


def test_probe_of_a_silent_server_ends_after_two_seconds(stack):
    silent = stack.origin(lambda connection: connection.stall(), tls=False)
    done = run("probe", "--admin", f"127.0.0.1:{silent.port}", "/livez")
    assert (done.returncode, done.stderr) == (
        FAILURE, f"penstock probe: /livez: 127.0.0.1:{silent.port}: no whole answer within 2s\n")


def test_probe_of_another_server_is_no_success(stack):
    other = stack.origin(lambda connection: (connection.read_request(), connection.send("SSH-2.0-x\r\n")), tls=False)
    done = run("probe", "--admin", f"127.0.0.1:{other.port}")
    assert (done.returncode, done.stderr) == (
            FAILURE, f"penstock probe: /readyz: 127.0.0.1:{other.port}: no HTTP response\n")


def test_probe_without_an_admin_server_says_so(file):
    done = run("probe", "-c", file("admin: {address: off}\n"))
    assert done.returncode == FAILURE and "admin.address is off" in done.stderr


@pytest.mark.parametrize("faulty", ["no_such_key: 1\n{}", "upstreams: [\n{}", "{}upstreams:\n- name: \"a\n"])
def test_whoever_asks_a_daemon_takes_its_address_from_a_half_edited_file(stack, faulty):
    proxy = stack.penstock(stack.to(stack.origin()))
    proxy.config_path.write_text(faulty.format(f"admin:\n  address: 127.0.0.1:{proxy.admin_port}\n"))
    done = run("probe", "-c", proxy.config_path)
    assert (done.returncode, done.stdout, done.stderr) == (OK, "", "")
    done = run("pools", PENSTOCK_CONFIG=str(proxy.config_path))
    assert (done.returncode, done.stderr) == (OK, "")


def test_a_file_that_cannot_be_read_leads_to_the_default_address(tmp_path):
    nowhere = tmp_path / "none.yaml"
    done = run("probe", "-c", nowhere)
    note, *rest = done.stderr.splitlines()
    assert done.returncode != CONFIG and note.startswith(f"penstock probe: {nowhere}: cannot be read by ")
    assert note.endswith("; asking 127.0.0.1:9128")
    done = run("probe", PENSTOCK_CONFIG=str(nowhere))
    assert done.returncode != CONFIG and done.stderr.splitlines() == rest, "a note only on what -c names"


@pytest.mark.parametrize("arguments", [["/metrics"], ["--admin"]])
def test_probe_knows_two_paths(arguments):
    assert run("probe", *arguments).returncode == USAGE


def test_probe_of_no_address(file):
    done = run("probe", "--admin", "localhost")
    assert done.returncode == FAILURE and '"localhost" is no address with a port' in done.stderr


# doctor

CLIENT = """
import http.client, os, sys
host, port = os.environ["http_proxy"][7:].rsplit(":", 1)
one = http.client.HTTPConnection(host, int(port))
for url in sys.argv[1:]:
    one.request("GET", url)
    print(one.getresponse().read().decode())
"""


@pytest.fixture
def config(stack, file):
    """A file that leads api.test to a TLS origin, and whose own port nobody may take."""
    origin = stack.origin(answering(lambda connection, request: connection.reply(b"hello")))
    return file(f"listeners: [{{address: '127.0.0.1:1'}}]\nupstreams:\n  - name: api\n    hosts: [api.test]\n"
                f"    connect_to: 127.0.0.1:{origin.port}\n    tls: {{ca_file: {stack.ca.file}}}\n")


def test_doctor_says_what_came_and_what_was_reused(config):
    done = run("doctor", "-c", config, "--", sys.executable, "-c", CLIENT, "http://api.test/a", "http://api.test/b?q=1")
    assert (done.returncode, done.stdout) == (OK, "hello\nhello\n"), done.stderr
    lines = done.stderr.splitlines()
    assert re.fullmatch(r"penstock doctor: python\S* ended with exit 0; 2 requests over 1 connection to the proxy; "
                        "upstream 1 connection opened, 1 reused", lines[0])
    assert re.match(r"  1  absolute  GET api\.test/a  200     new 1 +queue|  1  absolute  GET api\.test/a  200 +new 1 +\S+ ", lines[2])
    assert re.search(r"tls \d+\.\d+", lines[2]) and "tls" not in lines[3]
    assert re.match(r"  2  absolute  GET api\.test/b  200 +reused 1", lines[3])
    assert len(lines) == 4, done.stderr


def test_doctor_exits_as_its_command_does(config):
    assert run("doctor", "-c", config, "--", "sh", "-c", "exit 42").returncode == 42
    assert run("doctor", "-c", config, "--", "sh", "-c", "kill -9 $$").returncode == 128 + 9
    absent = run("doctor", "-c", config, "--", "/no/such/command")
    assert (absent.returncode, absent.stderr) == (127, "penstock doctor: cannot run /no/such/command: No such file or directory\n")


def test_doctor_sets_both_spellings_and_removes_what_leads_elsewhere(config):
    done = run("doctor", "-c", config, "--", "env", https_proxy="http://x", HTTPS_PROXY="http://x", ALL_PROXY="http://x",
               http_proxy="http://x", NO_PROXY="a.test")
    variables = dict(line.split("=", 1) for line in done.stdout.splitlines() if "_proxy=" in line.lower())
    assert set(variables) == {"http_proxy", "HTTP_PROXY", "NO_PROXY"}
    assert variables["http_proxy"] == variables["HTTP_PROXY"] and variables["http_proxy"].startswith("http://127.0.0.1:")
    assert "it is set to a.test" in done.stderr


def test_doctor_of_a_command_that_asks_nothing_names_the_reasons(config):
    done = run("doctor", "-c", config, "--", "true", "https://api.test/")
    assert done.stderr.startswith("penstock doctor: true ended with exit 0; nothing came to the proxy\n")
    assert "the command has https://api.test/" in done.stderr


def test_doctor_recognises_a_tunnel(config):
    done = run("doctor", "-c", config, "--", "sh", "-c", "curl -sS --proxy $http_proxy -k https://api.test/ || true")
    assert "came as a CONNECT tunnel: it cannot be pooled" in done.stderr, done.stderr


def test_doctor_recognises_tls_spoken_to_the_proxy(config):
    done = run("doctor", "-c", config, "--", "sh", "-c", "curl -sS --proxy https://${http_proxy#http://} http://api.test/ || true")
    assert "never https:// or socks://" in done.stderr and "TLS is spoken to a plaintext proxy port" in done.stderr


def test_doctor_says_what_failed(config):
    done = run("doctor", "-c", config, "--", sys.executable, "-c", CLIENT, "http://unknown.test/")
    assert "hint: GET unknown.test/ failed with http_request_denied: the body of the answer says more." in done.stderr, done.stderr


def test_doctor_leaves_no_instance_behind(config):
    done = run("doctor", "-c", config, "--", "sh", "-c", "echo $http_proxy")
    port = int(done.stdout.rsplit(":", 1)[1])
    with pytest.raises(ConnectionRefusedError):
        Client(port)


def test_doctor_reports_after_an_interrupt(config):
    process = subprocess.Popen([BINARY, "doctor", "-c", str(config), "--", "sh", "-c", "echo begun; exec cat"],
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                               env=clean_environment(), start_new_session=True)
    assert process.stdout.readline() == "begun\n"
    os.killpg(process.pid, signal.SIGINT)
    assert process.wait(30 * TIME_FACTOR) == 128 + signal.SIGINT
    assert "sh ended with signal 2; nothing came" in process.communicate()[1]


def doctor_of_cat(config, hangup):
    """SIGHUP is as said, whatever started the tests (nohup ignores it)."""
    return subprocess.Popen(["/usr/bin/env", f"--{hangup}-signal=HUP", BINARY, "doctor", "-c", str(config), "--",
                             "sh", "-c", "echo $http_proxy; exec cat"],
                            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                            env=clean_environment())


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_doctor_passes_on_what_it_is_sent_and_reports(config, number):
    process = doctor_of_cat(config, "default")
    port = int(process.stdout.readline().rsplit(":", 1)[1])
    process.send_signal(number)
    assert process.wait(30 * TIME_FACTOR) == 128 + number  # before communicate() ends cat by closing its input
    assert f"sh ended with signal {int(number)}; nothing came" in process.communicate()[1]
    with pytest.raises(ConnectionRefusedError):
        Client(port)


def test_doctor_under_nohup_ignores_a_hangup_as_its_command_does(config):
    process = doctor_of_cat(config, "ignore")
    process.stdout.readline()
    process.send_signal(signal.SIGHUP)
    assert process.communicate("still here\n", 30 * TIME_FACTOR)[0] == "still here\n"
    assert process.returncode == 0


def test_doctor_waits_for_a_command_that_has_more_to_do_after_a_signal(config):
    script = "trap 'echo heard; exit 7' TERM; echo begun; while :; do sleep 0.1; done"
    process = subprocess.Popen([BINARY, "doctor", "-c", str(config), "--", "sh", "-c", script],
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                               env=clean_environment())
    assert process.stdout.readline() == "begun\n"
    process.terminate()
    assert process.stdout.readline() == "heard\n"
    assert process.wait(30 * TIME_FACTOR) == 7
    process.communicate()


def test_doctor_of_a_bad_file_exits_78_and_runs_nothing(file):
    done = run("doctor", "-c", file("nonsense: 1\n"), "--", "echo", "ran")
    assert done.returncode == CONFIG and done.stdout == ""
