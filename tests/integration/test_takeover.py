"""`penstock run --takeover`: a new process takes the listening sockets from the one that runs, which drains once the new
one serves. Nobody is refused, nothing fails; and when the new one fails, the old one goes on as if nothing had been."""

import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import yaml

from support.client import Client, refuses
from support.notify_socket import NotifySocket
from support.penstock import BINARY, SANITIZER, UnixConnection, free_ports
from support.scripted_origin import answering
from support.steady_load import SteadyLoad
from support.waiting import TIME_FACTOR, pause, wait_until

UPGRADES = 20
LAST_WAIT_SECONDS = 1  # of the old process, for a manager that does not read
FAILURE, USAGE, CONFIG = 1, 64, 78


@pytest.fixture
def runtime(short_folder):
    """What to put before the daemon's command line: where it is asked for its sockets."""
    return ["env", f"RUNTIME_DIRECTORY={short_folder}"]


def gone(old, code=0):
    """The process that was taken over from has drained and ended."""
    process, stderr = old
    assert process.wait(40 * TIME_FACTOR) == code, stderr.read_text()
    assert not SANITIZER.search(stderr.read_text()), stderr.read_text()


def control_socket(folder):
    found, = Path(folder).glob("penstock-takeover-*.sock")
    return found


def asks(folder, hello=b'{"takeover": 1}'):
    """As a new process would."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    sock.settimeout(10 * TIME_FACTOR)
    sock.connect(str(control_socket(folder)))
    sock.send(hello)
    return sock


def another(proxy, runtime, config=None):
    """One that takes over, or tries to."""
    command = [*runtime, BINARY, "run", "-c", str(config or proxy.config_path), "--takeover"]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True)


def path_of(proxy):
    return proxy.settings["listeners"][1]["address"].removeprefix("unix:")


@pytest.fixture
def both(stack, short_folder, runtime):
    """A daemon on a TCP port and a unix socket."""
    def start(origin=None, **settings):
        listeners = [{}, {"address": f"unix:{short_folder}/p.sock"}]
        return stack.penstock(stack.to(origin or stack.origin()), listeners=listeners, command=runtime, **settings)

    return start


@pytest.mark.parametrize("workers", [1, 2])
def test_many_upgrades_in_a_row_under_load(both, report, workers):
    proxy = both(workers=workers)
    olds = []
    with SteadyLoad(proxy.port, kept=4, fresh=4) as tcp, SteadyLoad(path_of(proxy), kept=4, fresh=4) as unix:
        for _ in range(UPGRADES):
            tcp.wait_for(20)
            unix.wait_for(20)
            olds.append(proxy.take_over())
        tcp.wait_for(20)
        unix.wait_for(20)
    report("upgrades, served by TCP, by unix socket", (UPGRADES, tcp.served, unix.served))
    assert (tcp.refused, unix.refused) == (0, 0)
    assert not tcp.faults and not unix.faults, tcp.faults + unix.faults
    for old in olds:
        gone(old)


def test_each_of_its_sockets_moves(both, short_folder):
    proxy = both(admin={"public_address": f"127.0.0.1:{free_ports(1)[0]}"})
    sockets = {path: os.stat(path).st_ino for path in (path_of(proxy), control_socket(short_folder))}
    with proxy.client() as client:
        assert client.fetch("http://api.test/").status == 200
        old = proxy.take_over()
        assert proxy.admin("/readyz")[0] == 200, "the new one answers there"
        gone(old)
    assert {path: os.stat(path).st_ino for path in sockets} == sockets, "the old one has left them alone"
    assert proxy.fetch("http://api.test/").status == 200
    with Client(path_of(proxy)) as client:
        assert client.fetch("http://api.test/").status == 200
    proxy.stop()
    assert not any(os.path.exists(path) for path in sockets), "they are the new one's to remove"


def test_a_socket_whose_file_was_removed_is_made_anew(both):
    proxy = both()
    path = path_of(proxy)
    with Client(path) as kept:
        assert kept.fetch("http://api.test/").status == 200
        os.unlink(path)
        old = proxy.take_over()
        with Client(path) as client:
            assert client.fetch("http://api.test/").status == 200
    gone(old)
    assert os.path.exists(path), "it is the new one's"
    proxy.stop()
    assert not os.path.exists(path)


def answers(path):
    """The admin server of a daemon, whose loop turns then."""
    connection = UnixConnection(str(path), 10 * TIME_FACTOR)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()


def test_an_admin_address_that_is_a_unix_socket_moves_too(stack, short_folder, runtime):
    path = short_folder / "admin.sock"
    port, = free_ports(1)
    config = short_folder / "penstock.yaml"
    config.write_text(yaml.safe_dump({"listeners": [{"address": f"127.0.0.1:{port}"}],
                                      "admin": {"address": f"unix:{path}"}}))
    old = another(None, runtime, config)
    wait_until(lambda: answers(path), "it serves, and may be taken over from")  # its control socket is the last one made
    made = os.stat(path).st_ino
    new = another(None, runtime, config)
    try:
        assert old.wait(20 * TIME_FACTOR) == 0
        assert os.stat(path).st_ino == made, "the old one has left it alone"
        assert subprocess.run([BINARY, "probe", "-c", str(config)], timeout=20 * TIME_FACTOR).returncode == 0
    finally:
        new.terminate()
        assert new.wait(20 * TIME_FACTOR) == 0
    assert not path.exists(), "it was the new one's to remove"


def test_an_admin_address_that_waits_for_a_restart_gets_one(stack, short_folder, runtime):
    """The old one's socket is not that of the address that the file has by now."""
    before, after, port = free_ports(3)
    config = short_folder / "penstock.yaml"

    def write(admin_port):
        config.write_text(yaml.safe_dump({"listeners": [{"address": f"127.0.0.1:{port}"}],
                                          "admin": {"address": f"127.0.0.1:{admin_port}"}}))

    write(before)
    old = another(None, runtime, config)
    wait_until(lambda: not refuses(before), "it serves")
    write(after)
    reload = [BINARY, "reload", "--admin", f"127.0.0.1:{before}"]
    assert subprocess.run(reload, capture_output=True, timeout=20 * TIME_FACTOR).returncode == 0
    new = another(None, runtime, config)
    try:
        assert old.wait(20 * TIME_FACTOR) == 0
        assert refuses(before) and not refuses(after)
    finally:
        new.terminate()
        assert new.wait(20 * TIME_FACTOR) == 0


