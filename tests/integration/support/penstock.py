"""The daemon under test: the real binary, with its configuration, admin address and access log."""

import http.client
import itertools
import json
import os
import re
import signal
import socket
import subprocess
import time
from pathlib import Path

import yaml

from .client import Client
from .ports import free_ports
from .waiting import SLACK_SECONDS, TIME_FACTOR, slack, wait_until

TOP = Path(__file__).resolve().parents[3]
BINARY = os.environ.get("PENSTOCK_BIN") or str(TOP / "build/release/penstock")
SANITIZER = re.compile(r"ERROR: \w+Sanitizer|WARNING: ThreadSanitizer|runtime error:|Assertion .* failed")
EX_UNAVAILABLE = 69


class UnixConnection(http.client.HTTPConnection):
    """http.client's, to the path of a unix socket."""

    def __init__(self, path, timeout):
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def merged(base, extra):
    """`extra` laid over `base`, mapping by mapping."""
    result = dict(base)
    for key, value in extra.items():
        both = isinstance(value, dict) and isinstance(result.get(key), dict)
        result[key] = merged(result[key], value) if both else value
    return result


class Penstock:
    """Starts on free ports and waits for /readyz; stop() asks it to end and checks how it did."""

    def __init__(self, folder, settings, listeners=1, command=(), descriptors=()):
        self.folder = Path(folder)
        self.folder.mkdir(parents=True)
        self.command = list(command)
        self.descriptors = list(descriptors)  # of ours that it inherits
        self.config_path = self.folder / "penstock.yaml"
        self.log_path = self.folder / "access.log"
        self.stderr_path = self.folder / "stderr.log"
        self.settings = settings
        self._listeners = listeners
        self.stopped = False
        self._numbers = itertools.count(2)
        self._start()

    # Life

    def _start(self):
        for _ in range(5):
            *self.ports, self.admin_port = free_ports(self._listeners + 1)
            self.port = self.ports[0]
            self.write_config(self.settings)
            self._spawn()
            wait_until(lambda: self._ready() or self.process.poll() is not None, "penstock becomes ready", 20)
            if self.process.poll() is None:
                return
            if self.process.returncode != EX_UNAVAILABLE:
                break
        raise AssertionError(f"penstock did not start, exit {self.process.returncode}:\n{self.stderr}")

    def _spawn(self, *options):
        with open(self.folder / "stdout.log", "ab") as out, open(self.stderr_path, "wb") as err:
            self.process = subprocess.Popen([*self.command, BINARY, "run", "-c", str(self.config_path), *options],
                                            stdout=out, stderr=err, cwd=self.folder, pass_fds=self.descriptors)

    def restart(self):
        """As a service manager does: one ends, then another starts."""
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(40 * TIME_FACTOR) == 0, self.stderr
        self.check_stderr()
        self._spawn()
        wait_until(lambda: self._ready() or self.process.poll() is not None, "penstock becomes ready", 20)
        assert self.process.poll() is None, self.stderr

    def take_over(self, settings=None):
        """Another process takes over (`run --takeover`), with new settings if there are any, and is this daemon's from
        now on. Returns the old one, which drains, and its standard error's path."""
        if settings is not None:
            self.write_config(settings)
        old = self.process, self.stderr_path
        self.stderr_path = self.folder / f"stderr{next(self._numbers)}.log"
        self._spawn("--takeover")
        wait_until(lambda: "penstock is ready" in self.stderr or self.process.poll() is not None, "the new one serves", 20)
        assert self.process.poll() is None, self.stderr
        return old

    def _ready(self):
        try:
            return self.admin("/readyz")[0] == 200
        except OSError:
            return False

    def write_config(self, settings):
        """What the daemon would read at its next reload. Listeners given by the test name ports by {index}."""
        base = {
            "listeners": [{"address": f"127.0.0.1:{port}"} for port in self.ports],
            "admin": {"address": f"127.0.0.1:{self.admin_port}"},
            "access_log": {"path": str(self.log_path), "only": "all"},
            "log": {"level": "debug" if os.environ.get("PENSTOCK_DEBUG") else "info", "format": "text"},
        }
        self.settings = settings
        settings = dict(settings)
        if "listeners" in settings:
            settings["listeners"] = [
                merged({"address": f"127.0.0.1:{port}"}, own)
                for port, own in zip(self.ports, settings["listeners"])]
        fresh = self.config_path.with_name(self.config_path.name + ".new")
        fresh.write_text(yaml.safe_dump(merged(base, settings), sort_keys=False))
        fresh.replace(self.config_path)  # whole at once, for who watches it

    def reload(self, settings=None, text=None):
        """SIGHUP with new settings (or with literal file text); returns what the daemon logged meanwhile."""
        if settings is not None:
            self.write_config(settings)
        if text is not None:
            self.config_path.write_text(text)
        seen = len(self.stderr)
        before = self.metrics("penstock_config_last_reload_timestamp_seconds"), self._faults_logged()
        self.process.send_signal(signal.SIGHUP)
        wait_until(lambda: (self.metrics("penstock_config_last_reload_timestamp_seconds"),
                            self._faults_logged()) != before, "the reload is over")
        return self.stderr[seen:]

    def _faults_logged(self):
        return self.metrics("penstock_config_last_reload_successful"), self.stderr.count("reload failed")

    def stop(self, grace=30):
        """SIGTERM; asserts exit 0 within the grace and no sanitizer's report."""
        if self.stopped:
            return
        self.stopped = True
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            code = self.process.wait(grace * TIME_FACTOR)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"penstock did not end within {grace} s of SIGTERM:\n{self.stderr[-4000:]}") from None
        self.check_stderr()
        assert code == 0, f"penstock ended with {code}:\n{self.stderr[-4000:]}"

    def check_stderr(self):
        report = SANITIZER.search(self.stderr)
        assert not report, self.stderr[max(0, report.start() - 200):][:8000]

    @property
    def stderr(self):
        return self.stderr_path.read_text(errors="replace")

    @property
    def rss_bytes(self):
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+) kB", status).group(1)) << 10

    @property
    def cpu_seconds(self):
        """Of all threads, in user and system mode."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    # As a client

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def client(self, listener=0, **options):
        return Client(self.ports[listener], **options)

    def fetch(self, target, method="GET", fields=(), body=None, host=None, listener=0):
        """One request on a connection of its own; the response carries `seconds`."""
        begun = time.monotonic()  # before the proxy can have read a clock for it
        with self.client(listener) as client:
            response = client.fetch(target, method, fields, body, host)
            response.seconds = time.monotonic() - begun
            return response

    def curl(self, *arguments, check=True):
        environment = {key: value for key, value in os.environ.items() if not key.lower().endswith("_proxy")}
        environment["http_proxy"] = self.url
        return subprocess.run(["curl", "-sS", "--max-time", "60", *arguments], env=environment, check=check,
                              capture_output=True)

    # What it tells

    def admin(self, path, method="GET", fields=()):
        connection = self._admin_connection()
        try:
            connection.request(method, path, headers=dict(fields))
            response = connection.getresponse()
            return response.status, response.read().decode()
        finally:
            connection.close()

    def _admin_connection(self):
        kind, _, path = str(self.settings.get("admin", {}).get("address", "")).partition(":")
        if kind == "unix":
            return UnixConnection(path, 10 * TIME_FACTOR)
        return http.client.HTTPConnection("127.0.0.1", self.admin_port, timeout=10 * TIME_FACTOR)

    def pools(self, upstream=None):
        """The `hosts` of one upstream of /pools (the first when none is named)."""
        status, body = self.admin("/pools")
        assert status == 200, body
        upstreams = json.loads(body)["upstreams"]
        found = [u for u in upstreams if upstream is None or u["name"] == upstream]
        return found[0]["hosts"] if found else []

    def waiting(self, upstream=None):
        """How many requests queue for a connection, over all hosts."""
        return sum(host["waiting"] for host in self.pools(upstream))

    def metrics(self, name, **labels):
        """The sum of the series of a name that carry all these labels."""
        status, body = self.admin("/metrics")
        assert status == 200, body
        lines = "\n".join(line for line in body.splitlines() if line.startswith(name))
        return sum(value for key, own, value in parse_metrics(lines)
                   if key == name and all(own.get(label) == wanted for label, wanted in labels.items()))

    def wait_for_workers(self):
        """Until each has ended the turn in which it sent the last response that we have: a request is counted, and written
        to the log's buffer, after its response."""
        wait_until(lambda: self.admin("/livez")[0] == 200, "each worker turns")

    def log_lines(self):
        if not self.log_path.exists():
            return []
        text = self.log_path.read_text()
        return [json.loads(line) for line in text[: text.rfind("\n") + 1].splitlines()]

    def wait_for_log(self, condition=lambda line: True, count=1, seconds=10):
        """The first `count` access log lines that meet the condition, in the order in which their requests came,
        since each worker writes its own (one: the line itself)."""
        found = []

        def enough():
            found[:] = sorted(filter(condition, self.log_lines()), key=lambda line: line["ts"])
            return len(found) >= count

        wait_until(enough, f"{count} matching access log lines; there are {self.log_lines()[-5:]}", seconds)
        return found[0] if count == 1 else found[:count]


