"""The files of the configuration change, vanish and come back: by signal, and by themselves with `reload.watch`."""

import json
import os
import shutil
import signal
import subprocess
import time

import pytest
import yaml

from support.ca import CertificateAuthority
from support.client import Client
from support.penstock import BINARY, assert_failed, free_ports
from support.waiting import TIME_FACTOR, pause, wait_until

WATCH = {"reload": {"watch": "50ms"}}


def revision(proxy):
    return json.loads(proxy.admin("/pools")[1])["revision"]


def successful(proxy):
    return proxy.metrics("penstock_config_last_reload_successful") == 1


def failures(proxy):
    return proxy.stderr.count("reload failed")


def put(path, text):
    """As an editor or a deployment does it: whole at once."""
    fresh = path.with_name(path.name + ".new")
    fresh.write_text(text)
    os.replace(fresh, path)


@pytest.fixture
def two_upstreams(stack):
    one, two = stack.origin(names=("one.test",)), stack.origin(names=("two.test",))
    return stack.to(one, "one.test"), stack.to(two, "two.test")


def test_a_file_that_is_gone_changes_nothing_and_one_that_is_back_is_read(stack):
    proxy = stack.penstock(stack.to(stack.origin()))
    text = proxy.config_path.read_text()
    proxy.config_path.unlink()
    proxy.process.send_signal(signal.SIGHUP)
    wait_until(lambda: failures(proxy) == 1, "the reload fails")
    assert "No such file" in proxy.stderr and not successful(proxy)
    assert proxy.fetch("http://api.test/").status == 200
    proxy.reload(text=text)
    assert successful(proxy)


def test_a_ca_file_that_is_gone_changes_nothing(stack, ca, tmp_path):
    file = tmp_path / "trusted.pem"
    shutil.copy(ca.file, file)
    origin = stack.origin()
    proxy = stack.penstock(stack.to(origin, tls={"ca_file": str(file)}))
    assert proxy.fetch("http://api.test/").status == 200
    file.unlink()
    assert str(file) in proxy.reload(proxy.settings)
    assert not successful(proxy) and revision(proxy) == 1
    assert proxy.fetch("http://api.test/").status == 200
    assert origin.accepted == 1, "its connection was lost"


# By themselves


def test_a_changed_file_is_read_without_a_signal(stack, two_upstreams):
    one, two = two_upstreams
    proxy = stack.penstock(one, **WATCH)
    assert proxy.fetch("http://two.test/").status == 403
    proxy.write_config({**WATCH, "upstreams": [one, two]})
    wait_until(lambda: revision(proxy) == 2, "the file is read")
    assert proxy.fetch("http://two.test/").status == 200
    proxy.write_config({"upstreams": [two]})
    wait_until(lambda: revision(proxy) == 3, "the file is read")
    proxy.write_config({**WATCH, "upstreams": [one]})
    pause(0.4)
    assert revision(proxy) == 3, "nobody watches any more"


def test_a_changed_certificate_is_read_without_a_signal(stack, ca, tmp_path):
    file = tmp_path / "trusted.pem"
    shutil.copy(ca.file, file)
    proxy = stack.penstock(stack.to(stack.origin(), tls={"ca_file": str(file)}), **WATCH)
    assert proxy.fetch("http://api.test/").status == 200
    shutil.copy(CertificateAuthority(tmp_path / "other", "another CA").file, file)
    wait_until(lambda: revision(proxy) == 2, "the certificate is read")
    wait_until(lambda: "tls.ca_file" in proxy.stderr, "it is told when all workers have it")
    assert_failed(proxy.fetch("http://api.test/"), 502, "tls_certificate_error")


def test_a_link_that_kubernetes_swaps_is_followed(stack, two_upstreams, tmp_path):
    """penstock.yaml -> ..data/penstock.yaml, ..data -> ..1: an update makes ..2 and renames a link over ..data."""
    one, two = two_upstreams
    proxy = stack.penstock(one, **WATCH)
    mount = tmp_path / "mount"
    (mount / "..1").mkdir(parents=True)
    (mount / "..1" / "penstock.yaml").write_text(proxy.config_path.read_text())
    (mount / "..data").symlink_to("..1")
    link = tmp_path / "link"
    link.symlink_to(mount / "..data" / "penstock.yaml")
    os.replace(link, proxy.config_path)  # at no moment is there no file
    pause(0.3)
    assert revision(proxy) == 1, "another file with the same content is no change"
    (mount / "..2").mkdir()
    proxy.config_path = mount / "..2" / "penstock.yaml"
    proxy.write_config({**WATCH, "upstreams": [one, two]})
    (mount / "..tmp").symlink_to("..2")
    os.replace(mount / "..tmp", mount / "..data")
    wait_until(lambda: revision(proxy) == 2, "the new file is read")
    assert proxy.fetch("http://two.test/").status == 200