def test_what_runs_is_finished_by_the_old_one(stack, both):
    hold = []

    def answer(connection, request):
        if request.target == "/slow":
            wait_until(lambda: hold, "it may be answered", 30)
        connection.reply(b"done")

    origin = stack.origin(answering(answer))
    proxy = both(origin)
    with proxy.client() as client:
        client.request("http://api.test/slow")
        wait_until(lambda: origin.requests, "it is under way")
        old = proxy.take_over()
        assert proxy.fetch("http://api.test/").status == 200
        assert old[0].poll() is None
        hold.append(True)
        assert client.response().body == b"done"
    gone(old)


@pytest.mark.parametrize("before, after", [(1, 3), (3, 1)])
def test_another_number_of_workers_loses_nobody(both, before, after):
    """Where there are fewer, one accepts from several sockets: the queue of each has its clients."""
    proxy = both(workers=before)
    with SteadyLoad(proxy.port, kept=2, fresh=6) as clients:
        clients.wait_for(20)
        old = proxy.take_over({**proxy.settings, "workers": after})
        clients.wait_for(100)
        gone(old)
        clients.wait_for(100)
    assert not clients.refused and not clients.faults, clients.faults


def test_listeners_that_come_and_go_with_the_new_configuration(stack, runtime, short_folder):
    first, second = (f"unix:{short_folder}/{name}.sock" for name in "ab")
    proxy = stack.penstock(stack.to(stack.origin()), listeners=[{}, {"address": first}], command=runtime)
    old = proxy.take_over({**proxy.settings, "listeners": [{}, {"address": second}]})
    gone(old)
    assert proxy.fetch("http://api.test/").status == 200
    with Client(second.removeprefix("unix:")) as client:
        assert client.fetch("http://api.test/").status == 200
    assert not os.path.exists(first.removeprefix("unix:")), "the old one has removed what nobody took"


def test_sockets_that_systemd_passed_go_over_too(stack, runtime, short_folder):
    """The new one was not started by systemd. Their files stay systemd's."""
    port, = free_ports(1)
    path = short_folder / "s.sock"
    passed = [sys.executable, str(Path(__file__).with_name("support") / "activate.py"), f"web={port}", f"web={path}", "--"]
    proxy = stack.penstock(stack.to(stack.origin()), listeners=[{"address": "systemd:web"}], command=[*runtime, *passed])
    proxy.command = runtime
    with SteadyLoad(port, kept=2, fresh=2) as tcp, SteadyLoad(path, kept=2, fresh=2) as unix:
        tcp.wait_for(10)
        gone(proxy.take_over())
        tcp.wait_for(10)
        unix.wait_for(10)
    assert (tcp.refused, unix.refused) == (0, 0) and not tcp.faults + unix.faults, tcp.faults + unix.faults
    proxy.stop()
    assert path.is_socket()


