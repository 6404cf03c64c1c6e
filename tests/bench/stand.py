"""Where the benchmarks are run: an authority, one nginx as TLS origin, proxies before it, and the load."""

import json
import subprocess
import urllib.request
from pathlib import Path

from peers import build  # and with it the way to `support`
from support.ca import CertificateAuthority
from support.nginx import NginxOrigin
from support.penstock import free_ports

PLAIN_SERVER = """server {{
    listen 127.0.0.1:{port} backlog=4096;
    location = /status {{ stub_status; }}
    location /bytes/ {{ alias {files}/; }}
  }}"""


class Failed(Exception):
    """A request failed that may not: the figures would be worth nothing."""


def load(port, *arguments, seconds=None):
    """The load program's figures, and how many failed."""
    limit = ["--seconds", str(seconds)] if seconds else []
    done = subprocess.run([build("load"), "--port", str(port), *limit, *map(str, arguments)],
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=(seconds or 0) + 300)
    figures = json.loads(done.stdout) if done.stdout else {"requests": 0, "failed": 1}
    return {**figures, "why": done.stderr.strip()}


def load_whole(proxy, *arguments, seconds=None):
    figures = load(proxy.port, *arguments, seconds=seconds)
    if figures["failed"] or not figures["requests"]:
        raise Failed(f"{proxy.name}: {figures['failed']} of {figures['requests'] + figures['failed']} requests failed with "
                     f"{' '.join(map(str, arguments))}: {figures['why']}")
    return figures


class Stand:
    def __init__(self, folder, workers=1):
        self.folder, self.workers = Path(folder), workers
        self.folder.chmod(0o755)  # Squid's user has to come in
        self.ca = CertificateAuthority(self.folder / "ca")
        self.plain_port, = free_ports(1)
        files = self.folder / "origin" / "files"
        self.origin = NginxOrigin(self.folder / "origin", self.ca.issue("api.test"), "TLSv1.3", log=False,
                                  more=PLAIN_SERVER.format(port=self.plain_port, files=files))
        self._count = self._asked = 0

    def proxy(self, kind, tool=(), origin=None):
        """A running proxy; the caller stops it."""
        self._count += 1
        return kind(self.folder / f"{kind.name}{self._count}", self.ca.file, (origin or self.origin).port, tool,
                    self.workers, self.plain_port)

    def accepted(self):
        """Connections that the origin has accepted so far, without those that asked this."""
        self._asked += 1
        with urllib.request.urlopen(f"http://127.0.0.1:{self.plain_port}/status", timeout=10) as answer:
            return int(answer.read().decode().split("\n")[2].split()[0]) - self._asked

    def close(self):
        self.origin.stop()


def refusals(stand, kinds):
    """Every proxy before two origins that it must not talk to; Failed names the one that does."""
    stranger = CertificateAuthority(stand.folder / "stranger", "another CA")
    wrong = {"a certificate for another name": stand.ca.issue("other.test"),
             "a certificate of an unknown authority": stranger.issue("api.test")}
    for number, (what, certificate) in enumerate(wrong.items()):
        origin = NginxOrigin(stand.folder / f"wrong{number}", certificate, "TLSv1.3", log=False)
        try:
            for kind in kinds:
                refuse(stand, kind, origin, what)
        finally:
            origin.stop()


def refuse(stand, kind, origin, what):
    proxy = stand.proxy(kind, origin=origin)
    try:
        figures = load(proxy.port, "--requests", 1)
    finally:
        proxy.stop()
    if figures["requests"]:
        raise Failed(f"{kind.name} takes {what}: it does not verify, so it does not do the same job")