def test_a_broken_file_is_reported_once_and_its_mending_is_seen(stack):
    proxy = stack.penstock(stack.to(stack.origin()), **WATCH)
    good = proxy.config_path.read_text()
    put(proxy.config_path, good + "no_such_key: 1\n")
    wait_until(lambda: failures(proxy) == 1, "the fault is reported")
    assert "no_such_key" in proxy.stderr and not successful(proxy)
    pause(0.4)
    assert failures(proxy) == 1, "it is reported again and again"
    put(proxy.config_path, good)
    wait_until(lambda: successful(proxy), "the mended file is read")
    assert failures(proxy) == 1


def test_a_file_that_a_broken_one_lacks_is_awaited(stack, ca, tmp_path):
    """Configuration and certificate come in the wrong order: the second one makes the first one good."""
    origin = stack.origin()
    proxy = stack.penstock(stack.to(origin), **WATCH)
    late = tmp_path / "late.pem"
    proxy.write_config({**WATCH, "upstreams": [stack.to(origin, tls={"ca_file": str(late)})]})
    wait_until(lambda: failures(proxy) == 1, "the fault is reported")
    assert str(late) in proxy.stderr
    shutil.copy(ca.file, late)
    wait_until(lambda: successful(proxy), "the certificate is seen")
    assert proxy.fetch("http://api.test/").status == 200


def write_slowly(path, text):
    """Line by line; the longest time between two of them."""
    longest, last = 0, time.monotonic()
    with open(path, "w") as out:
        for line in text.splitlines(keepends=True):
            out.write(line)
            out.flush()
            longest, last = max(longest, time.monotonic() - last), time.monotonic()
            pause(0.1)
    return longest


def test_a_file_that_is_still_being_written_is_not_read(stack, two_upstreams):
    """Every look finds it longer than the one before, and each part would be a whole file without its end."""
    proxy = stack.penstock(two_upstreams[0], reload={"watch": "1s"})
    good = proxy.config_path.read_text()
    longest = 1.0
    while longest > 0.9:  # or two looks may have come between two of its lines
        before = failures(proxy), revision(proxy)
        longest = write_slowly(proxy.config_path, good + "# and so on\n" * 20 + "no_such_key: 1\n")
        wait_until(lambda: failures(proxy) == before[0] + 1, "the whole file is read")
        if longest > 0.9:
            put(proxy.config_path, good)
            wait_until(lambda: successful(proxy), "the good one is read")
    assert revision(proxy) == before[1], "a part of it was taken for the whole"


def test_a_reload_by_hand_is_not_done_again_by_the_watch(stack, two_upstreams):
    one, two = two_upstreams
    proxy = stack.penstock(one, **WATCH)
    for number, upstreams in enumerate(([one, two], [two], [one]), start=2):
        proxy.write_config({**WATCH, "upstreams": upstreams})
        told = json.loads(proxy.admin("/reload", "POST", {"Penstock-Admin": "1"})[1])["revision"]
        assert told >= number  # the watch may have been first
        pause(0.2)
        assert revision(proxy) == told


def test_a_configuration_from_a_pipe_is_not_read_again(stack, tmp_path):
    """Nothing more comes out of it, which would pass for a file that says nothing."""
    origin = stack.origin(tls=False)
    pipe = tmp_path / "config"
    os.mkfifo(pipe)
    port, admin_port = free_ports(2)
    settings = {"listeners": [{"address": f"127.0.0.1:{port}"}], "admin": {"address": f"127.0.0.1:{admin_port}"},
                "upstreams": [stack.to(origin)]}
    daemon = subprocess.Popen([BINARY, "run", "-c", str(pipe)], stderr=subprocess.PIPE, text=True)
    try:
        pipe.write_text(yaml.safe_dump(settings))
        wait_until(lambda: serves(port), "it serves")
        done = subprocess.run([BINARY, "reload", "--admin", f"127.0.0.1:{admin_port}"], capture_output=True, text=True,
                              timeout=20 * TIME_FACTOR)
        assert done.returncode == 78 and "a pipe can be read only once" in done.stderr, done
        assert serves(port)
    finally:
        daemon.terminate()
        assert daemon.wait(20 * TIME_FACTOR) == 0


def serves(port):
    try:
        with Client(port) as client:
            return client.fetch("http://api.test/").status == 200
    except OSError:
        return False