def test_with_nobody_running_it_just_starts(stack, runtime, tmp_path):
    port, = free_ports(1)
    config = tmp_path / "penstock.yaml"
    config.write_text(yaml.safe_dump({"listeners": [{"address": f"127.0.0.1:{port}"}], "admin": {"address": "off"},
                                      "upstreams": [stack.to(stack.origin())]}))
    process = another(None, runtime, config)
    try:
        wait_until(lambda: not refuses(port), "it serves")
        with Client(port) as client:
            assert client.fetch("http://api.test/").status == 200
    finally:
        process.terminate()
        _, said = process.communicate(timeout=20 * TIME_FACTOR)
    assert process.returncode == 0 and "nobody runs to take over from" in said


def test_without_a_folder_for_it_the_command_says_what_to_set(tmp_path):
    environment = {key: value for key, value in os.environ.items() if key not in ("RUNTIME_DIRECTORY", "XDG_RUNTIME_DIR")}
    done = subprocess.run([BINARY, "run", "--takeover"], env=environment, capture_output=True, text=True)
    assert done.returncode == USAGE and "set RUNTIME_DIRECTORY or XDG_RUNTIME_DIR" in done.stderr


# What fails

def goes_on(proxy):
    """As if nothing had been: it serves, is ready, reloads, can be taken over from."""
    assert proxy.process.poll() is None
    assert proxy.fetch("http://api.test/").status == 200
    with Client(path_of(proxy)) as client:
        assert client.fetch("http://api.test/").status == 200
    assert proxy.admin("/readyz")[0] == 200
    proxy.reload(proxy.settings)
    assert proxy.metrics("penstock_config_last_reload_successful") == 1
    gone(proxy.take_over())
    assert proxy.fetch("http://api.test/").status == 200


def test_a_new_one_with_a_bad_file(both, runtime):
    proxy = both()
    good = proxy.config_path.read_text()
    proxy.config_path.write_text("listeners: 5\n")
    new = another(proxy, runtime)
    _, said = new.communicate(timeout=20 * TIME_FACTOR)
    assert new.returncode == CONFIG and "listeners" in said
    proxy.config_path.write_text(good)
    goes_on(proxy)


def test_a_new_one_that_fails_with_the_sockets_in_its_hands(both, runtime):
    """Another listener of its configuration is taken: it has the others by then, and a file of theirs is not removed."""
    proxy = both()
    good = proxy.config_path.read_text()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        settings = yaml.safe_load(good)
        settings["listeners"].append({"address": f"127.0.0.1:{taken.getsockname()[1]}"})
        proxy.config_path.write_text(yaml.safe_dump(settings))
        new = another(proxy, runtime)
        _, said = new.communicate(timeout=20 * TIME_FACTOR)
        assert new.returncode == 69, said
    proxy.config_path.write_text(good)
    wait_until(lambda: "has ended: everything goes on here" in proxy.stderr, "the old one has noticed")
    goes_on(proxy)


def handed(sock):
    """All that a new process is sent when it has asked, with the descriptors."""
    messages, descriptors = [], []
    while not messages or b'"end"' not in messages[-1]:
        text, fds, _, _ = socket.recv_fds(sock, 1 << 16, 64)
        assert text, messages
        messages.append(text)
        descriptors += fds
    return messages, descriptors


def test_a_new_one_that_is_killed_midway(both, short_folder):
    """It has every socket, and says nothing any more: the kernel closes what it had."""
    proxy = both(workers=2)
    with SteadyLoad(proxy.port, kept=2, fresh=4) as clients:
        with asks(short_folder) as sock:
            messages, descriptors = handed(sock)
            assert len(messages) == 5 and len(descriptors) == 2 + 1 + 1 + 1, messages
            logged = proxy.reload(proxy.settings)
            assert "another process is taking over" in logged
            clients.wait_for(50)
            for fd in descriptors:
                os.close(fd)
        wait_until(lambda: "has ended: everything goes on here" in proxy.stderr, "the old one has noticed")
        clients.wait_for(50)
    assert not clients.refused and not clients.faults, clients.faults
    goes_on(proxy)