SERIES = re.compile(r'([a-zA-Z_:][\w:]*)(?:\{(.*)\})? ([-+.\deE]+|NaN|[+-]Inf)\Z')
LABEL = re.compile(r'([a-zA-Z_]\w*)="((?:[^"\\\n]|\\["\\n])*)"(?:,|\Z)')


def parse_metrics(text):
    """(name, labels, value) of each series; any line that is not Prometheus text fails."""
    series = []
    for line in text.splitlines():
        if not line or line.startswith("#"):
            continue
        match = SERIES.match(line)
        assert match, f"not a metric: {line!r}"
        labels = match.group(2) or ""
        assert LABEL.sub("", labels) == "", f"labels: {labels!r}"
        series.append((match.group(1), dict(LABEL.findall(labels)), float(match.group(3))))
    return series


DETAILS = re.compile(r'penstock; error=(\w+)(?:; details="((?:[^"\\]|\\.)*)")?\Z')


def proxy_status(response):
    """The last member of Proxy-Status as a dict: error, phase, limit (key), value, details."""
    values = response.all("proxy-status")
    assert values, f"no Proxy-Status in {response.status} {response.fields}: {response.text[:300]}"
    match = DETAILS.match(values[-1])
    assert match, values[-1]
    details = match.group(2) or ""
    assert len(details) <= 256, details
    found = {"error": match.group(1), "details": details}
    for key in ("phase", "limit", "spent", "id"):
        part = re.search(rf"\b{key}=(\S+)", details)
        found[key] = part.group(1) if part else None
    return found


def assert_failed(response, status, error, phase=None, limit=None):
    """The answer of the proxy's own that names status, token, phase and the key that fired."""
    told = proxy_status(response)
    got = (response.status, told["error"]) + ((told["phase"],) if phase else ()) + ((told["limit"],) if limit else ())
    wanted = (status, error) + ((phase,) if phase else ()) + ((limit,) if limit else ())
    assert got == wanted, f"{got} instead of {wanted}: {response.fields} {response.text}"
    for word in filter(None, (phase, limit)):
        assert word in response.text, f"the body does not name {word}: {response.text}"
    assert told["id"] and told["id"] in response.text, f"no id in the body: {response.text}"


def assert_elapsed(seconds, limit, extra=SLACK_SECONDS):
    assert limit <= seconds < limit + slack(extra), f"{seconds:.3f} s for a limit of {limit} s"