def test_while_one_takes_over_another_waits_for_its_turn(both, short_folder):
    proxy = both()
    with asks(short_folder) as first, asks(short_folder) as second:
        _, descriptors = handed(first)
        assert not select.select([second], [], [], 0.3)[0]
        first.close()
        wait_until(lambda: "everything goes on here" in proxy.stderr, "the old one has noticed")
        descriptors += handed(second)[1]
    for fd in descriptors:
        os.close(fd)
    wait_until(lambda: proxy.stderr.count("everything goes on here") == 2, "the old one has noticed")
    goes_on(proxy)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_an_old_one_that_ends_midway_leaves_the_sockets_to_the_new_one(both, short_folder, number):
    """We hold its sockets as the new one would: the queue still takes clients, and the file still leads there."""
    proxy = both()
    with asks(short_folder) as sock:
        _, descriptors = handed(sock)
        proxy.process.send_signal(number)
        proxy.process.wait(20 * TIME_FACTOR)
        proxy.stopped = True
        assert sock.recv(100) == b""
        Client(proxy.port).close()
        Client(path_of(proxy)).close()
        for fd in descriptors:
            os.close(fd)


def test_an_old_one_that_is_killed_before_it_hands_anything_over(both, short_folder, runtime):
    """The new one starts afresh, over the files that were left."""
    proxy = both()
    proxy.process.send_signal(signal.SIGSTOP)
    new = another(proxy, runtime)
    try:
        wait_until(lambda: Path(f"/proc/{new.pid}/wchan").exists() and queued(short_folder), "it has asked")
        proxy.process.kill()
        proxy.process.wait()
        wait_until(lambda: ready(proxy), "the new one serves")
        assert proxy.fetch("http://api.test/").status == 200
    finally:
        proxy.stopped = True
        new.terminate()
        _, said = new.communicate(timeout=20 * TIME_FACTOR)
    assert new.returncode == 0, said


def state_of(pid):
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def test_a_new_one_that_is_stopped_for_a_while_goes_on_waiting(both, short_folder, runtime):
    """A stop interrupts waits that have a time limit (signal(7))."""
    proxy = both()
    old = proxy.process, proxy.stderr_path
    proxy.process.send_signal(signal.SIGSTOP)
    new = another(proxy, runtime)
    try:
        wait_until(lambda: queued(short_folder) and state_of(new.pid) == "S", "it waits for an answer")
        new.send_signal(signal.SIGSTOP)
        wait_until(lambda: state_of(new.pid) == "T", "it has stopped")
        new.send_signal(signal.SIGCONT)
        wait_until(lambda: state_of(new.pid) != "T", "it goes on")
        proxy.process.send_signal(signal.SIGCONT)
        proxy.stopped = True
        gone(old)
        assert proxy.fetch("http://api.test/").status == 200
    finally:
        new.terminate()
        _, said = new.communicate(timeout=20 * TIME_FACTOR)
    assert new.returncode == 0, said


def queued(folder):
    """Somebody waits in the control socket's queue."""
    lines = Path("/proc/net/unix").read_text().splitlines()
    return sum(line.endswith(control_socket(folder).name) for line in lines) > 1


def ready(proxy):
    try:
        return proxy.admin("/readyz")[0] == 200
    except OSError:
        return False


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else")
def test_another_user_is_given_nothing(both, short_folder):
    """Not even where the file lets it in."""
    proxy = both()
    path = control_socket(short_folder)
    os.chmod(short_folder, 0o755)
    os.chmod(path, 0o666)
    script = ("import socket, sys; s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET); s.connect(sys.argv[1])\n"
              "try: s.send(b'{\"takeover\": 1}'); print(s.recv(100))\n"
              "except (BrokenPipeError, ConnectionResetError): print('closed')")
    done = subprocess.run(["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "/usr/bin/python3", "-c", script,
                           str(path)], capture_output=True, text=True, timeout=20 * TIME_FACTOR)
    assert done.stdout.strip() in ("closed", "b''"), done
    wait_until(lambda: "another user's process asked" in proxy.stderr, "it is logged")
    goes_on(proxy)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else")
def test_the_socket_of_another_user_is_not_asked(both, short_folder, runtime):
    """Whoever made it could give sockets of its own."""
    proxy = both()
    path = control_socket(short_folder)
    proxy.stop()
    os.chmod(short_folder, 0o777)
    script = ("import socket, sys; s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET); s.bind(sys.argv[1]); s.listen()\n"
              "print('up', flush=True); sys.stdin.read()")
    other = subprocess.Popen(["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "/usr/bin/python3", "-c", script,
                              str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        assert other.stdout.readline() == b"up\n"
        new = another(proxy, runtime)
        _, said = new.communicate(timeout=20 * TIME_FACTOR)
        assert new.returncode == FAILURE and "belongs to another user" in said
    finally:
        other.communicate(b"", timeout=20 * TIME_FACTOR)


@pytest.mark.parametrize("text", [b"\x00\xff garbage", b"[]", b"{}", b'{"takeover": "1"}', b'{"takeover": 2}', b"{" * 60_000,
                                  b'{"ready": true, "kept": [0, 1, 2]}'])
def test_garbage_is_refused(both, short_folder, text):
    proxy = both()
    with asks(short_folder, text) as sock:
        assert b'"error"' in sock.recv(1000)
        assert sock.recv(1000) == b""
    goes_on(proxy)


def test_nonsense_instead_of_being_ready_changes_nothing(both, short_folder):
    proxy = both()
    with asks(short_folder) as sock:
        _, descriptors = handed(sock)
        sock.send(b'{"ready": "soon"}')
        assert b'"error"' in sock.recv(1000)
        for fd in descriptors:
            os.close(fd)
    goes_on(proxy)


def test_while_it_stops_it_gives_nothing(stack, both, runtime):
    gate = threading.Event()
    origin = stack.origin(answering(lambda connection, _: (gate.wait(60), connection.reply())))
    proxy = both(origin)
    with proxy.client() as client:
        client.request("http://api.test/")
        wait_until(lambda: origin.requests, "it is under way")
        proxy.process.send_signal(signal.SIGTERM)
        wait_until(lambda: proxy.admin("/readyz")[0] == 503, "it drains")
        new = another(proxy, runtime)
        _, said = new.communicate(timeout=20 * TIME_FACTOR)
        assert new.returncode == FAILURE and "it is stopping: start once it has ended" in said
        gate.set()
        assert client.response().status == 200
    gone((proxy.process, proxy.stderr_path))
    proxy.stopped = True


# The service manager

def test_the_manager_is_told_which_process_is_the_main_one(stack, both, runtime):
    """By the one that it listens to; the new one says that it is ready after that."""
    manager = NotifySocket()
    runtime += manager.command()[1:]
    proxy = both()
    manager.wait_for("READY")
    old = proxy.take_over()
    index, message = manager.wait_for("MAINPID")
    assert message == {"MAINPID": str(proxy.process.pid)}
    index, message = manager.wait_for("READY", after=index)
    assert message["STATUS"].startswith("revision 1")
    gone(old)
    assert manager.count("STOPPING") == 0, "the service goes on"
    proxy.stop()
    assert manager.count("STOPPING") == 1
    manager.close()


def read_after_the_handover(manager, stderr):
    """A while after it; returns the longest time that the old one can have waited for us to do so."""
    looks = [time.monotonic()]

    def has_handed_over():
        looks.append(time.monotonic())
        return "another process serves in our place" in stderr.read_text()

    wait_until(has_handed_over, "the old one has handed over", 30)
    pause(0.1)
    manager.read()
    return time.monotonic() - looks[-2]


def test_a_manager_that_does_not_read_is_told_later_which_process_is_the_main_one(stack, both, runtime):
    manager = NotifySocket()
    runtime += manager.command()[1:]
    proxy = both()
    first, _ = manager.wait_for("READY")
    told = None
    while not told:
        manager.fill()
        with ThreadPoolExecutor() as pool:
            seconds = pool.submit(read_after_the_handover, manager, proxy.stderr_path)
            old = proxy.take_over()
        gone(old)
        told = manager.count("MAINPID")
        assert told or seconds.result() > LAST_WAIT_SECONDS, "the old one waits so long at its end for room"
    _, message = manager.wait_for("MAINPID")
    assert message == {"MAINPID": str(proxy.process.pid)}
    manager.wait_for("READY", after=first + 1)  # each process tries for itself: either may come first
    proxy.stop()
    manager.close()


def test_the_new_one_feeds_the_old_ones_watchdog(stack, both, runtime):
    """It may have been started without the manager's variables."""
    manager = NotifySocket()
    usec = int(400_000 * TIME_FACTOR)
    bare = list(runtime)
    runtime += manager.command(WATCHDOG_USEC=usec)[1:]
    proxy = both()
    manager.wait_for("WATCHDOG")
    proxy.command = bare
    with manager.reading():  # or its queue of ten is full of WATCHDOGs when the old one ends
        gone(proxy.take_over())
    index, _ = manager.wait_for("READY", after=manager.wait_for("MAINPID")[0])
    for _ in range(3):
        index, _ = manager.wait_for("WATCHDOG", after=index + 1)
    proxy.stop()
    manager.close()
